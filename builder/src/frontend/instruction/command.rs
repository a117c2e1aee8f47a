//! `CMD`, `ENTRYPOINT` and `SHELL`: what a container runs.

use registry::oci::ImageConfig;

use crate::diagnostic::Diagnostic;
use crate::dockerfile::CommandForm;
use crate::frontend::history::{list, quoted_list};
use crate::frontend::stage::OpenStage;

pub(super) fn cmd(command: &CommandForm, stage: &mut OpenStage) -> Result<(), Diagnostic> {
    let args = arguments(command, &stage.state.config);
    stage.state.record(format!("CMD {}", quoted_list(&args)));
    stage.has_cmd = true;
    let config = &mut stage.state.config.config;
    config.cmd = some_unless_empty(args);
    // Deprecated, but Docker still looks at it; BuildKit sets it for either form.
    config.args_escaped = true;
    Ok(())
}

/// Sets the entry point. A `CMD` that was inherited spoke to another program and goes; one of this stage stays.
pub(super) fn entrypoint(command: &CommandForm, stage: &mut OpenStage) -> Result<(), Diagnostic> {
    let args = arguments(command, &stage.state.config);
    stage.state.record(format!("ENTRYPOINT {}", quoted_list(&args)));
    let config = &mut stage.state.config.config;
    config.entrypoint = some_unless_empty(args);
    if !stage.has_cmd {
        config.cmd = None;
    }
    Ok(())
}

pub(super) fn shell(shell: &[String], stage: &mut OpenStage) -> Result<(), Diagnostic> {
    stage.state.record(format!("SHELL {}", list(shell)));
    stage.state.config.config.shell = shell.to_vec();
    Ok(())
}

fn arguments(command: &CommandForm, config: &ImageConfig) -> Vec<String> {
    match command {
        CommandForm::Exec(args) => args.clone(),
        CommandForm::Shell { line, .. } => with_shell(config, line),
    }
}

/// Returns the arguments that have the image's shell run a line.
pub(super) fn with_shell(config: &ImageConfig, line: &str) -> Vec<String> {
    let shell = match (&config.config.shell[..], config.os.as_str()) {
        ([], "windows") => ["cmd", "/S", "/C"].map(str::to_owned).to_vec(),
        ([], _) => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
        (shell, _) => shell.to_vec(),
    };
    shell.into_iter().chain([line.to_owned()]).collect()
}

/// An empty list means in a config that nothing is set.
fn some_unless_empty(args: Vec<String>) -> Option<Vec<String>> {
    (!args.is_empty()).then_some(args)
}
