//! Sockets that have a path, where the kernel has another root than the step, or the step's tree is no mount.

use std::io::IoSlice;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::net::{
    MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrUnix, addr::SocketAddrArg as _, sendmmsg, sendmsg_addr,
};

use super::Test;
use crate::harness::Sandbox;
use crate::isolation::probing;
use crate::tests;

pub(crate) const TESTS: &[Test] = tests![sockets_are_reached_by_every_call_and_name];

/// Reaches sockets of a name in the working directory in all ways that there are; prints what arrives.
pub(crate) fn reach(name: &str) {
    let inbox = UnixDatagram::bind(name).unwrap();
    let outside = UnixDatagram::unbound().unwrap();
    outside.send_to(b"to", name).unwrap();
    let address = SocketAddrUnix::new(name).unwrap();
    let flags = SendFlags::empty();
    let pieces = [IoSlice::new(b"ms"), IoSlice::new(b"g")];
    sendmsg_addr(&outside, &address, &pieces, &mut SendAncillaryBuffer::default(), flags).unwrap();
    let address = address.as_any();
    let (mut first, mut second) = (SendAncillaryBuffer::default(), SendAncillaryBuffer::default());
    let mut messages = [
        MMsgHdr::new_with_addr(&address, &pieces[..1], &mut first),
        MMsgHdr::new_with_addr(&address, &pieces[1..], &mut second),
    ];
    let sent = sendmmsg(&outside, &mut messages, flags).unwrap();
    let lengths: Vec<usize> = messages[..sent].iter().map(MMsgHdr::bytes_sent).collect();
    sendmmsg(&outside, &mut messages[sent..], flags).unwrap();
    println!("sent {}", lengths[0]);
    for _ in 0..4 {
        let mut message = [0; 8];
        let length = inbox.recv(&mut message).unwrap();
        println!("{}", String::from_utf8_lossy(&message[..length]));
    }
    std::fs::remove_file(name).unwrap();
    let listener = UnixListener::bind(name).unwrap();
    let _stream = UnixStream::connect(name).unwrap();
    listener.accept().unwrap();
    println!("{}", std::env::current_dir().unwrap().display());
}

fn sockets_are_reached_by_every_call_and_name(sandbox: &Sandbox) {
    for name in ["inbox", &"x".repeat(105)] {
        let step = probing(sandbox, &["reach", name]);
        let ran = step.with(|process| process.cwd = "/tmp".into()).run();
        assert_eq!(ran.report.stdout, "sent 2\nto\nmsg\nms\ng\n/tmp\n", "{:?}", ran.report);
        assert!(ran.layer().contains(&format!("/tmp/{name}")), "{:?}", ran.layer());
    }
}
