//! Every miss is told with its reason, and past builds can be looked at.

use serde_json::Value;

use crate::harness::Lab;

const DOCKERFILE: &str = "\
FROM BASE/busybox AS build
ARG VERSION=1
ENV MODE=fast
RUN echo compiling $VERSION; echo done > /out
FROM BASE/busybox
COPY src /src
COPY --from=build /out /out
RUN --mount=type=bind,source=script,target=/script sh /script
";

fn lab() -> Lab {
    let lab = Lab::new(DOCKERFILE);
    for file in ["src/one", "src/two", "src/deep/three"] {
        lab.write(file, file);
    }
    lab.write("script", "echo scripted\n");
    lab
}

/// Builds, and returns what the explanation says of each step that has this in its name.
fn explained(lab: &Lab, words: &[&str], step: &str) -> String {
    lab.build(words);
    let outcome = lab.croze(&["explain"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let mut lines = outcome.stdout.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.contains(step) && !line.starts_with(' ') {
            let reason = lines.next_if(|next| next.starts_with("            because "));
            let result = line.split_whitespace().next().unwrap();
            found.push(format!(
                "{result}{}",
                reason.map_or_else(String::new, |reason| reason.trim().replacen("because", ":", 1))
            ));
        }
    }
    assert_eq!(found.len(), 1, "`{step}` in\n{}", outcome.stdout);
    found.remove(0)
}

#[test]
fn a_miss_names_the_file_the_argument_the_instruction_or_the_base_that_changed() {
    let lab = lab();
    let compile = |words: &[&str]| explained(&lab, words, "compiling");
    assert_eq!(compile(&[]), "ran: no earlier build of it is in the cache");
    assert_eq!(compile(&[]), "hit");
    let new = "ran: the instruction, or a value in it, is new since the last build";
    assert_eq!(
        compile(&["--build-arg", "VERSION=2"]),
        format!("{new}: variable VERSION has changed")
    );
    let edit = |old: &str, new: &str| lab.write("Dockerfile", &lab.fill(&DOCKERFILE.replace(old, new)));
    edit("ENV MODE=fast", "ENV MODE=fast LEVEL=3");
    assert_eq!(
        compile(&["--build-arg", "VERSION=2"]),
        format!("{new}: variable LEVEL is new")
    );
    edit("echo compiling $VERSION;", "echo compiling it;");
    let told = compile(&["--build-arg", "VERSION=2"]);
    assert!(
        told.starts_with(&format!(
            "{new}: command was `echo compiling $VERSION; echo done > /out` and is `echo compiling it;"
        )),
        "{told}"
    );
    assert!(told.ends_with("variable LEVEL is gone"), "{told}");
    edit("FROM BASE/busybox AS build", "FROM BASE/debian AS build");
    let told = compile(&["--build-arg", "VERSION=2"]);
    assert!(told.starts_with("ran: "), "{told}");
    assert!(
        told.contains("busybox:latest@sha256:") && told.contains("debian:latest@sha256:"),
        "{told}"
    );
}

#[test]
fn a_step_is_compared_with_what_was_made_for_the_same_platform() {
    let lab = Lab::new(
        "FROM --platform=$BUILDPLATFORM BASE/busybox AS tools\nRUN echo shared\n\
         FROM --platform=$BUILDPLATFORM BASE/busybox AS build\nARG TARGETARCH\nARG VERSION=1\n\
         RUN echo compiling $VERSION for $TARGETARCH > /out\nFROM scratch\nCOPY --from=build /out /\n",
    );
    lab.build(&["--platform", "linux/amd64,linux/arm64"]);
    for platform in ["linux/arm64", "linux/amd64"] {
        let told = explained(&lab, &["--platform", platform, "--build-arg", "VERSION=2"], "compiling");
        assert!(told.ends_with("variable VERSION has changed"), "{platform}: {told}");
    }
}

#[test]
fn a_copy_and_a_mount_name_the_files_that_changed() {
    let lab = lab();
    let copy = |words: &[&str]| explained(&lab, words, "COPY src");
    copy(&[]);
    lab.write("src/deep/three", "other");
    lab.write("src/new", "");
    std::fs::remove_file(lab.context("src/one")).unwrap();
    let changed = "ran: files that it reads from `[internal] load build context` have changed: ";
    let files = "src/deep/three has changed, src/new is new, src/one is gone";
    assert_eq!(copy(&[]), format!("{changed}{files}"));
    lab.write("script", "echo other\n");
    assert_eq!(
        explained(&lab, &[], "sh /script"),
        format!("{changed}script has changed")
    );
    lab.write("script", "echo third\n");
    let plan = lab.croze(&["build", "--plan", "context"]);
    assert!(
        plan.stdout.contains("have changed: script has changed"),
        "{}",
        plan.stdout
    );
}

#[test]
fn after_a_prune_there_is_nothing_to_compare_with() {
    let lab = lab();
    lab.build(&[]);
    lab.croze(&["prune", "--filter", "type=snap"]);
    assert_eq!(
        explained(&lab, &[], "compiling"),
        "ran: no earlier build of it is in the cache"
    );
}

#[test]
fn past_builds_are_listed_drawn_and_their_logs_are_kept() {
    let lab = lab();
    lab.build(&["-t", "app:1"]);
    lab.write("script", "echo broken; exit 3\n");
    let failed = lab.croze(&["build", "--progress=plain", "-t", "app:2", "context"]);
    assert_eq!(failed.code, 4);
    let run = |words: &[&str]| {
        let outcome = lab.croze(words);
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
        outcome.stdout
    };
    let list = run(&["history"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[0].contains("failed") && lines[0].ends_with("app:2"), "{list}");
    assert!(lines[1].contains("ok") && lines[1].ends_with("app:1"), "{list}");
    let json: Value = serde_json::from_str(&run(&["history", "--format=json"])).unwrap();
    let first = json[1]["id"].as_str().unwrap();
    assert_eq!(json[0]["outcome"]["is"], "failed");

    assert!(run(&["logs"]).contains("broken\n"));
    let logs = run(&["logs", first]);
    assert!(
        logs.contains("==> [build 2/2] RUN echo compiling") && logs.contains("compiling 1\n"),
        "{logs}"
    );
    assert_eq!(run(&["logs", "app:1", "--step", "sh /script"]), "scripted\n");
    lab.croze(&["logs", "--step", "nothing"])
        .fails(5, &["has no step with `nothing`"]);
    lab.croze(&["explain", "nobody"])
        .fails(5, &["no build is remembered that is called `nobody`", "croze history"]);

    assert!(
        run(&["explain", "app:2"]).contains("failed      [stage-1 4/4] RUN"),
        "{}",
        run(&["explain"])
    );
    assert!(run(&["graph", first]).contains(": ran [build 2/2] RUN echo compiling"));
    assert!(run(&["graph", "--format=dot"]).starts_with("digraph build {"));
    assert!(run(&["graph", "--format=mermaid"]).starts_with("flowchart TD\n"));
    let svg = run(&["graph", "--format=svg"]);
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("#fca5a5"),
        "{svg}"
    );
    // A plan is no build.
    lab.croze(&["build", "--plan", "context"]);
    assert_eq!(run(&["history"]).lines().count(), 2);
}

#[test]
fn a_build_that_cannot_be_planned_is_the_last_one_too() {
    let lab = lab();
    lab.build(&[]);
    lab.write("Dockerfile", "FROM 127.0.0.1:1/absent\n");
    lab.croze(&["build", "--plan", "context"]).fails(6, &[]);
    assert!(lab.croze(&["explain"]).stdout.contains(" succeeded after "));
    lab.croze(&["build", "context"]).fails(6, &[]);
    let explained = lab.croze(&["explain"]).stdout;
    assert!(
        explained.contains(" failed (") && explained.contains("0 run"),
        "{explained}"
    );
}
