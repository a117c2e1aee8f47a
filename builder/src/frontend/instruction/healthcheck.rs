//! `HEALTHCHECK`.

use registry::oci::Healthcheck;

use crate::diagnostic::Diagnostic;
use crate::dockerfile::{CommandForm, HealthcheckTest};
use crate::frontend::history;
use crate::frontend::stage::OpenStage;

/// Returns the test as the config has it. The shell that runs a line is chosen when it runs, so `SHELL` is not put in.
pub(super) fn test(test: &HealthcheckTest) -> Vec<String> {
    match test {
        HealthcheckTest::None => vec!["NONE".to_owned()],
        HealthcheckTest::Cmd(CommandForm::Exec(args)) => {
            std::iter::once("CMD".to_owned()).chain(args.iter().cloned()).collect()
        }
        HealthcheckTest::Cmd(CommandForm::Shell { line, .. }) => vec!["CMD-SHELL".to_owned(), line.value.clone()],
    }
}

/// Sets the health check.
pub(super) fn lower(check: Healthcheck, stage: &mut OpenStage) -> Result<(), Diagnostic> {
    stage
        .state
        .record(format!("HEALTHCHECK {}", history::healthcheck(&check)));
    stage.state.config.config.healthcheck = Some(check);
    Ok(())
}
