//! Our syntax tree in the shape of BuildKit's, as the corpus has it, so that both can be compared.
//!
//! Flags are compared by what they mean (`--link` is `--link=true`), and so are mounts, whose option names have
//! several spellings.

use builder::{
    diagnostic::Spanned,
    dockerfile::{
        AddOptions, ArgDefinition, CommandForm, CopyOptions, Dockerfile, FileSource, HealthcheckTest, Heredoc,
        Instruction, InstructionKind, KeyValue, RunMount, Stage,
    },
};
use serde::Deserialize;

/// An instruction as BuildKit's parser gives it.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Node {
    pub(crate) cmd: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) flags: Vec<String>,
    #[serde(rename = "JSON")]
    pub(crate) json: bool,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) args: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    pub(crate) heredocs: Vec<Document>,
    pub(crate) orig: String,
    pub(crate) sub: Option<Box<Node>>,
}

/// A heredoc as BuildKit's parser gives it.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Document {
    name: String,
    content: String,
    chomp: bool,
    expand: bool,
    #[serde(rename = "FD")]
    fd: u32,
}

fn or_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Node {
    /// Brings what can be written in several ways into one.
    pub(crate) fn normalized(mut self) -> Self {
        self.cmd = self.cmd.to_lowercase();
        self.flags = self.flags.iter().filter_map(|flag| normal_flag(flag)).collect();
        self.flags.sort();
        // A stage keeps its line without the blanks after it.
        if self.cmd == "from" {
            self.orig.truncate(self.orig.trim_end().len());
        }
        // Our tree says of these what the words are, not how they are written.
        if matches!(self.cmd.as_str(), "copy" | "add" | "volume") {
            self.json = false;
        }
        if self.cmd == "volume" {
            self.args = self.args.iter().map(|arg| arg.trim().to_owned()).collect();
        }
        if self.cmd == "healthcheck" {
            self.args[0] = self.args[0].to_uppercase();
        }
        self.sub = self.sub.map(|sub| Box::new(sub.normalized()));
        self
    }
}

fn normal_flag(flag: &str) -> Option<String> {
    let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
    match name {
        "--mount" => {
            let options: Vec<String> = value.split(',').map(normal_option).collect();
            Some(format!("--mount={}", options.join(",")))
        }
        "--link" | "--parents" => (value.to_lowercase() == "true").then(|| format!("{name}=true")),
        "--unpack" | "--keep-git-dir" => Some(format!("{name}={}", value.to_lowercase())),
        _ if value.is_empty() => None,
        _ => Some(format!("{name}={value}")),
    }
}

fn normal_option(option: &str) -> String {
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    };
    let key = match key.to_lowercase().as_str() {
        "src" => "source",
        "dst" | "destination" => "target",
        "ro" => "readonly",
        "rw" => "readwrite",
        other => other,
    }
    .to_owned();
    [Some(key), value.map(str::to_owned)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("=")
}

/// Projects a whole file.
pub(crate) fn nodes(file: &Dockerfile) -> Vec<Node> {
    let mut nodes: Vec<Node> = file.globals.iter().map(|global| node(file, global)).collect();
    for stage in &file.stages {
        nodes.push(from(file, stage));
        nodes.extend(stage.instructions.iter().map(|instruction| node(file, instruction)));
    }
    nodes.into_iter().map(Node::normalized).collect()
}

fn from(file: &Dockerfile, stage: &Stage) -> Node {
    let (start, end) = file.source.lines(stage.span);
    let mut args = vec![stage.base.value.clone()];
    if let Some(name) = &stage.name {
        let written = &file.source.text()[name.span.range()];
        assert_eq!(written.to_lowercase(), name.value);
        args.extend([
            stage.original.split_whitespace().rev().nth(1).unwrap().to_owned(),
            written.to_owned(),
        ]);
    }
    Node {
        cmd: "from".to_owned(),
        start,
        end,
        flags: flag("platform", stage.platform.as_ref()),
        args,
        orig: stage.original.clone(),
        ..Node::default()
    }
}

fn node(file: &Dockerfile, instruction: &Instruction) -> Node {
    let (start, end) = file.source.lines(instruction.span);
    let base = Node {
        cmd: instruction.keyword.value.clone(),
        start,
        end,
        orig: instruction.original.clone(),
        ..Node::default()
    };
    match &instruction.kind {
        InstructionKind::Run {
            command,
            mounts,
            network,
            security,
            devices,
        } => {
            let mut flags: Vec<String> = mounts.iter().map(mount).collect();
            flags.extend(flag("network", network.as_ref()));
            flags.extend(flag("security", security.as_ref()));
            flags.extend(devices.iter().flat_map(|device| flag("device", Some(&device.written))));
            Node {
                flags,
                ..with_command(file, base, command)
            }
        }
        InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => with_command(file, base, command),
        InstructionKind::Label(pairs) | InstructionKind::Env(pairs) => with_args(base, pairs.iter().flat_map(pair)),
        InstructionKind::Arg(definitions) => with_args(base, definitions.iter().map(definition)),
        InstructionKind::Expose(words) | InstructionKind::Volume(words) => {
            with_args(base, words.iter().map(|word| word.value.clone()))
        }
        InstructionKind::Maintainer(text)
        | InstructionKind::User(text)
        | InstructionKind::Workdir(text)
        | InstructionKind::StopSignal(text) => with_args(base, [text.value.clone()]),
        InstructionKind::Shell(words) => Node {
            json: true,
            ..with_args(base, words.clone())
        },
        InstructionKind::Copy(options) => copy(file, base, options),
        InstructionKind::Add(options) => add(file, base, options),
        InstructionKind::Onbuild { trigger, .. } => {
            let mut sub = node(file, trigger);
            (sub.start, sub.end) = (0, 0);
            let heredocs = std::mem::take(&mut sub.heredocs);
            Node {
                heredocs,
                sub: Some(Box::new(sub)),
                ..base
            }
        }
        InstructionKind::Healthcheck { test, .. } => healthcheck(file, base, test),
    }
}

/// Times are compared by the text: reading them is tested elsewhere.
fn healthcheck(file: &Dockerfile, base: Node, test: &HealthcheckTest) -> Node {
    let words = base.orig.split_whitespace().skip(1);
    let flags = words
        .take_while(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect();
    match test {
        HealthcheckTest::None => Node {
            flags,
            ..with_args(base, ["NONE".to_owned()])
        },
        HealthcheckTest::Cmd(command) => {
            let mut node = with_command(file, base, command);
            node.args.insert(0, "CMD".to_owned());
            Node { flags, ..node }
        }
    }
}

fn with_args(base: Node, args: impl IntoIterator<Item = String>) -> Node {
    Node {
        args: args.into_iter().collect(),
        ..base
    }
}

fn with_command(file: &Dockerfile, base: Node, command: &CommandForm) -> Node {
    match command {
        CommandForm::Exec(words) => Node {
            json: true,
            ..with_args(base, words.clone())
        },
        CommandForm::Shell { line, heredocs } => {
            let heredocs = heredocs.iter().map(|heredoc| document(file, heredoc)).collect();
            // An empty line has no words in BuildKit's tree.
            let words = (!line.is_empty()).then(|| line.value.clone());
            Node {
                heredocs,
                ..with_args(base, words)
            }
        }
    }
}

fn document(file: &Dockerfile, heredoc: &Heredoc) -> Document {
    Document {
        name: heredoc.name.clone(),
        // BuildKit strips tabs later.
        content: file.source.text()[heredoc.span.range()].to_owned(),
        chomp: heredoc.chomp,
        expand: heredoc.expand,
        fd: heredoc.fd,
    }
}

fn pair(pair: &KeyValue) -> [String; 3] {
    let separator = if pair.legacy { "" } else { "=" };
    [pair.key.value.clone(), pair.value.value.clone(), separator.to_owned()]
}

fn definition(definition: &ArgDefinition) -> String {
    match &definition.default {
        Some(default) => format!("{}={}", definition.name.value, default.value),
        None => definition.name.value.clone(),
    }
}

fn copy(file: &Dockerfile, base: Node, options: &CopyOptions) -> Node {
    let mut node = with_sources(file, base, &options.sources, &options.destination);
    node.flags = [
        flag("from", options.from.as_ref()),
        flag("chown", options.chown.as_ref()),
        flag("chmod", options.chmod.as_ref()),
        switch("link", Some(options.link).filter(|on| *on)),
        switch("parents", Some(options.parents).filter(|on| *on)),
        options
            .exclude
            .iter()
            .flat_map(|value| flag("exclude", Some(value)))
            .collect(),
    ]
    .concat();
    node
}

fn add(file: &Dockerfile, base: Node, options: &AddOptions) -> Node {
    let mut node = with_sources(file, base, &options.sources, &options.destination);
    node.flags = [
        flag("chown", options.chown.as_ref()),
        flag("chmod", options.chmod.as_ref()),
        switch("link", Some(options.link).filter(|on| *on)),
        flag("checksum", options.checksum.as_ref()),
        switch("unpack", options.unpack),
        switch("keep-git-dir", options.keep_git_dir),
        options
            .exclude
            .iter()
            .flat_map(|value| flag("exclude", Some(value)))
            .collect(),
    ]
    .concat();
    node
}

fn with_sources(file: &Dockerfile, base: Node, sources: &[FileSource], destination: &Spanned<String>) -> Node {
    let mut heredocs = Vec::new();
    let mut args: Vec<String> = Vec::new();
    for source in sources {
        match source {
            FileSource::Path(path) => args.push(path.value.clone()),
            FileSource::Heredoc(heredoc) => {
                heredocs.push(document(file, heredoc));
                args.push(heredoc.opener.clone());
            }
        }
    }
    args.push(destination.value.clone());
    Node {
        heredocs,
        ..with_args(base, args)
    }
}

fn flag(name: &str, value: Option<&Spanned<String>>) -> Vec<String> {
    value
        .map(|value| format!("--{name}={}", value.value))
        .into_iter()
        .collect()
}

fn switch(name: &str, value: Option<bool>) -> Vec<String> {
    value.map(|value| format!("--{name}={value}")).into_iter().collect()
}

fn mount(mount: &RunMount) -> String {
    let options: Vec<String> = mount
        .options
        .iter()
        .map(|option| match &option.value {
            Some(value) => format!("{}={}", option.key.name(), value.value),
            None => option.key.name().to_owned(),
        })
        .collect();
    format!("--mount={}", options.join(","))
}
