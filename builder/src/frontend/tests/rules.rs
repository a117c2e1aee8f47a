//! Rules that one golden case does not show: what differs between two requests, and what is never asked for.

use super::{build, print, request};
use crate::frontend::{Lowered, lower, references};
use crate::graph::GraphBuilder;
use crate::op::Op;

fn names(text: &str, flags: &[&str]) -> Vec<String> {
    build(text, flags)
        .graph
        .iter()
        .map(|vertex| vertex.meta.name.clone())
        .collect()
}

fn history(text: &str, flags: &[&str]) -> Vec<String> {
    build(text, flags)
        .lowered
        .history
        .into_iter()
        .map(|entry| entry.created_by.to_string())
        .collect()
}

fn images(text: &str, flags: &[&str]) -> Vec<String> {
    let images = references(&request(text, flags)).unwrap();
    images
        .iter()
        .map(|image| format!("{} {}", image.reference.familiar(), image.platform))
        .collect()
}

#[test]
fn only_what_the_target_needs_is_asked_for() {
    let text = "FROM missing AS broken\nRUN x\nFROM busybox AS used\nFROM broken AS also-broken\nFROM alpine:3\n\
                COPY --from=used a b\nRUN --mount=from=app,target=/x --mount=from=used,target=/y true\n\
                COPY --from=busybox a b";
    assert_eq!(
        images(text, &[]),
        [
            "busybox:latest linux/amd64",
            "alpine:3 linux/amd64",
            "app:latest linux/amd64"
        ]
    );
    assert_eq!(images(text, &["--target used"]), ["busybox:latest linux/amd64"]);
    // An unused context is never looked at either.
    assert_eq!(
        images("FROM scratch", &["--build-context x=docker-image://missing"]),
        [""; 0]
    );
    assert!(!names(text, &[]).iter().any(|name| name.contains("missing")));
}

#[test]
fn each_base_is_asked_for_with_its_own_platform() {
    let text = "FROM --platform=$BUILDPLATFORM busybox AS build\nFROM busybox\nCOPY --from=build a b";
    let flags = ["--platform linux/arm64"];
    assert_eq!(
        images(text, &flags),
        ["busybox:latest linux/amd64", "busybox:latest linux/arm64"]
    );
    let flags = [
        "--platform linux/arm64",
        "--build-context busybox=docker-image://alpine",
    ];
    assert_eq!(
        images(text, &flags),
        ["alpine:latest linux/amd64", "alpine:latest linux/arm64"]
    );
}

#[test]
fn a_context_can_be_given_for_one_platform() {
    let flags = [
        "--build-context busybox::linux/arm64=docker-image://app",
        "--platform linux/arm64",
    ];
    assert_eq!(images("FROM busybox", &flags), ["app:latest linux/arm64"]);
    assert_eq!(images("FROM busybox", &flags[..1]), ["busybox:latest linux/amd64"]);
}

#[test]
fn the_target_is_found_in_any_case() {
    let text = "FROM scratch AS STAge0\nCOPY foo bar\nFROM scratch AS staGE1\nCOPY --from=staGE0 bar baz\nFROM scratch";
    assert_eq!(history(text, &["--target Stage1"]), ["COPY bar baz # buildkit"]);
}

#[test]
fn a_stage_hides_an_image_of_its_name() {
    let text = "FROM busybox AS golang\nFROM scratch\nCOPY --from=golang /go go";
    assert_eq!(images(text, &[]), ["busybox:latest linux/amd64"]);
}

#[test]
fn equal_beginnings_and_platforms_share_their_vertices() {
    let text =
        "FROM busybox AS a\nRUN make\nFROM busybox AS b\nRUN make\nFROM scratch\nCOPY --from=a x /\nCOPY --from=b x /";
    assert_eq!(
        names(text, &[]).iter().filter(|name| name.contains("RUN make")).count(),
        1
    );

    let mut graph = GraphBuilder::<Op>::new();
    let text = "FROM --platform=$BUILDPLATFORM busybox AS build\nRUN make\nFROM scratch\nCOPY --from=build x /";
    let mut lowered = |flag: &str| lower(&request(text, &[flag]), &super::Images, &mut (), &mut graph).unwrap();
    let [amd64, arm64]: [Lowered; 2] = ["--platform linux/amd64", "--platform linux/arm64"].map(&mut lowered);
    assert_eq!(amd64.rootfs, arm64.rootfs);
    assert_eq!(
        (amd64.config.architecture.as_str(), arm64.config.architecture.as_str()),
        ("amd64", "arm64")
    );
}

#[test]
fn the_target_stage_is_an_argument() {
    let value = |text: &str, flags: &[&str]| history(text, flags).pop().unwrap();
    let text = "FROM scratch AS foo\nARG TARGETSTAGE\nFROM scratch\nARG TARGETSTAGE";
    assert_eq!(value(text, &["--target foo"]), "ARG TARGETSTAGE=foo");
    assert_eq!(value(text, &[]), "ARG TARGETSTAGE=default");
    assert_eq!(
        value("FROM scratch AS final\nARG TARGETSTAGE", &[]),
        "ARG TARGETSTAGE=final"
    );
}

#[test]
fn an_overridden_default_is_not_evaluated() {
    let text = "ARG FOO=${FOO:?needed}\nFROM scratch\nARG BAR=${BAR:?needed}\nARG FOO";
    assert_eq!(
        history(text, &["--build-arg FOO=1", "--build-arg BAR=2"]),
        ["ARG BAR=2", "ARG FOO=1"]
    );
}

#[test]
fn an_argument_does_not_cross_into_an_image_but_into_a_stage() {
    let text = "FROM busybox AS a\nARG X=1\nENV Y=2\nARG Y=3\nFROM a\nRUN true";
    assert_eq!(
        history(text, &[]).pop().unwrap(),
        "RUN |2 X=1 Y=2 /bin/sh -c true # buildkit"
    );
    assert_eq!(
        history("FROM busybox AS a\nARG X=1\nFROM busybox\nRUN true", &[]),
        ["RUN /bin/sh -c true # buildkit"]
    );
}

#[test]
fn the_later_of_arg_and_env_wins_for_steps() {
    let env = |text: &str| {
        let built = build(text, &[]);
        let run = built.graph.iter().find_map(|vertex| match &vertex.op {
            Op::Run(run) => run
                .env
                .iter()
                .find(|(name, _)| name == "X")
                .map(|(_, value)| value.clone()),
            _ => None,
        });
        (run.unwrap(), built.lowered.config.config.env.last().unwrap().clone())
    };
    assert_eq!(
        env("FROM busybox\nENV X=1\nARG X=2\nRUN echo"),
        ("2".to_owned(), "X=1".to_owned())
    );
    assert_eq!(
        env("FROM busybox\nARG X=2\nENV X=1\nRUN echo"),
        ("1".to_owned(), "X=1".to_owned())
    );
}

#[test]
fn an_entry_point_clears_an_inherited_command_only() {
    let command = |text: &str| build(text, &[]).lowered.config.config.cmd;
    let own = Some(vec!["x".to_owned()]);
    assert_eq!(command("FROM busybox\nSHELL [\"ls\"]\nENTRYPOINT my entrypoint"), None);
    assert_eq!(command("FROM busybox\nCMD [\"x\"]\nENTRYPOINT [\"y\"]"), own);
    assert_eq!(
        command("FROM busybox AS a\nCMD [\"x\"]\nFROM a\nENTRYPOINT [\"y\"]"),
        None
    );
    assert_eq!(command("FROM busybox\nENTRYPOINT [\"y\"]\nCMD [\"x\"]"), own);
}

#[test]
fn a_single_stage_has_no_name_unless_something_comes_from_outside() {
    assert_eq!(names("FROM busybox\nRUN a", &[])[1], "[2/2] RUN a");
    assert_eq!(names("FROM busybox AS x\nRUN a", &[])[1], "[2/2] RUN a");
    assert_eq!(
        names("FROM busybox\nCOPY --from=alpine a b", &[])[2],
        "[stage-0 2/2] COPY --from=alpine a b"
    );
}

#[test]
fn a_trigger_that_was_performed_is_gone_from_the_config() {
    let built = build("FROM busybox AS source\nFROM onbuild\nONBUILD RUN own", &[]);
    assert_eq!(built.lowered.config.config.on_build, ["RUN own"]);
}

#[test]
fn the_base_is_left_to_the_caller_whole() {
    let built = build("FROM app AS a\nFROM a\nRUN x", &[]);
    let base = built.lowered.base.as_ref().unwrap();
    assert_eq!(base.image.config.extra["docker_version"], "19.03");
    assert!(base.vertex.is_some());
    // What it says about its own making is not handed down.
    assert_eq!(
        (built.lowered.config.created, built.lowered.config.extra.len()),
        (None, 0)
    );
    assert_eq!(built.lowered.config.author.as_deref(), Some("somebody"));
    assert_eq!(built.lowered.config.config.extra.len(), 0);
}

#[test]
fn the_image_keeps_the_platform_it_has_unless_another_was_chosen() {
    let text = "FROM --platform=linux/arm/v7 busybox";
    assert_eq!(build(text, &[]).lowered.config.architecture, "arm");
    assert_eq!(
        build(text, &["--platform linux/s390x"]).lowered.config.architecture,
        "s390x"
    );
}

#[test]
fn layers_in_the_history_are_the_changes_of_the_root_file_system() {
    let built = build("FROM busybox\nRUN a\nCOPY --link b /\nENV x=y\nWORKDIR /z", &[]);
    let layers: Vec<_> = built.lowered.history.iter().filter_map(|entry| entry.layer).collect();
    let mut chain = Vec::new();
    let mut at = built.lowered.rootfs;
    while let Some(vertex) = at.map(|id| built.graph.vertex(id)) {
        match &vertex.op {
            Op::Image(_) => break,
            Op::Merge => chain.push(vertex.inputs[1]),
            _ => chain.push(vertex.id),
        }
        at = vertex.inputs.first().copied();
    }
    chain.reverse();
    assert_eq!(layers, chain);
    assert!(print::graph(&built).contains("merge"));
}

#[test]
fn the_time_of_the_image_is_given_or_has_a_default() {
    let epoch = |text: &str, flags: &[&str]| build(text, flags).lowered.epoch;
    let text = "ARG SOURCE_DATE_EPOCH=1445412480\nFROM scratch\nARG SOURCE_DATE_EPOCH";
    assert_eq!(epoch(text, &[]), Some(1445412480));
    assert_eq!(epoch(text, &["--build-arg SOURCE_DATE_EPOCH=7"]), Some(7));
    assert_eq!(epoch(text, &["--build-arg SOURCE_DATE_EPOCH="]), None);
    assert_eq!(epoch("FROM scratch", &[]), None);
    // A directory has no time of its own, and steps are not told of one.
    let flags = ["--build-arg SOURCE_DATE_EPOCH=context"];
    assert_eq!(epoch(text, &flags), None);
    assert_eq!(history(text, &flags), ["ARG SOURCE_DATE_EPOCH"]);
}
