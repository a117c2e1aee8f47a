//! `RUN --mount=type=ssh`: agents of the user's, asked from inside a step; and git by ssh with such an agent.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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
fn an_agent_answers_where_the_kernel_gives_croze_one_owner_only() {
    let lab = Lab::new(
        "FROM BASE/debian\nRUN --mount=type=ssh,mode=741,uid=100,gid=102 [ \"$(stat -c '%u %g %f' $SSH_AUTH_SOCK)\" = \
         \"100 102 c1e1\" ]\nRUN --mount=type=ssh,required=true [ \"$(stat -c '%u %g %f' $SSH_AUTH_SOCK)\" = \"0 0 c180\" ] && \
         perl -MIO::Socket::UNIX -e '$s=IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) or die \"no: $!\"; \
         print $s pack(\"NC\",1,11); $s->flush; read($s,$b,9)==9 or die; print \"answer \".unpack(\"x4C\",$b).\"\\n\"'\n",
    );
    let agent = agent(&lab);
    for sandbox in ["userns-single", "ptrace"] {
        let (sandbox, ssh) = (
            format!("--sandbox={sandbox}"),
            format!("default={}", agent.path.display()),
        );
        let outcome = lab.build(&[sandbox.as_str(), "--no-cache", "--ssh", &ssh]);
        assert!(outcome.stderr.contains("answer 12"), "{sandbox}: {}", outcome.stderr);
    }
}

#[test]
fn a_key_is_held_by_an_agent_of_the_builds_own() {
    // BK-175
    let lab = Lab::new(
        "FROM BASE/debian\nRUN --mount=type=ssh,mode=741,uid=100,gid=102 [ \"$(stat -c '%u %g %f' $SSH_AUTH_SOCK)\" = \
         \"100 102 c1e1\" ]\nRUN --mount=type=ssh perl -MIO::Socket::UNIX -e '$s=IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK}) \
         or die \"no: $!\"; print $s pack(\"NC\",1,11); $s->flush; read($s,$b,9)==9 or die; \
         print \"identities \".unpack(\"x5N\",$b).\"\\n\"'\n",
    );
    let keygen = |name: &str, words: &str| {
        let key = lab.path().join(name);
        sh(&format!(
            "ssh-keygen -q {words} -f {0}; chown {USER} {0}; chmod 644 {0}",
            key.display()
        ));
        key.display().to_string()
    };
    let (rsa, other) = (
        keygen("rsa", "-t rsa -m PEM -N ''"),
        keygen("other", "-t ed25519 -N ''"),
    );
    let locked = keygen("locked", "-t ed25519 -N passphrase");
    let outcome = lab.build(&["--ssh", &format!("default={rsa}")]);
    assert!(outcome.stderr.contains("identities 1\n"), "{}", outcome.stderr);
    let outcome = lab.build(&["--no-cache", "--ssh", &format!("default={rsa},{other}")]);
    assert!(outcome.stderr.contains("identities 2\n"), "{}", outcome.stderr);
    lab.croze(&["build", "--ssh", &format!("default={locked}"), "context"])
        .fails(5, &["neither an agent's socket nor a key", "ssh-add KEY"]);
    let running = sh(&format!(
        "pgrep -u {USER} -f '{}' || true",
        lab.path().join("rsa").display()
    ));
    assert_eq!(running, "", "an agent outlives the build");
}

#[test]
fn what_is_no_agent_is_told_with_what_to_do() {
    let lab = Lab::new("FROM BASE/busybox\nRUN --mount=type=ssh,required=true true\n");
    lab.write("key.pem", "-----BEGIN RSA PRIVATE KEY-----\n");
    let key = format!("default={}", lab.context("key.pem").display());
    lab.croze(&["build", "--ssh", &key, "context"])
        .fails(5, &["neither an agent's socket nor a key", "ssh-add"]);
    lab.croze(&["build", "--ssh", "default=absent", "context"])
        .fails(5, &["cannot find", "absent"]);
    lab.croze(&["build", "--ssh", "default", "context"])
        .fails(5, &["SSH_AUTH_SOCK", "ssh-agent"]);
    lab.croze(&["build", "context"])
        .fails(5, &["ssh agent `default`: not found"]);
}

/// Processes of one test; they end with it.
struct Server {
    children: Vec<Child>,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ended_before = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Starts a program as the building user in the test's directory.
fn start(lab: &Lab, words: &[&str]) -> Child {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", USER, "--regid", USER, "--init-groups", "--"])
        .args(words);
    command.current_dir(lab.path()).stdin(Stdio::null());
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv runs")
}

/// Serves a repository `repo.git` by ssh to whoever has `key`, which the agent at `agent-socket` has.
fn serve(lab: &Lab) -> Server {
    // Taken by sshd a moment later; nobody else is told of it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = lab.path().display();
    sh(&format!(
        "cd {at}; export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
         GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b\n\
         git init -q work; cd work; echo content > file; printf 'FROM scratch\\nCOPY file /\\n' > Dockerfile; git add .\n\
         git commit -qm 1; cd ..; git clone -q --bare work repo.git\n\
         ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -q -t ed25519 -N '' -f host; cp key.pub authorized\n\
         printf 'ListenAddress 127.0.0.1\\nPort {port}\\nHostKey {at}/host\\nAuthorizedKeysFile {at}/authorized\\n\
         PidFile none\\nStrictModes no\\nUsePAM no\\nPasswordAuthentication no\\n' > sshd_config\n\
         mkdir home/.ssh; echo \"[127.0.0.1]:{port} $(cat host.pub)\" > home/.ssh/known_hosts\n\
         chown -R {USER} repo.git key host authorized home\n"
    ));
    let sshd = sh("PATH=$PATH:/usr/sbin command -v sshd");
    let children = vec![
        start(lab, &[sshd.trim(), "-D", "-f", "sshd_config"]),
        start(lab, &["ssh-agent", "-D", "-a", "agent-socket"]),
    ];
    let server = Server { children, port };
    let socket = lab.path().join("agent-socket");
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() || !socket.exists() {
        assert!(Instant::now() < until, "sshd and ssh-agent do not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    sh(&format!(
        "SSH_AUTH_SOCK={} setpriv --reuid {USER} --regid {USER} --init-groups -- ssh-add -q {at}/key",
        socket.display()
    ));
    server
}

#[test]
fn a_repository_may_be_fetched_by_ssh_with_the_users_agent() {
    let lab = Lab::new("");
    let server = serve(&lab);
    let url = format!(
        "ssh://{USER}@127.0.0.1:{}{}/repo.git",
        server.port,
        lab.path().display()
    );
    let agent = format!("default={}", lab.path().join("agent-socket").display());
    lab.write("Dockerfile", &format!("FROM scratch\nADD {url} /added/\n"));
    let out = lab.build_files(&["--ssh", &agent]);
    assert_eq!(std::fs::read_to_string(out.join("added/file")).unwrap(), "content\n");
    let outcome = lab.croze(&["build", "--ssh", &agent, "-o", "context-out", &url]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(lab.path().join("context-out/file").exists());

    // The repository is kept, and now known by its last commit alone. Servers give a commit by its name in the protocol's
    // second version only, which sshd does not pass on: all that lies behind the last one must be asked for.
    sh(&format!(
        "cd {}/work; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
         for commit in second third; do echo $commit > file; git commit -qam $commit; done
         git -c safe.directory='*' -C ../repo.git fetch -q ../work HEAD:$(git symbolic-ref HEAD); chown -R {USER} ../repo.git",
        lab.path().display()
    ));
    let second = sh(&format!("git -C {}/work rev-parse HEAD~1", lab.path().display()));
    for (suffix, content) in [(String::new(), "third\n"), (format!("#{}", second.trim()), "second\n")] {
        lab.write("Dockerfile", &format!("FROM scratch\nADD {url}{suffix} /added/\n"));
        let out = lab.build_files(&["--ssh", &agent]);
        assert_eq!(std::fs::read_to_string(out.join("added/file")).unwrap(), content);
    }

    let key = format!("default={}", lab.path().join("key").display());
    let outcome = lab.croze(&["build", "--ssh", &key, "-o", "key-out", &url]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);

    // Nobody is let in without a key, no host is believed that is not known, and the agent that was given is the one asked.
    lab.croze(&["build", &url])
        .fails(7, &["Permission denied (publickey", "--ssh default"]);
    sh(&format!("rm {}/home/.ssh/known_hosts", lab.path().display()));
    lab.croze(&["build", "--ssh", &agent, &url])
        .fails(7, &["Host key verification failed", "known_hosts"]);
}

#[test]
fn the_variable_names_the_first_agent_unless_the_dockerfile_says_otherwise() {
    let lab = Lab::new(
        "FROM BASE/busybox\nRUN --mount=type=ssh --mount=type=ssh,id=second,target=/second \
         [ \"$SSH_AUTH_SOCK\" = /run/buildkit/ssh_agent.0 ]\nENV SSH_AUTH_SOCK=/own\n\
         RUN --mount=type=ssh [ \"$SSH_AUTH_SOCK\" = /own ]\n",
    );
    let path = agent(&lab).path.display().to_string();
    lab.build(&["--ssh", &format!("default={path}"), "--ssh", &format!("second={path}")]);
}
