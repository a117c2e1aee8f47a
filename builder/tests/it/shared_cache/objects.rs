//! Caches in stores of objects: S3, and GitHub's cache service.

use super::{Machines, UNIQUE};
use crate::harness::s3::{BUCKET, KEY, REGION, SECRET, TOKEN};
use crate::harness::{ActionsServer, RUNTIME_TOKEN, S3Server, serve, sh};

/// A Dockerfile whose result is always another.
const TWO_STEPS: &str = "FROM BASE/busybox\nRUN cat /proc/sys/kernel/random/uuid > /unique\nRUN cp /unique /copy\n";

fn s3(server: &S3Server) -> String {
    format!(
        "type=s3,bucket={BUCKET},region={REGION},endpoint_url={},use_path_style=true,access_key_id={KEY},\
         secret_access_key={SECRET},prefix=team/",
        server.url()
    )
}

fn actions(server: &ActionsServer) -> String {
    format!("type=gha,url_v2={},token={RUNTIME_TOKEN},scope=app", server.url())
}

/// A second machine finds everything, asks for no layer before it needs one, and adds nothing that is there.
fn a_second_machine_builds_nothing(cache: &str, asked: impl Fn() -> Vec<String>) -> Vec<String> {
    let machines = Machines::new(TWO_STEPS);
    let first = machines.file("one", "copy", &["--cache-to", cache]);
    asked();
    let (plan, nothing_runs) = machines.plan("two", &["--cache-from", cache]);
    assert!(nothing_runs, "{plan}");
    assert_eq!(machines.holds("two"), (0, 0), "a plan fetches no layers");
    let planning = asked();
    let shown = machines.files("two", &["--cache-from", cache, "--cache-to", cache]);
    assert_eq!(machines.read("two", "copy"), first);
    assert!(
        shown.contains("exporting cache to object store") && shown.contains("2 entries, 0 of them written"),
        "{shown}"
    );
    assert_ne!(machines.file("three", "copy", &[]), first);
    planning
}

/// Eight jobs that export at the same time lose no entry.
fn parallel_jobs_lose_no_entry(cache: &str) {
    let machines = Machines::new(&format!(
        "FROM BASE/busybox\nRUN echo shared > /shared\nARG JOB\nRUN {UNIQUE} && echo $JOB\n"
    ));
    let jobs: Vec<String> = (0..8).map(|n| format!("JOB={n}")).collect();
    std::thread::scope(|scope| {
        for (number, job) in jobs.iter().enumerate() {
            let machines = &machines;
            scope.spawn(move || machines.build(&number.to_string(), &["--build-arg", job, "--cache-to", cache]));
        }
    });
    for job in &jobs {
        let (plan, nothing_runs) = machines.plan("last", &["--build-arg", job, "--cache-from", cache]);
        assert!(nothing_runs, "{job}: {plan}");
    }
}

/// What was made again without the cache is found by others.
fn the_newest_entry_counts(cache: &str) {
    let machines = Machines::new(TWO_STEPS);
    machines.file("one", "copy", &["--cache-to", cache]);
    let newer = machines.file("two", "copy", &["--no-cache", "--cache-to", cache]);
    assert_eq!(machines.file("three", "copy", &["--cache-from", cache]), newer);
}

#[test]
fn a_second_machine_builds_nothing_with_s3() {
    let server = S3Server::start();
    let planning = a_second_machine_builds_nothing(&s3(&server), || server.asked());
    let entries = "GET team/manifests/buildkit/";
    assert_eq!(planning.len(), 2, "{planning:?}");
    assert!(planning.iter().all(|asked| asked.starts_with(entries)), "{planning:?}");
    let is_ours =
        |name: &String| name.starts_with("team/manifests/buildkit/") || name.starts_with("team/blobs/sha256:");
    assert!(server.names().iter().all(is_ours), "{:?}", server.names());
}

#[test]
fn a_second_machine_builds_nothing_with_githubs_cache() {
    let server = ActionsServer::start();
    let planning = a_second_machine_builds_nothing(&actions(&server), || server.asked());
    // Where an entry is, and the entry.
    assert_eq!(planning.len(), 4, "{planning:?}");
    let is_ours = |key: &String| key.starts_with("croze-entry-app-") || key.starts_with("croze-blob-");
    assert!(server.keys().iter().all(is_ours), "{:?}", server.keys());
}

#[test]
fn parallel_jobs_lose_no_entry_in_s3() {
    parallel_jobs_lose_no_entry(&s3(&S3Server::start()));
}

#[test]
fn parallel_jobs_lose_no_entry_in_githubs_cache() {
    parallel_jobs_lose_no_entry(&actions(&ActionsServer::start()));
}

#[test]
fn the_newest_entry_counts_in_s3() {
    the_newest_entry_counts(&s3(&S3Server::start()));
}

#[test]
fn the_newest_entry_counts_in_githubs_cache() {
    the_newest_entry_counts(&actions(&ActionsServer::start()));
}

#[test]
fn a_layer_of_many_blocks_comes_back_whole() {
    let server = ActionsServer::start();
    let machines =
        Machines::new("FROM BASE/busybox\nRUN head -c 70000000 /dev/urandom > /large\nRUN md5sum /large > /sum\n");
    let cache = actions(&server);
    let first = machines.file("one", "sum", &["--cache-to", &format!("{cache},mode=max")]);
    let blocks = server.asked().into_iter().filter(|asked| asked == "PUT block").count();
    assert!(blocks >= 4, "{blocks} blocks");
    machines.edit("FROM BASE/busybox\nRUN head -c 70000000 /dev/urandom > /large\nRUN md5sum < /large > /sum\n");
    let second = machines.file("two", "sum", &["--cache-from", &cache]);
    assert_eq!(first.split(' ').next(), second.split(' ').next());
}

#[test]
fn credentials_come_from_the_environment_and_go_nowhere_else() {
    let server = S3Server::start();
    server.require_token();
    let machines = Machines::new(TWO_STEPS);
    let cache = format!(
        "type=s3,bucket={BUCKET},endpoint_url={},use_path_style=true,name=app",
        server.url()
    );
    let variables = [
        format!("AWS_REGION={REGION}"),
        format!("AWS_ACCESS_KEY_ID={KEY}"),
        format!("AWS_SECRET_ACCESS_KEY={SECRET}"),
        format!("AWS_SESSION_TOKEN={TOKEN}"),
    ];
    let variables = variables.each_ref().map(String::as_str);
    let both = ["--cache-from", &cache, "--cache-to", &cache, "--provenance=mode=max"];
    let out = [
        "-t",
        "app:1",
        "-o",
        "type=oci,dest=image.tar",
        "--metadata-file",
        "metadata.json",
    ];
    for machine in ["one", "two"] {
        let outcome = machines.croze_with(&variables, machine, &[&both[..], &out, &["-v"]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(
            machine == "one" || outcome.stderr.contains("0 of them written"),
            "{}",
            outcome.stderr
        );
        for secret in [SECRET, TOKEN, "X-Amz-Signature"] {
            assert!(!outcome.stderr.contains(secret), "{}", outcome.stderr);
        }
    }
    let path = machines.path("").display().to_string();
    for secret in [SECRET, TOKEN] {
        let found = sh(&format!("grep -rlF -- '{secret}' {path} || true"));
        assert_eq!(found, "", "{secret}");
    }
}

#[test]
fn roles_are_asked_for_where_awss_own_clients_do() {
    let server = S3Server::start();
    server.require_token();
    let keys =
        serde_json::json!({ "AccessKeyId": KEY, "SecretAccessKey": SECRET, "SessionToken": TOKEN, "Expiration": "" });
    let (sts, container) = (keys.clone(), keys.clone());
    let sts = serve(move |request| {
        let body = String::from_utf8(request.body).unwrap();
        let wanted = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fci&\
                      RoleSessionName=croze&WebIdentityToken=web.identity%2Btoken";
        assert_eq!((request.method.as_str(), body.as_str()), ("POST", wanted));
        let result = serde_json::json!({ "AssumeRoleWithWebIdentityResponse": {
            "AssumeRoleWithWebIdentityResult": { "Credentials": sts } } });
        ("200 OK", result.to_string().into_bytes())
    });
    let pod = serve(move |request| {
        assert_eq!(request.headers["authorization"], "pod-token");
        (
            "200 OK",
            container.to_string().replace("SessionToken", "Token").into_bytes(),
        )
    });
    let instance = serve(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("PUT", "/latest/api/token") => ("200 OK", b"metadata-token".to_vec()),
        (_, path)
            if request
                .headers
                .get("x-aws-ec2-metadata-token")
                .is_some_and(|token| token == "metadata-token") =>
        {
            let roles = "/latest/meta-data/iam/security-credentials/";
            match path.strip_prefix(roles) {
                Some("") => ("200 OK", b"builder".to_vec()),
                Some("builder") => ("200 OK", keys.to_string().replace("SessionToken", "Token").into_bytes()),
                _ => ("404 Not Found", Vec::new()),
            }
        }
        _ => ("401 Unauthorized", Vec::new()),
    });
    let machines = Machines::new("FROM BASE/busybox\nRUN echo one > /one\n");
    machines.lab.write("token", "web.identity+token\n");
    let cache = format!(
        "type=s3,bucket={BUCKET},region={REGION},endpoint_url={},use_path_style=true",
        server.url()
    );
    let web = [
        format!(
            "AWS_WEB_IDENTITY_TOKEN_FILE={}",
            machines.path("context/token").display()
        ),
        "AWS_ROLE_ARN=arn:aws:iam::1:role/ci".to_owned(),
        format!("AWS_ENDPOINT_URL_STS=http://{sts}/"),
    ];
    let pod = [
        format!("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://{pod}/v1/credentials"),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN=pod-token".to_owned(),
    ];
    let instance = [format!("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://{instance}")];
    for (number, variables) in [&web[..], &pod, &instance].into_iter().enumerate() {
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        let outcome = machines.croze_with(&variables, &number.to_string(), &["--cache-to", &cache]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("1 entries, "), "{}", outcome.stderr);
    }
    let none = ["AWS_EC2_METADATA_DISABLED=true"];
    let cache = format!("{cache},ignore-error=false");
    let outcome = machines.croze_with(&none, "none", &["--cache-to", &cache]);
    assert!(
        outcome.code != 0 && outcome.stderr.contains("no credentials: set"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_wrong_key_is_a_warning_that_says_what_to_check() {
    let server = S3Server::start();
    let machines = Machines::new(TWO_STEPS);
    let wrong = s3(&server).replace(SECRET, "another-secret");
    let shown = machines.build("one", &["--cache-from", &wrong]);
    assert!(
        shown.contains("is not asked any more") && shown.contains("SignatureDoesNotMatch"),
        "{shown}"
    );
    let outcome = machines.croze("one", &["--cache-to", &format!("{wrong},ignore-error=false")]);
    outcome.fails(
        7,
        &[
            "cannot export the cache to `s3://cache/team/manifests/buildkit/`",
            "check the bucket's name",
        ],
    );
    assert!(!outcome.stderr.contains("another-secret"), "{}", outcome.stderr);
    // Not even in what is said of a value that cannot be read.
    let outcome = machines.croze("one", &["--cache-to", &format!("{wrong},mode=most")]);
    outcome.fails(2, &["`mode` must be"]);
    assert!(!outcome.stderr.contains("another-secret"), "{}", outcome.stderr);
}

#[test]
fn a_store_that_is_down_is_only_warned_of() {
    let server = S3Server::start();
    let machines = Machines::new("FROM BASE/busybox\nRUN echo one > /one\n");
    let cache = s3(&server);
    machines.build("one", &["--cache-to", &cache]);
    server.set_down(true);
    let shown = machines.files("two", &["--cache-from", &cache]);
    assert_eq!(machines.read("two", "one"), "one\n");
    assert!(shown.contains("is not asked any more"), "{shown}");
}

#[test]
fn a_damaged_layer_or_entry_is_made_again() {
    let server = S3Server::start();
    let machines = Machines::new("FROM BASE/busybox\nRUN echo one > /one\nRUN cat /one /one > /two\n");
    let cache = s3(&server);
    machines.build("one", &["--cache-to", &cache]);
    let flip = |part: &str| {
        for name in server.names().into_iter().filter(|name| name.contains(part)) {
            let mut bytes = server.get(&name);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            server.put(&name, bytes);
        }
    };
    flip("/blobs/");
    let shown = machines.files("two", &["--cache-from", &cache]);
    assert_eq!(machines.read("two", "two"), "one\none\n");
    assert!(shown.contains("cannot be used"), "{shown}");
    flip("/manifests/");
    let shown = machines.files("three", &["--cache-from", &cache]);
    assert_eq!(machines.read("three", "two"), "one\none\n");
    assert!(shown.contains("has a damaged entry"), "{shown}");
}

#[test]
fn a_store_of_objects_is_not_looked_through() {
    let machines = Machines::new(TWO_STEPS);
    let cache = s3(&S3Server::start());
    machines
        .lab
        .croze(&["cache", "ls", &cache])
        .fails(2, &["cannot be looked through"]);
}
