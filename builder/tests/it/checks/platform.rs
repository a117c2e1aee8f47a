//! Platforms of a build.

use super::{Files, Layout, lab};

#[test]
fn the_target_platform_may_choose_the_base() {
    // BK-207
    let lab = lab(
        "FROM scratch AS build-linux\nCOPY foo bar\nFROM build-${TARGETOS}\nCOPY foo2 bar2\n",
        &[("foo", "d0"), ("foo2", "d1")],
    );
    let out = lab.build_files(&[]);
    assert_eq!([super::read(&out, "bar"), super::read(&out, "bar2")], ["d0", "d1"]);
}

#[test]
fn the_command_line_wins_over_the_platforms_arguments() {
    // BK-208
    let out = Files::of(
        "FROM --platform=$BUILDPLATFORM BASE/busybox AS build\nARG TARGETPLATFORM\nARG TARGETOS\n\
         RUN mkdir /out && echo -n $TARGETPLATFORM > /out/platform && echo -n $TARGETOS > /out/os\n\
         FROM scratch\nCOPY --from=build out .\n",
        &[],
        &["--platform", "darwin/ppc64le", "--build-arg", "TARGETOS=freebsd"],
    );
    assert_eq!([out.read("platform"), out.read("os")], ["darwin/ppc64le", "freebsd"]);
}

#[test]
fn the_version_of_an_operating_system_is_kept() {
    // BK-209
    let base = super::pushed("os-version", "FROM scratch\n", &[]);
    let words = [
        "--platform",
        "windows(1.2.3)/amd64,windows(1.1.0)/amd64",
        "-t",
        &base,
        "--push",
    ];
    let lab = lab(
        "FROM scratch\nARG TARGETOSVERSION\nLABEL version=$TARGETOSVERSION\n",
        &[],
    );
    lab.build(&words);
    let layout = Layout::of(&lab, &words[..2]);
    let root = layout.root();
    for (n, version) in ["1.2.3", "1.1.0"].into_iter().enumerate() {
        assert_eq!(root["manifests"][n]["platform"]["os.version"], version);
        assert_eq!(layout.configs()[n]["os.version"], version);
        assert_eq!(layout.configs()[n]["config"]["Labels"]["version"], version);
    }
    let child = super::lab(&format!("FROM {base}\n"), &[]);
    let version = |platform: &str| Layout::of(&child, &["--platform", platform]).config()["os.version"].clone();
    assert_eq!(version("windows(1.1.0)/amd64"), "1.1.0");
    assert_eq!(version("windows/amd64"), "1.2.3");
}

#[test]
fn an_image_that_was_kept_for_one_platform_is_none_for_another() {
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    for (name, platforms) in [("one", "linux/amd64"), ("two", "linux/amd64,linux/s390x")] {
        let name = format!("127.0.0.1:1/{name}:1");
        lab.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
        lab.build(&["-t", &name, "--platform", platforms]);
        lab.write("Dockerfile", &format!("FROM {name}\nENV a=b\n"));
        lab.build(&["--platform", platforms]);
        lab.build(&["--check", "--platform", platforms]);
        for other in ["linux/arm64", "linux/amd64,linux/arm64"] {
            let refused = lab.croze(&["build", "context", "--platform", other]);
            refused.fails(6, &["Dockerfile:1", "but not for linux/arm64"]);
        }
        lab.croze(&["build", "--check", "context", "--platform", "linux/arm64"])
            .fails(6, &["127.0.0.1:1"]);
    }
}

#[test]
fn an_image_is_for_the_platform_of_its_base_where_none_is_asked_for() {
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    lab.build(&["-t", "other:1", "--platform", "linux/s390x"]);
    lab.write("Dockerfile", "FROM --platform=linux/s390x other:1\nENV a=b\n");
    let layout = Layout::of(&lab, &[]);
    assert_eq!(layout.index()["manifests"][0]["platform"]["architecture"], "s390x");
}
