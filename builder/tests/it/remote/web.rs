//! `ADD` of web files.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use super::{read, tar};
use crate::harness::{Lab, Page, WebServer, sh};

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

/// G6: what ends early is no file, and an address is not a path.
#[test]
fn a_download_is_whole_and_lands_where_its_name_says() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = std::io::BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc";
            let _client_gone = stream.get_mut().write_all(short);
        }
    });
    let lab = Lab::new(&format!("FROM scratch\nADD http://{address}/file /\n"));
    lab.croze(&["build", "context"])
        .fails(6, &["cannot fetch", "/file", "Dockerfile:2"]);

    let server = WebServer::start();
    let mut text = "FROM scratch\n".to_owned();
    for (number, path) in ["/%2e%2e", "/x%2F..%2F..%2Fy", "/a/../b", "/..%00"].iter().enumerate() {
        server.put(path, Page::tagged(*path, "1"));
        text.push_str(&format!("ADD {} /{number}/\n", server.url(path)));
    }
    // What the dots lead to is asked for.
    server.put("/", Page::tagged("", "1"));
    server.put("/b", Page::tagged("b", "1"));
    lab.write("Dockerfile", &text);
    let out = lab.build_files(&[]);
    let names = sh(&format!("cd {}; find . -type f | sort", out.display()));
    assert_eq!(names, "./0/__unnamed__\n./1/y\n./2/b\n./3/__unnamed__\n");
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
    // Nor is what one address has under an `ETag` another's, though it has the same.
    let server = WebServer::start();
    server.put("/one", Page::tagged("one", "same"));
    server.put("/two", Page::tagged("two", "same"));
    let (one, two) = (server.url("/one"), server.url("/two"));
    lab.write(
        "Dockerfile",
        &format!("FROM scratch\nADD {one} /a\nADD {two} /b\nADD {one} {two} /c/\n"),
    );
    for _ in 0..2 {
        let out = lab.build_files(&[]);
        assert_eq!((read(&out, "a"), read(&out, "b")), ("one".to_owned(), "two".to_owned()));
        assert_eq!(
            (read(&out, "c/one"), read(&out, "c/two")),
            ("one".to_owned(), "two".to_owned())
        );
    }
}
