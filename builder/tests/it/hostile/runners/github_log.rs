//! A model of GitHub's runner reading the log of a job: which lines it obeys (`ActionCommand`, `ActionCommandManager`).

use std::collections::BTreeMap;

/// Commands that the runner knows; names are compared without regard to case.
const KNOWN: [&str; 16] = [
    "group",
    "endgroup",
    "error",
    "warning",
    "notice",
    "debug",
    "add-mask",
    "add-path",
    "set-env",
    "set-output",
    "save-state",
    "echo",
    "add-matcher",
    "remove-matcher",
    "internal-set-repo-path",
    "stop-commands",
];

/// What the runner has taken from a log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Titles of groups, in order.
    pub groups: Vec<String>,
    /// Annotations: command, properties, message.
    pub annotations: Vec<(String, BTreeMap<String, String>, String)>,
    /// Whatever else it obeyed.
    pub others: Vec<String>,
    /// Groups that were begun in a group, or ended though none was open, or never ended.
    pub unbalanced: usize,
    open: bool,
    token: Option<String>,
}

impl Log {
    /// Reads a whole log.
    pub(super) fn read(text: &str) -> Self {
        let mut log = Self::default();
        // Its reader ends a line at either character.
        for line in text.split(['\n', '\r']) {
            log.line(line);
        }
        log.unbalanced += usize::from(log.open);
        log
    }

    fn line(&mut self, line: &str) {
        let Some((name, properties, data)) = self.second_form(line).or_else(|| self.first_form(line)) else {
            return;
        };
        if let Some(token) = &self.token {
            if name == *token {
                self.token = None;
            }
            return;
        }
        match name.as_str() {
            "stop-commands" => self.token = Some(data.to_lowercase()),
            "group" => {
                self.unbalanced += usize::from(std::mem::replace(&mut self.open, true));
                self.groups.push(data);
            }
            "endgroup" => self.unbalanced += usize::from(!std::mem::replace(&mut self.open, false)),
            "error" | "warning" | "notice" => self.annotations.push((name, properties, data)),
            _ => self.others.push(name),
        }
    }

    fn known(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let is_known = KNOWN.contains(&name.as_str()) || self.token.as_ref() == Some(&name);
        is_known.then_some(name)
    }

    /// `::name key=value,key=value::data`, after white space.
    fn second_form(&self, line: &str) -> Option<(String, BTreeMap<String, String>, String)> {
        let (command, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = command.split_once(' ').unwrap_or((command, ""));
        let properties = properties.split(',').filter_map(|pair| pair.trim().split_once('='));
        let properties = properties.map(|(key, value)| {
            let value = unescaped(value).replace("%3A", ":").replace("%2C", ",");
            (key.to_lowercase(), value.replace("%25", "%"))
        });
        Some((
            self.known(name)?,
            properties.collect(),
            unescaped(data).replace("%25", "%"),
        ))
    }

    /// `##[name key=value;key=value]data`, anywhere.
    fn first_form(&self, line: &str) -> Option<(String, BTreeMap<String, String>, String)> {
        let (_, rest) = line.split_once("##[")?;
        let (command, data) = rest.split_once(']')?;
        let (name, _) = command.split_once(' ').unwrap_or((command, ""));
        Some((self.known(name)?, BTreeMap::new(), data.to_owned()))
    }
}

fn unescaped(text: &str) -> String {
    text.replace("%0D", "\r").replace("%0A", "\n")
}

#[test]
fn the_model_obeys_what_the_runner_obeys() {
    let log = Log::read(
        " ::group::a%25%0Ab\nx ::error::no\n::error file=a%2Cb,line=3::m%0An\n##[set-output name=x]y\n\
         ::stop-commands::Tok\n::endgroup::\n##[error]no\n::tok::\n::ENDGROUP::\n::unknown::\n::warning no\n",
    );
    assert_eq!(log.groups, ["a%\nb"]);
    let properties = [("file", "a,b"), ("line", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(
        log.annotations,
        [("error".to_owned(), properties.into(), "m\nn".to_owned())]
    );
    assert_eq!(log.others, ["set-output"]);
    assert_eq!(log.unbalanced, 0);
    assert_eq!(
        Log::read("::group::a\n::group::b\n::endgroup::\n::endgroup::\n").unbalanced,
        2
    );
}
