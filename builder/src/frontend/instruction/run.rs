//! `RUN`: a command in the stage's root file system.

use std::borrow::Cow;

use super::command::with_shell;
use super::mount::Mounts;
use super::proxy;
use super::{Input, device, script};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::dockerfile::{CommandForm, RunDevice, RunMount, did_you_mean};
use crate::frontend::history::run_command;
use crate::frontend::lowering::Lowering;
use crate::frontend::name::with_capital_keyword;
use crate::frontend::request::Entitlement;
use crate::frontend::stage::OpenStage;
use crate::frontend::stages::Step;
use crate::op::{MountSource, Network, Op, RunOp, Security};

/// The host name of steps, unless another is asked for.
const HOSTNAME: &str = "buildkitsandbox";

/// `RUN` as written.
pub(super) struct Run<'a> {
    pub(super) command: &'a CommandForm,
    pub(super) mounts: &'a [RunMount],
    pub(super) network: Option<&'a Spanned<String>>,
    pub(super) security: Option<&'a Spanned<String>>,
    pub(super) devices: &'a [RunDevice],
}

/// Runs a command. `inputs` holds, for each mount, where its `from` has led.
pub(super) fn lower(
    run: &Run<'_>,
    step: &Step<'_>,
    inputs: &[Input],
    stage: &mut OpenStage,
    lowering: &mut Lowering<'_>,
) -> Result<(), Diagnostic> {
    let devices = device::resolve(run.devices, lowering)?;
    let security = choose_security(run.security, lowering)?;
    let network = choose_network(run.network, lowering)?;

    let mut mounts = Mounts::new(stage.state.rootfs.into_iter().collect());
    for (mount, from) in run.mounts.iter().zip(inputs) {
        mounts.add(mount, *from, stage, lowering)?;
    }
    if let Some(size) = lowering.request.shm_size {
        mounts.push("/dev/shm".to_owned(), MountSource::Tmpfs { size: Some(size) });
    }

    let script = script::of(run.command, step.text);
    let args = match &script.line {
        script::Line::Exec(args) => args.clone(),
        script::Line::Shell(line) => with_shell(&stage.state.config, line),
    };
    let text = format!(
        "RUN {} # buildkit",
        run_command(&args, &stage.state.args, &stage.state.env)
    );
    let title = title(
        step,
        script.summary.as_deref(),
        &mounts.secret_variables,
        stage,
        lowering,
    );

    let mut env = stage.state.env.clone();
    if let (Some(socket), None) = (mounts.agents.first(), env.get("SSH_AUTH_SOCK")) {
        env.set("SSH_AUTH_SOCK", socket);
    }
    let request = lowering.request;
    let hostname = request
        .build_args
        .get("BUILDKIT_SANDBOX_HOSTNAME")
        .or(request.hostname.as_ref());
    let op = Op::Run(RunOp {
        scratch: stage.state.rootfs.is_none(),
        args,
        proxy_env: proxy::variables(&request.build_args, &env),
        env: env.entries().to_vec(),
        cwd: stage.state.cwd().to_owned(),
        user: stage.state.config.config.user.clone(),
        mounts: mounts.mounts,
        script: script.file,
        devices,
        security,
        network,
        hostname: hostname.map_or(HOSTNAME, String::as_str).to_owned(),
        extra_hosts: request.add_hosts.clone(),
        no_cache: stage.no_cache,
    });
    let name = stage.next_name(&title, step.trigger);
    let vertex = lowering.add(op, mounts.inputs, name, &stage.label, Some(step.origin));
    stage.state.record_layer(text, vertex, vertex);
    Ok(())
}

/// Returns what progress calls the step; variables that hold secrets are shown as stars.
fn title(
    step: &Step<'_>,
    heredoc: Option<&str>,
    secrets: &[String],
    stage: &OpenStage,
    lowering: &Lowering<'_>,
) -> String {
    let mut env = Cow::Borrowed(&stage.state.env);
    for name in secrets {
        env.to_mut().set(name, "****");
    }
    let mut command = step.instruction.original.trim().to_owned();
    if let Some(heredoc) = heredoc {
        command.push_str(&format!(" ({heredoc})"));
    }
    with_capital_keyword(&lowering.expander.display_command(&command, &env))
}

fn choose_network(written: Option<&Spanned<String>>, lowering: &Lowering<'_>) -> Result<Network, Diagnostic> {
    let Some(written) = written else {
        return Ok(lowering.request.network);
    };
    match written.as_str() {
        "default" => Ok(lowering.request.network),
        "none" => Ok(Network::None),
        "host" => {
            check_entitlement(Entitlement::NetworkHost, written, lowering)?;
            Ok(Network::Host)
        }
        other => Err(unknown("network", other, written, ["default", "none", "host"])),
    }
}

fn choose_security(written: Option<&Spanned<String>>, lowering: &Lowering<'_>) -> Result<Security, Diagnostic> {
    let Some(written) = written else {
        return Ok(Security::Sandbox);
    };
    match written.as_str() {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => {
            check_entitlement(Entitlement::SecurityInsecure, written, lowering)?;
            Ok(Security::Insecure)
        }
        other => Err(unknown("security", other, written, ["sandbox", "insecure"])),
    }
}

fn check_entitlement(
    needed: Entitlement,
    written: &Spanned<String>,
    lowering: &Lowering<'_>,
) -> Result<(), Diagnostic> {
    if lowering.only_looks || lowering.request.allow.contains(&needed) {
        return Ok(());
    }
    let name = needed.name();
    Err(Diagnostic::error(format!("entitlement {name} is not allowed"))
        .at(written.span, "")
        .help(format!("allow it with `--allow {name}`")))
}

fn unknown<const N: usize>(flag: &str, value: &str, written: &Spanned<String>, values: [&str; N]) -> Diagnostic {
    let suggestion = did_you_mean(value, values);
    Diagnostic::error(format!("invalid value `{value}` for `--{flag}`{suggestion}"))
        .at(written.span, format!("one of `{}`", values.join("`, `")))
}
