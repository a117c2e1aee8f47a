//! The config of an image, and its history.

use serde_json::json;

use super::{Layout, lab, pushed};

#[test]
fn an_image_without_layers_is_a_base_like_any() {
    // BK-187
    let base = pushed("no-layers", "FROM scratch\nLABEL foo=bar\n", &[]);
    let lab = lab(
        &format!("FROM {base}\nLABEL bar=baz\nCOPY foo .\n"),
        &[("foo", "foo-contents")],
    );
    let config = Layout::of(&lab, &[]).config();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
    assert_eq!(config["config"]["Labels"], json!({"foo": "bar", "bar": "baz"}));
    assert_eq!(super::read(&lab.build_files(&[]), "foo"), "foo-contents");
    let bound = super::lab(
        &format!("FROM BASE/busybox\nRUN --mount=from={base},target=/m [ -d /m ] && [ -z \"$(ls /m)\" ]\n"),
        &[],
    );
    bound.build(&[]);
}

#[test]
fn an_image_from_nothing_has_a_complete_config() {
    // BK-188
    let config = Layout::of(&lab("FROM scratch\nENV foo=bar\n", &[]), &[]).config();
    assert_eq!(
        (&config["os"], &config["architecture"]),
        (&json!("linux"), &json!("amd64"))
    );
    assert_eq!(config["config"]["WorkingDir"], "/");
    assert_eq!(config["rootfs"], json!({"type": "layers", "diff_ids": []}));
    assert_eq!(config["history"].as_array().unwrap().len(), 1);
    assert_eq!(config["history"][0]["created_by"], "ENV foo=bar");
    assert_eq!(config["history"][0]["empty_layer"], true);
    assert_eq!(
        config["config"]["Env"],
        json!([
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "foo=bar"
        ])
    );
}

#[test]
fn the_history_says_what_made_each_layer() {
    // BK-191
    let lab = lab(
        "FROM BASE/busybox AS base\nENV foo=bar\nCOPY foo /foo2\nFROM BASE/busybox\nLABEL lbl=val\n\
         COPY --from=base foo2 foo3\nWORKDIR /\nRUN echo bar > foo4\nRUN [\"ls\"]\nEXPOSE 2375 5000 1234/udp\n",
        &[("foo", "contents0")],
    );
    let layout = Layout::of(&lab, &[]);
    let config = layout.config();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 4);
    let history = layout.history();
    let ours: Vec<(&str, bool)> = history[history.len() - 6..]
        .iter()
        .map(|(text, empty)| (text.as_str(), *empty))
        .collect();
    assert_eq!(
        ours,
        [
            ("LABEL lbl=val", true),
            ("COPY foo2 foo3 # buildkit", false),
            ("WORKDIR /", true),
            ("RUN /bin/sh -c echo bar > foo4 # buildkit", false),
            ("RUN ls # buildkit", false),
            ("EXPOSE [1234/udp 2375/tcp 5000/tcp]", true),
        ]
    );
    let entries = config["history"].as_array().unwrap();
    for entry in &entries[entries.len() - 6..] {
        assert!(entry["created"].is_string(), "{entry}");
        assert_eq!(entry["comment"], "buildkit.dockerfile.v0");
    }
}

#[test]
fn the_history_has_the_last_value_of_each_argument() {
    // BK-192
    let lab = lab(
        "FROM BASE/busybox\nARG foo=bar\nARG bar=123\nARG foo=bar2\nRUN ls /etc/\n",
        &[],
    );
    let last = Layout::of(&lab, &[]).history().pop().unwrap();
    assert_eq!(last.0, "RUN |2 foo=bar2 bar=123 /bin/sh -c ls /etc/ # buildkit");
}

#[test]
fn a_health_check_is_kept_in_config_and_history() {
    // BK-350
    let lab = lab(
        "FROM scratch\nHEALTHCHECK --interval=1s --timeout=10s --start-period=3s --start-interval=100ms --retries=5 \
         CMD [\"bin\", \"-c\", \"exit 0\"]\n",
        &[],
    );
    let layout = Layout::of(&lab, &[]);
    assert_eq!(
        layout.config()["config"]["Healthcheck"],
        json!({"Test": ["CMD", "bin", "-c", "exit 0"], "Interval": 1_000_000_000u64, "Timeout": 10_000_000_000u64,
               "StartPeriod": 3_000_000_000u64, "StartInterval": 100_000_000, "Retries": 5})
    );
    assert_eq!(
        layout.history()[0].0,
        "HEALTHCHECK {Test:[CMD bin -c exit 0] Interval:1s Timeout:10s StartPeriod:3s StartInterval:100ms Retries:5}"
    );
    // BK-340
    lab.write(
        "Dockerfile",
        "FROM scratch\nHEALTHCHECK --interval=0ms CMD hello world\n",
    );
    assert_eq!(
        Layout::of(&lab, &[]).config()["config"]["Healthcheck"]["Test"],
        json!(["CMD-SHELL", "hello world"])
    );
}

#[test]
fn ports_of_every_form_are_exposed() {
    // BK-346
    let lab = lab(
        "FROM scratch\nEXPOSE 0.0.0.0:1234-1235:3333-3334/tcp 80/sctp [::1]:81:81\n",
        &[],
    );
    let config = Layout::of(&lab, &[]).config();
    let ports: Vec<_> = config["config"]["ExposedPorts"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(ports, ["3333/tcp", "3334/tcp", "80/sctp", "81/tcp"]);
}

#[test]
fn labels_of_a_stage_that_files_come_from_are_not_taken() {
    // BK-351
    let lab = lab(
        "FROM scratch AS base\nLABEL foo=bar\nCOPY Dockerfile /\nFROM scratch\nLABEL own=label\nCOPY --from=base / /\n",
        &[],
    );
    assert_eq!(
        Layout::of(&lab, &[]).config()["config"]["Labels"],
        json!({"own": "label"})
    );
}
