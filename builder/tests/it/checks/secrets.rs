//! RUN --mount=type=secret.

use super::{builds, lab, script};

fn with_secret(dockerfile: &str, words: &[&str]) -> super::Lab {
    let lab = lab(dockerfile, &[]);
    script(
        &lab,
        "echo -n pw > secret; chown --reference=context secret; : > empty; chown --reference=context empty",
    );
    lab.build(words);
    lab
}

#[test]
fn a_secret_has_the_owner_and_mode_that_it_asks_for_and_leaves_no_file() {
    // BK-171
    with_secret(
        "FROM BASE/busybox\nRUN --mount=type=secret,required=false,mode=741,uid=100,gid=102,target=/mysecret \
         [ \"$(stat -c '%u %g %f' /mysecret)\" = '100 102 81e1' ]\nRUN [ ! -f /mysecret ]\n",
        &["--secret", "id=mysecret,src=secret"],
    );
}

#[test]
fn a_secret_may_be_a_variable_and_is_hidden_in_the_steps_name() {
    // BK-173
    let lab = lab(
        "FROM BASE/busybox\nENV SECRET_ENV=foo\nRUN --mount=type=secret,id=mysecret,env=SECRET_ENV \
         [ \"$SECRET_ENV\" == \"pw\" ] && [ ! -f /run/secrets/mysecret ] || false\n",
        &[],
    );
    script(&lab, "echo -n pw > secret; chown --reference=context secret");
    let said = lab.build(&["--secret", "id=mysecret,src=secret"]).stderr;
    assert!(said.contains("[ \"****\" == \"pw\" ]"), "{said}");
}

#[test]
fn a_secret_may_be_a_variable_and_a_file() {
    // BK-174
    with_secret(
        "FROM BASE/busybox\nENV SECRET_ENV=foo\n\
         RUN --mount=type=secret,id=mysecret,target=/run/secrets/secret,env=SECRET_ENV \
         [ \"$SECRET_ENV\" == pw ] && [ \"$(cat /run/secrets/secret)\" = pw ]\n",
        &["--secret", "id=mysecret,src=secret"],
    );
}

#[test]
fn an_empty_secret_is_a_file_and_a_missing_one_is_none() {
    // BK-368
    with_secret(
        "FROM BASE/busybox\nRUN --mount=type=secret,id=empty --mount=type=secret,id=absent \
         --mount=type=secret,id=open,mode=0777,uid=7,gid=8 \
         [ -f /run/secrets/empty ] && [ ! -s /run/secrets/empty ] && [ ! -e /run/secrets/absent ] && \
         [ \"$(stat -c '%u %g %a' /run/secrets/open)\" = '7 8 777' ] && mount | grep /run/secrets/open | grep tmpfs\n",
        &["--secret", "id=empty,src=empty", "--secret", "id=open,src=secret"],
    );
}

#[test]
fn a_secret_may_come_from_the_environment() {
    // BK-173
    let lab = lab(
        "FROM BASE/busybox\nRUN --mount=type=secret,id=home [ -n \"$(cat /run/secrets/home)\" ]\n",
        &[],
    );
    lab.build(&["--secret", "id=home,env=HOME"]);
    builds("FROM BASE/busybox\nRUN --mount=type=secret,id=absent true\n", &[], &[]);
}

#[test]
fn a_variable_that_is_set_but_empty_is_given() {
    let lab = lab(
        "FROM BASE/busybox\nARG EMPTY=default\nRUN --mount=type=secret,id=empty,required=true \
         [ -z \"$EMPTY\" ] && [ -f /run/secrets/empty ] && [ ! -s /run/secrets/empty ]\n",
        &[],
    );
    let words = [
        "build",
        "context",
        "--secret",
        "id=empty,env=EMPTY",
        "--build-arg",
        "EMPTY",
    ];
    let output = lab.command_with(&["EMPTY="], &words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
