//! ARG and ENV.

use super::{Files, builds, lab, read, script};

#[test]
fn a_global_argument_chooses_the_base() {
    // BK-142
    builds(
        "ARG tag=nosuchtag\nFROM BASE/busybox:${tag}\nRUN true\n",
        &[],
        &["--build-arg", "tag=latest"],
    );
}

#[test]
fn a_demand_is_met_by_the_command_line() {
    // BK-143
    let text = "ARG FOO=${FOO:?\"custom error\"}\nFROM BASE/busybox\n";
    builds(text, &[], &["--build-arg", "FOO=bar"]);
    // BK-144
    let text = "ARG FOO\nARG BAR=${FOO:?\"foo missing\"}\nFROM BASE/busybox\n";
    builds(text, &[], &["--build-arg", "FOO=123"]);
    let text = "FROM BASE/busybox\nARG FOO\nARG BAR=${FOO:?\"foo missing\"}\n";
    builds(text, &[], &["--build-arg", "FOO=123"]);
    lab(text, &[])
        .croze(&["build", "context"])
        .fails(3, &["FOO: foo missing"]);
}

#[test]
fn arguments_of_both_scopes_build_on_each_other() {
    // BK-145
    let out = Files::of(
        "ARG a1=\"foo bar\" a2=box\nARG a3=\"$a2-foo\"\nFROM BASE/busy$a2 AS build\nARG a3 a4=\"123 456\" a1\n\
         RUN echo -n \"$a1:$a3:$a4\" > /out\nFROM scratch\nCOPY --from=build /out .\n",
        &[],
        &[],
    );
    assert_eq!(out.read("out"), "foo bar:box-foo:123 456");
    // BK-146
    let out = Files::of(
        "ARG a1=\"box\"\nARG a2=\"$a1-foo\"\nFROM BASE/busy$a1 AS build\nARG a2\nARG a3=\"bar-$a2\"\n\
         RUN echo -n $a3 > /out\nFROM scratch\nCOPY --from=build /out .\n",
        &[],
        &[],
    );
    assert_eq!(out.read("out"), "bar-box-foo");
}

#[test]
fn the_target_stage_is_an_argument() {
    // BK-147
    let lab = lab(
        "FROM BASE/busybox AS foo\nRUN echo \"$TARGETSTAGE\" > /before\nARG TARGETSTAGE\n\
         RUN echo \"$TARGETSTAGE\" > /after\nFROM foo\n",
        &[],
    );
    let values = |lab: &super::Lab, words: &[&str]| {
        let out = lab.build_files(words);
        (read(&out, "before"), read(&out, "after"))
    };
    let expected = |value: &str| ("\n".to_owned(), format!("{value}\n"));
    assert_eq!(values(&lab, &["--target", "foo"]), expected("foo"));
    assert_eq!(values(&lab, &[]), expected("default"));
    script(&lab, "echo 'FROM foo AS final' >> context/Dockerfile");
    assert_eq!(values(&lab, &[]), expected("final"));
}

#[test]
fn proxies_reach_steps_but_no_cache_key() {
    // BK-148 BK-149 BK-150
    let lab = lab(
        "FROM BASE/busybox AS build\nARG FOO\nARG BAR\nARG BAZ=bazcontent\n\
         RUN echo -n $HTTP_PROXY::$NO_PROXY::$FOO::$BAR::$BAZ > /out\nFROM scratch\nCOPY --from=build /out /\n",
        &[],
    );
    let out = |words: [&str; 3]| {
        let words: Vec<&str> = words
            .iter()
            .filter(|word| !word.is_empty())
            .flat_map(|word| ["--build-arg", word])
            .collect();
        read(&lab.build_files(&words), "out")
    };
    let first = "hpvalue::npvalue::foocontents::::bazcontent";
    assert_eq!(
        out(["FOO=foocontents", "http_proxy=hpvalue", "NO_PROXY=npvalue"]),
        first
    );
    assert_eq!(out(["FOO=foocontents", "http_proxy=hpvalue2", ""]), first);
    assert_eq!(
        out(["FOO=foocontents2", "http_proxy=hpvalue2", ""]),
        "hpvalue2::::foocontents2::::bazcontent"
    );
}

#[test]
fn defaults_and_patterns_are_expanded_in_env() {
    // BK-151
    let lab = lab(
        "ARG image=idlebox\nFROM BASE/busy${image#idle} AS build\nARG my_arg\nENV my_arg \"my_arg=${my_arg:-def_val}\"\n\
         ENV my_trimmed_arg \"${my_arg%%e*}\"\nCOPY myscript.sh myscript.sh\nRUN ./myscript.sh $my_arg $my_trimmed_arg\n\
         FROM scratch\nCOPY --from=build /out /out\n",
        &[("myscript.sh", "#!/bin/sh\necho -n $my_arg $* > /out\n")],
    );
    script(&lab, "chmod 755 context/myscript.sh");
    let out = |words: &[&str]| read(&lab.build_files(words), "out");
    let default = "my_arg=def_val my_arg=def_val my_arg=d";
    assert_eq!(out(&[]), default);
    assert_eq!(out(&["--build-arg", "my_arg="]), default);
    assert_eq!(
        out(&["--build-arg", "my_arg=override"]),
        "my_arg=override my_arg=override my_arg=ov"
    );
}

#[test]
fn an_argument_may_be_empty_or_absent() {
    // BK-152
    let out = Files::of(
        "FROM BASE/busybox AS build\nARG FOO\nARG BAR=\nRUN env > env.txt\nFROM scratch\nCOPY --from=build env.txt .\n",
        &[],
        &[],
    );
    let env = out.read("env.txt");
    assert!(env.lines().any(|line| line == "BAR="), "{env}");
    assert!(!env.lines().any(|line| line.starts_with("FOO=")), "{env}");
}

#[test]
fn a_percent_sign_is_a_percent_sign() {
    // BK-153
    builds(
        "FROM BASE/busybox\nENV myenv foo%sbar\nRUN [ \"$myenv\" = 'foo%sbar' ]\n",
        &[],
        &[],
    );
}
