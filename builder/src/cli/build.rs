//! `croze build`: enters the sandbox, builds, shows it, and says how it ended.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use indicatif::ProgressDrawTarget;
use tokio_util::sync::CancellationToken;

use super::args::{BuildArgs, GlobalArgs, ProgressArg};
use super::environment::Environment;
use super::failure::{Failure, Kind};
use super::locate::{self, Located, Place};
use super::request::ReadOnce;
use super::sandbox::{self, Say};
use super::signals::{self, Signals};
use super::store::{self, Sync};
use super::{PATIENCE, build_failure, policy, render, request, runner, runtime, within};
use crate::build::{self, BuildRequest, Finished, Interrupt, Services};
use crate::diagnostic::Diagnostic;
use crate::export;
use crate::fetch::Fetcher;
use crate::image::Allowance;
use crate::ops::ForeseenMount;
use crate::progress::{Bytes, Display, Groups, Plain, Progress, RawJson, Recorder, Tty};

/// Runs the command; returns the process's exit code.
pub(super) fn run(
    args: &BuildArgs,
    global: &GlobalArgs,
    root: &Path,
    environment: &Environment,
) -> Result<ExitCode, Failure> {
    let read = ReadOnce::new(args, environment)?;
    let bounds = store::bounds_of_build(&args.bounds, environment);
    let bounds = bounds.map_err(|error| Failure::because(Kind::Usage, &error))?;
    let place = policy::governed(locate::place(args)?, &read.policy)?;
    let at_hand = locate::at_hand(args, &place)?;
    let ready = at_hand.map(|located| request::build_request(args, environment, located, &read));
    let ready = ready.transpose()?;
    let allowance = request::allowance(args).map_err(request::usage)?;
    let (sandbox, no_sandbox) = sandbox::enter_for_build(args.sandbox.rung(), root, environment, say(args, global))?;
    let options = request::client_options(args, environment)?;
    let mut services = Services::open(root, options, sandbox, &store::tell_of_sweep).map_err(|error| match &ready {
        Some(request) => build_failure::Fixed::of(request, args.exit_code).failure(error, None),
        None => build_failure::unread(error),
    })?;
    let reserve = bounds
        .or_default(&services.state)
        .map_err(store::state_failure)?
        .min_free;
    services.allowance = Allowance {
        reserve: reserve.unwrap_or(allowance.reserve),
        ..allowance
    };
    let (state, lease) = (services.state.clone(), Arc::clone(&services.lease));
    let recorder = Recorder::new(Some(services.log_directory()));
    let runtime = runtime::start(&mut tokio::runtime::Builder::new_multi_thread())?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen()?
    };
    let request = match ready {
        Some(request) => request,
        None => {
            let fetcher = services.fetcher(&read.secrets, &request::fetching(args, environment)?);
            let build_args = request::build_args(args, environment)?;
            let located = runtime.block_on(fetching(args, &build_args, &place, &services, &fetcher, &mut signals));
            let request = located.and_then(|located| request::build_request(args, environment, located, &read));
            match request {
                Ok(request) => request,
                Err(failure) => {
                    // Standard input, from which the context may come, need never end.
                    runtime.shutdown_background();
                    return Err(failure);
                }
            }
        }
    };
    let fixed = build_failure::Fixed::of(&request, args.exit_code);
    let (progress, events) = Progress::channel();
    let display = display(args, environment, environment.colored(global.color)).spawn(events, recorder);
    let display = display.map_err(|error| Failure::because(Kind::Resource, &error))?;
    let outcome = runtime.block_on(interruptible(args, request, services, progress, &mut signals));
    // What still runs in the background (a download that nobody waits for) must not delay the end.
    runtime.shutdown_background();
    signals::obey();
    let sync = if args.no_sync { Sync::No } else { Sync::Wait };
    let unkempt = store::after_build(&state, &lease, &bounds, sync);
    let outcome = match outcome {
        Ok(outcome) => Ok(outcome),
        Err((error, None)) => Err(error),
        Err((error, Some(interrupted))) => {
            within(PATIENCE, move || drop(join(display)));
            return Err(fixed.interrupted(error, interrupted));
        }
    };
    let recorder = join(display);
    if let Some(recorder) = &recorder
        && shows_warnings(args)
    {
        show_warnings(recorder, environment.colored(global.color));
    }
    for warning in &unkempt {
        let _reader_gone = writeln!(
            io::stderr(),
            "{}",
            render::diagnostic(warning, environment.colored(global.color))
        );
    }
    match outcome {
        Ok(Outcome::Built(finished)) => report(args, &finished),
        Ok(Outcome::Planned(plan)) => {
            print(&plan.text)?;
            Ok(if plan.is_complete {
                ExitCode::SUCCESS
            } else {
                Kind::Check.into()
            })
        }
        Err(error) => Err(fixed.without_sandbox(no_sandbox).failure(error, recorder.as_ref())),
    }
}

/// Fetches the context; a signal ends that.
pub(super) async fn fetching(
    args: &BuildArgs,
    build_args: &BTreeMap<String, String>,
    place: &Place,
    services: &Services,
    fetcher: &Fetcher,
    signals: &mut Signals,
) -> Result<Located, Failure> {
    tokio::select! {
        located = locate::fetch(args, build_args, place, services, fetcher) => located,
        signal = signals.next() => Err(Failure::new(signal, Diagnostic::error("the build was interrupted"))),
    }
}

enum Outcome {
    Built(Box<Finished>),
    Planned(PlanText),
}

struct PlanText {
    text: String,
    is_complete: bool,
}

/// Plans and executes; the first signal ends the build gently, the second at once.
async fn interruptible(
    args: &BuildArgs,
    request: BuildRequest,
    services: Services,
    progress: Progress,
    signals: &mut Signals,
) -> Result<Outcome, (build::BuildError, Option<Kind>)> {
    let interrupt = Interrupt {
        cancel: CancellationToken::new(),
        kill: CancellationToken::new(),
    };
    let (cancel, kill) = (interrupt.cancel.clone(), interrupt.kill.clone());
    let metadata = (args.metadata_file.clone(), args.iidfile.clone());
    let work = async move {
        if args.plan {
            let planned = build::plan(request, services, progress, &interrupt).await?;
            let mounts = planned.mounts().await;
            let mounts = mounts.iter().map(|ForeseenMount { id, origin, size }| {
                let id = id.replace(char::is_control, " ");
                format!(
                    "mount     cache mount `{id}` begins with {} from `{origin}`\n",
                    Bytes(*size)
                )
            });
            let text = planned.to_string() + &mounts.collect::<String>();
            return Ok(Outcome::Planned(PlanText {
                text,
                is_complete: planned.is_complete(),
            }));
        }
        // Not when all is built and pushed.
        for path in [&metadata.0, &metadata.1].into_iter().flatten() {
            export::OutputFile::check(path)?;
        }
        let finished = build::run(request, services, progress, &interrupt).await?;
        finished.tell(metadata.0, metadata.1, &interrupt).await?;
        Ok(Outcome::Built(Box::new(finished)))
    };
    tokio::pin!(work);
    let mut received = None;
    loop {
        tokio::select! {
            outcome = &mut work => return outcome.map_err(|error| (error, received)),
            signal = signals.next() => {
                if received.is_some() {
                    kill.cancel();
                }
                received = received.or(Some(signal));
                cancel.cancel();
            }
        }
    }
}

fn display(args: &BuildArgs, environment: &Environment, colored: bool) -> Display {
    let stderr = || Box::new(io::BufWriter::new(io::stderr())) as Box<dyn io::Write + Send>;
    if args.quiet {
        return Display::Quiet;
    }
    if let Some(runner) = runner::of(args, environment) {
        return Display::Groups(Groups::new(stderr(), runner, runner::marks()));
    }
    match args.progress {
        ProgressArg::Tty => Display::Tty(Box::new(Tty::new(ProgressDrawTarget::stderr()))),
        ProgressArg::Auto if io::stderr().is_terminal() && colored => {
            Display::Tty(Box::new(Tty::new(ProgressDrawTarget::stderr())))
        }
        ProgressArg::Auto | ProgressArg::Plain | ProgressArg::Github | ProgressArg::Gitlab => {
            Display::Plain(Plain::new(stderr()))
        }
        ProgressArg::Quiet => Display::Quiet,
        ProgressArg::Rawjson => Display::RawJson(RawJson::new(stderr())),
    }
}

/// Returns how much is said about the sandbox.
fn say(args: &BuildArgs, global: &GlobalArgs) -> Say {
    match args.progress {
        ProgressArg::Rawjson => Say::Nothing,
        _ if global.verbose => Say::Reasons,
        ProgressArg::Quiet => Say::Nothing,
        _ if args.quiet => Say::Nothing,
        ProgressArg::Auto | ProgressArg::Tty | ProgressArg::Plain | ProgressArg::Github | ProgressArg::Gitlab => {
            Say::Choice
        }
    }
}

/// Returns whether warnings are shown once more at the end, where they are found again.
fn shows_warnings(args: &BuildArgs) -> bool {
    !args.quiet && !matches!(args.progress, ProgressArg::Quiet | ProgressArg::Rawjson)
}

/// Shows the places in the Dockerfile that were warned of.
fn show_warnings(recorder: &Recorder, colored: bool) {
    for warning in recorder.warnings().iter().filter(|warning| warning.source.is_some()) {
        let _reader_gone = writeln!(io::stderr(), "{}", render::diagnostic(warning, colored));
    }
}

fn join(display: JoinHandle<Recorder>) -> Option<Recorder> {
    display.join().ok()
}

fn report(args: &BuildArgs, finished: &Finished) -> Result<ExitCode, Failure> {
    if let (true, Some(image)) = (args.quiet, &finished.image) {
        print(&format!("{}\n", export::image_id(image)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints data on standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
    {
        // Whoever reads has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| Failure::because(Kind::Resource, &error)),
    }
}
