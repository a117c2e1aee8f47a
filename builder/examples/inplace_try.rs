//! Throw-away: runs a command in place of `/`.
use builder::executor::{Content, Credentials, Executor, Mount, MountSource, Network, Privileges, Process, Stop, Tree};
use std::path::Path;
fn main() {
    if builder::executor::init_main_if_asked().is_some() { return; }
    let args: Vec<String> = std::env::args().collect();
    let entered = builder::rung::enter(Some("in-place".parse().unwrap()), Path::new("/.croze/state"));
    let entered = match entered { Ok(e) => e, Err(e) => { for t in &e.trials { println!("{t:?}"); } panic!("{e}") } };
    println!("{}", entered.confinement);
    let scratch = Path::new("/.croze/scratch");
    std::fs::create_dir_all(scratch).unwrap();
    std::fs::create_dir_all("/.croze/cache").unwrap();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let executor = Executor::new(scratch, entered.confinement).unwrap();
        let process = Process {
            args: args[2..].to_vec(), env: vec![], cwd: "/".into(), credentials: Credentials::default(), privileges: Privileges::Docker,
            rootfs: Tree::Directory(args[1].clone().into()),
            mounts: vec![Mount { target: "/run/secrets/x".into(), source: MountSource::File { content: Content(b"sec\n".to_vec()), mode: 0o400, uid: 0, gid: 0 } },
             Mount { target: "/var/cache/apt".into(), source: MountSource::Bind { tree: Tree::Directory("/.croze/cache".into()), path: "/".into(), writable: true } }],
            network: Network::Default, hostname: "here".into(), extra_hosts: vec![], resolv_conf: "nameserver 127.0.0.1\n".into(), shm_size: 0, limits: vec![],
        };
        let (_s, stop) = tokio::sync::watch::channel(Stop::No);
        for _ in 0..2 {
        let t = std::time::Instant::now();
        let r = executor.run(&process, |_, b| print!("{}", String::from_utf8_lossy(&b)), stop.clone()).await;
        println!("{:?} {:?}", t.elapsed(), r);
        }
    });
}
