//! ONBUILD.

use serde_json::Value;

use super::{Files, Layout, lab, pushed};

#[test]
fn a_trigger_is_performed_once_and_is_gone() {
    // BK-222
    let base = pushed(
        "trigger",
        "FROM BASE/busybox\nONBUILD RUN mkdir -p /out && echo -n 11 >> /out/foo\n",
        &[],
    );
    let child = pushed("trigger-child", &format!("FROM {base}\nRUN true\n"), &[]);
    let lab = lab(
        &format!("FROM {child} AS base\nFROM scratch\nCOPY --from=base /out /\n"),
        &[],
    );
    assert_eq!(super::read(&lab.build_files(&[]), "foo"), "11");
    let lab = super::lab(&format!("FROM {base}\n"), &[]);
    assert_eq!(Layout::of(&lab, &[]).config()["config"]["OnBuild"], Value::Null);
}

#[test]
fn a_trigger_of_an_image_is_not_performed_again_for_a_stage_from_it() {
    // BK-223
    let base = pushed(
        "trigger-stage",
        "FROM BASE/busybox\nONBUILD RUN mkdir -p /out && echo -n 11 >> /out/foo\n",
        &[],
    );
    let out = Files::of(
        &format!("FROM {base} AS base\nFROM base AS child\nRUN true\nFROM scratch\nCOPY --from=child /out /\n"),
        &[],
        &[],
    );
    assert_eq!(out.read("foo"), "11");
}

#[test]
fn a_trigger_of_a_stage_is_performed_for_stages_from_it() {
    // BK-224
    let out = Files::of(
        "FROM BASE/busybox AS base\nONBUILD RUN mkdir -p /out && echo -n 11 >> /out/foo\n\
         FROM base AS mid\nRUN cp /out/foo /out/bar\nFROM scratch\nCOPY --from=mid /out/bar /\n",
        &[],
        &[],
    );
    assert_eq!(out.read("bar"), "11");
    // BK-225
    let out = Files::of(
        "FROM BASE/busybox AS src\nRUN mkdir -p /in && echo -n 12 >> /in/file\n\
         FROM BASE/busybox AS base\nONBUILD COPY --from=src /in/file /out/foo\n\
         FROM base AS mid\nRUN cp /out/foo /out/bar\nFROM scratch\nCOPY --from=mid /out/bar /\n",
        &[],
        &[],
    );
    assert_eq!(out.read("bar"), "12");
}

#[test]
fn a_trigger_may_need_what_its_file_did_not_name() {
    // BK-227
    let base = pushed(
        "trigger-needs",
        "FROM BASE/busybox\nONBUILD COPY --from=BASE/debian /etc/debian_version /out/version\n\
         ONBUILD RUN --mount=type=bind,target=/in,from=inputstage mkdir -p /out && cat /in/foo > /out/bar\n",
        &[],
    );
    let out = Files::of(
        &format!(
            "FROM BASE/busybox AS inputstage\nRUN echo -n 11 > /foo\nFROM {base} AS base\n\
             FROM scratch\nCOPY --from=base /out /\n"
        ),
        &[],
        &[],
    );
    assert_eq!(out.read("bar"), "11");
    assert!(out.has("version"));
}

#[test]
fn a_trigger_shares_the_cache_of_its_child() {
    // BK-228
    let base = pushed(
        "trigger-cache",
        "FROM BASE/busybox\nONBUILD RUN --mount=type=cache,id=shared,target=/cache echo -n 42 >> /cache/foo\n",
        &[],
    );
    let out = Files::of(
        &format!(
            "FROM {base} AS base\nRUN --mount=type=cache,id=shared,target=/cache mkdir /out && cat /cache/foo > /out/bar\n\
             FROM scratch\nCOPY --from=base /out /\n"
        ),
        &[],
        &[],
    );
    assert_eq!(out.read("bar"), "42");
}

#[test]
fn a_trigger_of_an_image_layout_may_copy_from_a_stage() {
    // BK-226
    let base = lab(
        "FROM BASE/busybox\nONBUILD COPY --from=input /in/file /out/foo\nONBUILD RUN cp /out/foo /out/bar\n",
        &[],
    );
    base.build(&["-t", "base:1", "-o", "type=oci,tar=false,dest=layout"]);
    let context = format!("base=oci-layout://{}/layout:1", base.path().display());
    let text = "FROM BASE/busybox AS input\nRUN mkdir /in && echo -n 13 > /in/file\nFROM base AS child\n\
                FROM scratch\nCOPY --from=child /out/bar /\n";
    let out = Files::of(text, &[], &["--build-context", &context]);
    assert_eq!(out.read("bar"), "13");
}
