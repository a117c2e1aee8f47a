//! `RUN --mount=type=ssh`: agents of the user's, asked from inside a step.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Lab, USER, sh};

/// A socket that answers like an agent without keys (draft-ietf-sshm-ssh-agent: type 12, no identities).
struct Agent {
    path: PathBuf,
    /// The largest number of connections that were open at once.
    most: Arc<AtomicUsize>,
}

fn agent(lab: &Lab) -> Agent {
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let path = lab.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    sh(&format!("chown {USER} {0}; chmod 600 {0}", path.display()));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (open, most) = (Arc::clone(&open), Arc::clone(&counted));
            std::thread::spawn(move || {
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let mut request = [0; 5];
                while stream.read_exact(&mut request).is_ok() {
                    let _client_gone = stream.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]);
                }
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Agent { path, most }
}

/// BK-175, BK-176: the socket has the owner and mode that are asked for, and any user of the step may ask.
#[test]
fn an_agent_answers_root_and_others_in_the_step() {
    let lab = Lab::new(
        "FROM BASE/debian\nRUN --mount=type=ssh,mode=741,uid=100,gid=102 [ \"$(stat -c '%u %g %f' $SSH_AUTH_SOCK)\" = \
         \"100 102 c1e1\" ]\nUSER 1234\nRUN --mount=type=ssh,uid=1234,required=true perl -MIO::Socket::UNIX -e \
         'for (1..3) { $s=IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die \"no: $!\"; print $s pack(\"NC\",1,11); $s->flush; \
         read($s,$b,9)==9 or die; print \"answer \".unpack(\"x4C\",$b).\"\\n\"; close $s; select undef, undef, undef, 0.2 }'\n",
    );
    let agent = agent(&lab);
    let outcome = lab.build(&["--ssh", &format!("default={}", agent.path.display())]);
    assert_eq!(outcome.stderr.matches("answer 12").count(), 3, "{}", outcome.stderr);
    assert_eq!(agent.most.load(Ordering::SeqCst), 1, "a connection stays open");
}

#[test]
fn what_is_no_agent_is_told_with_what_to_do() {
    let lab = Lab::new("FROM BASE/busybox\nRUN --mount=type=ssh,required=true true\n");
    lab.write("key.pem", "-----BEGIN RSA PRIVATE KEY-----\n");
    let key = format!("default={}", lab.context("key.pem").display());
    lab.croze(&["build", "--ssh", &key, "context"])
        .fails(2, &["is not the socket of an ssh-agent", "ssh-add"]);
    lab.croze(&["build", "--ssh", "default", "context"])
        .fails(5, &["SSH_AUTH_SOCK", "ssh-agent"]);
    lab.croze(&["build", "context"])
        .fails(5, &["ssh agent `default`: not found"]);
}
