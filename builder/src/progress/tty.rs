//! `--progress=tty`: running steps with their last log lines and bars of what is pulled and pushed;
//! ended steps scroll up as one line each.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::clean::{Lines, clean};
use super::{Event, StepId};

/// Log lines shown under a running step.
const LOG_LINES: usize = 4;
/// How often spinners and times move.
const TICK: Duration = Duration::from_millis(120);

/// Shows events on a terminal.
pub struct Tty {
    multi: MultiProgress,
    head: ProgressBar,
    steps: Vec<Step>,
    ended: usize,
}

struct Step {
    name: String,
    started: Option<SystemTime>,
    running: Option<Running>,
    ended: bool,
}

/// The lines on the screen that belong to a running step.
struct Running {
    title: ProgressBar,
    log: Option<ProgressBar>,
    tail: VecDeque<String>,
    lines: Lines,
    transfers: BTreeMap<String, ProgressBar>,
    /// What the step has brought about: shown below it when it has ended.
    outcomes: Vec<String>,
}

impl Tty {
    /// Draws on `target`, the terminal of standard error outside of tests.
    pub fn new(target: ProgressDrawTarget) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let head = multi.add(ProgressBar::new_spinner());
        head.set_style(style("[+] building {elapsed} {msg}"));
        head.enable_steady_tick(TICK);
        Self {
            multi,
            head,
            steps: Vec::new(),
            ended: 0,
        }
    }

    /// Takes one event.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Declared { name, .. } => {
                self.steps.push(Step {
                    name: clean(name.as_bytes()),
                    started: None,
                    running: None,
                    ended: false,
                });
            }
            Event::Started { step, at } => self.start(step, at),
            Event::Cached { step, .. } => self.end(step, "CACHED", String::new()),
            Event::Completed { step, at, error } => {
                let started = self.steps.get(step.0 as usize).and_then(|s| s.started);
                let took = started
                    .and_then(|started| at.duration_since(started).ok())
                    .unwrap_or_default();
                let mark = if error.is_some() { "ERROR" } else { "" };
                self.end(step, mark, format!("{:.1}s", took.as_secs_f64()));
            }
            Event::Log { step, bytes, .. } => self.log(step, &bytes),
            Event::Transfer {
                step,
                item,
                current,
                total,
                done,
                ..
            } => self.transfer(step, &item, current, total, done),
            Event::Outcome { step, text, .. } => {
                if let Some(running) = self.running(step) {
                    running.outcomes.push(clean(text.as_bytes()));
                }
            }
            Event::Warning(warning) => self.print(&format!("warning: {}", clean(warning.message.as_bytes()))),
        }
        self.head.set_message(format!("({}/{})", self.ended, self.steps.len()));
    }

    /// Takes what is still on the screen away; ended steps stay.
    pub fn finish(self) {
        for step in &self.steps {
            if let Some(running) = &step.running {
                running.clear();
            }
        }
        self.head.finish_and_clear();
    }

    fn running(&mut self, step: StepId) -> Option<&mut Running> {
        self.steps.get_mut(step.0 as usize)?.running.as_mut()
    }

    fn start(&mut self, step: StepId, at: SystemTime) {
        let multi = &self.multi;
        if let Some(step) = self.steps.get_mut(step.0 as usize) {
            let title = multi.add(ProgressBar::new_spinner());
            title.set_style(style(" => {wide_msg} {elapsed}"));
            title.set_message(step.name.clone());
            title.enable_steady_tick(TICK);
            // When a build is planned anew, a step that was cancelled runs again.
            self.ended -= usize::from(std::mem::take(&mut step.ended));
            step.started = Some(at);
            step.running = Some(Running {
                title,
                log: None,
                tail: VecDeque::new(),
                lines: Lines::default(),
                transfers: BTreeMap::new(),
                outcomes: Vec::new(),
            });
        }
    }

    fn end(&mut self, step: StepId, mark: &str, took: String) {
        let Some(step) = self.steps.get_mut(step.0 as usize).filter(|step| !step.ended) else {
            return;
        };
        step.ended = true;
        self.ended += 1;
        let running = step.running.take();
        if let Some(running) = &running {
            running.clear();
        }
        let line = [" =>", mark, &step.name, &took]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>();
        let line = line.join(" ");
        self.print(&line);
        for outcome in running.iter().flat_map(|running| &running.outcomes) {
            self.print(&format!(" => => {outcome}"));
        }
    }

    fn log(&mut self, step: StepId, bytes: &[u8]) {
        let multi = self.multi.clone();
        let Some(running) = self.running(step) else { return };
        for line in running.lines.push(bytes) {
            if running.tail.len() == LOG_LINES {
                running.tail.pop_front();
            }
            running.tail.push_back(line);
        }
        let below = &running.title;
        let log = running.log.get_or_insert_with(|| {
            let log = multi.insert_after(below, ProgressBar::new_spinner());
            log.set_style(style("{msg}"));
            log
        });
        let width = usize::from(console_width()).saturating_sub(8).max(20);
        let shown: Vec<String> = running
            .tail
            .iter()
            .map(|line| format!("    # {}", line.chars().take(width).collect::<String>()))
            .collect();
        log.set_message(shown.join("\n"));
    }

    fn transfer(&mut self, step: StepId, item: &str, current: u64, total: Option<u64>, done: bool) {
        let multi = self.multi.clone();
        let Some(running) = self.running(step) else { return };
        let below = &running.title;
        let bar = running.transfers.entry(item.to_owned()).or_insert_with(|| {
            let bar = multi.insert_after(below, ProgressBar::new(total.unwrap_or(0)));
            bar.set_style(match total {
                Some(_) => style("    {bar:24} {bytes:>10}/{total_bytes:10} {msg}"),
                None => style("    {bytes:>10} {msg}"),
            });
            // Digests say little: the first digits are enough to tell layers apart.
            bar.set_message(clean(item.as_bytes()).chars().take(28).collect::<String>());
            bar
        });
        bar.set_position(current);
        if done {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        // A terminal that has gone away must not stop the build.
        let _gone = self.multi.println(line);
    }
}

impl Running {
    fn clear(&self) {
        for bar in self.transfers.values().chain(&self.log).chain([&self.title]) {
            bar.finish_and_clear();
        }
    }
}

/// Makes a style of a template that is known to be right.
fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Columns of the terminal on standard error, 80 if there is none.
fn console_width() -> u16 {
    rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col)
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;
    use registry::oci::Digest;

    use super::*;
    use crate::progress::Stream;

    #[test]
    fn a_running_step_shows_its_last_lines_and_an_ended_one_a_single_line() {
        let terminal = InMemoryTerm::new(20, 80);
        let mut tty = Tty::new(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let (step, at) = (StepId(0), SystemTime::UNIX_EPOCH);
        tty.event(Event::Declared {
            step,
            name: "[1/1] RUN make".to_owned(),
            digest: Digest::of(b""),
            inputs: vec![],
        });
        tty.event(Event::Started { step, at });
        for line in ["one\n", "two\n", "three\n", "four\n", "five\u{1b}[2J\n"] {
            tty.event(Event::Log {
                step,
                stream: Stream::Stdout,
                bytes: line.as_bytes().into(),
                at,
            });
        }
        let shown = terminal.contents();
        assert!(
            shown.contains("[1/1] RUN make") && shown.contains("# five") && !shown.contains("one"),
            "{shown}"
        );
        tty.event(Event::Completed {
            step,
            at: at + Duration::from_millis(1500),
            error: None,
        });
        tty.finish();
        assert_eq!(terminal.contents().trim(), "=> [1/1] RUN make 1.5s");
    }
}
