//! The matrix: where the workloads are built, and in which sandbox. One line is one test.

use std::fs;
use std::process::{Command, Stdio};

use builder::rung::Rung;
use serde_json::Value;

use crate::files;
use crate::harness::{Outcome, USER, croze_binary, scratch, sh};
use crate::image::Image;
use crate::pod::Pod;
use crate::runc::{DISK, Files, MEMORY, OWN, RootOn};
use crate::workloads::{WORKLOADS, Weight, Workload, tag};

/// A user of the machine without subordinate ids.
const USER_WITHOUT_IDS: &str = "croze-nosub";

/// One cell: a pod, and how croze runs in it.
pub(crate) struct Cell {
    pub(crate) pod: &'static str,
    pub(crate) rung: Rung,
    /// Whether `auto` takes this sandbox here.
    pub(crate) is_auto: bool,
    /// What is built at most.
    weight: Weight,
    root_on: RootOn,
    /// What the pod runs.
    pub(crate) image: Image,
    /// Directory for state.
    state: &'static str,
    /// The files that come out differently, or what leads to them does, with the reason.
    differs: &'static [(&'static str, &'static str)],
    /// The workloads that cannot be built, with the reason.
    lacks: &'static [(&'static str, &'static str)],
}

const CELL: Cell = Cell {
    pod: "P1",
    rung: Rung::Userns,
    is_auto: true,
    weight: Weight::Light,
    root_on: RootOn::Overlay,
    image: Image::Foreign,
    state: DISK,
    differs: &[],
    lacks: &[],
};

const IN_PLACE: Cell = Cell {
    rung: Rung::InPlace,
    image: Image::Own,
    state: "/.croze",
    differs: &[
        ("srv/name", "a pod's host name cannot be changed in it"),
        (
            "ssl-cert-snakeoil.pem",
            "a link to a certificate is named by the host name",
        ),
        ("srv/setuid", "find(1) sees croze's own directory"),
        ("tmp/names", "ls(1) sees it, and where volumes are mounted"),
        ("tmp/found", "find(1) too"),
        (
            "srv/f/plain",
            "a file that two steps know by two names stays one: overlay breaks hard links",
        ),
        ("srv/g/plain", "a copy of the same"),
    ],
    ..CELL
};

const CHROOT: Cell = Cell {
    rung: Rung::Chroot,
    differs: &[
        ("srv/name", "a pod's host name cannot be changed in it"),
        (
            "ssl-cert-snakeoil.pem",
            "a link to a certificate is named by the host name",
        ),
        (
            "srv/f/plain",
            "a file that two steps know by two names stays one: overlay breaks hard links",
        ),
        ("srv/g/plain", "a copy of the same"),
    ],
    ..CELL
};

const PTRACE: Cell = Cell {
    pod: "P3",
    rung: Rung::Ptrace,
    ..CHROOT
};

/// Owners are emulated: a setuid `find(1)` does not get to croze's own directory, which is hidden.
const IN_PLACE_SINGLE: Cell = Cell {
    rung: Rung::InPlaceSingle,
    image: Image::Restricted,
    state: "/.croze",
    differs: &[
        ("srv/name", "a pod's host name cannot be changed in it"),
        (
            "ssl-cert-snakeoil.pem",
            "a link to a certificate is named by the host name",
        ),
        (
            "srv/f/plain",
            "a file that two steps know by two names stays one: overlay breaks hard links",
        ),
        ("srv/g/plain", "a copy of the same"),
        ("tmp/names", "ls(1) sees where volumes are mounted"),
        ("tmp/found", "find(1) too"),
    ],
    lacks: &[(
        "top",
        "nobody but root can make names in a container's `/`, but for those of the image",
    )],
    ..CELL
};

/// Nothing may differ: the supervisor keeps owners, modes and devices as the kernel would.
const USERNS_SINGLE: Cell = Cell {
    rung: Rung::UsernsSingle,
    ..CELL
};

const NO_SETFCAP: [(&str, &str); 1] = [("packages", "CRI-O's pods may not set file capabilities")];

/// Makes a list and tests of cells.
macro_rules! matrix {
    ($($name:ident: $from:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        /// All of them.
        pub(crate) static CELLS: &[Cell] = &[$(Cell { $($field: $value,)* ..$from }),*];

        $(#[test] fn $name() { check(stringify!($name), &Cell { $($field: $value,)* ..$from }); })*
    };
}

matrix! {
    p1s_direct: CELL { pod: "P1s", rung: Rung::Direct, weight: Weight::Heavy }
    p1s_userns: CELL { pod: "P1s", is_auto: false }
    p1x_userns: CELL { pod: "P1x", weight: Weight::Heavy }
    p3l_userns_single: CELL { pod: "P3l", rung: Rung::UsernsSingle }
    p4_userns: CELL { pod: "P4", state: MEMORY }
    p6b_direct: CELL { pod: "P6b", rung: Rung::Direct }
    p6bu_userns: CELL { pod: "P6bu", root_on: RootOn::Disk }
    p6bu_direct: CELL { pod: "P6bu", rung: Rung::Direct, is_auto: false }
    p6lu_userns: CELL { pod: "P6lu" }
    p6r_userns: CELL { pod: "P6r" }
    p6x_userns: CELL { pod: "P6x", state: MEMORY }
    p6xu_userns: CELL { pod: "P6xu" }
    // On the container's own root nothing can be stacked: state is kept in memory.
    p6xu_userns_without_a_volume: CELL { pod: "P6xu", state: OWN }
    p4_userns_single_without_ids: USERNS_SINGLE { pod: "P4", image: Image::ForeignWithoutIds }
    p4d_userns_single: USERNS_SINGLE { pod: "P4d", state: MEMORY }
    p5_userns_single: USERNS_SINGLE { pod: "P5", weight: Weight::Heavy }
    p6n_userns_single: USERNS_SINGLE { pod: "P6n" }
    p1_in_place: IN_PLACE { weight: Weight::Heavy }
    p1_rd16_in_place: IN_PLACE { pod: "P1-rd16" }
    p1c_in_place: IN_PLACE { pod: "P1c", lacks: &NO_SETFCAP }
    p6_in_place: IN_PLACE { pod: "P6" }
    p1_chroot: CHROOT { weight: Weight::Heavy }
    // `readOnlyRootFilesystem`: nothing but its volumes can be written.
    p1_ro_chroot: CHROOT { pod: "P1-ro" }
    p6_chroot: CHROOT { pod: "P6" }
    p3_ptrace: PTRACE { weight: Weight::Heavy }
    p3_ro_ptrace: PTRACE { pod: "P3-ro", state: MEMORY }
    p3_rd16_ptrace: PTRACE { pod: "P3-rd16" }
    p2_in_place_single: IN_PLACE_SINGLE { pod: "P2" }
    p3_in_place_single: IN_PLACE_SINGLE { pod: "P3", weight: Weight::Heavy }
    p3_rd16_in_place_single: IN_PLACE_SINGLE { pod: "P3-rd16", root_on: RootOn::Disk }
    // The pods of `userns-single`, made to do without mounts.
    p4d_in_place_single: IN_PLACE_SINGLE { pod: "P4d", is_auto: false }
    p5_in_place_single: IN_PLACE_SINGLE { pod: "P5", is_auto: false }
    p6c_in_place: IN_PLACE { pod: "P6c", lacks: &NO_SETFCAP, root_on: RootOn::Disk }
}

/// Builds every workload of the cell in the pod and compares what comes out with the reference.
fn check(place: &str, cell: &Cell) {
    let pod = Pod::named(cell.pod);
    let (context, croze) = (cell.image.context(), cell.image.croze());
    let files = Files::new(&pod, cell.image, cell.root_on);
    for workload in of(cell) {
        files.write(&format!("{context}/{}.Dockerfile", workload.name), workload.text());
    }
    let environment = format!("set -eu; export CROZE_ROOT={}/state", cell.state);
    let examined = files.run(&pod, &format!("{environment}; exec {croze} doctor --format=json"));
    let sandbox = choose(cell, &examined);
    let builds = of(cell).map(|workload| build(place, sandbox, workload, croze, context));
    let script = format!("{environment}\n{}", builds.collect::<String>());
    compare(place, cell, &files.run(&pod, &script));
}

/// Returns what to choose the cell's sandbox by, which must be what `croze doctor` has `examined` just then if it is to be.
fn choose(cell: &Cell, examined: &Outcome) -> &'static str {
    let found: Value = serde_json::from_str(&examined.stdout).unwrap_or_else(|_| panic!("{}", examined.stderr));
    let taken = found["rung"].as_str();
    assert_eq!(taken == Some(cell.rung.name()), cell.is_auto, "{found:#}");
    // The strongest is what nobody asks for by name.
    if cell.is_auto { "auto" } else { cell.rung.name() }
}

fn of(cell: &Cell) -> impl Iterator<Item = &'static Workload> {
    let lacks = |workload: &Workload| cell.lacks.iter().any(|(name, _)| *name == workload.name);
    WORKLOADS
        .iter()
        .filter(move |workload| workload.weight <= cell.weight && !lacks(workload))
}

/// Returns the line of a script that builds a workload.
fn build(place: &str, sandbox: &str, workload: &Workload, croze: &str, context: &str) -> String {
    let (name, tag) = (workload.name, tag(place, workload.name));
    format!(
        "{croze} build --sandbox={sandbox} --compression=none -f {context}/{name}.Dockerfile -t {tag} --push {context} >&2\n"
    )
}

fn compare(place: &str, cell: &Cell, outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    for workload in of(cell) {
        let difference = files::difference(workload.reference(), &files::of_image(&tag(place, workload.name)));
        let tells_of =
            |line: &str, part: &str| line.starts_with(&format!("{part}: ")) || line.contains(&format!("\"{part}\""));
        let expected = |line: &&str| cell.differs.iter().any(|(part, _)| tells_of(line, part));
        let unexpected: Vec<&str> = difference.lines().filter(|line| !expected(line)).collect();
        assert!(
            unexpected.is_empty(),
            "`{}` in {place} differs: {unexpected:#?}",
            workload.name
        );
    }
}

/// Builds outside of any pod, as a user of the machine.
fn check_on_host(place: &str, user: &str, cell: &Cell) {
    let dir = tempfile::Builder::new().prefix("host-").tempdir_in(scratch()).unwrap();
    let context = dir.path().display().to_string();
    for workload in of(cell) {
        let file = dir.path().join(format!("{}.Dockerfile", workload.name));
        fs::write(file, workload.text()).unwrap();
    }
    sh(&format!("chown -R {user} {context}; chmod 755 {context}"));
    let croze = croze_binary().display().to_string();
    let environment = format!("set -eu; export CROZE_ROOT={context}/state");
    let run = |script: &str| {
        let output = Command::new("setpriv")
            .args([
                "--reuid",
                user,
                "--regid",
                user,
                "--init-groups",
                "--inh-caps=-all",
                "--",
            ])
            .args([
                "env",
                "-i",
                "PATH=/usr/bin:/bin",
                &format!("HOME={context}"),
                "sh",
                "-c",
                script,
            ])
            .stdin(Stdio::null())
            .output();
        Outcome::of(output.unwrap())
    };
    let sandbox = choose(cell, &run(&format!("{environment}; exec {croze} doctor --format=json")));
    let builds = of(cell).map(|workload| build(place, sandbox, workload, &croze, &context));
    compare(
        place,
        cell,
        &run(&format!("{environment}\n{}", builds.collect::<String>())),
    );
}

#[test]
fn root_of_the_machine_userns() {
    check_on_host("root-userns", "root", &CELL);
}

#[test]
fn root_of_the_machine_direct() {
    let cell = Cell {
        rung: Rung::Direct,
        is_auto: false,
        ..CELL
    };
    check_on_host("root-direct", "root", &cell);
}

#[test]
fn a_plain_user_with_subordinate_ids_userns() {
    check_on_host("user-with-ids", USER, &CELL);
}

#[test]
fn a_plain_user_without_subordinate_ids_userns_single() {
    check_on_host("user-without-ids", USER_WITHOUT_IDS, &USERNS_SINGLE);
}
