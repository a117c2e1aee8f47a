//! What the tests are written with: a sandbox for one test, and steps to run in it.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use builder::executor::{Credentials, DEFAULT_SHM_SIZE, Mount, MountSource, Network, Privileges, Process};
use builder::rung::ProcView;
use nix::unistd::User;
use rustix::process::{Pid, Signal, kill_process};
use snapshotter::{Overlay, SpecialOwners, Stacking, Tree, Upper};

use crate::driver::{self, Job, Order, Report};
use crate::place::{Place, Who};
use crate::rootfs;
use crate::scratch::scratch;

/// The user that tests drop to.
pub(crate) const USER: &str = "croze-ci";
/// A user without subordinate ids.
pub(crate) const USER_WITHOUT_IDS: &str = "croze-nosub";

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory with a small root file system, and croze to run in it.
pub(crate) struct Sandbox {
    pub(crate) place: Place,
    dir: tempfile::TempDir,
    uppers: Cell<usize>,
}

impl Sandbox {
    pub(crate) fn new(place: Place) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("sandbox-")
            .tempdir_in(scratch())
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let sandbox = Self {
            place,
            dir,
            uppers: Cell::new(0),
        };
        // A copy, because the build directory need not be readable by the user.
        fs::copy(std::env::current_exe().unwrap(), sandbox.croze()).unwrap();
        fs::create_dir(sandbox.path("scratch")).unwrap();
        make_image(&sandbox.image());
        sandbox.give_to_user(&sandbox.path("."));
        sandbox
    }

    /// A path in the sandbox's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The root file system: busybox and little else.
    pub(crate) fn image(&self) -> PathBuf {
        self.path("image")
    }

    /// The program that stands for croze.
    pub(crate) fn croze(&self) -> PathBuf {
        self.path("croze")
    }

    /// Makes a tree belong to whom croze runs as.
    pub(crate) fn give_to_user(&self, tree: &Path) {
        if self.place.who == Who::User && is_root() {
            let user = User::from_name(USER)
                .unwrap()
                .expect("testdata/setup.sh makes the user");
            give(tree, user.uid.as_raw(), user.gid.as_raw());
        }
    }

    /// A step that runs a shell script in the image.
    pub(crate) fn sh(&self, script: &str) -> Step<'_> {
        self.exec(&["/bin/sh", "-c", script])
    }

    /// A step that runs a program in the image.
    pub(crate) fn exec(&self, args: &[&str]) -> Step<'_> {
        let number = self.uppers.replace(self.uppers.get() + 1);
        let upper = Upper {
            dir: self.path(&format!("upper{number}")),
            work: self.path(&format!("work{number}")),
        };
        for dir in [&upper.dir, &upper.work] {
            fs::create_dir(dir).unwrap();
            self.give_to_user(dir);
        }
        let rootfs = if self.place.rung.stacking() == Stacking::Flat {
            let copied = Command::new("cp").arg("-aT").arg(self.image()).arg(&upper.dir).status();
            assert!(copied.unwrap().success());
            Tree::Directory(upper.dir)
        } else {
            Tree::Overlay(Overlay {
                lower: vec![self.image()],
                upper: Some(upper),
            })
        };
        Step {
            sandbox: self,
            process: Process {
                args: args.iter().map(|&arg| arg.to_owned()).collect(),
                env: vec![("PATH".into(), "/bin".into())],
                cwd: "/".into(),
                credentials: Credentials::default(),
                privileges: Privileges::Docker,
                rootfs,
                mounts: Vec::new(),
                network: Network::Default,
                hostname: "buildkitsandbox".into(),
                extra_hosts: Vec::new(),
                resolv_conf: "nameserver 192.0.2.1\n".into(),
                shm_size: DEFAULT_SHM_SIZE,
                limits: Vec::new(),
                special_owners: SpecialOwners::default(),
            },
        }
    }

    /// A command that runs the copy of this program as whom the test is about.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = if self.place.who == Who::User && is_root() {
            as_user(name)
        } else {
            Command::new("env")
        };
        // A test run in the background of a script, or by `nohup`, ignores some.
        command.arg("--default-signal").arg(self.croze());
        command.arg(driver::ARGUMENT).current_dir("/");
        command
    }
}

impl Sandbox {
    /// Starts a driver in the sandbox that the test is about.
    pub(crate) fn drive(&self, command: Command, job: Job) -> Child {
        let order = Order {
            rung: Some(self.place.rung),
            bound_proc: self.place.proc == ProcView::Bound,
            old_kernel: self.place.old_kernel,
            job,
        };
        start(command, &order)
    }
}

/// A command that runs `env` as a user.
fn as_user(name: &str) -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", name, "--", "env"]);
    command
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A step's files belong to subordinate ids, which only their namespace may remove.
        if !is_root() {
            let job = Job::Remove {
                dirs: (0..self.uppers.get())
                    .map(|number| self.path(&format!("upper{number}")))
                    .collect(),
            };
            self.drive(self.command(USER), job).wait().unwrap();
        }
    }
}

fn give(tree: &Path, uid: u32, gid: u32) {
    lchown(tree, Some(uid), Some(gid)).unwrap();
    if tree.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(tree).unwrap() {
            give(&entry.unwrap().path(), uid, gid);
        }
    }
}

fn make_image(root: &Path) {
    for dir in ["bin", "etc", "tmp", "root"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    let applets = "sh true false cat ls id env grep sleep setsid mkdir rmdir rm mv ln touch chmod chown stat find mount \
        umount unshare chroot cp mkfifo echo test nohup kill ps readlink dd tty wc sort head hostname ip nc sync printf pwd su od \
        cut tr sed mknod";
    for applet in applets.split_whitespace() {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/tmp:/bin/sh\n",
    )
    .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nbob:x:1000:\n").unwrap();
}

/// A step about to be run.
#[must_use = "a step does nothing until it is run"]
pub(crate) struct Step<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) process: Process,
}

impl Step<'_> {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Process)) -> Self {
        change(&mut self.process);
        self
    }

    pub(crate) fn mount(self, target: &str, source: MountSource) -> Self {
        self.with(|process| {
            process.mounts.push(Mount {
                target: target.into(),
                source,
            });
        })
    }

    pub(crate) fn user(self, uid: u32) -> Self {
        self.with(|process| {
            process.credentials = Credentials {
                uid,
                gid: uid,
                groups: vec![],
            };
        })
    }

    /// Starts croze and lets it run.
    pub(crate) fn start(self) -> Child {
        self.sandbox.drive(self.sandbox.command(USER), self.job())
    }

    /// Runs the step to its end.
    pub(crate) fn run(self) -> Ran {
        let upper = rootfs::changed(&self.process);
        let image = matches!(self.process.rootfs, Tree::Directory(_)).then(|| self.sandbox.image());
        let job = self.job();
        let report = report(self.sandbox.drive(self.sandbox.command(USER), job));
        Ran { report, upper, image }
    }

    /// Runs the step, which must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn stdout(self) -> String {
        let ran = self.run();
        assert_eq!(ran.report.exit, Ok(0), "{:?}", ran.report);
        ran.report.stdout
    }

    /// Returns what a driver is told.
    pub(crate) fn job(&self) -> Job {
        Job::Run {
            process: Box::new(self.process.clone()),
            scratch: self.sandbox.path("scratch"),
            stop_after: None,
        }
    }

    /// Runs the step and asks it to stop after a while.
    pub(crate) fn stopped_after(self, delay: Duration, now: bool) -> (Ran, Duration) {
        let upper = rootfs::changed(&self.process);
        let image = matches!(self.process.rootfs, Tree::Directory(_)).then(|| self.sandbox.image());
        let Job::Run { process, scratch, .. } = self.job() else {
            unreachable!()
        };
        let job = Job::Run {
            process,
            scratch,
            stop_after: Some((delay, now)),
        };
        let began = Instant::now();
        let report = report(self.sandbox.drive(self.sandbox.command(USER), job));
        (Ran { report, upper, image }, began.elapsed())
    }
}

/// A step that has been run.
#[must_use]
pub(crate) struct Ran {
    pub(crate) report: Report,
    pub(crate) upper: PathBuf,
    /// What a flat tree was before.
    image: Option<PathBuf>,
}

impl Ran {
    /// Why the step could not be run.
    #[track_caller]
    pub(crate) fn error(self) -> String {
        self.report.exit.expect_err("the step was to fail")
    }

    /// The paths in the layer that the step left, sorted; in a flat tree, those where something is not as it was.
    pub(crate) fn layer(&self) -> Vec<String> {
        let (mut paths, mut before) = (Vec::new(), Vec::new());
        list(&self.upper, &self.upper, &mut paths);
        if let Some(image) = &self.image {
            list(image, image, &mut before);
            let look = |top: &Path, path: &String| {
                let found = top.join(&path[1..]).symlink_metadata().ok()?;
                Some((found.mode(), found.len(), found.mtime(), found.mtime_nsec()))
            };
            paths.extend(before);
            paths.retain(|path| look(&self.upper, path) != look(image, path));
            let above = |path: &String| {
                let above = Path::new(path)
                    .ancestors()
                    .skip(1)
                    .map(|path| path.display().to_string());
                above.filter(|path| path != "/").collect::<Vec<_>>()
            };
            paths.extend(paths.iter().flat_map(above).collect::<Vec<_>>());
        }
        paths.sort();
        paths.dedup();
        paths
    }
}

fn list(dir: &Path, root: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        paths.push(format!("/{}", path.strip_prefix(root).unwrap().display()));
        if path.symlink_metadata().unwrap().is_dir() {
            list(&path, root, paths);
        }
    }
}

/// Starts a driver with an order.
pub(crate) fn start(mut command: Command, order: &Order) -> Child {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&serde_json::to_vec(order).unwrap()).unwrap();
    child
}

/// How long a driver may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Waits for a driver and reads its report.
#[track_caller]
pub(crate) fn report(child: Child) -> Report {
    let pid = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let Ok(output) = receiver.recv_timeout(TIME_LIMIT) else {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("the driver hangs");
    };
    assert!(output.status.success(), "the driver failed: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes on this machine whose environment has a marker.
pub(crate) fn processes_with(marker: &str) -> Vec<String> {
    let marked = |name: &String| {
        let environment = fs::read(format!("/proc/{name}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == marker.as_bytes())
    };
    let names = fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(marked).collect()
}
