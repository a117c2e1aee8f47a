//! A syntax tree as text that parses to the same tree, places apart.

mod flag;
mod line;

use self::flag::Flag;
use super::{
    instruction::{
        AddOptions, ArgDefinition, CommandForm, CopyOptions, Dockerfile, FileSource, HealthcheckTest, Heredoc,
        Instruction, InstructionKind, KeyValue, RunMount, Stage,
    },
    lines::LINE_LIMIT,
    parse,
};
use crate::diagnostic::{Span, Spanned};

/// Why there is no text for a tree.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unprintable {
    /// The line of the instruction, also as it was written, opens other heredocs than the tree has.
    #[error("the line does not open the heredocs of the tree and no others")]
    Heredocs {
        /// The instruction.
        span: Span,
    },
    /// A line is longer than a line may be, and has no place where it may be broken: nothing but escape characters.
    #[error("a line of more than {LINE_LIMIT} bytes cannot be broken")]
    LongLine {
        /// The instruction.
        span: Span,
    },
}

/// Returns a Dockerfile that means what a parsed tree says: one line an instruction, heredocs after it.
pub fn print(file: &Dockerfile) -> Result<String, Unprintable> {
    let mut printer = Printer {
        out: String::new(),
        escape: file.escape,
    };
    let directives = [
        ("syntax", file.syntax.as_ref().map(|syntax| syntax.as_str())),
        ("escape", (file.escape == '`').then_some("`")),
        ("check", file.check.as_ref().map(|check| check.as_str())),
    ];
    for (name, value) in directives {
        if let Some(value) = value {
            // White space at the end of a frontend's name is its own if a blank and more follow it.
            let rest = if value.ends_with(char::is_whitespace) {
                " //"
            } else {
                ""
            };
            printer.comment(&format!("{name}={value}{rest}"));
        }
    }
    // Without it, a comment that looks like a directive would become one.
    printer.out.push('\n');
    for global in &file.globals {
        printer.instruction(global)?;
    }
    for stage in &file.stages {
        printer.stage(stage)?;
        for instruction in &stage.instructions {
            printer.instruction(instruction)?;
        }
    }
    Ok(printer.out)
}

struct Printer {
    out: String,
    escape: char,
}

/// What follows a keyword.
struct Arguments<'a> {
    flags: Vec<Flag>,
    rest: String,
    heredocs: Vec<&'a Heredoc>,
}

impl Arguments<'_> {
    fn without_flags(rest: String) -> Self {
        Self {
            flags: Vec::new(),
            rest,
            heredocs: Vec::new(),
        }
    }
}

impl Printer {
    fn stage(&mut self, stage: &Stage) -> Result<(), Unprintable> {
        stage.comments.iter().for_each(|comment| self.comment(comment));
        let mut rest = stage.base.value.clone();
        if let Some(name) = &stage.name {
            rest.push_str(" AS ");
            rest.push_str(name);
        }
        let arguments = Arguments {
            flags: Vec::from_iter(Flag::given("platform", stage.platform.as_ref())),
            rest,
            heredocs: Vec::new(),
        };
        self.physical_lines(&line::join("FROM", &arguments, self.escape), stage.span)
    }

    /// Writes a comment or directive; the blank that makes it readable is not to make it too long a line.
    fn comment(&mut self, text: &str) {
        let blank = if "# ".len() + text.len() > LINE_LIMIT { "" } else { " " };
        self.out.push_str(&format!("#{blank}{text}\n"));
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), Unprintable> {
        instruction.comments.iter().for_each(|comment| self.comment(comment));
        let keyword = instruction.keyword.as_str();
        if let InstructionKind::Onbuild { expression, .. } = &instruction.kind {
            return self.trigger(keyword, expression, instruction.span);
        }
        let arguments = self.arguments(&instruction.kind);
        let line = line::join(keyword, &arguments, self.escape);
        // Whoever looks for heredocs reads the whole line, and quotes and escapes by other rules than flags have: there
        // is more than one way to write a flag, and some hide a heredoc or show one. So does white space, which may be
        // of a heredoc's name even at the end. Where that matters, the line is as it was written.
        let line = if line::opens(&line, &arguments.heredocs, self.escape) {
            &line
        } else {
            let written = self.written(instruction, &line, &arguments.heredocs);
            written.ok_or(Unprintable::Heredocs { span: instruction.span })?
        };
        self.physical_lines(line, instruction.span)?;
        for heredoc in &arguments.heredocs {
            self.out.push_str(&format!("{}{}\n", heredoc.body, heredoc.name));
        }
        Ok(())
    }

    /// The text of a trigger has its flags, heredocs and white space in it as they were written.
    fn trigger(&mut self, keyword: &str, expression: &str, span: Span) -> Result<(), Unprintable> {
        let text = format!("{keyword} {expression}");
        let (first, bodies) = text.split_once('\n').unwrap_or((&text, ""));
        self.physical_lines(first, span)?;
        if !bodies.is_empty() {
            self.out.push_str(bodies);
            self.out.push('\n');
        }
        Ok(())
    }

    /// Returns the line as it was written, if it says what the tree says and opens its heredocs.
    fn written<'a>(&self, instruction: &'a Instruction, line: &str, heredocs: &[&Heredoc]) -> Option<&'a str> {
        let written = instruction.original.as_str();
        let bodies = heredocs.iter().map(|heredoc| (*heredoc).clone()).collect();
        let kind = parse::kind_of(written, self.escape, bodies).ok()?;
        let says_the_same = line::join(&instruction.keyword, &self.arguments(&kind), self.escape) == line;
        (says_the_same && line::opens(written, heredocs, self.escape)).then_some(written)
    }

    fn physical_lines(&mut self, line: &str, span: Span) -> Result<(), Unprintable> {
        let lines = line::broken(line, self.escape, LINE_LIMIT).ok_or(Unprintable::LongLine { span })?;
        self.out.push_str(&lines);
        self.out.push('\n');
        Ok(())
    }

    fn arguments<'a>(&self, kind: &'a InstructionKind) -> Arguments<'a> {
        match kind {
            InstructionKind::Run {
                command,
                mounts,
                network,
                security,
                devices,
            } => {
                let mut flags: Vec<Flag> = mounts.iter().map(mount).collect();
                flags.extend(Flag::given("network", network.as_ref()));
                flags.extend(Flag::given("security", security.as_ref()));
                flags.extend(devices.iter().map(|device| Flag::new("device", &device.written)));
                let (rest, heredocs) = command_text(command);
                Arguments { flags, rest, heredocs }
            }
            InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => {
                Arguments::without_flags(command_text(command).0)
            }
            InstructionKind::Label(pairs) | InstructionKind::Env(pairs) => {
                Arguments::without_flags(joined(pairs.iter().map(|pair| self.pair(pair))))
            }
            InstructionKind::Arg(definitions) => Arguments::without_flags(joined(definitions.iter().map(definition))),
            InstructionKind::Expose(ports) => {
                Arguments::without_flags(joined(ports.iter().map(|port| port.value.clone())))
            }
            InstructionKind::Volume(volumes) => Arguments::without_flags(list(volumes.iter().collect())),
            InstructionKind::Maintainer(text)
            | InstructionKind::User(text)
            | InstructionKind::Workdir(text)
            | InstructionKind::StopSignal(text)
            | InstructionKind::Onbuild { expression: text, .. } => Arguments::without_flags(text.value.clone()),
            InstructionKind::Shell(words) => Arguments::without_flags(json(words)),
            InstructionKind::Copy(options) => copy(options),
            InstructionKind::Add(options) => add(options),
            InstructionKind::Healthcheck {
                test,
                interval,
                timeout,
                start_period,
                start_interval,
                retries,
            } => {
                // Zero is the default of all.
                let number = |name, value: u64, unit| (value != 0).then(|| Flag::new(name, &format!("{value}{unit}")));
                let flags = [
                    number("interval", *interval, "ns"),
                    number("timeout", *timeout, "ns"),
                    number("start-period", *start_period, "ns"),
                    number("start-interval", *start_interval, "ns"),
                    number("retries", *retries, ""),
                ];
                Arguments {
                    flags: flags.into_iter().flatten().collect(),
                    rest: match test {
                        HealthcheckTest::None => "NONE".to_owned(),
                        HealthcheckTest::Cmd(command) => format!("CMD {}", command_text(command).0),
                    },
                    heredocs: Vec::new(),
                }
            }
        }
    }

    fn pair(&self, pair: &KeyValue) -> String {
        let separator = match pair.legacy {
            false => "=",
            // The escape character takes the first blank into the word that is looked at for `=`; the second ends it.
            true if pair.key.ends_with(self.escape) => "  ",
            true => " ",
        };
        format!("{}{separator}{}", pair.key.value, pair.value.value)
    }
}

fn copy(options: &CopyOptions) -> Arguments<'_> {
    let mut flags = Vec::from_iter(Flag::given("from", options.from.as_ref()));
    flags.extend(ownership(options.chown.as_ref(), options.chmod.as_ref(), options.link));
    flags.extend(Flag::switch("parents", options.parents.then_some(true)));
    flags.extend(options.exclude.iter().map(|pattern| Flag::new("exclude", pattern)));
    let (rest, heredocs) = sources(&options.sources, &options.destination);
    Arguments { flags, rest, heredocs }
}

fn add(options: &AddOptions) -> Arguments<'_> {
    let mut flags = ownership(options.chown.as_ref(), options.chmod.as_ref(), options.link);
    flags.extend(Flag::given("checksum", options.checksum.as_ref()));
    flags.extend(Flag::switch("unpack", options.unpack));
    flags.extend(Flag::switch("keep-git-dir", options.keep_git_dir));
    flags.extend(options.exclude.iter().map(|pattern| Flag::new("exclude", pattern)));
    let (rest, heredocs) = sources(&options.sources, &options.destination);
    Arguments { flags, rest, heredocs }
}

fn ownership(chown: Option<&Spanned<String>>, chmod: Option<&Spanned<String>>, link: bool) -> Vec<Flag> {
    let flags = [
        Flag::given("chown", chown),
        Flag::given("chmod", chmod),
        Flag::switch("link", link.then_some(true)),
    ];
    flags.into_iter().flatten().collect()
}

fn mount(mount: &RunMount) -> Flag {
    let fields = mount.options.iter().map(|option| match &option.value {
        Some(value) => csv_field(&format!("{}={}", option.key.name(), value.value)),
        None => option.key.name().to_owned(),
    });
    Flag::new("mount", &fields.collect::<Vec<_>>().join(","))
}

fn csv_field(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn command_text(command: &CommandForm) -> (String, Vec<&Heredoc>) {
    match command {
        CommandForm::Exec(words) => (json(words), Vec::new()),
        CommandForm::Shell { line, heredocs } => (line.value.clone(), heredocs.iter().collect()),
    }
}

fn sources<'a>(sources: &'a [FileSource], destination: &'a Spanned<String>) -> (String, Vec<&'a Heredoc>) {
    let mut paths = Vec::new();
    let mut heredocs = Vec::new();
    let mut rest = String::new();
    for source in sources {
        let word = match source {
            FileSource::Path(path) => {
                paths.push(path);
                path.value.clone()
            }
            FileSource::Heredoc(heredoc) => {
                heredocs.push(heredoc);
                let fd = Some(heredoc.fd).filter(|fd| *fd != 0);
                format!("{}{}", fd.map(|fd| fd.to_string()).unwrap_or_default(), heredoc.opener)
            }
        };
        rest.push_str(&word);
        rest.push(' ');
    }
    paths.push(destination);
    if heredocs.is_empty() {
        return (list(paths), heredocs);
    }
    rest.push_str(destination);
    (rest, heredocs)
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

fn definition(definition: &ArgDefinition) -> String {
    match &definition.default {
        Some(default) => format!("{}={}", definition.name.value, default.value),
        None => definition.name.value.clone(),
    }
}
