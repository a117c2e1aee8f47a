//! Who a step runs as.

use super::{Layout, builds, lab};

#[test]
fn a_user_is_found_by_name_or_number_and_keeps_groups_unless_one_is_given() {
    // BK-009
    let mut text = String::from("FROM BASE/busybox\n");
    let mut expect = |user: &str, ids: &str, names: &str, groups: &str| {
        if !user.is_empty() {
            text.push_str(&format!("USER {user}\n"));
        }
        text.push_str(&format!(
            "RUN [ \"$(id -u):$(id -g) $(id -un):$(id -gn) $(id -G)\" = \"{ids} {names} {groups}\" ]\n"
        ));
    };
    expect("", "0:0", "root:root", "0 10");
    expect("root", "0:0", "root:root", "0 10");
    text.push_str(
        "USER root\nRUN echo dockerio:x:1001:1001::: >> /etc/passwd && echo dockerio:x:1001: >> /etc/group\n",
    );
    let mut expect = |user: &str, ids: &str, names: &str, groups: &str| {
        text.push_str(&format!(
            "USER {user}\nRUN [ \"$(id -u):$(id -g) $(id -un):$(id -gn) $(id -G)\" = \"{ids} {names} {groups}\" ]\n"
        ));
    };
    expect("dockerio", "1001:1001", "dockerio:dockerio", "1001");
    expect("root", "0:0", "root:root", "0 10");
    text.push_str("RUN echo supplementary:x:1002:dockerio >> /etc/group\n");
    let mut expect = |user: &str, ids: &str, names: &str, groups: &str| {
        text.push_str(&format!(
            "USER {user}\nRUN [ \"$(id -u):$(id -g) $(id -un):$(id -gn) $(id -G)\" = \"{ids} {names} {groups}\" ]\n"
        ));
    };
    for user in ["dockerio", "1001"] {
        expect(user, "1001:1001", "dockerio:dockerio", "1001 1002");
    }
    for user in ["dockerio:dockerio", "1001:dockerio", "dockerio:1001", "1001:1001"] {
        expect(user, "1001:1001", "dockerio:dockerio", "1001");
    }
    for user in [
        "dockerio:supplementary",
        "dockerio:1002",
        "1001:supplementary",
        "1001:1002",
    ] {
        expect(user, "1001:1002", "dockerio:supplementary", "1002");
    }
    text.push_str(
        "USER 1042:1043\nRUN [ \"$(id -u):$(id -g)\" = 1042:1043 ]\nUSER daemon\nRUN [ \"$(id -un)\" = daemon ]\n",
    );
    builds(&text, &[], &[]);
}

#[test]
fn a_user_is_not_looked_up_when_nothing_runs() {
    // BK-009
    let config = Layout::of(&lab("FROM scratch\nUSER nobody\n", &[]), &[]).config();
    assert_eq!(config["config"]["User"], "nobody");
}

#[test]
fn groups_are_those_of_the_accounts_and_no_others() {
    // BK-010
    builds(
        "FROM BASE/busybox\nSHELL [\"/bin/sh\", \"-euxc\"]\n\
         RUN [ \"$(id)\" = \"uid=0(root) gid=0(root) groups=0(root),10(wheel)\" ]\n\
         USER 1234\nRUN [ \"$(id)\" = \"uid=1234 gid=0(root) groups=0(root)\" ]\n\
         USER 1234:1234\nRUN [ \"$(id)\" = \"uid=1234 gid=1234 groups=1234\" ]\n\
         USER daemon\nRUN [ \"$(id)\" = \"uid=1(daemon) gid=1(daemon) groups=1(daemon)\" ]\n",
        &[],
        &[],
    );
}
