//! One file per instruction, or family of them: what it does to the graph, the config and the history.

mod arg;
mod command;
mod copy;
mod device;
mod expose;
mod healthcheck;
mod metadata;
mod mount;
mod ownership;
mod proxy;
mod run;
mod script;
mod stop_signal;
mod workdir;

pub use proxy::is_proxy;

use registry::oci::Healthcheck;

use super::lowering::Lowering;
use super::stage::OpenStage;
use super::stages::Step;
use crate::diagnostic::Diagnostic;
use crate::dockerfile::InstructionKind;
use crate::graph::VertexId;

/// What a `--from` of a step has led to: `None` if there is none, `Some(None)` for a place without files.
pub(super) type Input = Option<Option<VertexId>>;

/// Performs an instruction on a stage.
pub(super) fn lower(
    step: &Step<'_>,
    inputs: &[Input],
    stage: &mut OpenStage,
    lowering: &mut Lowering<'_>,
) -> Result<(), Diagnostic> {
    match &step.instruction.kind {
        InstructionKind::Run {
            command,
            mounts,
            network,
            security,
            devices,
        } => {
            let run = run::Run {
                command,
                mounts,
                network: network.as_ref(),
                security: security.as_ref(),
                devices,
            };
            run::lower(&run, step, inputs, stage, lowering)
        }
        InstructionKind::Copy(copy) => copy::lower_copy(copy, step, inputs, stage, lowering),
        InstructionKind::Add(add) => copy::lower_add(add, step, stage, lowering),
        InstructionKind::Workdir(path) => workdir::lower(path, step, stage, lowering),
        InstructionKind::Arg(definitions) => arg::lower(definitions, stage, lowering),
        InstructionKind::Env(pairs) => metadata::env(pairs, stage, lowering),
        InstructionKind::Label(pairs) => metadata::label(pairs, stage, lowering),
        InstructionKind::User(user) => metadata::user(user, stage, lowering),
        InstructionKind::Volume(paths) => metadata::volume(paths, stage, lowering),
        InstructionKind::Maintainer(name) => metadata::maintainer(name, stage),
        InstructionKind::Onbuild { expression, .. } => metadata::onbuild(expression, stage),
        InstructionKind::Cmd(command) => command::cmd(command, stage),
        InstructionKind::Entrypoint(command) => command::entrypoint(command, stage),
        InstructionKind::Shell(shell) => command::shell(shell, stage),
        InstructionKind::Expose(ports) => expose::lower(ports, stage, lowering),
        InstructionKind::StopSignal(signal) => stop_signal::lower(signal, stage, lowering),
        InstructionKind::Healthcheck {
            test,
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
        } => {
            let check = Healthcheck {
                test: healthcheck::test(test),
                interval: *interval,
                timeout: *timeout,
                start_period: *start_period,
                start_interval: *start_interval,
                retries: *retries,
            };
            healthcheck::lower(check, stage)
        }
    }
}
