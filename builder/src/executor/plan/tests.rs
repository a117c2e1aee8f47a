//! Golden tests of plans.

use super::*;
use snapshotter::{Overlay, Stacking};

use crate::executor::process::{DEFAULT_SHM_SIZE, Mount};
use crate::rung::{Landlock, Rung, StatePlace};

/// A step as a Dockerfile's `RUN make` gives it.
fn run_make() -> Process {
    Process {
        args: ["/bin/sh", "-c", "make"].map(str::to_owned).into(),
        env: vec![("HOME".into(), "/root".into())],
        cwd: "/src".into(),
        credentials: Credentials::default(),
        privileges: Privileges::Docker,
        rootfs: Tree::Overlay(Overlay {
            lower: vec!["/state/b".into(), "/state/a".into()],
            upper: Some(snapshotter::Upper {
                dir: "/state/upper".into(),
                work: "/state/work".into(),
            }),
        }),
        mounts: Vec::new(),
        network: Network::Default,
        hostname: "buildkitsandbox".into(),
        extra_hosts: vec![("192.0.2.7".into(), "seven".into())],
        resolv_conf: "nameserver 192.0.2.1\n".into(),
        shm_size: DEFAULT_SHM_SIZE,
        limits: Vec::new(),
        special_owners: SpecialOwners::default(),
    }
}

const CONFINEMENT: Confinement = Confinement {
    rung: Rung::Userns,
    stacking: Stacking::Overlay,
    state: StatePlace::Disk,
    proc: ProcView::New,
    landlock: Landlock::Scopes,
};

/// The steps where the strongest sandbox works.
fn steps(process: &Process) -> Vec<SetupStep> {
    plan(process, Path::new("/state/scratch"), CONFINEMENT).steps
}

/// One line per step.
fn printed(process: &Process) -> String {
    steps(process).iter().map(|step| format!("{step:?}\n")).collect()
}

#[test]
fn an_ordinary_step() {
    insta::assert_snapshot!(printed(&run_make()), @r#"
    Namespaces { network: false }
    OpenDevices
    Scratch { at: "/state/scratch" }
    Open(Proc { new: true })
    Open(Sys { new: false })
    Open(Dev)
    Open(Asked(File { content: 21 bytes, mode: 420, uid: 0, gid: 0 }))
    Open(Asked(File { content: 93 bytes, mode: 420, uid: 0, gid: 0 }))
    Root { tree: Overlay(Overlay { lower: ["/state/b", "/state/a"], upper: Some(Upper { dir: "/state/upper", work: "/state/work" }) }), targets: [(0, "/proc"), (1, "/sys"), (2, "/dev"), (3, "/etc/resolv.conf"), (4, "/etc/hosts")] }
    Attach { mount: 0, target: "/proc" }
    Attach { mount: 1, target: "/sys" }
    Mask { proc: 0, sys: 1 }
    Attach { mount: 2, target: "/dev" }
    Devices { dev: 2, shm_size: 67108864 }
    Attach { mount: 3, target: "/etc/resolv.conf" }
    Attach { mount: 4, target: "/etc/hosts" }
    Pivot
    Hostname("buildkitsandbox")
    Session
    WorkingDirectory("/src")
    CloseOff(CloseOff { sockets: true, signals: false, files: None })
    Seccomp
    Credentials(Credentials { uid: 0, gid: 0, groups: [] }, Docker)
    Exec { args: ["/bin/sh", "-c", "make"], env: [("HOME", "/root"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")] }
    "#);
}

#[test]
fn mounts_are_opened_before_the_root_and_attached_in_order() {
    let mut process = run_make();
    let mount = |target: &str, source| Mount {
        target: target.into(),
        source,
    };
    process.mounts = vec![
        mount(
            "/context",
            MountSource::Bind {
                tree: Tree::Directory("/home/alice/app".into()),
                path: "/src".into(),
                writable: false,
            },
        ),
        mount("/tmp", MountSource::Tmpfs { size: Some(1 << 20) }),
        mount(
            "/run/secrets/token",
            MountSource::File {
                content: Content(b"hunter2".to_vec()),
                mode: 0o400,
                uid: 0,
                gid: 0,
            },
        ),
        mount(
            "/agent",
            MountSource::Host {
                path: "/run/agent".into(),
                restrictions: Vec::new(),
            },
        ),
    ];
    let all = printed(&process);
    assert!(!all.contains("hunter2"), "a secret is printed");
    let ours: Vec<&str> = all
        .lines()
        .filter(|line| line.contains("Open(") || line.contains("Attach"))
        .collect();
    insta::assert_snapshot!(ours.join("\n"), @r#"
    Open(Proc { new: true })
    Open(Sys { new: false })
    Open(Dev)
    Open(Asked(File { content: 21 bytes, mode: 420, uid: 0, gid: 0 }))
    Open(Asked(File { content: 93 bytes, mode: 420, uid: 0, gid: 0 }))
    Open(Asked(Bind { tree: Directory("/home/alice/app"), path: "/src", writable: false }))
    Open(Asked(Tmpfs { size: Some(1048576) }))
    Open(Asked(File { content: 7 bytes, mode: 256, uid: 0, gid: 0 }))
    Open(Asked(Host { path: "/run/agent", restrictions: [] }))
    Attach { mount: 0, target: "/proc" }
    Attach { mount: 1, target: "/sys" }
    Attach { mount: 2, target: "/dev" }
    Attach { mount: 3, target: "/etc/resolv.conf" }
    Attach { mount: 4, target: "/etc/hosts" }
    Attach { mount: 5, target: "/context" }
    Attach { mount: 6, target: "/tmp" }
    Attach { mount: 7, target: "/run/secrets/token" }
    Attach { mount: 8, target: "/agent" }
    "#);
}

#[test]
fn a_step_with_all_privileges_is_neither_filtered_nor_masked() {
    let mut process = run_make();
    process.privileges = Privileges::All;
    let steps = steps(&process);
    assert!(
        !steps
            .iter()
            .any(|step| matches!(step, SetupStep::Seccomp | SetupStep::Mask { .. }))
    );
    assert!(steps.contains(&SetupStep::Credentials(Credentials::default(), Privileges::All)));
}

#[test]
fn limits_are_the_last_thing_before_the_program() {
    let mut process = run_make();
    process.limits = vec!["nofile=64".parse().unwrap()];
    let steps = steps(&process);
    let limits = SetupStep::Limits(process.limits.clone());
    assert_eq!(steps.iter().rev().nth(1), Some(&limits));
}

#[test]
fn a_step_without_a_network_gets_its_own_and_no_landlock() {
    let mut process = run_make();
    process.network = Network::None;
    let steps = steps(&process);
    assert_eq!(steps[0], SetupStep::Namespaces { network: true });
    assert!(steps.contains(&SetupStep::Open(Source::Sys { new: true })));
    assert!(!closes_off(&steps));
}

#[test]
fn the_hosts_network_is_not_restricted() {
    let mut process = run_make();
    process.network = Network::Host;
    let steps = steps(&process);
    assert_eq!(steps[0], SetupStep::Namespaces { network: false });
    assert!(!closes_off(&steps));
}

#[test]
fn a_path_of_the_process_is_kept() {
    let mut process = run_make();
    process.env.push(("PATH".into(), "/opt/bin".into()));
    let steps = steps(&process);
    let Some(SetupStep::Exec { env, .. }) = steps.last() else {
        panic!("the last step is not the program")
    };
    assert_eq!(env.iter().filter(|(name, _)| name == "PATH").count(), 1);
}

#[test]
fn without_a_pid_namespace_croze_s_proc_is_shown_and_others_are_out_of_reach() {
    let bound = Confinement {
        proc: ProcView::Bound,
        ..CONFINEMENT
    };
    for network in [Network::Default, Network::None, Network::Host] {
        let process = Process { network, ..run_make() };
        let plan = plan(&process, Path::new("/state/scratch"), bound);
        assert_eq!(plan.processes, Processes::Adopted);
        assert!(plan.steps.contains(&SetupStep::Open(Source::Proc { new: false })));
        assert!(plan.steps.contains(&SetupStep::CloseOff(CloseOff {
            sockets: network == Network::Default,
            signals: true,
            files: ClosedFiles::None,
        })));
    }
}

#[test]
fn a_user_in_a_container_s_own_root_is_closed_off_and_supervised() {
    let confinement = Confinement {
        rung: Rung::InPlaceSingle,
        stacking: Stacking::Flat,
        proc: ProcView::Bound,
        ..CONFINEMENT
    };
    let mut process = run_make();
    process.rootfs = Tree::Directory("/.croze/tree".into());
    process.network = Network::None;
    process.args = vec!["/dev/pipes/SCRIPT".into()];
    let script = |target: &str| Mount {
        target: target.into(),
        source: MountSource::Tmpfs { size: None },
    };
    process.mounts = vec![script("/dev/pipes/SCRIPT"), script("/cache")];
    let plan = plan(&process, Path::new("/.croze/scratch"), confinement);
    let steps: String = plan.steps.iter().map(|step| format!("{step:?}\n")).collect();
    insta::assert_snapshot!(steps, @r#"
    Session
    WorkingDirectory("/src")
    NoNewPrivileges
    CloseOff(CloseOff { sockets: false, signals: true, files: OfCroze })
    NoSockets
    Seccomp
    Supervise(OwnersAndTop)
    Exec { args: ["/run/pipes/SCRIPT"], env: [("HOME", "/root"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")] }
    "#);
    let targets = |plan: Plan| {
        plan.occupation
            .unwrap()
            .placements
            .into_iter()
            .map(|(target, _)| target)
    };
    let hosts: Vec<PathBuf> = ["/etc/hosts", "/run/pipes/SCRIPT", "/cache"].map(PathBuf::from).into();
    assert_eq!(targets(plan).collect::<Vec<_>>(), hosts);
    process.extra_hosts.clear();
    let without = super::plan(&process, Path::new("/.croze/scratch"), confinement);
    assert_eq!(targets(without).collect::<Vec<_>>(), hosts[1..]);
}

fn closes_off(steps: &[SetupStep]) -> bool {
    steps.iter().any(|step| matches!(step, SetupStep::CloseOff(_)))
}

#[test]
fn a_plan_survives_being_sent() {
    let plan = plan(&run_make(), Path::new("/state/scratch"), CONFINEMENT);
    let sent = serde_json::to_vec(&plan).unwrap();
    assert_eq!(serde_json::from_slice::<Plan>(&sent).unwrap(), plan);
}

#[test]
fn in_a_changed_root_the_step_is_closed_off_before_it_is_supervised() {
    let process = Process {
        rootfs: Tree::Directory("/state/tree".into()),
        network: Network::None,
        limits: vec!["nofile=64".parse().unwrap()],
        ..run_make()
    };
    let chroot = Confinement {
        rung: Rung::Chroot,
        stacking: Stacking::Flat,
        proc: ProcView::Bound,
        ..CONFINEMENT
    };
    let plan = plan(&process, Path::new("/state/scratch"), chroot);
    assert_eq!(plan.processes, Processes::Adopted);
    let supervised = plan.supervised.unwrap();
    let tree = PathBuf::from("/state/tree");
    assert_eq!(supervised.root, Some(StepRoot { tree, programs: None }));
    let occupation = plan.occupation.unwrap();
    assert_eq!(
        occupation.site,
        Site::Tree {
            stash: "/state/scratch".into()
        }
    );
    let printed: String = plan.steps.iter().map(|step| format!("{step:?}\n")).collect();
    insta::assert_snapshot!(printed, @r#"
    Session
    ChangeRoot("/state/tree")
    WorkingDirectory("/src")
    NoNewPrivileges
    CloseOff(CloseOff { sockets: true, signals: true, files: Outside })
    NoSockets
    Seccomp
    Limits([ResourceLimit { name: "nofile", soft: Some(64), hard: Some(64) }])
    Supervise(OwnersAndWindows)
    Exec { args: ["/bin/sh", "-c", "make"], env: [("HOME", "/root"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")] }
    "#);
}

#[test]
fn without_a_changed_root_the_step_is_supervised_before_it_goes_anywhere() {
    let process = Process {
        rootfs: Tree::Directory("/state/tree".into()),
        ..run_make()
    };
    let ptrace = Confinement {
        rung: Rung::Ptrace,
        stacking: Stacking::Flat,
        proc: ProcView::Bound,
        ..CONFINEMENT
    };
    let plan = plan(&process, Path::new("/state/scratch"), ptrace);
    let printed: String = plan.steps.iter().map(|step| format!("{step:?}\n")).collect();
    insta::assert_snapshot!(printed, @r#"
    Session
    NoNewPrivileges
    CloseOff(CloseOff { sockets: true, signals: true, files: OutsideOf(StepRoot { tree: "/state/tree", programs: Some("/state/scratch/programs") }) })
    Seccomp
    Supervise(OwnersAndPaths)
    WorkingDirectory("/src")
    Exec { args: ["/bin/sh", "-c", "make"], env: [("HOME", "/root"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")] }
    "#);
}
