//! Where a workload is built again and again: cold, warm and changed, by each builder in turn.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::{USER, base_registry, sh};
use crate::measure::{self, Cost};
use crate::peer::{Build, Peer};
use crate::table::{self, Row};
use crate::workload::{CHANGING, Workload};

/// Warm builds in each round.
const WARM_BUILDS: usize = 3;

/// A directory of the building user, with a context and the builders' states.
pub(crate) struct Workshop {
    directory: TempDir,
}

impl Workshop {
    /// Makes a context with this Dockerfile.
    pub(crate) fn new(dockerfile: &str, fill: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::Builder::new().prefix("croze-bench-").tempdir().unwrap();
        let workshop = Self { directory };
        let context = workshop.context();
        fs::create_dir(&context).unwrap();
        workshop.change("0");
        fill(&context);
        workshop.write_dockerfile(dockerfile);
        sh(&format!(
            "chown -R {USER}: '{0}' && chmod 755 '{0}'",
            workshop.path().display()
        ));
        workshop
    }

    /// Replaces the Dockerfile.
    pub(crate) fn write_dockerfile(&self, text: &str) {
        fs::write(self.context().join("Dockerfile"), text.replace("BASE", base_registry())).unwrap();
    }

    /// Changes the file that differs in a changed build.
    pub(crate) fn change(&self, content: &str) {
        fs::write(self.context().join(CHANGING), content).unwrap();
    }

    /// Returns the directory of the context.
    pub(crate) fn context(&self) -> PathBuf {
        self.path().join("context")
    }

    /// Makes an empty state directory.
    pub(crate) fn fresh_state(&self, peer: Peer) -> PathBuf {
        let state = self.path().join(peer.to_string());
        remove(&state);
        fs::create_dir(&state).unwrap();
        let owner = |option: &str| sh(&format!("id {option} {USER}")).trim().parse().ok();
        chown(&state, owner("-u"), owner("-g")).unwrap();
        state
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        remove(self.path());
    }
}

/// Removes a tree, which root may whoever owns it.
fn remove(path: &Path) {
    sh(&format!("rm -rf '{}'", path.display()));
}

/// Measures a workload and prints its rows of the table.
pub(crate) fn measure(workload: &Workload, peers: &[Peer], rounds: Option<usize>) {
    let workshop = Workshop::new(&workload.dockerfile, workload.fill);
    let mut rows = ["cold", "warm", "changed"].map(Row::new);
    for round in 0..rounds.unwrap_or(workload.rounds) {
        for &peer in peers {
            workshop.change(&format!("{round}"));
            let state = workshop.fresh_state(peer);
            // A repository of its own, so that every round pushes all of it.
            let name = format!(
                "{}/bench/{}/{peer}/{round}:1",
                base_registry(),
                workload.name.to_lowercase()
            );
            let build = || -> Cost {
                measure::run(peer.command(&Build {
                    state: &state,
                    context: &workshop.context(),
                    push: Some(&name),
                    no_cache: false,
                }))
            };
            rows[0].add(peer, build());
            for _ in 0..WARM_BUILDS {
                rows[1].add(peer, build());
            }
            workshop.change(&format!("{round}, changed"));
            rows[2].add(peer, build());
            remove(&state);
        }
    }
    table::print(workload, &rows);
}
