//! `EXPOSE`: ports and ranges of ports. Addresses and host ports, which mean something only to `docker run`, are
//! accepted and dropped.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use registry::oci::Empty;

use crate::diagnostic::{Diagnostic, Spanned};
use crate::frontend::history::list;
use crate::frontend::lowering::Lowering;
use crate::frontend::observe::Seen;
use crate::frontend::stage::OpenStage;

pub(super) fn lower(
    ports: &[Spanned<String>],
    stage: &mut OpenStage,
    lowering: &Lowering<'_>,
) -> Result<(), Diagnostic> {
    let mut exposed = BTreeSet::new();
    for written in ports {
        for word in lowering.words(written, stage)? {
            let span = written.span;
            lowering.see(Seen::Port { text: &word, span });
            let ports = parse(&word).map_err(|reason| {
                Diagnostic::error(format!("invalid port: \"{word}\": {reason}")).at(written.span, "")
            })?;
            exposed.extend(ports);
        }
    }
    let exposed: Vec<String> = exposed.into_iter().collect();
    stage.state.record(format!("EXPOSE {}", list(&exposed)));
    let exposed = exposed.into_iter().map(|port| (port, Empty {}));
    stage.state.config.config.exposed_ports.extend(exposed);
    Ok(())
}

/// Reads `[[address:]host-port:]port[-port][/protocol]`.
fn parse(text: &str) -> Result<Vec<String>, String> {
    let (address, host, container) = match text.rsplit_once(':') {
        None => ("", "", text),
        Some((rest, container)) => match rest.rsplit_once(':') {
            None => ("", rest, container),
            Some((address, host)) => (address, host, container),
        },
    };
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    if container.is_empty() {
        return Err("no port specified".to_owned());
    }
    let protocol = match protocol.to_lowercase().as_str() {
        "" => "tcp",
        "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(format!("invalid proto: {protocol}")),
    };
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    let ports = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    if !host.is_empty() {
        let host_ports = range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?;
        // One container port may be reached through any of several host ports.
        if ports.len() > 1 && ports.len() != host_ports.len() {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            ));
        }
    }
    Ok(ports.map(|port| format!("{port}/{protocol}")).collect())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    // Rust takes a plus sign, which is none here.
    let number = |text: &str| {
        text.bytes()
            .all(|c| c.is_ascii_digit())
            .then(|| text.parse::<u16>().ok())
            .flatten()
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = number(first)?..=number(last)?;
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_every_form_and_reduced_to_the_port() {
        for (text, ports) in [
            ("80", "80/tcp"),
            ("80/UDP", "80/udp"),
            ("80/sctp", "80/sctp"),
            ("80/", "80/tcp"),
            ("7000-7002/tcp", "7000/tcp 7001/tcp 7002/tcp"),
            ("8080:80", "80/tcp"),
            ("8080-8090:80", "80/tcp"),
            ("127.0.0.1:80:81", "81/tcp"),
            ("[::1]:80:81", "81/tcp"),
            ("::::80", "80/tcp"),
            ("0.0.0.0:1234-1235:3333-3334/tcp", "3333/tcp 3334/tcp"),
        ] {
            assert_eq!(parse(text).map(|ports| ports.join(" ")), Ok(ports.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_port_is_refused() {
        for (text, reason) in [
            ("", "no port specified"),
            ("0.0.0.0:1234-1235:", "no port specified"),
            ("localhost:1234:1234/tcp", "invalid IP address: localhost"),
            ("80/xyz", "invalid proto: xyz"),
            ("99999", "invalid containerPort: 99999"),
            ("+80", "invalid containerPort: +80"),
            ("20-10", "invalid containerPort: 20-10"),
            ("x:80", "invalid hostPort: x"),
            (
                "1-3:1-2",
                "invalid ranges specified for container and host Ports: 1-2 and 1-3",
            ),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text}");
        }
    }
}
