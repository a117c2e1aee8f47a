//! `RUN --mount=type=ssh`: agents of the user's, asked from inside a step.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use crate::harness::{Lab, USER, sh};

/// A socket that answers like an agent without keys (RFC draft-ietf-sshm-ssh-agent: type 12, no identities).
fn agent(lab: &Lab) -> PathBuf {
    use std::io::{Read as _, Write as _};
    let path = lab.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    sh(&format!("chown {USER} {0}; chmod 600 {0}", path.display()));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = [0; 5];
                while stream.read_exact(&mut request).is_ok() {
                    let _client_gone = stream.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]);
                }
            });
        }
    });
    path
}

/// BK-175, BK-176: the socket has the owner and mode that are asked for, and any user of the step may ask.
#[test]
fn an_agent_answers_root_and_others_in_the_step() {
    let lab = Lab::new(
        "FROM BASE/debian\nRUN --mount=type=ssh,mode=741,uid=100,gid=102 [ \"$(stat -c '%u %g %f' $SSH_AUTH_SOCK)\" = \
         \"100 102 c1e1\" ]\nUSER 1234\nRUN --mount=type=ssh,uid=1234,required=true perl -MIO::Socket::UNIX -e \
         '$s=IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die \"no: $!\"; print $s pack(\"NC\",1,11); $s->flush; \
         read($s,$b,9)==9 or die; print \"answer \".unpack(\"x4C\",$b).\"\\n\"'\n",
    );
    let agent = agent(&lab);
    let outcome = lab.build(&["--ssh", &format!("default={}", agent.display())]);
    assert!(outcome.stderr.contains("answer 12"), "{}", outcome.stderr);
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
