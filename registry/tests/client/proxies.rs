//! Proxies and private authorities: how a registry behind a proxy is reached and whose certificate is believed.

use registry::client::{Client, ClientError, ClientOptions, ErrorKind, Proxies};
use registry::oci::MediaType;

use crate::docker_registry::TLS;
use crate::fault_registry::FaultRegistry;
use crate::fixtures::{Image, chain, options, reference};
use crate::origins::{Proxy, answering, tls_registry};

/// Options that lead everything through a proxy.
fn through(proxy: &Proxy, user: &str) -> ClientOptions {
    let address = format!("http://{user}{}", proxy.address);
    let variables = [("HTTPS_PROXY", address.as_str()), ("HTTP_PROXY", address.as_str())];
    ClientOptions {
        proxies: Proxies::from_variables(variables).unwrap(),
        ..options()
    }
}

fn believing(options: ClientOptions) -> Client {
    Client::new(ClientOptions {
        extra_ca: vec![format!("{TLS}/corp.pem").into()],
        ..options
    })
}

fn keep_image(registry: &FaultRegistry) {
    registry.put_manifest("app", "1", MediaType::MANIFEST, &Image::new("amd64").manifest);
}

#[tokio::test]
async fn a_registry_behind_a_proxy_is_reached_and_only_the_proxy_gets_the_proxys_password() {
    let (registry, address) = tls_registry("registry.test.pem", None).await;
    keep_image(&registry);
    let proxy = Proxy::start().await;
    proxy.lead("registry.test:443", address);
    let client = believing(through(&proxy, "me:hunter2@"));
    client.manifest(&reference("registry.test/app:1")).await.unwrap();
    let heads = proxy.heads();
    assert!(heads[0].starts_with("connect registry.test:443 "), "{heads:?}");
    assert!(heads[0].contains("proxy-authorization: basic "), "{heads:?}");
    assert!(
        registry
            .seen()
            .iter()
            .all(|seen| !seen.headers.contains_key("proxy-authorization"))
    );

    // What is on this machine needs no proxy.
    let here = FaultRegistry::start().await;
    keep_image(&here);
    client.manifest(&here.reference("app:1")).await.unwrap();
    assert_eq!(proxy.heads().len(), heads.len());
}

#[tokio::test]
async fn plain_http_goes_through_a_proxy_too_and_hosts_of_no_proxy_do_not() {
    let registry = FaultRegistry::start().await;
    keep_image(&registry);
    let proxy = Proxy::start().await;
    proxy.lead("registry.test:5000", registry.address.parse().unwrap());
    let insecure: std::collections::BTreeSet<String> = ["registry.test:5000".to_owned()].into();
    let client = Client::new(ClientOptions {
        insecure: insecure.clone(),
        ..through(&proxy, "me:hunter2@")
    });
    client.manifest(&reference("registry.test:5000/app:1")).await.unwrap();
    let heads = proxy.heads();
    let plain = heads.iter().find(|head| head.starts_with("get http://")).unwrap();
    assert!(plain.contains("proxy-authorization: basic "), "{plain}");

    let address = format!("http://{}", proxy.address);
    let variables = [("ALL_PROXY", address.as_str()), ("NO_PROXY", ".test")];
    let direct = Client::new(ClientOptions {
        insecure,
        proxies: Proxies::from_variables(variables).unwrap(),
        ..options()
    });
    direct
        .manifest(&reference("registry.test:5000/app:1"))
        .await
        .unwrap_err();
    assert_eq!(proxy.heads().len(), heads.len());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    for (status, words) in [
        ("407 Proxy Authentication Required", "proxy authorization required"),
        ("502 Bad Gateway", "tunnel error"),
    ] {
        let proxy = Proxy::start().await;
        proxy.refuse(status);
        let client = Client::new(through(&proxy, "me:hunter2@"));
        let error = client.manifest(&reference("registry.test/app:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        assert_eq!(
            error.to_string(),
            format!(
                "cannot connect for `GET https://registry.test/v2/app/manifests/1` through the proxy `http://{}`",
                proxy.address
            )
        );
        let shown = format!("{} {:?} {error:?}", chain(&error), error.hint());
        assert!(shown.contains(words) && shown.contains("HTTPS_PROXY"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_for_plain_http_is_understood() {
    let proxy = Proxy::start().await;
    proxy.refuse("407 Proxy Authentication Required");
    let client = Client::new(ClientOptions {
        insecure: ["registry.test:5000".to_owned()].into(),
        ..through(&proxy, "")
    });
    let error = client
        .manifest(&reference("registry.test:5000/app:1"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("407 Proxy Authentication Required"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("USER:PASSWORD"), "{:?}", error.hint());
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let address = format!("http://{closed}");
    let client = Client::new(ClientOptions {
        proxies: Proxies::from_variables([("HTTPS_PROXY", address.as_str())]).unwrap(),
        ..options()
    });
    let error = client.manifest(&reference("registry.test/app:1")).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Proxy { proxy, .. } if *proxy == address),
        "{error:?}"
    );
    assert!(chain(&error).contains("Connection refused"), "{}", chain(&error));
}

#[tokio::test]
async fn r10_a_certificate_that_is_not_good_is_refused_with_its_names() {
    for (file, host, ca, words) in [
        (
            "registry.test.pem",
            "registry.test",
            None,
            "that authority is not trusted here",
        ),
        (
            "registry.test.pem",
            "other.test",
            Some("corp.pem"),
            "certificate not valid for name \"other.test\"",
        ),
        (
            "expired.pem",
            "registry.test",
            Some("corp.pem"),
            "it expired at 2021-01-01T00:00:00Z, and this machine's clock is 2",
        ),
    ] {
        let (registry, address) = tls_registry(file, None).await;
        keep_image(&registry);
        let proxy = Proxy::start().await;
        proxy.lead(&format!("{host}:443"), address);
        let client = Client::new(ClientOptions {
            extra_ca: ca.iter().map(|ca| format!("{TLS}/{ca}").into()).collect(),
            ..through(&proxy, "")
        });
        let error = client.manifest(&reference(&format!("{host}/app:1"))).await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
        let shown = chain(&error);
        assert!(
            shown.contains("its certificate is `CN=registry.test`, issued by `O=Corp, CN=Corp Root`: ")
                && shown.contains(words),
            "{shown}"
        );
        let hint = error.hint().unwrap();
        for option in [
            "--registry-ca",
            "SSL_CERT_FILE",
            "/etc/docker/certs.d",
            "/etc/containers/certs.d",
        ] {
            assert!(hint.contains(option), "{hint}");
        }
        assert!(
            registry.seen().is_empty() && proxy.heads().len() == 1,
            "{:?}",
            proxy.heads()
        );
    }
}

#[tokio::test]
async fn r10_nothing_falls_back_to_plain_http_or_old_tls() {
    // The first answers as a server that knows TLS 1.1 at most, the second speaks plain HTTP.
    for answer in [
        &b"\x15\x03\x02\x00\x02\x02\x46"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (address, said) = answering(answer).await;
        let proxy = Proxy::start().await;
        proxy.lead("registry.test:443", address.parse().unwrap());
        let client = Client::new(through(&proxy, ""));
        let error = client.manifest(&reference("registry.test/app:1")).await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
        let said = said.lock().unwrap();
        assert!(
            !said.is_empty() && said.iter().all(|bytes| bytes.starts_with(&[0x16, 3])),
            "no TLS was spoken"
        );
        assert!(
            proxy
                .heads()
                .iter()
                .all(|head| head.starts_with("connect registry.test:443 "))
        );
    }
}

#[tokio::test]
async fn an_insecure_registry_is_that_host_only() {
    let (registry, address) = tls_registry("expired.pem", None).await;
    keep_image(&registry);
    let proxy = Proxy::start().await;
    for name in ["registry.test:443", "other.test:443", "registry.test:5000"] {
        proxy.lead(name, address);
    }
    let client = Client::new(ClientOptions {
        insecure: ["registry.test".to_owned()].into(),
        ..through(&proxy, "")
    });
    client.manifest(&reference("registry.test/app:1")).await.unwrap();
    for other in ["other.test/app:1", "registry.test:5000/app:1"] {
        let error = client.manifest(&reference(other)).await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_directory_of_certificates_speaks_for_its_registry_and_shows_the_clients_own() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("registry.test");
    std::fs::create_dir(&host).unwrap();
    for (from, to) in [
        ("corp.pem", "ca.crt"),
        ("client.pem", "me.cert"),
        ("client.key", "me.key"),
    ] {
        std::fs::copy(format!("{TLS}/{from}"), host.join(to)).unwrap();
    }
    let (registry, address) = tls_registry("registry.test.pem", Some("corp.pem")).await;
    keep_image(&registry);
    let proxy = Proxy::start().await;
    proxy.lead("registry.test:443", address);
    let with_directory = Client::new(ClientOptions {
        certificate_dirs: vec!["/nonexistent".into(), dir.path().to_owned()],
        ..through(&proxy, "")
    });
    with_directory
        .manifest(&reference("registry.test/app:1"))
        .await
        .unwrap();
    // Without a certificate of its own the client is not let in.
    believing(through(&proxy, ""))
        .manifest(&reference("registry.test/app:1"))
        .await
        .unwrap_err();
    assert_eq!(registry.seen().len(), 1);
}

#[tokio::test]
async fn a_registry_at_a_literal_ipv6_address_is_reached() {
    let tcp = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let registry = FaultRegistry::start_on(tcp, address.clone());
    keep_image(&registry);
    registry.demand_tokens(crate::fault_registry::TokenRules::default());
    let image = reference(&format!("{address}/app:1"));
    Client::new(options()).manifest(&image).await.unwrap();
    assert_eq!(registry.seen()[0].headers["host"], *address);
}
