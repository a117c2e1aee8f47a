//! Where the Dockerfile and the context come from, and what is shown and left of a build.

use std::fs;
use std::path::Path;

use super::{Layout, builds, lab, read, script};

const COMPARES: &str = "FROM BASE/busybox\nCOPY foo /foo2\nCOPY foo /\nRUN echo -n bar > foo3\nRUN test -f foo\n\
                        RUN cmp -s foo foo2\nRUN cmp -s foo foo3\n";

#[test]
fn context_and_dockerfile_may_be_named_in_every_way() {
    // BK-001
    let lab = lab(COMPARES, &[("foo", "bar")]);
    let (context, other) = (lab.context("").display().to_string(), lab.path().join("elsewhere"));
    let built = |mut command: std::process::Command, directory: &Path| {
        let output = command.current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    built(lab.command(&["build", &context]), lab.path());
    built(lab.command(&["build", "."]), &lab.context(""));
    fs::create_dir(&other).unwrap();
    fs::rename(lab.context("Dockerfile"), other.join("Dockerfile")).unwrap();
    built(
        lab.command(&["build", "-f", "elsewhere/Dockerfile", "context"]),
        lab.path(),
    );
}

#[test]
fn a_dockerfile_may_be_a_link_or_in_lower_case() {
    // BK-002 BK-007
    let lab = lab("", &[("Dockerfile.web", "FROM scratch\nENV foo bar\n")]);
    script(&lab, "ln -sf Dockerfile.web context/Dockerfile");
    lab.build(&[]);
    script(
        &lab,
        "rm context/Dockerfile; mv context/Dockerfile.web context/dockerfile",
    );
    lab.build(&[]);
}

#[test]
fn a_link_that_an_archive_brought_is_followed_inside_the_image() {
    // BK-003
    let lab = lab(
        "FROM scratch\nADD t.tar /\nCOPY foo /symlink/\n",
        &[("foo", "content0")],
    );
    script(
        &lab,
        "ln -s ../tmp/symlink-target symlink; tar cf context/t.tar symlink",
    );
    assert_eq!(read(&lab.build_files(&[]), "tmp/symlink-target/foo"), "content0");
}

#[test]
fn a_directory_of_the_context_may_become_a_file() {
    // BK-004
    let lab = lab("FROM scratch\nCOPY foo /\n", &[("foo/bar", "contents")]);
    assert_eq!(read(&lab.build_files(&[]), "bar"), "contents");
    fs::remove_dir_all(lab.context("foo")).unwrap();
    lab.write("foo", "contents2");
    assert_eq!(read(&lab.build_files(&[]), "foo"), "contents2");
}

#[test]
fn a_second_build_of_the_same_adds_nothing_to_the_store() {
    // BK-005
    let lab = builds("FROM scratch\nCOPY foo /\n", &[("foo", "contents")], &[]);
    let stored = |lab: &super::Lab| {
        let names = script(lab, "ls -R state/v1/snap state/v1/index state/v1/layers");
        let sizes = lab.croze(&["du"]).stdout;
        // Each build is remembered.
        let results = sizes
            .lines()
            .filter(|line| !line.ends_with("  logs") && !line.ends_with("  in all"));
        (names, results.map(str::to_owned).collect::<Vec<_>>())
    };
    let first = stored(&lab);
    lab.build(&[]);
    assert_eq!(stored(&lab), first);
}

#[test]
fn one_variable_may_hold_several_ports() {
    // BK-006
    let lab = lab(
        "FROM scratch\nARG PORTS=\"3000 4000/udp\"\nEXPOSE $PORTS\nEXPOSE 5000\n",
        &[],
    );
    let config = Layout::of(&lab, &[]).config();
    let ports: Vec<_> = config["config"]["ExposedPorts"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(ports, ["3000/tcp", "4000/udp", "5000/tcp"]);
}

#[test]
fn labels_of_the_command_line_join_those_of_the_dockerfile() {
    // BK-008
    let lab = lab("FROM scratch\nLABEL foo=bar\n", &[]);
    let config = Layout::of(&lab, &["--label", "bar=baz"]).config();
    assert_eq!(
        config["config"]["Labels"],
        serde_json::json!({"foo": "bar", "bar": "baz"})
    );
}

#[test]
fn the_host_name_is_the_default_or_that_of_the_build_argument() {
    // BK-011
    let lab = lab(
        "FROM BASE/busybox\nRUN grep foo /etc/hosts\nRUN echo $HOSTNAME | grep foo\nRUN hostname | grep foo\n",
        &[],
    );
    lab.build(&["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=foo"]);
    lab.write(
        "Dockerfile",
        &lab.fill("FROM BASE/busybox\nRUN hostname | grep -x buildkitsandbox\n"),
    );
    lab.build(&[]);
}

#[test]
fn steps_are_named_and_counted() {
    // BK-012
    let lab = lab(
        "FROM BASE/busybox AS base\nWORKDIR /out\nRUN echo \"base\" > base\n\
         FROM scratch\nCOPY --from=base --chmod=0644 /out /out\n",
        &[],
    );
    let said = lab.build(&[]).stderr;
    for name in [
        "[base 3/3] RUN echo \"base\" > base\n",
        "[stage-1 1/1] COPY --from=base --chmod=0644 /out /out\n",
    ] {
        assert!(said.contains(name), "{said}");
    }
}
