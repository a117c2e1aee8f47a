//! The probe: runs inside a step and tries what the step should not be able to do.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::SigSet;
use nix::unistd::{getresgid, getresuid, mkfifo};
use rustix::fs::{
    CWD, Mode, OFlags, RenameFlags, ResolveFlags, XattrFlags, getxattr, openat2, renameat_with, setxattr,
};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, OpenTreeFlags, fsopen, open_tree};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Pid, PidfdFlags, geteuid, getpid, getuid, pidfd_open};
use rustix::pty::{ptsname, unlockpt};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::{leaving, messages, random_calls};

/// First argument of a probe.
pub(crate) const ARGUMENT: &str = "--probe";

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["calls"] => calls(),
        ["user"] => println!("{} {}", getuid().as_raw(), geteuid().as_raw()),
        ["ids"] => {
            let (users, groups) = (getresuid().unwrap(), getresgid().unwrap());
            println!(
                "{} {} {} / {} {} {}",
                users.real, users.effective, users.saved, groups.real, groups.effective, groups.saved
            );
        }
        ["connect", path] => println!("{}", told(UnixStream::connect(path).map(drop))),
        ["trace"] => trace(),
        ["filter"] => filter(),
        ["send-without-room", seconds, meanwhile] => send_without_room(seconds.parse().unwrap(), meanwhile),
        ["open-fifo", path] => open_fifo(path),
        ["kill-at-once", times] => println!("{}", (0..times.parse().unwrap()).filter(|_| kill_at_once()).count()),
        ["call", path] => {
            let listener = UnixListener::bind(path).unwrap();
            println!("{}", told(UnixStream::connect(path).map(drop)));
            listener.accept().unwrap();
        }
        ["bind", path] => drop(UnixListener::bind(path).unwrap()),
        ["thread"] => {
            println!("{}", std::thread::spawn(|| "from a thread").join().unwrap());
        }
        ["connect-abstract", name] => {
            let address = SocketAddr::from_abstract_name(name).unwrap();
            println!("{}", told(UnixStream::connect_addr(&address).map(drop)));
        }
        ["listen-abstract", name] => listen(name),
        ["exchange", a, b] => exchange(a, b),
        ["random-credentials", seed] => random_calls::credentials(seed.parse().unwrap()),
        ["random-files", seed] => random_calls::files(seed.parse().unwrap()),
        ["set-capabilities", path] => {
            // Version 2: effective, CAP_NET_RAW.
            let value = [[1, 0, 0, 2], [0, 0x20, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
            setxattr(path, "security.capability", &value, XattrFlags::empty()).unwrap();
        }
        ["has-capabilities", path] => {
            println!("{}", getxattr(path, "security.capability", &mut [0; 64]).is_ok());
        }
        ["truncate", path] => nix::unistd::truncate(path, 1).unwrap(),
        ["touch", path] => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
            let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666)).unwrap();
            File::from(file)
                .set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }
        ["open-beneath", directory, path] => {
            let directory = File::open(directory).unwrap();
            let (flags, how) = (
                OFlags::WRONLY | OFlags::CREATE,
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            );
            let made = openat2(&directory, path, flags, Mode::from_raw_mode(0o644), how);
            println!("{}", told(made.map(drop).map_err(io::Error::from)));
        }
        ["reach", name] => messages::reach(name),
        ["leave", way, outside] => leaving::leave(way, outside),
        ["own-terminal"] => own_terminal(),
        ["truncate-self"] => {
            let opened = File::options().write(true).truncate(true).open("/proc/self/exe");
            println!("{}", told(opened.map(drop)));
        }
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

/// Stops a child, which nothing but a filter forbids.
fn trace() {
    let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    println!(
        "{}",
        told(builder::sys::stop_after_call(Pid::from_child(&child)).map(drop))
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Installs a filter that forbids nothing.
fn filter() {
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let (allow, refuse) = (SeccompAction::Allow, SeccompAction::Errno(1));
    let filter = SeccompFilter::new([].into(), allow, refuse, architecture);
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    println!("{}", told(builder::sys::install_filter(&program)));
}

/// Sends a message for which there is room after some seconds; a shell does something with this process meanwhile.
fn send_without_room(seconds: u64, meanwhile: &str) {
    const SOCKET: &str = "/tmp/full";
    let receiver = UnixDatagram::bind(SOCKET).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", SOCKET).is_ok() {}
    sender.set_nonblocking(false).unwrap();
    let script = format!("sleep 0.4; {meanwhile}");
    let arguments = ["-c", &script, &std::process::id().to_string()];
    let mut shell = Command::new("/bin/sh").args(arguments).spawn().unwrap();
    let reader = std::thread::spawn(move || {
        // Signals are the sender's.
        SigSet::all().thread_block().unwrap();
        std::thread::sleep(Duration::from_secs(seconds));
        println!("receives");
        receiver.recv(&mut [0]).unwrap();
        receiver
    });
    println!("{}", told(sender.send_to(b"x", SOCKET).map(drop)));
    reader.join().unwrap();
    shell.wait().unwrap();
}

/// Opens a FIFO that somebody else opens later, and another file then; tells their descriptors.
fn open_fifo(path: &str) {
    mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("sleep 0.3; echo > {path}");
    let mut writer = Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
    let (fifo, other) = (File::open(path).unwrap(), File::open("/dev/null").unwrap());
    println!("{} {}", fifo.as_raw_fd(), other.as_raw_fd());
    writer.wait().unwrap();
}

/// Kills a child that has just started a program, and returns whether that is how it ended.
fn kill_at_once() -> bool {
    let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(libc::SIGKILL)
}

fn calls() {
    let family = |number: u16| socket(AddressFamily::from_raw(number), SocketType::STREAM, None).map(drop);
    let or = |result: Result<(), Errno>| told(result.map_err(io::Error::from));
    let nix = |result: nix::Result<()>| told(result.map_err(io::Error::from));
    let own_namespace = File::open("/proc/self/ns/uts").unwrap();
    println!("unshare-user {}", nix(unshare(CloneFlags::CLONE_NEWUSER)));
    println!("unshare-mount {}", nix(unshare(CloneFlags::CLONE_NEWNS)));
    println!("fsopen {}", or(fsopen("tmpfs", FsOpenFlags::empty()).map(drop)));
    println!(
        "open-tree {}",
        or(open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE).map(drop))
    );
    println!("socket-alg {}", or(family(38)));
    println!("socket-vsock {}", or(family(40)));
    println!(
        "socket-netlink {}",
        or(socket(AddressFamily::NETLINK, SocketType::RAW, None).map(drop))
    );
    println!("socket-unix {}", or(family(1)));
    println!("setns {}", nix(setns(own_namespace, CloneFlags::CLONE_NEWUTS)));
    println!("pidfd-open {}", or(pidfd_open(getpid(), PidfdFlags::empty()).map(drop)));
    println!("sethostname {}", or(rustix::system::sethostname(b"x")));
}

/// Exchanges two names, again and again, until somebody removes a file.
fn exchange(a: &str, b: &str) {
    const SIGN: &str = "/x/racing";
    drop(File::create(SIGN).unwrap());
    while Path::new(SIGN).exists() {
        for _ in 0..100 {
            renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
        }
    }
}

/// Makes a terminal and opens it by its name.
fn own_terminal() {
    let master = File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let opened = File::options().read(true).write(true).open(name.to_str().unwrap());
    println!("{}", told(opened.map(drop)));
}

fn listen(name: &str) {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        if listener.accept().is_ok() {
            println!("somebody came");
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("nobody came");
}

/// Tells what became of something.
pub(crate) fn told(result: io::Result<()>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => match error.raw_os_error().map(nix::errno::Errno::from_raw) {
            Some(errno) => format!("{errno:?}"),
            None => error.to_string(),
        },
    }
}
