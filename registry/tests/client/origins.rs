//! Other ends of a connection: a server with TLS, one that answers bytes as they are given, and a proxy.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::docker_registry::TLS;
use crate::fault_registry::FaultRegistry;

/// Accepts TLS connections; those whose handshake fails are dropped.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Starts a registry that is called `registry.test` and shows the certificate in `file`; returns it with its port. With
/// `for_clients_of`, an authority's file, it wants to see a certificate too.
pub(crate) async fn tls_registry(file: &str, for_clients_of: Option<&str>) -> (FaultRegistry, SocketAddr) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match for_clients_of {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate(authority)).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/registry.test.key")).unwrap();
    let config = builder.with_single_cert(vec![certificate(file)], key).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let registry = FaultRegistry::start_on(TlsListener { tcp, acceptor }, "registry.test".to_owned());
    (registry, address)
}

fn certificate(file: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(format!("{TLS}/{file}")).unwrap()
}

/// Starts a server that answers every connection with `bytes`, whatever is said; returns its address and what is said.
pub(crate) async fn answering(bytes: impl Into<Vec<u8>>) -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let bytes = bytes.into();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut first = vec![0; 4096];
            let length = stream.read(&mut first).await.unwrap_or(0);
            first.truncate(length);
            heard.lock().unwrap().push(first);
            let _gone = stream.write_all(&bytes).await;
        }
    });
    (address, said)
}

/// A proxy that leads names to ports of this machine.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: String,
    heads: Arc<Mutex<Vec<String>>>,
    routes: Arc<Mutex<HashMap<String, SocketAddr>>>,
    refusal: Arc<Mutex<Option<&'static str>>>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (heads, routes, refusal) = Default::default();
        let proxy = Self {
            address: tcp.local_addr().unwrap().to_string(),
            heads,
            routes,
            refusal,
        };
        let serving = proxy.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = tcp.accept().await.unwrap();
                let proxy = serving.clone();
                tokio::spawn(async move { proxy.serve(stream).await });
            }
        });
        proxy
    }

    /// Leads `host:port` to an address.
    pub(crate) fn lead(&self, name: &str, to: SocketAddr) {
        self.routes.lock().unwrap().insert(name.to_owned(), to);
    }

    /// Refuses everything with a status line.
    pub(crate) fn refuse(&self, status: &'static str) {
        *self.refusal.lock().unwrap() = Some(status);
    }

    /// Returns the heads of all requests, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        self.heads.lock().unwrap().push(text.clone());
        let refusal = *self.refusal.lock().unwrap();
        let target = text.split(' ').nth(1).unwrap().to_owned();
        let is_tunnel = text.starts_with("connect ");
        let name = match target.strip_prefix("http://") {
            Some(rest) => rest.split('/').next().unwrap().to_owned(),
            None => target,
        };
        let route = self.routes.lock().unwrap().get(&name).copied();
        let (Some(to), None) = (route, refusal) else {
            let status = refusal.unwrap_or("502 Bad Gateway");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _gone = stream.write_all(answer.as_bytes()).await;
            return;
        };
        let mut upstream = TcpStream::connect(to).await.unwrap();
        if is_tunnel {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        } else {
            let _gone = upstream.write_all(&head).await;
        }
        let _ended = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
    }
}
