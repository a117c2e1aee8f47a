//! A syntax tree as text that parses to the same tree, places apart.

use super::{
    instruction::{
        AddOptions, ArgDefinition, CommandForm, CopyOptions, Dockerfile, FileSource, HealthcheckTest, Heredoc,
        Instruction, InstructionKind, KeyValue, RunMount, Stage,
    },
    lines::without_continuation,
};
use crate::diagnostic::Spanned;

/// Returns a Dockerfile that means what the tree says: one line an instruction, heredocs after it.
pub fn print(file: &Dockerfile) -> String {
    let mut out = String::new();
    let directives = [
        ("syntax", file.syntax.as_ref().map(|syntax| syntax.as_str())),
        ("escape", (file.escape == '`').then_some("`")),
        ("check", file.check.as_ref().map(|check| check.as_str())),
    ];
    for (name, value) in directives {
        if let Some(value) = value {
            out.push_str(&format!("# {name}={value}\n"));
        }
    }
    // Without it, a comment that looks like a directive would become one.
    out.push('\n');
    let mut printer = Printer {
        out,
        escape: file.escape,
    };
    file.globals.iter().for_each(|global| printer.instruction(global));
    for stage in &file.stages {
        printer.stage(stage);
        stage
            .instructions
            .iter()
            .for_each(|instruction| printer.instruction(instruction));
    }
    printer.out
}

struct Printer {
    out: String,
    escape: char,
}

impl Printer {
    fn stage(&mut self, stage: &Stage) {
        self.comments(&stage.comments);
        let mut rest = stage.base.value.clone();
        if let Some(name) = &stage.name {
            rest.push_str(" AS ");
            rest.push_str(name);
        }
        let flags = [self.flag("platform", stage.platform.as_ref())];
        self.line("FROM", &flags.concat(), &rest);
    }

    fn comments(&mut self, comments: &[String]) {
        for comment in comments {
            self.out.push_str(&format!("# {comment}\n"));
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        self.comments(&instruction.comments);
        let keyword = instruction.keyword.as_str();
        let (flags, rest, heredocs) = self.parts(&instruction.kind);
        self.line(keyword, &flags, &rest);
        for heredoc in heredocs {
            self.out.push_str(&format!("{}{}\n", heredoc.body, heredoc.name));
        }
    }

    fn line(&mut self, keyword: &str, flags: &str, rest: &str) {
        let start = self.out.len();
        self.out.push_str(keyword);
        self.out.push_str(flags);
        if rest.starts_with("--") {
            self.out.push_str(" --");
        }
        if !rest.is_empty() {
            self.out.push(' ');
            self.out.push_str(rest);
        }
        if without_continuation(&self.out[start..], self.escape).1 {
            // White space that hides the escape character from the next line, and is trimmed.
            self.out.push('\u{b}');
        }
        self.out.push('\n');
    }

    /// Gives the flags with a blank before each, what follows them, and the heredocs.
    fn parts<'a>(&self, kind: &'a InstructionKind) -> (String, String, Vec<&'a Heredoc>) {
        let no_flags = String::new;
        match kind {
            InstructionKind::Run {
                command,
                mounts,
                network,
                security,
                devices,
            } => {
                let mut flags: String = mounts.iter().map(|mount| self.mount(mount)).collect();
                flags.push_str(&self.flag("network", network.as_ref()));
                flags.push_str(&self.flag("security", security.as_ref()));
                flags.extend(devices.iter().map(|device| self.flag("device", Some(&device.written))));
                let (rest, heredocs) = command_text(command);
                (flags, rest, heredocs)
            }
            InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => {
                (no_flags(), command_text(command).0, Vec::new())
            }
            InstructionKind::Label(pairs) | InstructionKind::Env(pairs) => {
                (no_flags(), joined(pairs.iter().map(pair)), Vec::new())
            }
            InstructionKind::Arg(definitions) => (no_flags(), joined(definitions.iter().map(definition)), Vec::new()),
            InstructionKind::Expose(ports) => (
                no_flags(),
                joined(ports.iter().map(|port| port.value.clone())),
                Vec::new(),
            ),
            InstructionKind::Volume(volumes) => (no_flags(), list(volumes.iter().collect()), Vec::new()),
            InstructionKind::Maintainer(text)
            | InstructionKind::User(text)
            | InstructionKind::Workdir(text)
            | InstructionKind::StopSignal(text) => (no_flags(), text.value.clone(), Vec::new()),
            // The text of a trigger has what ends the flags in it already.
            InstructionKind::Onbuild { expression, .. } => {
                (format!(" {}", expression.value), String::new(), Vec::new())
            }
            InstructionKind::Shell(words) => (no_flags(), json(words), Vec::new()),
            InstructionKind::Copy(options) => self.copy(options),
            InstructionKind::Add(options) => self.add(options),
            InstructionKind::Healthcheck {
                test,
                interval,
                timeout,
                start_period,
                start_interval,
                retries,
            } => {
                let time = |name, value: &u64| number(name, *value, "ns");
                let flags = [
                    time("interval", interval),
                    time("timeout", timeout),
                    time("start-period", start_period),
                    time("start-interval", start_interval),
                    number("retries", *retries, ""),
                ];
                let rest = match test {
                    HealthcheckTest::None => "NONE".to_owned(),
                    HealthcheckTest::Cmd(command) => format!("CMD {}", command_text(command).0),
                };
                (flags.concat(), rest, Vec::new())
            }
        }
    }

    fn copy<'a>(&self, options: &'a CopyOptions) -> (String, String, Vec<&'a Heredoc>) {
        let flags = [
            self.flag("from", options.from.as_ref()),
            self.ownership(options.chown.as_ref(), options.chmod.as_ref(), options.link),
            switch("parents", options.parents.then_some(true)),
            self.excludes(&options.exclude),
        ];
        let (rest, heredocs) = sources(&options.sources, &options.destination);
        (flags.concat(), rest, heredocs)
    }

    fn add<'a>(&self, options: &'a AddOptions) -> (String, String, Vec<&'a Heredoc>) {
        let flags = [
            self.ownership(options.chown.as_ref(), options.chmod.as_ref(), options.link),
            self.flag("checksum", options.checksum.as_ref()),
            switch("unpack", options.unpack),
            switch("keep-git-dir", options.keep_git_dir),
            self.excludes(&options.exclude),
        ];
        let (rest, heredocs) = sources(&options.sources, &options.destination);
        (flags.concat(), rest, heredocs)
    }

    fn ownership(&self, chown: Option<&Spanned<String>>, chmod: Option<&Spanned<String>>, link: bool) -> String {
        [
            self.flag("chown", chown),
            self.flag("chmod", chmod),
            switch("link", link.then_some(true)),
        ]
        .concat()
    }

    fn excludes(&self, patterns: &[Spanned<String>]) -> String {
        patterns
            .iter()
            .map(|pattern| self.flag("exclude", Some(pattern)))
            .collect()
    }

    fn mount(&self, mount: &RunMount) -> String {
        let fields: Vec<String> = mount
            .options
            .iter()
            .map(|option| match &option.value {
                Some(value) => csv_field(&format!("{}={}", option.key.name(), value.value)),
                None => option.key.name().to_owned(),
            })
            .collect();
        self.quoted_flag("mount", &fields.join(","))
    }

    fn flag(&self, name: &str, value: Option<&Spanned<String>>) -> String {
        value.map(|value| self.quoted_flag(name, value)).unwrap_or_default()
    }

    fn quoted_flag(&self, name: &str, value: &str) -> String {
        let special = |c: char| c.is_whitespace() || matches!(c, '\'' | '"') || c == self.escape;
        if !value.contains(special) {
            return format!(" --{name}={value}");
        }
        let mut text = format!(" --{name}=\"");
        for c in value.chars() {
            if c == '"' || c == self.escape {
                text.push(self.escape);
            }
            text.push(c);
        }
        text.push('"');
        text
    }
}

fn command_text(command: &CommandForm) -> (String, Vec<&Heredoc>) {
    match command {
        CommandForm::Exec(words) => (json(words), Vec::new()),
        CommandForm::Shell { line, heredocs } => (line.value.clone(), heredocs.iter().collect()),
    }
}

fn sources<'a>(sources: &'a [FileSource], destination: &'a Spanned<String>) -> (String, Vec<&'a Heredoc>) {
    let mut heredocs = Vec::new();
    let mut words = Vec::new();
    let mut openers = Vec::new();
    for source in sources {
        match source {
            FileSource::Path(path) => {
                words.push(path);
                openers.push(path.value.clone());
            }
            FileSource::Heredoc(heredoc) => {
                let fd = if heredoc.fd == 0 {
                    String::new()
                } else {
                    heredoc.fd.to_string()
                };
                openers.push(format!("{fd}{}", heredoc.opener));
                heredocs.push(heredoc);
            }
        }
    }
    words.push(destination);
    openers.push(destination.value.clone());
    if heredocs.is_empty() {
        (list(words), heredocs)
    } else {
        (openers.join(" "), heredocs)
    }
}

/// Words between blanks, or a JSON array if that would not give the same words.
fn list(words: Vec<&Spanned<String>>) -> String {
    let plain = words.iter().all(|word| {
        !word.is_empty() && !word.contains(char::is_whitespace) && !word.starts_with('[') && !word.contains("<<")
    });
    let words: Vec<String> = words.into_iter().map(|word| word.value.clone()).collect();
    if plain { words.join(" ") } else { json(&words) }
}

fn json(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}

fn joined(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

fn pair(pair: &KeyValue) -> String {
    let separator = if pair.legacy { ' ' } else { '=' };
    format!("{}{separator}{}", pair.key.value, pair.value.value)
}

fn definition(definition: &ArgDefinition) -> String {
    match &definition.default {
        Some(default) => format!("{}={}", definition.name.value, default.value),
        None => definition.name.value.clone(),
    }
}

fn switch(name: &str, value: Option<bool>) -> String {
    value.map(|value| format!(" --{name}={value}")).unwrap_or_default()
}

/// A number that is given; zero is the default of all.
fn number(name: &str, value: u64, unit: &str) -> String {
    if value == 0 {
        String::new()
    } else {
        format!(" --{name}={value}{unit}")
    }
}

fn csv_field(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
