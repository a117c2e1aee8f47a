//! `ExposeProtoCasing` and `ExposeInvalidFormat`.

use super::StageRule;
use crate::frontend::Seen;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns of protocols in capitals, and of addresses and host ports, which only `docker run` can use.
pub(super) struct Ports;

impl StageRule for Ports {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        let Seen::Port { text, span } = seen else { return };
        let (port, protocol) = text.rsplit_once('/').unwrap_or((text, ""));
        if protocol != protocol.to_lowercase() {
            let detail = format!("Defined protocol '{text}' in EXPOSE instruction should be lowercase");
            findings.warn(&rule::EXPOSE_PROTO_CASING, detail, *span);
        }
        if port.contains(':') {
            let detail =
                format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'");
            findings.warn(&rule::EXPOSE_INVALID_FORMAT, detail, *span);
        }
    }
}
