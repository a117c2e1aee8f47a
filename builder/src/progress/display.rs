//! The thread that shows a build: one loop, one display, and the recorder beside it.

use std::io::{self, Write};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Event, Events, Groups, Plain, Queued, RawJson, Recorder, Tty};

/// How often a display may catch up when nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// Where events are shown.
pub enum Display {
    /// On a terminal.
    Tty(Box<Tty>),
    /// As lines.
    Plain(Plain<Box<dyn Write + Send>>),
    /// As groups of a CI runner.
    Groups(Groups<Box<dyn Write + Send>>),
    /// As JSON.
    RawJson(RawJson<Box<dyn Write + Send>>),
    /// Nowhere.
    Quiet,
}

impl Display {
    /// Shows events on a thread of its own until the last sender is gone; the thread returns the recorder.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn spawn(mut self, events: Events, mut recorder: Recorder) -> io::Result<JoinHandle<Recorder>> {
        std::thread::Builder::new().name("display".to_owned()).spawn(move || {
            loop {
                let shown = match events.recv_timeout(TICK) {
                    Ok(Queued { event, room: _held }) => {
                        recorder.event(&event);
                        self.event(event)
                    }
                    Err(RecvTimeoutError::Timeout) => self.tick(),
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                // Whoever read our output has gone (a closed pipe): the build goes on unseen.
                if shown.is_err() {
                    self = Self::Quiet;
                }
            }
            match self {
                Self::Tty(tty) => tty.finish(),
                Self::Plain(mut plain) => {
                    let _reader_gone = plain.finish();
                }
                Self::Groups(mut groups) => {
                    let _reader_gone = groups.finish();
                }
                Self::RawJson(_) | Self::Quiet => {}
            }
            recorder
        })
    }

    fn event(&mut self, event: Event) -> io::Result<()> {
        match self {
            Self::Tty(tty) => {
                tty.event(event);
                Ok(())
            }
            Self::Plain(plain) => plain.event(event),
            Self::Groups(groups) => groups.event(event),
            Self::RawJson(rawjson) => rawjson.event(event),
            Self::Quiet => Ok(()),
        }
    }

    fn tick(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.tick(),
            Self::Groups(groups) => groups.tick(),
            _ => Ok(()),
        }
    }
}
