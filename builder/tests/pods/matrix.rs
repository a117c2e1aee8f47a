//! The matrix: where the workloads are built, and in which sandbox. One line is one test.

use std::fs;
use std::process::{Command, Stdio};

use builder::rung::Rung;
use serde_json::Value;

use crate::files;
use crate::harness::{Outcome, croze_binary, scratch};
use crate::image::Image;
use crate::pod::Pod;
use crate::runc::{DISK, Files, MEMORY, OWN, RootOn};
use crate::workloads::{WORKLOADS, Weight, Workload, tag};

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
    p6_chroot: CHROOT { pod: "P6" }
    p3_ptrace: PTRACE { weight: Weight::Heavy }
    p3_ro_ptrace: PTRACE { pod: "P3-ro", state: MEMORY }
    p3_rd16_ptrace: PTRACE { pod: "P3-rd16" }
    p2_in_place_single: IN_PLACE_SINGLE { pod: "P2" }
    p3_in_place_single: IN_PLACE_SINGLE { pod: "P3", weight: Weight::Heavy }
    p3_rd16_in_place_single: IN_PLACE_SINGLE { pod: "P3-rd16", root_on: RootOn::Disk }
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
    let examined: Value = serde_json::from_str(&examined.stdout).unwrap_or_else(|_| panic!("{}", examined.stderr));
    let taken = examined["rung"].as_str();
    assert_eq!(taken == Some(cell.rung.name()), cell.is_auto, "{examined:#}");
    // The strongest is what nobody asks for by name.
    let sandbox = if cell.is_auto { "auto" } else { cell.rung.name() };
    let builds = of(cell).map(|workload| build(place, sandbox, workload, croze, context));
    let script = format!("{environment}\n{}", builds.collect::<String>());
    compare(place, cell, &files.run(&pod, &script));
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

/// Builds as root of the machine, outside of any pod.
fn check_on_host(place: &str, rung: Rung) {
    let dir = tempfile::Builder::new().prefix("host-").tempdir_in(scratch()).unwrap();
    let context = dir.path().display().to_string();
    let mut script = format!("set -eu; export CROZE_ROOT={context}/state\n");
    for workload in of(&CELL) {
        fs::write(
            dir.path().join(format!("{}.Dockerfile", workload.name)),
            workload.text(),
        )
        .unwrap();
        script += &build(
            place,
            rung.name(),
            workload,
            &croze_binary().display().to_string(),
            &context,
        );
    }
    let output = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    compare(place, &CELL, &Outcome::of(output));
}

#[test]
fn root_of_the_machine_userns() {
    check_on_host("root-userns", Rung::Userns);
}

#[test]
fn root_of_the_machine_direct() {
    check_on_host("root-direct", Rung::Direct);
}
