//! `croze verify`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::{Format, VerifyArgs};
use super::build::print;
use super::failure::{Failure, Kind};
use super::store::{existing, state_failure};
use crate::collect;
use crate::state_dir::StateDir;
use crate::verify::{self, Finding, Verified};

/// Looks at everything in the store and prints what is wrong.
pub(super) fn run(root: &Path, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut whole = Verified::default();
    let mut left = args.repair.then_some(0);
    for state in existing(root)? {
        let verified = verify::verify(&state).map_err(state_failure)?;
        if let Some(left) = &mut left {
            let wrong = verified.findings.iter().map(|finding| finding.path.clone()).collect();
            collect::evict(&state, &wrong).map_err(state_failure)?;
            *left += wrong.iter().filter(|path| state.layout().join(path).exists()).count();
        }
        add(&mut whole, &state, verified);
    }
    print(&match args.format {
        Format::Text => text(&whole, left),
        Format::Json => format!("{:#}\n", as_json(&whole)),
    })?;
    Ok(match whole.findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => Kind::Integrity.into(),
    })
}

fn add(sum: &mut Verified, state: &StateDir, more: Verified) {
    let absolute = more.findings.into_iter().map(|finding| Finding {
        path: state.layout().join(finding.path),
        ..finding
    });
    sum.findings.extend(absolute);
    sum.blobs += more.blobs;
    sum.names += more.names;
    sum.snapshots += more.snapshots;
    sum.unchecked += more.unchecked;
    sum.doubtful += more.doubtful;
}

/// Tells what is wrong; after a repair, how much of it is `left`.
fn text(verified: &Verified, left: Option<usize>) -> String {
    let mut lines: Vec<String> = verified
        .findings
        .iter()
        .map(|Finding { path, problem }| format!("{}: {problem}", path.display()))
        .collect();
    lines.push(format!(
        "looked at {} blobs, {} snapshots, {} records, notes and tags",
        verified.blobs, verified.snapshots, verified.names
    ));
    if verified.unchecked > 0 {
        lines.push(format!(
            "{} more snapshots have nothing to be compared with",
            verified.unchecked
        ));
    }
    if verified.doubtful > 0 {
        lines.push(format!(
            "{} more snapshots may have been damaged by a loss of power: the next build that needs them makes them again",
            verified.doubtful
        ));
    }
    lines.push(match (verified.findings.len(), left) {
        (0, _) => "nothing is wrong".to_owned(),
        (count, None) => {
            format!("{count} wrong: `croze verify --repair` removes that, and the next build makes it again")
        }
        (count, Some(0)) => format!("{count} wrong and removed: the next build makes it again"),
        (count, Some(left)) => format!(
            "{count} wrong, and {left} of them left, because a running build relies on what they are part of: repeat this \
             when it has ended"
        ),
    });
    lines.join("\n") + "\n"
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let findings = verified.findings.iter();
    let findings = findings.map(|finding| json!({ "path": finding.path, "problem": finding.problem }));
    json!({
        "findings": findings.collect::<Vec<_>>(),
        "blobs": verified.blobs,
        "names": verified.names,
        "snapshots": verified.snapshots,
        "unchecked": verified.unchecked,
        "doubtful": verified.doubtful,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_removed_is_not_said_to_be_gone() {
        let finding = |path: &str| Finding {
            path: path.into(),
            problem: "it is damaged".to_owned(),
        };
        let verified = Verified {
            findings: vec![finding("one"), finding("two")],
            ..Verified::default()
        };
        assert!(text(&verified, None).contains("2 wrong: `croze verify --repair` removes that"));
        assert!(text(&verified, Some(0)).contains("2 wrong and removed"));
        assert!(text(&verified, Some(1)).contains("2 wrong, and 1 of them left"));
    }
}
