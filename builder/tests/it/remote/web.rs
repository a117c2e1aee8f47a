//! `ADD` of web files, and contexts that come from web servers or standard input.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{Lab, Outcome, Page, WebServer, sh};

/// Makes a tar of one directory of files given as name and content.
fn tar(files: &[(&str, &str)], option: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let at = directory.path().display();
    sh(&format!(
        "tar -C {at}/tree --mtime=@1445412480 --owner=0 --group=0 -c{option}f {at}/tar ."
    ));
    fs::read(directory.path().join("tar")).unwrap()
}

/// Builds from standard input.
fn build_stdin(lab: &Lab, input: &[u8], words: &[&str]) -> Outcome {
    let path = lab.path().join("stdin");
    fs::write(&path, input).unwrap();
    let mut command = lab.command(&[&["build", "--progress=plain", "-o", "out"], words].concat());
    Outcome::of(command.stdin(Stdio::from(File::open(path).unwrap())).output().unwrap())
}

fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// BK-074: the second build asks for the headers alone.
#[test]
fn a_web_file_is_asked_about_in_every_build_and_downloaded_when_it_has_changed() {
    let server = WebServer::start();
    server.put("/foo", Page::tagged("first", "1"));
    let lab = Lab::new(&format!("FROM scratch\nADD {} /dest/\n", server.url("/foo")));
    assert_eq!(read(&lab.build_files(&[]), "dest/foo"), "first");
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "GET");
    assert!(asked[0].headers["user-agent"].starts_with("croze/"), "{asked:?}");

    assert_eq!(read(&lab.build_files(&[]), "dest/foo"), "first");
    let methods: Vec<String> = server.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(methods, ["HEAD"]);

    server.put("/foo", Page::tagged("second", "2"));
    assert_eq!(read(&lab.build_files(&[]), "dest/foo"), "second");
}

/// BK-075, BK-088.
#[test]
fn a_web_file_has_the_servers_time_and_its_own_name_and_mode() {
    let server = WebServer::start();
    let page = Page {
        last_modified: Some("Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
        headers: vec![(
            "Content-Disposition".to_owned(),
            "attachment; filename=\"../../x\"".to_owned(),
        )],
        ..Page::tagged("content", "1")
    };
    server.put("/", page.clone());
    server.put("/foo", page);
    let (root, foo) = (server.url("/"), server.url("/foo"));
    let lab = Lab::new(&format!(
        "FROM scratch\nARG mode=400\nADD {root} /dest/\nADD --chmod=644 {foo} /a\nADD --chmod=0413 {foo} /b\nADD \
         --chmod=${{mode}} --chown=0:0 {foo} /c\nADD --chmod=755 {foo} /d\nADD {foo} /new.tar.gz\n"
    ));
    let out = lab.build_files(&[]);
    let unnamed = fs::metadata(out.join("dest/__unnamed__")).unwrap();
    assert_eq!((unnamed.mode() & 0o7777, unnamed.mtime()), (0o600, 1_445_412_480));
    for (name, mode) in [
        ("a", 0o644),
        ("b", 0o413),
        ("c", 0o400),
        ("d", 0o755),
        ("new.tar.gz", 0o600),
    ] {
        assert_eq!(fs::metadata(out.join(name)).unwrap().mode() & 0o7777, mode, "{name}");
    }
}

/// BK-080, BK-081, BK-082.
#[test]
fn an_archive_from_the_web_is_unpacked_only_when_asked_to() {
    let server = WebServer::start();
    let archive = tar(&[("foo", "content")], "z");
    server.put("/t.tar.gz", Page::tagged(archive.clone(), "1"));
    let url = server.url("/t.tar.gz");
    let lab = Lab::new(&format!(
        "FROM scratch\nADD {url} /\nADD --unpack=true {url} /dest/\nADD {url} /new.tar.gz\n"
    ));
    let out = lab.build_files(&[]);
    for name in ["t.tar.gz", "new.tar.gz"] {
        assert!(fs::read(out.join(name)).unwrap() == archive, "{name}");
    }
    assert_eq!(read(&out, "dest/foo"), "content");
}

/// BK-090, BK-091, BK-092, BK-093, BK-094.
#[test]
fn a_checksum_is_held_to_and_spares_the_network() {
    let server = WebServer::start();
    server.put("/foo", Page::tagged("content", "1"));
    let digest = sh("printf content | sha256sum | cut -d' ' -f1");
    let url = server.url("/foo");
    let lab = Lab::new(&format!(
        "FROM scratch\nENV DIGEST=sha256:{}\nENV LINK={url}\nADD --checksum=${{DIGEST}} ${{LINK}} /\n",
        digest.trim()
    ));
    assert_eq!(read(&lab.build_files(&[]), "foo"), "content");
    assert_eq!(server.asked().len(), 1);
    lab.build_files(&[]);
    assert!(server.asked().is_empty());
    let zeros = "0".repeat(64);
    lab.write(
        "Dockerfile",
        &format!("FROM scratch\nADD --checksum=sha256:{zeros} {url} /\n"),
    );
    lab.croze(&["build", "context"])
        .fails(8, &["digest mismatch", &zeros, digest.trim(), "Dockerfile:2"]);
    for (checksum, said) in [
        ("md5:7e55db001d319a94b0b713529a756623", "unsupported digest algorithm"),
        (
            "unknown:7e55db001d319a94b0b713529a756623",
            "unsupported digest algorithm",
        ),
        (zeros.as_str(), "invalid checksum digest format"),
    ] {
        lab.write(
            "Dockerfile",
            &format!("FROM scratch\nADD --checksum={checksum} {url} /\n"),
        );
        lab.croze(&["build", "context"]).fails(3, &[said, "Dockerfile:2"]);
    }
}

/// G6: redirects are few, never leave http and https, and never take the credential along.
#[test]
fn redirects_are_followed_with_care() {
    let (server, other) = (WebServer::start(), WebServer::start());
    let to = |location: &str| Page {
        location: Some(location.to_owned()),
        ..Page::default()
    };
    other.put("/file", Page::tagged("content", "1"));
    server.put("/ok", to(&other.url("/file")));
    server.put("/loop", to("/loop"));
    server.put("/passwd", to("file:///etc/passwd"));
    let lab = Lab::new(&format!("FROM scratch\nADD {} /\n", server.url("/ok")));
    fs::write(lab.path().join("token"), "s3cret\n").unwrap();
    lab.build_files(&["--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,src=token"]);
    let asked = server.asked();
    assert_eq!(asked[0].headers["authorization"], "Bearer s3cret");
    assert!(!other.asked()[0].headers.contains_key("authorization"));
    for path in ["/loop", "/passwd"] {
        lab.write("Dockerfile", &format!("FROM scratch\nADD {} /\n", server.url(path)));
        lab.croze(&["build", "context"]).fails(6, &["cannot fetch", path]);
    }
    assert_eq!(server.asked().iter().filter(|asked| asked.path == "/loop").count(), 6);
    lab.write(
        "Dockerfile",
        &format!("FROM scratch\nADD {} /\n", server.url("/missing")),
    );
    lab.croze(&["build", "context"])
        .fails(5, &["invalid response status 404", "Dockerfile:2"]);
}

/// BK-384: a header of one's own.
#[test]
fn a_server_is_given_the_header_that_is_meant_for_its_host() {
    let server = WebServer::start();
    server.require("Custom abc");
    server.put("/foo", Page::tagged("content", "1"));
    let lab = Lab::new(&format!("FROM scratch\nADD {} /\n", server.url("/foo")));
    fs::write(lab.path().join("header"), "Custom abc").unwrap();
    let secret = "id=HTTP_AUTH_HEADER_127.0.0.1,src=header";
    assert_eq!(read(&lab.build_files(&["--secret", secret]), "foo"), "content");
    // What one was given is not another's, even where it is cached.
    lab.croze(&["build", "context"])
        .fails(7, &["invalid response status 401"]);
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
