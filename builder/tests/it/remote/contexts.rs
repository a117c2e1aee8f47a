//! Contexts that are no directories of this machine: from web servers, standard input and image layouts.

use std::fs::{self, File};
use std::process::Stdio;

use super::{read, tar};
use crate::harness::{Lab, Outcome, Page, WebServer, sh};

/// Builds from standard input.
fn build_stdin(lab: &Lab, input: &[u8], words: &[&str]) -> Outcome {
    let path = lab.path().join("stdin");
    fs::write(&path, input).unwrap();
    let mut command = lab.command(&[&["build", "--progress=plain", "-o", "out"], words].concat());
    Outcome::of(command.stdin(Stdio::from(File::open(path).unwrap())).output().unwrap())
}

/// BK-129, BK-130, BK-235, BK-236.
#[test]
fn a_context_from_the_web_is_an_archive_or_a_dockerfile() {
    let server = WebServer::start();
    let dockerfile = "FROM scratch\nCOPY foo /\n";
    let context = tar(&[("foo", "content"), ("mydockerfile", dockerfile)], "J");
    server.put("/context.tar.xz", Page::tagged(context.clone(), "1"));
    server.put("/text", Page::tagged("FROM scratch\nCOPY <<foo /\ntext\nfoo\n", "1"));
    let lab = Lab::new("");
    let build = |words: &[&str]| {
        let outcome = lab.croze(&[&["build", "--progress=plain", "-o", "out"], words].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        read(&lab.path().join("out"), "foo")
    };
    let archive = server.url("/context.tar.xz");
    assert_eq!(build(&["-f", "mydockerfile", &archive]), "content");
    assert_eq!(build(&["-f", "ignored", &server.url("/text")]), "text\n");
    // The Dockerfile alone may be on the web, too.
    lab.write("foo", "local");
    server.put("/Dockerfile", Page::tagged(dockerfile, "1"));
    assert_eq!(build(&["-f", &server.url("/Dockerfile"), "context"]), "local");
    // The server's time, else the archive's.
    let created = |url: &str| {
        let words = [
            "--build-arg",
            "SOURCE_DATE_EPOCH=context",
            "-o",
            "type=oci,dest=oci.tar",
        ];
        let words = [&["build", "-f", "mydockerfile"], words.as_slice(), &[url]].concat();
        let outcome = lab.croze(&words);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        sh(&format!(
            "skopeo inspect --config oci-archive:{}",
            lab.path().join("oci.tar").display()
        ))
    };
    let config = created(&archive);
    assert!(config.contains("2015-10-21T07:28:00Z"), "{config}");
    let dated = Page {
        last_modified: Some("Wed, 21 Oct 2020 07:28:00 GMT".to_owned()),
        ..Page::tagged(context, "2")
    };
    server.put("/dated.tar.xz", dated);
    let config = created(&server.url("/dated.tar.xz"));
    assert!(config.contains("2020-10-21T07:28:00Z"), "{config}");
}

/// BK-205, BK-206.
#[test]
fn standard_input_is_an_archive_or_a_dockerfile() {
    let dockerfile = "FROM scratch\nCOPY foo /\n";
    let files = [
        ("foo", "content"),
        ("sub/Dockerfile", dockerfile),
        ("Dockerfile", dockerfile),
    ];
    let lab = Lab::new("");
    for option in ["", "z", "j", "J"] {
        let outcome = build_stdin(&lab, &tar(&files, option), &["-"]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(read(&lab.path().join("out"), "foo"), "content");
    }
    let outcome = build_stdin(&lab, &tar(&files, ""), &["-f", "sub/Dockerfile", "-"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    // An absolute path is one of this machine.
    let own = lab.write("own", "FROM scratch\nCOPY foo /own\n").context("own");
    let outcome = build_stdin(&lab, &tar(&files, ""), &["-f", &own.display().to_string(), "-"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(read(&lab.path().join("out"), "own"), "content");
    let outcome = build_stdin(&lab, b"FROM scratch\nCOPY <<x /x\nyes\nx\n", &["-"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(read(&lab.path().join("out"), "x"), "yes\n");
    build_stdin(&lab, b"\x00\xff\x00", &["-"]).fails(5, &["neither an archive nor a Dockerfile"]);
    build_stdin(&lab, b"FROM scratch", &["-f", "-", "-"]).fails(2, &["standard input"]);
}

/// G2, G5, G7: links of an archive lead nowhere else.
#[test]
fn a_dockerfile_that_is_a_link_does_not_leave_its_archive() {
    let lab = Lab::new("");
    let at = lab.path().display().to_string();
    sh(&format!(
        "echo SENTRY > {at}/victim; mkdir {at}/t; ln -s {at}/victim {at}/t/Dockerfile; tar -C {at}/t -cf {at}/t.tar ."
    ));
    let outcome = build_stdin(&lab, &fs::read(lab.path().join("t.tar")).unwrap(), &["-"]);
    outcome.fails(5, &["cannot read the Dockerfile `Dockerfile`"]);
    assert!(!outcome.stderr.contains("SENTRY"), "{}", outcome.stderr);
    assert_eq!(read(lab.path(), "victim"), "SENTRY\n");
    // Cut off after the link, with a text where the next entry should begin.
    sh(&format!("cd {at}/t; tar -cf {at}/link.tar Dockerfile"));
    let mut cut = fs::read(lab.path().join("link.tar")).unwrap();
    cut.truncate(512);
    for rest in ["", "FROM scratch\nCOPY <<x /x\nevil\nx\n"] {
        let outcome = build_stdin(&lab, &[&cut, rest.as_bytes()].concat(), &["-"]);
        assert_eq!(outcome.code, 5, "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("SENTRY"), "{}", outcome.stderr);
        assert_eq!(read(lab.path(), "victim"), "SENTRY\n");
    }
}

/// A named context may be an archive on the web; one that nobody names is not asked for (BK-221).
#[test]
fn a_named_context_from_the_web_is_fetched_when_it_is_used() {
    let server = WebServer::start();
    server.put("/c.tar", Page::tagged(tar(&[("foo", "named")], ""), "1"));
    let lab = Lab::new("FROM scratch\nCOPY --from=files /foo /\n");
    let out = lab.build_files(&[
        "--build-context",
        &format!("files={}", server.url("/c.tar")),
        "--build-context",
        &format!("unused={}", server.url("/missing.tar")),
    ]);
    assert_eq!(read(&out, "foo"), "named");
    assert!(server.asked().iter().all(|asked| asked.path == "/c.tar"));
}

/// BK-217, BK-218: for `FROM` and for `COPY --from`, by tag and by digest.
#[test]
fn a_named_context_may_be_an_image_layout() {
    let lab = Lab::new("FROM BASE/busybox\nENV foo=bar\nRUN echo -n content > /file\nWORKDIR /test\n");
    lab.build(&["-t", "layout:v1", "-o", "type=oci,tar=false,dest=layout"]);
    let index = fs::read_to_string(lab.path().join("layout/index.json")).unwrap();
    let digest = &index[index.find("sha256:").unwrap()..][..71];
    lab.write(
        "Dockerfile",
        "FROM base\nRUN [ \"$foo\" = bar ] && [ \"$(pwd)\" = /test ]\nCOPY --from=base /file /copied\n",
    );
    let context = format!("base=oci-layout://layout@{digest}");
    assert_eq!(
        read(&lab.build_files(&["--build-context", &context]), "copied"),
        "content"
    );
    assert_eq!(
        read(
            &lab.build_files(&["--build-context", "base=oci-layout://layout:v1"]),
            "copied"
        ),
        "content"
    );
    lab.croze(&["build", "--build-context", "base=oci-layout://layout:v2", "context"])
        .fails(5, &["has no image `v2`"]);
    lab.build(&["--build-context", &context, "-o", "type=oci,dest=child.tar"]);
    let config = sh(&format!(
        "skopeo inspect --config oci-archive:{}",
        lab.path().join("child.tar").display()
    ));
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["config"]["WorkingDir"], "/test");
    let env = config["config"]["Env"].as_array().unwrap();
    assert!(env.contains(&"foo=bar".into()), "{config}");
}

#[test]
fn a_context_that_must_be_fetched_can_be_asked_about() {
    let server = WebServer::start();
    let odd = "FROM scratch as first\nCOPY $foo /\n# app is it\nFROM first AS app\n";
    server.put("/context.tar", Page::tagged(tar(&[("sub/Dockerfile", odd)], ""), "1"));
    server.put("/Dockerfile", Page::tagged(odd, "1"));
    let lab = Lab::new("FROM scratch\n");
    let archive = server.url("/context.tar");
    let warnings = "Check complete, 2 warnings have been found!\n";
    for words in [
        &["--check", "-f", "sub/Dockerfile", archive.as_str()][..],
        &["--check", server.url("/Dockerfile").as_str()],
        &["--check", "-f", server.url("/Dockerfile").as_str(), "context"],
    ] {
        let outcome = lab.croze(&[&["build"], words].concat());
        assert_eq!(outcome.code, 11, "{words:?}: {}", outcome.stderr);
        assert!(outcome.stdout.starts_with(warnings), "{words:?}: {}", outcome.stdout);
    }
    let given = tar(&[("Dockerfile", odd)], "z");
    assert!(
        build_stdin(&lab, &given, &["--check", "-"])
            .stdout
            .starts_with(warnings)
    );
    let targets = build_stdin(&lab, odd.as_bytes(), &["--call=targets", "-"]);
    assert_eq!(
        targets.stdout,
        "TARGET        DESCRIPTION\nfirst         \napp (default) is it\n"
    );
    let outline = lab.croze(&["build", "--call=outline", "-f", "sub/Dockerfile", &archive]);
    assert!(outline.stdout.contains("is it"), "{}", outline.stdout);
}
