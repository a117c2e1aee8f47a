//! A model of GitLab reading the log of a job: where its sections begin and end.

use regex::Regex;

/// What GitLab has taken from a log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Headers of sections, in order.
    pub sections: Vec<String>,
    /// Sections that were begun in another, or whose end has no beginning, or that have no end.
    pub unbalanced: usize,
    /// Characters that steer its view, but for those of marks.
    pub steering: usize,
}

impl Log {
    /// Reads a whole log.
    pub(super) fn read(text: &str) -> Self {
        let mark =
            Regex::new("(\x1b\\[0K)?section_(start|end):([0-9]+):([a-zA-Z0-9_.-]+)(\\[[^\\]]*\\])?\r\x1b\\[0K([^\n]*)")
                .unwrap();
        let mut log = Self::default();
        let mut open: Option<String> = None;
        for found in mark.captures_iter(text) {
            let name = found[4].to_owned();
            if &found[2] == "start" {
                log.unbalanced += usize::from(open.replace(name).is_some());
                log.sections.push(found[6].to_owned());
            } else {
                log.unbalanced += usize::from(open.take() != Some(name));
            }
        }
        log.unbalanced += usize::from(open.is_some());
        let rest = mark.replace_all(text, "");
        log.steering = rest
            .chars()
            .filter(|c| c.is_control() && !matches!(c, '\n' | '\t'))
            .count();
        log
    }
}

#[test]
fn the_model_sees_the_sections_that_gitlab_sees() {
    let start = "\x1b[0Ksection_start:1:a[collapsed=true]\r\x1b[0KHeader";
    let end = "section_end:2:a\r\x1b[0K";
    let log = Log::read(&format!("{start}\nx\n{end}\nsection_start:1:b no\n"));
    assert_eq!(log.sections, ["Header"]);
    assert_eq!((log.unbalanced, log.steering), (0, 0));
    assert_eq!(Log::read(&format!("{start}\n{start}\n{end}\n\x1b[2J")).unbalanced, 1);
    assert_eq!(Log::read("\x1b[2J").steering, 1);
}
