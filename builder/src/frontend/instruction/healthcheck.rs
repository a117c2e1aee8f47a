//! `HEALTHCHECK`.

use registry::oci::Healthcheck;

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{CommandForm, HealthcheckTest, InstructionKind};
use crate::frontend::history;
use crate::frontend::stage::OpenStage;

/// Sets the health check. The shell that runs its shell form is chosen when it runs, so `SHELL` is not put in.
pub(super) fn lower(kind: &InstructionKind, stage: &mut OpenStage) -> Result<(), Diagnostic> {
    let InstructionKind::Healthcheck {
        test,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    } = kind
    else {
        return Ok(());
    };
    let test = match test {
        HealthcheckTest::None => vec!["NONE".to_owned()],
        HealthcheckTest::Cmd(CommandForm::Exec(args)) => {
            std::iter::once("CMD".to_owned()).chain(args.iter().cloned()).collect()
        }
        HealthcheckTest::Cmd(CommandForm::Shell { line, .. }) => vec!["CMD-SHELL".to_owned(), line.value.clone()],
    };
    let check = Healthcheck {
        test,
        interval: *interval,
        timeout: *timeout,
        start_period: *start_period,
        start_interval: *start_interval,
        retries: *retries,
    };
    stage
        .state
        .record(format!("HEALTHCHECK {}", history::healthcheck(&check)));
    stage.state.config.config.healthcheck = Some(check);
    Ok(())
}
