//! What happens while a build goes on: files change, registries are silent, signals come.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Lab, Outcome, Registry, sh};

/// Starts a build and waits until it has said something; the rest of what it says goes on being read.
fn start(lab: &Lab, words: &[&str], said: &str) -> (Child, thread::JoinHandle<String>) {
    let mut command = lab.command(&[&["build", "--progress=plain", "context"], words].concat());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.lines().any(|line| line.ends_with(said)) {
        assert_ne!(stderr.read_line(&mut text).unwrap(), 0, "it ended:\n{text}");
    }
    let rest = thread::spawn(move || {
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    (child, rest)
}

#[test]
fn what_a_step_saw_of_a_file_that_changed_is_no_other_builds() {
    let lab = Lab::new(
        "FROM BASE/busybox\n\
         RUN --mount=type=bind,target=/src echo begun; \
         for i in $(seq 200); do grep -q planned /src/file || break; sleep 0.1; done; cat /src/file > /seen\n\
         RUN cp /seen /copied\n",
    );
    lab.write("file", "planned").write("other", "");
    let (mut child, rest) = start(&lab, &["-o", "out"], " begun");
    lab.write("file", "changed");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = rest.join().unwrap();
    assert!(text.contains("no other build will have its result"), "{text}");
    let read = |name: &str| fs::read_to_string(lab.path().join("out").join(name)).unwrap();
    assert_eq!(
        (read("seen"), read("copied")),
        ("changed".to_owned(), "changed".to_owned())
    );
    // What was planned is not in the cache: it never was.
    lab.write("file", "planned");
    let plan = lab.croze(&["build", "--plan", "context"]);
    assert_eq!(plan.code, 11, "{}", plan.stdout);
    assert!(!plan.stdout.contains("hit "), "{}", plan.stdout);
    // And what stays as it is serves others as ever.
    lab.write("file", "settled");
    let first = lab.build(&[]);
    assert!(!first.stderr.contains("no other build"), "{}", first.stderr);
    assert_eq!(lab.croze(&["build", "--plan", "context"]).code, 0);
}

#[test]
fn a_file_that_is_saved_before_it_is_copied_is_copied_as_it_is_then() {
    let lab = Lab::new(
        "FROM BASE/busybox\n\
         RUN cat /proc/sys/kernel/random/uuid > /once; echo begun; for i in $(seq 30); do sleep 0.1; done\n\
         COPY . /\n",
    );
    lab.write("file", "planned");
    let (mut child, rest) = start(&lab, &["-o", "out"], " begun");
    lab.write("file", "saved").write("new", "too");
    let code = child.wait().unwrap().code();
    let text = rest.join().unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches(" begun\n").count(), 1, "the step ran again:\n{text}");
    assert!(text.contains("planned again: \"/file\" changed"), "{text}");
    let read = |name: &str| fs::read_to_string(lab.path().join("out").join(name)).unwrap();
    assert_eq!((read("file"), read("new")), ("saved".to_owned(), "too".to_owned()));
    assert_eq!(lab.croze(&["build", "--plan", "context"]).code, 0);
}

#[test]
fn a_tag_moves_when_the_image_is_where_it_was_wanted() {
    let lab = Lab::new("FROM BASE/busybox\nCOPY file /\n");
    lab.write("file", "first");
    // Nobody listens on this port of a machine of one's own.
    let name = "127.0.0.1:1/app:1";
    lab.build(&["-t", name]);
    lab.write("file", "second");
    let failed = lab.croze(&["build", "--progress=plain", "-t", name, "--push", "context"]);
    assert_eq!(failed.code, 6, "{}", failed.stderr);
    let user = Lab::new(&format!("FROM {name}\n"));
    sh(&format!(
        "rm -r {0} && cp -a {1} {0}",
        user.path().join("state").display(),
        lab.path().join("state").display()
    ));
    let out = user.build_files(&[]);
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "first");
}

#[test]
fn two_tags_of_one_repository_are_pushed_with_one_upload_of_each_blob() {
    let registry = Registry::start();
    let lab = Lab::new("FROM BASE/busybox\nRUN head -c 3000000 /dev/urandom > /large\n");
    lab.build(&[]);
    let (proxy, uploads) = counting_proxy(&registry.host());
    let (one, latest) = (format!("{proxy}/app:1"), format!("{proxy}/app:latest"));
    let pushed = lab.build(&["-t", &one, "-t", &latest, "--push"]);
    // The base's layers, the step's, the config.
    let blobs = sh(&format!(
        "skopeo inspect --raw --tls-verify=false docker://{}/app:1 | jq '.layers | length'",
        registry.host()
    ));
    let blobs: usize = blobs.trim().parse().unwrap();
    assert_eq!(uploads.load(Ordering::SeqCst), blobs + 1, "{}", pushed.stderr);
    let raw = |tag: &str| {
        sh(&format!(
            "skopeo inspect --raw --tls-verify=false docker://{}/app:{tag}",
            registry.host()
        ))
    };
    assert_eq!(raw("1"), raw("latest"));
}

/// Starts a proxy in front of a registry; returns its address, and how many uploads were begun through it.
fn counting_proxy(to: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (uploads, to) = (Arc::new(AtomicUsize::new(0)), to.to_owned());
    let count = Arc::clone(&uploads);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&to).unwrap();
            let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _one_has_gone = io::copy(&mut back_from, &mut back_to);
                let _gone_already = back_to.shutdown(std::net::Shutdown::Both);
            });
            let count = Arc::clone(&count);
            thread::spawn(move || pass_requests(client, server, &count));
        }
    });
    (address, uploads)
}

/// Passes on what a client says, and counts the requests that begin an upload.
fn pass_requests(mut client: TcpStream, mut server: TcpStream, uploads: &AtomicUsize) {
    const BEGIN: &[u8] = b"POST /v2/app/blobs/uploads";
    let mut buffer = vec![0; 1 << 16];
    let mut seen: Vec<u8> = Vec::new();
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..read]);
        let begun = seen.windows(BEGIN.len()).filter(|window| *window == BEGIN).count();
        uploads.fetch_add(begun, Ordering::SeqCst);
        // What may be the beginning of one is looked at again with what follows.
        let rest = seen.len().saturating_sub(BEGIN.len() - 1);
        seen.drain(..rest);
        if server.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _gone_already = server.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_mistake_is_told_while_a_cache_is_silent() {
    // Connections are accepted by the kernel, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = Lab::new("FROM BASE/absent\n");
    let cache = format!("type=registry,ref={}/cache", silent.local_addr().unwrap());
    let began = Instant::now();
    let failed = lab.croze(&["build", "--cache-from", &cache, "context"]);
    assert_ne!(failed.code, 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn signals_end_croze_while_it_puts_the_store_in_order() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let lab = Lab::new("FROM BASE/busybox\nCOPY file /\n");
        lab.write("file", "content");
        lab.build(&[]);
        // Whoever adds to a lease holds this lock a moment; a collection waits for that.
        let sweep = fs::File::options()
            .write(true)
            .open(lab.path().join("state/v1/sweep"))
            .unwrap();
        sweep.lock_shared().unwrap();
        lab.write("file", "other content");
        let (said, text) = (Arc::new(Mutex::new(String::new())), Instant::now());
        let mut child = lab
            .command(&["build", "--progress=plain", "--max-size=1k", "context"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let reader = {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
            })
        };
        // It has built, and now waits for the lock.
        while !is_waiting(child.id()) {
            assert!(text.elapsed() < Duration::from_secs(60), "{}", said.lock().unwrap());
            assert_eq!(child.try_wait().unwrap(), None, "{}", said.lock().unwrap());
            thread::sleep(Duration::from_millis(50));
        }
        sh(&format!("kill -{signal} {}", child.id()));
        let ended = Outcome::of(child.wait_with_output().unwrap());
        assert_eq!(ended.code, code);
        reader.join().unwrap();
        drop(sweep);
        lab.build(&[]);
    }
}

#[test]
fn a_signal_ends_croze_while_standard_input_is_silent() {
    let lab = Lab::new("FROM scratch\n");
    for words in [&["build", "-"][..], &["build", "--check", "-"]] {
        let mut child = lab
            .command(words)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let silent = child.stdin.take();
        // Once it reads, it listens for signals; before that they end it by themselves.
        let wait = format!("/proc/{}/task", child.id());
        let began = Instant::now();
        while !reads_a_pipe(&wait) && began.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(200));
        sh(&format!("kill -INT {}", child.id()));
        let signalled = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(signalled.elapsed() < Duration::from_secs(20), "{words:?}");
            thread::sleep(Duration::from_millis(20));
        }
        drop(silent);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{words:?}");
    }
}

/// Returns whether a thread of a process waits for bytes from a pipe.
fn reads_a_pipe(threads: &str) -> bool {
    let threads = fs::read_dir(threads).into_iter().flatten().flatten();
    let mut waiting = threads.filter_map(|thread| fs::read_to_string(thread.path().join("wchan")).ok());
    waiting.any(|place| place.contains("pipe_read"))
}

/// Returns whether a process's main thread waits for a lock of a file.
fn is_waiting(process: u32) -> bool {
    fs::read_to_string("/proc/locks")
        .unwrap()
        .lines()
        .any(|line| line.contains("->") && line.split_whitespace().any(|word| word == process.to_string()))
}
