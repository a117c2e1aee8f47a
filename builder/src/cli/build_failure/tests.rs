//! What failures of builds are told as.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use snapshotter::FsError;

use super::*;
use crate::image::LayoutError;
use crate::swap::SwapError;

fn fixed() -> Fixed {
    Fixed {
        dockerfile: Arc::new(SourceFile::new("Dockerfile", "FROM scratch")),
        ignore: None,
        exit_code: None,
        no_sandbox: None,
    }
}

fn stranded() -> OpError {
    let stranded = SwapError::Stranded {
        path: PathBuf::from("/etc"),
        kept: PathBuf::from("/.croze/swap/own/0/etc"),
        source: io::Error::from_raw_os_error(libc::EBUSY),
    };
    OpError::Exec {
        command: "true".into(),
        source: RunError::Setup(SetupError::from(stranded)),
    }
}

#[test]
fn what_could_not_be_put_back_is_told_with_what_to_do() {
    let step = BuildError::Step {
        name: "[1/1] RUN true".to_owned(),
        origin: None,
        step: None,
        source: Box::new(stranded()),
    };
    let interrupted = fixed().interrupted(step, Kind::Interrupted);
    for failure in [fixed().step_failure(&stranded()), interrupted] {
        assert_eq!(failure.kind.code(), 9);
        let told = format!("{:?}", failure.diagnostics);
        for words in ["`/etc`", "`/.croze/swap/own/0/etc`", "run croze here again"] {
            assert!(told.contains(words), "{told}");
        }
    }
    let cancelled = fixed().interrupted(BuildError::Cancelled, Kind::Terminated);
    assert_eq!(cancelled.kind.code(), 143);
}

#[test]
fn what_is_nobodys_mistake_is_not_blamed_on_the_input() {
    let status = |status| FetchError::Status {
        address: "https://example.com/".to_owned(),
        status,
    };
    let denied = || FsError::new("read", "file", Errno::ACCESS);
    let io = FetchError::Io {
        verb: "write",
        path: "file".into(),
        source: Errno::NOSPC.into(),
    };
    for (error, kind) in [
        (status(404), Kind::Input),
        (status(408), Kind::Network),
        (status(429), Kind::Network),
        (status(503), Kind::Network),
        (status(401), Kind::Auth),
        (io, Kind::Resource),
        (FetchError::Snapshot(denied()), Kind::Environment),
    ] {
        assert_eq!(fetch_failure(&error).kind, kind, "{error}");
    }
}

#[test]
fn a_store_that_is_full_is_not_a_layout_that_cannot_be_read() {
    let full = || io::Error::from(ErrorKind::StorageFull);
    let unread = LayoutError::Read {
        path: "blob".into(),
        source: ErrorKind::NotFound.into(),
    };
    assert_eq!(
        pull_failure(&PullError::Layout(LayoutError::Keep(full()))).kind,
        Kind::Resource
    );
    assert_eq!(pull_failure(&PullError::Layout(unread)).kind, Kind::Input);
}
