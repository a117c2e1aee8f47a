//! The hunt for canaries: secrets are in nothing that a build leaves or prints (row S1).

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::canaries::{Canary, Sighting, Watch, assert_not_kept, assert_not_printed, contents};
use crate::harness::{Lab, Outcome, Page, Registry, USER, WebServer, sh};

/// What uses every secret, some of them where no step runs.
const DOCKERFILE: &str = "\
FROM scratch AS fetched
ARG PAGE REPOSITORY
ADD $PAGE /page
ADD http://page.invalid/proxied /proxied
ADD $REPOSITORY /by-password
FROM BASE/busybox
COPY --from=fetched / /
ADD BY_TOKEN /by-token
ENV SECONDS=0
RUN --mount=type=secret,id=file,required=true --mount=type=secret,id=variable,env=TOKEN \
    --mount=type=ssh,required=true test -s /run/secrets/file && test -n \"$TOKEN\" && test -S $SSH_AUTH_SOCK && \
    test -n \"$http_proxy\" && sleep $SECONDS && echo made > /made
";

/// A build with a secret of each kind.
struct Build {
    lab: Lab,
    canaries: Arc<Vec<Canary>>,
    variables: Vec<String>,
    words: Vec<String>,
    /// The files that hold a secret because they are where it comes from.
    given: Vec<PathBuf>,
    registry: Registry,
    servers: [WebServer; 3],
    /// What somebody who may do what this build does is asked for, encoded: by the proxy, and by the server.
    logins: [String; 2],
}

/// Makes an ssh key, and returns what of it is secret.
fn make_key(lab: &Lab) -> Vec<u8> {
    let path = lab.path().join("key");
    sh(&format!(
        "ssh-keygen -q -t ed25519 -N '' -C nobody -f {0}; chown {USER} {0}",
        path.display()
    ));
    let decoded = |text: &str| STANDARD.decode(text).unwrap();
    let public = std::fs::read_to_string(lab.path().join("key.pub")).unwrap();
    let public = decoded(public.split(' ').nth(1).unwrap());
    let public = &public[public.len() - 32..];
    let text = std::fs::read_to_string(&path).unwrap();
    let private = decoded(&text.lines().filter(|line| !line.starts_with("--")).collect::<String>());
    // The seed stands before the last copy of the public key.
    let place = private.windows(32).rposition(|window| window == public).unwrap();
    private[place - 32..place].to_owned()
}

impl Build {
    fn new() -> Self {
        let [
            (file, of_file),
            (variable, of_variable),
            (unused, of_unused),
            (password, of_password),
            (token, of_token),
            (page, of_page),
            (login, of_login),
            (proxy, of_proxy),
        ] = [
            "file", "variable", "unused", "password", "token", "page", "login", "proxy",
        ]
        .map(Canary::new);
        let lab = Lab::new("");
        let of_key = Canary::of("key", &make_key(&lab));
        let at = lab.path().display();
        let repositories = lab.path().join("repositories");
        sh(&format!(
            "cd {at}; export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1; git init -q work; cd work; echo content > file; git add .; \
             git -c user.name=a -c user.email=a@b commit -qm 1; mkdir ../repositories; git clone -q --bare . \
             ../repositories/x.git; git -C ../repositories/x.git update-server-info; cd ..; mkdir tmp; chmod 1777 tmp; \
             printf %s '{file}' > given; printf %s '{token}' > token"
        ));
        for name in ["given", "token"] {
            std::fs::set_permissions(lab.path().join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        let (by_password, by_token) = (
            WebServer::of_directory(&repositories),
            WebServer::of_directory(&repositories),
        );
        let logins = [("me", &proxy), ("me", &login), ("x-access-token", &token)];
        let [at_proxy, at_server, at_forge] = logins.map(|(user, word)| STANDARD.encode(format!("{user}:{word}")));
        by_password.require(&format!("Basic {at_server}"));
        by_token.require(&format!("basic {at_forge}"));
        // The one server is the proxy to another.
        let open = WebServer::start();
        open.put("http://page.invalid/proxied", Page::tagged("proxied", "1"));
        open.put("/page", Page::tagged("page", "1"));
        let registry = Registry::start_for("me", &password);
        let auth = STANDARD.encode(format!("me:{password}"));
        let proxy = open.url("").replace("http://", &format!("http://me:{proxy}@"));
        let by_token_url = by_token.url("/x.git").replace("127.0.0.1", "localhost");
        lab.write("Dockerfile", &lab.fill(&DOCKERFILE.replace("BY_TOKEN", &by_token_url)));
        let arg = |name: &str, value: String| format!("--build-arg={name}={value}");
        let with = |user: &str, url: String| url.replace("http://", &format!("http://me:{user}@"));
        Self {
            canaries: Arc::new(vec![
                of_file,
                of_variable,
                of_unused,
                of_password,
                of_token,
                of_page,
                of_login,
                of_proxy,
                of_key,
            ]),
            variables: vec![
                format!(
                    r#"DOCKER_AUTH_CONFIG={{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
                    registry.host()
                ),
                format!("TOKEN={variable}"),
                format!("UNUSED={unused}"),
                format!("http_proxy={proxy}"),
                "NO_PROXY=127.0.0.1,localhost".to_owned(),
                format!("TMPDIR={at}/tmp"),
            ],
            words: vec![
                "--secret=id=file,src=given".to_owned(),
                "--secret=id=variable,env=TOKEN".to_owned(),
                "--secret=id=GIT_AUTH_TOKEN.localhost,src=token".to_owned(),
                format!("--ssh=default={at}/key"),
                arg("PAGE", with(&page, open.url("/page"))),
                arg("REPOSITORY", with(&login, by_password.url("/x.git"))),
                arg("http_proxy", proxy),
            ],
            given: ["given", "token", "key"].map(|name| lab.path().join(name)).into(),
            registry,
            servers: [by_password, by_token, open],
            logins: [at_proxy, at_server],
            lab,
        }
    }

    fn start(&self, words: &[&str]) -> Child {
        let variables: Vec<&str> = self.variables.iter().map(String::as_str).collect();
        let own: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let words = match words {
            ["build", ..] => [words, &own, &["context"]].concat(),
            other => other.to_vec(),
        };
        let mut command = self.lab.command_with(&variables, &words);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn run(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.start(words).wait_with_output().unwrap())
    }

    fn tag(&self) -> String {
        format!("{}/app:1", self.registry.host())
    }

    /// Fails if a secret is in what was printed, or in anything that is left.
    fn hunt(&self, printed: &[&Outcome]) {
        assert_not_printed(&self.canaries, printed);
        assert_not_kept(&self.canaries, &[self.lab.path(), self.registry.storage()], &self.given);
    }
}

/// Returns whether a secret may be where it was seen: where the user, or who needs it, has put it.
fn is_allowed(seen: &Sighting) -> bool {
    let Sighting {
        canary,
        file,
        program,
        command,
        environment,
    } = seen;
    match (*file, program.as_str()) {
        // What leads to croze: the test's own doing.
        (_, "setpriv" | "env") => true,
        ("cmdline", "croze") => ["page", "login", "proxy"].contains(canary) && command.contains(" build "),
        ("environ", "croze") => ["variable", "unused", "password", "proxy"].contains(canary),
        // Git, its helpers, and its credential helper.
        ("environ", _) if environment.contains("GIT_TERMINAL_PROMPT=0") => ["token", "login", "proxy"].contains(canary),
        // The step, which has asked for both.
        ("environ", "sh") => ["variable", "proxy"].contains(canary),
        _ => false,
    }
}

fn assert_all_allowed(seen: &BTreeSet<Sighting>) {
    let wrong = seen.iter().filter(|seen| !is_allowed(seen));
    let wrong: Vec<String> = wrong.map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn s1_secrets_are_in_nothing_that_a_build_leaves_or_prints() {
    let build = Build::new();
    let watch = Watch::start(Arc::clone(&build.canaries));
    let tag = build.tag();
    let pushed = build.run(&[
        "build",
        "--progress=plain",
        "-v",
        "-t",
        &tag,
        "--push",
        "--provenance=mode=max",
        "--metadata-file=metadata.json",
        "--cache-to=type=local,dest=cache,mode=max",
    ]);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let packed = "--output=type=oci,dest=out.tar,compression=zstd,force-compression=true";
    let files = build.run(&["build", "--progress=rawjson", "--no-cache", "-o", "out", packed]);
    assert_eq!(files.code, 0, "{}", files.stderr);
    let asked = build.servers.iter().flat_map(WebServer::asked);
    let given: Vec<String> = asked.flat_map(|asked| asked.headers.into_values()).collect();
    for login in &build.logins {
        assert!(
            given.iter().any(|value| value.contains(login)),
            "nobody has used a password"
        );
    }
    let told = ["history", "logs", "explain", "graph"].map(|command| build.run(&[command]));
    let printed: Vec<&Outcome> = [&pushed, &files].into_iter().chain(&told).collect();
    build.hunt(&printed);

    // What fails says why: a step, a push, a repository.
    let dockerfile = std::fs::read_to_string(build.lab.context("Dockerfile")).unwrap();
    build
        .lab
        .write("Dockerfile", &dockerfile.replace("echo made > /made", "exit 7"));
    let step = build.run(&["build", "--progress=plain", "-v"]);
    assert_eq!(step.code, 4, "{}", step.stderr);
    build.lab.write("Dockerfile", &dockerfile);
    let refusing = Registry::start_for("me", "another");
    let auth = build.variables[0].replace(&build.registry.host(), &refusing.host());
    let elsewhere = Build {
        variables: [&[auth], &build.variables[1..]].concat(),
        ..build
    };
    let push = elsewhere.run(&["build", "-t", &format!("{}/app:1", refusing.host()), "--push"]);
    assert_eq!(push.code, 7, "{}", push.stderr);
    let build = elsewhere;
    for server in &build.servers[..2] {
        server.require("Basic other");
    }
    let by_token = build.run(&["build", "--no-cache"]);
    let by_password = build.run(&["build", "--target=fetched"]);
    for refused in [&by_token, &by_password] {
        assert_eq!(refused.code, 7, "{}", refused.stderr);
    }
    build.hunt(&[&step, &push, &by_token, &by_password]);
    let seen = watch.end();
    assert_all_allowed(&seen);
    assert!(seen.iter().any(|seen| seen.program == "croze"), "nothing was looked at");
}

#[test]
fn s1_a_killed_build_leaves_no_secret() {
    let build = Build::new();
    let dockerfile = std::fs::read_to_string(build.lab.context("Dockerfile")).unwrap();
    build
        .lab
        .write("Dockerfile", &dockerfile.replace("SECONDS=0", "SECONDS=96.31"));
    let watch = Watch::start(Arc::clone(&build.canaries));
    let mut child = build.start(&["build", "--progress=plain"]);
    let begun = Instant::now();
    while sh("pgrep -f '^sleep 96.31' || true").is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "the step does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    let killed = Outcome::of(child.wait_with_output().unwrap());
    build.hunt(&[&killed]);
    let seen = watch.end();
    assert_all_allowed(&seen);
}

#[test]
fn s1_the_hunt_finds_what_is_hidden_in_every_form() {
    let directory = tempfile::tempdir().unwrap();
    let (word, canary) = Canary::new("form");
    for pipe in [
        "cat",
        "base64 -w0",
        "basenc --base64url -w0",
        "xxd -p -c0",
        "gzip",
        "zstd -q",
        "base64 -w0 | gzip",
    ] {
        for before in ["", "1", "12"] {
            let file = directory.path().join("file");
            sh(&format!("printf %s '{before}{word}.' | {pipe} > {}", file.display()));
            let found = contents(&file).iter().any(|content| canary.is_in(content));
            assert!(found, "{before} | {pipe}");
        }
    }
}

#[test]
fn s1_a_crash_leaves_no_memory_behind() {
    let lab = Lab::new("FROM BASE/busybox\nRUN sleep 96.47\n");
    // What a shell without limits would start it with.
    let limit = getrlimit(Resource::Core);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Core, all).unwrap();
    let mut command = lab.command_with(&[], &["build", "context"]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    setrlimit(Resource::Core, limit).unwrap();
    let begun = Instant::now();
    while sh("pgrep -f '^sleep 96.47' || true").is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "the step does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let of_core = limits.lines().find(|line| line.starts_with("Max core file size"));
    assert_eq!(
        of_core.and_then(|line| line.split_whitespace().nth(4)),
        Some("0"),
        "{limits}"
    );
    sh(&format!("kill -ABRT {}", child.id()));
    let ended = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(6),
        "{ended}"
    );
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&ended), "{ended}");
}
