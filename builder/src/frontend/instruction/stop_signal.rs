//! `STOPSIGNAL`: a signal that exists on Linux, by number or name.

use crate::diagnostic::{Diagnostic, Spanned};
use crate::frontend::lowering::Lowering;
use crate::frontend::stage::OpenStage;

/// The names of signals, without `SIG`; real-time signals are computed.
const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

pub(super) fn lower(
    signal: &Spanned<String>,
    stage: &mut OpenStage,
    lowering: &Lowering<'_>,
) -> Result<(), Diagnostic> {
    let name = lowering.word(signal, stage)?;
    if !is_signal(&name) {
        return Err(Diagnostic::error(format!("invalid signal: {name}")).at(signal.span, ""));
    }
    stage.state.record(format!("STOPSIGNAL {name}"));
    stage.state.config.config.stop_signal = name;
    Ok(())
}

fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i32>() {
        return number != 0;
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    NAMES.contains(&name) || real_time(name, "RTMIN+", 1..=15) || real_time(name, "RTMAX-", 1..=14)
}

fn real_time(name: &str, prefix: &str, range: std::ops::RangeInclusive<u8>) -> bool {
    let offset = name.strip_prefix(prefix).and_then(|offset| offset.parse().ok());
    offset.is_some_and(|offset| range.contains(&offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_numbers_and_names_in_any_case() {
        for good in ["9", "SIGTERM", "term", "sigKILL", "RTMIN", "SIGRTMIN+3", "RTMAX-14"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "SIG", "SIGTREM", "RTMIN+16", "RTMAX-15", "-x"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
