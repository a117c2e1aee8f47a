//! The command line: the only place that prints, exits, or reads the environment.

pub mod args;
mod build;
mod build_failure;
mod caches;
mod call;
mod config_source;
mod contexts;
mod credentials;
mod doctor;
mod entitlements;
mod environment;
mod excerpt;
mod failure;
mod foreign;
mod history;
mod key_agent;
mod locate;
mod pointer;
mod outputs;
mod policy;
mod registries;
mod render;
mod request;
mod runner;
mod runtime;
mod sandbox;
mod signals;
mod ssh;
mod store;
mod values;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use environment::{Environment, absolute};
use failure::{Failure, Kind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::diagnostic::Diagnostic;

/// The variable with which tests arm a fault.
const FAULT: &str = "CROZE_FAULT";
/// How long a croze that is to end waits for who reads what it prints.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    leave_no_core_dump();
    // The panic itself has been printed by then.
    std::panic::catch_unwind(run_to_end).unwrap_or_else(|_| Kind::Bug.into())
}

/// Keeps the secrets that this process and its helpers know out of core dumps. The hard limit stays, which `--ulimit` of a
/// step may be up to.
fn leave_no_core_dump() {
    let limit = getrlimit(Resource::Core);
    // Lowering a limit is always allowed.
    let _lowered = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            ..limit
        },
    );
}

fn run_to_end() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let message = foreign::explained(error);
            // Help and version are no errors and go to standard output; both are for clap to print.
            let _reader_gone = message.print();
            return if message.use_stderr() {
                Kind::Usage.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let environment = Environment::of_process();
    let armed = environment.text(FAULT).map_or(Ok(()), |fault| fault::arm(&fault));
    let armed = armed.map_err(|error| Failure::because(Kind::Usage, &error));
    match armed.and_then(|()| run(&cli, &environment)) {
        Ok(code) => code,
        Err(failure) => {
            let colored = environment.colored(cli.global.color);
            let runner = match &cli.command {
                Command::Build(args) => runner::of(args, &environment),
                _ => None,
            };
            let code = failure.kind;
            let say = move || {
                let _reader_gone = std::io::stderr().write_all(render::failure(&failure, colored).as_bytes());
                runner::annotate(runner.as_ref(), &failure.diagnostics);
            };
            match code {
                Kind::Interrupted | Kind::Terminated => within(PATIENCE, say),
                _ => say(),
            }
            code.into()
        }
    }
}

/// Does something on a thread of its own and waits for its end, though not for ever: nobody may read what croze prints
/// any more, and a signal is to end it all the same.
fn within(patience: Duration, act: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let started = std::thread::Builder::new().spawn(move || {
        act();
        let _nobody_waits = done.send(());
    });
    if started.is_ok() {
        let _in_time = is_done.recv_timeout(patience);
    }
}

fn run(cli: &Cli, environment: &Environment) -> Result<ExitCode, Failure> {
    let root = || {
        let root = cli
            .global
            .root
            .as_deref()
            .map(absolute)
            .or_else(|| environment.state_directory());
        root.ok_or_else(|| {
            let message = Diagnostic::error("there is no place for the state directory: `HOME` is not set");
            Failure::new(
                Kind::Environment,
                message.help("name one with `--root` or `CROZE_ROOT`"),
            )
        })
    };
    match &cli.command {
        Command::Build(args) => {
            return match call::question(args)? {
                Some(question) => call::run(question, args, &cli.global, &root()?, environment),
                None => build::run(args, &cli.global, &root()?, environment),
            };
        }
        Command::Doctor(args) => return doctor::run(args, &root()?, environment),
        Command::Explain(args) => build::print(&history::explain(&root()?, args)?)?,
        Command::Graph(args) => build::print(&history::graph(&root()?, args)?)?,
        Command::History(args) => build::print(&history::list(&root()?, args)?)?,
        Command::Logs(args) => history::logs(&root()?, args)?,
        Command::Du(args) => {
            sandbox::enter_for_store(&root()?, environment, &cli.global)?;
            build::print(&store::usage(&root()?, args)?)?;
        }
        Command::Prune(args) => {
            sandbox::enter_for_store(&root()?, environment, &cli.global)?;
            build::print(&store::prune(&root()?, args)?)?;
        }
        Command::Verify(args) => {
            sandbox::enter_for_store(&root()?, environment, &cli.global)?;
            return verify::run(&root()?, args);
        }
        Command::Cache(command) => build::print(&block_on(caches::run(command, environment))?)?,
        Command::Login(args) => build::print(&block_on(credentials::login(args, environment))?)?,
        Command::Logout(args) => build::print(&block_on(credentials::logout(args, environment))?)?,
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "croze", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::start(&mut tokio::runtime::Builder::new_current_thread())?;
    let outcome = runtime.block_on(work);
    // What blocks, such as a read of standard input, need never end.
    runtime.shutdown_background();
    outcome
}
