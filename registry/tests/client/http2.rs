//! Row R9: servers that use HTTP/2 to attack. Whatever frames they send, and however many, a request ends within its bounds
//! and takes no memory worth mentioning. Frames are written by hand (RFC 9113, section 4.1), as no honest library sends these.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use registry::client::{Client, ClientError, ClientOptions, ErrorKind, Proxies};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::docker_registry::TLS;
use crate::fixtures::{chain, options, reference};
use crate::origins::Proxy;

// Types of frames, and their flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// The longest that all may take beside each other, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(30);

/// Memory that all may cost together, in KiB.
const MOST_MEMORY: u64 = 64 << 10;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// What a server sends when it has got a request: first once, then again and again.
struct Attack {
    name: &'static str,
    once: Vec<u8>,
    again: Vec<u8>,
}

fn attacks() -> Vec<Attack> {
    // `:status: 200` by its index, then a literal header that is kept, and that kept header again and again.
    let status = [0x88];
    let literal = [&[0x40, 1, b'x', 0x7f, 0x80 | 0x01, 0x1e][..], &[b'y'; 4000]].concat();
    let (kept, many) = ([&status[..], &literal].concat(), [0xbe_u8; 16_000]);
    let attack = |name, once: Vec<u8>, again: Vec<u8>| Attack { name, once, again };
    vec![
        attack(
            "headers that never end",
            frame(HEADERS, 0, 1, &status),
            frame(CONTINUATION, 0, 1, &[0x40, 1, b'x', 1, b'y'].repeat(3000)),
        ),
        attack(
            "headers that are empty and never end",
            frame(HEADERS, 0, 1, &status),
            frame(CONTINUATION, 0, 1, &[]).repeat(1000),
        ),
        attack(
            "few bytes that stand for many",
            frame(HEADERS, 0, 1, &kept),
            frame(CONTINUATION, 0, 1, &many),
        ),
        attack(
            "settings",
            vec![],
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]).repeat(1000),
        ),
        attack("pings", vec![], frame(PING, 0, 0, &[7; 8]).repeat(1000)),
        attack(
            "streams that are reset",
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]),
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]),
        ),
        attack(
            "promises",
            vec![],
            frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &status[..]].concat()),
        ),
        attack(
            "windows that overflow",
            vec![],
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        attack(
            "a farewell without end",
            vec![],
            frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]),
        ),
        attack(
            "a body in empty pieces",
            frame(HEADERS, END_HEADERS, 1, &status),
            frame(DATA, 0, 1, &[]).repeat(1000),
        ),
        attack(
            "news that are never the last",
            vec![],
            frame(HEADERS, END_HEADERS, 1, b"\x48\x03100").repeat(1000),
        ),
        attack(
            "a frame that is too long",
            vec![],
            [&[0xff; 3][..], &[DATA, 0, 0, 0, 0, 1]].concat(),
        ),
        attack("bytes that are no frames", vec![], vec![0xff; 9000]),
    ]
}

/// Serves an attack to whoever comes; returns the port, and how many have come and speak HTTP/2.
async fn attacker(attack: Arc<Attack>) -> (SocketAddr, Arc<AtomicUsize>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/registry.test.key")).unwrap();
    let certificate = CertificateDer::from_pem_file(format!("{TLS}/registry.test.pem")).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, attacked) = (tcp.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&attacked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = tcp.accept().await.unwrap();
            let (acceptor, attack, count) = (acceptor.clone(), Arc::clone(&attack), Arc::clone(&count));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, &attack, &count).await;
                }
            });
        }
    });
    (address, attacked)
}

/// Sends the attack until the client has gone.
async fn serve(stream: TlsStream<TcpStream>, attack: &Attack, count: &AtomicUsize) {
    let (mut from, mut to) = tokio::io::split(stream);
    // The request has come when its stream is opened; what comes before is of the connection.
    let mut heard = vec![0; 4096];
    let length = from.read(&mut heard).await.unwrap_or(0);
    if !heard[..length].starts_with(b"PRI * HTTP/2.0") {
        return;
    }
    count.fetch_add(1, Ordering::Relaxed);
    tokio::spawn(async move { while from.read(&mut heard).await.is_ok_and(|length| length > 0) {} });
    let opening = [frame(SETTINGS, 0, 0, &[]), attack.once.clone()].concat();
    if to.write_all(&opening).await.is_err() {
        return;
    }
    while to.write_all(&attack.again).await.is_ok() && to.flush().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Returns the most memory that this process ever had, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Asks a server that attacks for a manifest; returns why there is none.
async fn ask(attack: Attack) -> (&'static str, ClientError) {
    let name = attack.name;
    let proxy = Proxy::start().await;
    let (address, attacked) = attacker(Arc::new(attack)).await;
    proxy.lead("registry.test:443", address);
    let client = Client::new(ClientOptions {
        extra_ca: vec![format!("{TLS}/corp.pem").into()],
        proxies: Proxies::from_variables([("HTTPS_PROXY", proxy.address.as_str())]).unwrap(),
        idle_timeout: Duration::from_millis(500),
        answer_timeout: Duration::from_secs(1),
        ..options()
    });
    let error = client.manifest(&reference("registry.test/app:1")).await.unwrap_err();
    assert!(attacked.load(Ordering::Relaxed) > 0, "{name}: {}", chain(&error));
    (name, error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_a_server_that_attacks_with_frames_costs_neither_time_nor_memory() {
    let (begun, before) = (Instant::now(), memory());
    let all = attacks();
    let mut asked = all.into_iter().map(ask).collect::<tokio::task::JoinSet<_>>();
    while let Some(ended) = tokio::time::timeout(LONGEST, asked.join_next()).await.expect("it ends") {
        let (name, error) = ended.unwrap();
        // Nothing of it is taken for an answer.
        assert!(
            matches!(error.kind(), ErrorKind::Network | ErrorKind::Registry),
            "{name}: {}",
            chain(&error)
        );
    }
    let grown = memory() - before;
    assert!(grown < MOST_MEMORY, "{grown} KiB");
    assert!(begun.elapsed() < LONGEST, "{:?}", begun.elapsed());
}
