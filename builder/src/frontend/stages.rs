//! The stages of a Dockerfile as a table: what each starts from, what each takes files from, which are needed.
//!
//! Nothing is asked of the world here. All stages are checked, also those that the target does not need; only
//! `ONBUILD` triggers of images are not known yet.

mod circle;

use std::collections::BTreeSet;

use registry::oci::{Platform, Reference};

use super::globals::Globals;
use super::request::Request;
use super::source::Source;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::dockerfile::{Instruction, InstructionKind, MountKey, RunMount, Stage, did_you_mean, nearest};

/// The stages, checked.
#[derive(Debug)]
pub(super) struct StageTable<'a> {
    /// In the order of the file.
    pub(super) stages: Vec<ParsedStage<'a>>,
    /// The stage to build.
    pub(super) target: usize,
}

/// A stage whose names have been looked up.
#[derive(Debug)]
pub(super) struct ParsedStage<'a> {
    /// As written.
    pub(super) syntax: &'a Stage,
    /// What steps are called after: its name, else `stage-N`; empty if there is nothing to tell it from.
    pub(super) label: String,
    /// What it starts from.
    pub(super) base: Source,
    /// The expanded name of the base, for messages.
    pub(super) base_name: Spanned<String>,
    /// The variables that the base's name and the platform make use of.
    pub(super) used: Vec<String>,
    /// `--platform`, else the target's.
    pub(super) platform: Platform,
    /// Whether a named context has taken its place, so that nothing that it says is done.
    pub(super) replaced: bool,
    /// `ONBUILD` triggers of the stage that it starts from, then its own instructions.
    pub(super) steps: Vec<Step<'a>>,
}

/// A source and the name that asks for it.
#[derive(Clone, Debug)]
pub(super) struct NamedSource<'a> {
    /// The name as written.
    pub(super) name: &'a Spanned<String>,
    /// What it stands for.
    pub(super) source: Source,
}

/// An instruction that will be performed.
#[derive(Clone, Debug)]
pub(super) struct Step<'a> {
    /// As written.
    pub(super) instruction: &'a Instruction,
    /// Where its `--from`s lead: at most one for `COPY`, for `RUN` one for each mount, `None` if it has no `from`.
    pub(super) sources: Vec<Option<NamedSource<'a>>>,
    /// Whether an `ONBUILD` brought it here.
    pub(super) trigger: bool,
    /// What messages and progress point at: the instruction, or the `FROM` of the image that brought it.
    pub(super) origin: Span,
    /// The text that the instruction's spans point into.
    pub(super) text: &'a str,
}

impl<'a> StageTable<'a> {
    /// Reads the stages of a Dockerfile; reports all that is wrong with their names.
    pub(super) fn new(request: &'a Request, globals: &Globals) -> Result<Self, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let mut table = Self {
            stages: Vec::new(),
            target: 0,
        };
        for stage in &request.dockerfile.stages {
            match table.parse_stage(stage, request, globals) {
                Ok(parsed) => table.stages.push(parsed),
                Err(error) => {
                    errors.push(error);
                    // It stays in the table, as an empty one: other stages may speak of it.
                    table.stages.push(ParsedStage {
                        syntax: stage,
                        label: table.label(stage),
                        base: Source::Scratch,
                        base_name: stage.base.clone(),
                        used: Vec::new(),
                        platform: (*request.platform).clone(),
                        replaced: false,
                        steps: Vec::new(),
                    });
                }
            }
        }
        for index in 0..table.stages.len() {
            let (steps, found) = table.steps_of(index, request);
            table.stages[index].steps = steps;
            errors.extend(found);
        }
        errors.extend(circle::find(&table));
        match table.find_target(request) {
            Ok(target) => table.target = target,
            Err(error) => errors.push(error),
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if let [only] = &mut table.stages[..] {
            // What comes from outside counts as a stage, so that BuildKit calls this one `stage-0`.
            if only
                .steps
                .iter()
                .all(|step| step.sources.iter().flatten().next().is_none())
            {
                only.label.clear();
            }
        }
        Ok(table)
    }

    fn label(&self, stage: &Stage) -> String {
        match &stage.name {
            Some(name) => name.value.clone(),
            None => format!("stage-{}", self.stages.len()),
        }
    }

    fn parse_stage(
        &self,
        stage: &'a Stage,
        request: &Request,
        globals: &Globals,
    ) -> Result<ParsedStage<'a>, Diagnostic> {
        let base_name = Spanned::new(globals.base_name(&stage.base)?, stage.base.span);
        let words = std::iter::once(&stage.base).chain(&stage.platform);
        let expanded = words.filter_map(|word| globals.expand(word).ok());
        let used = expanded.flat_map(|expanded| expanded.used).collect();
        let platform = match &stage.platform {
            Some(platform) => globals.platform(platform)?,
            None => (*request.platform).clone(),
        };
        let context = stage.name.as_ref().and_then(|name| request.context(name, &platform));
        let replaced = context.is_some();
        let base = match context {
            Some((context, given)) => Source::named(context, given, &platform).governed(request),
            None => match self.find(&base_name) {
                Some(index) => Source::Stage(index),
                None => Source::outside(&base_name, &platform, request)?,
            },
        };
        Ok(ParsedStage {
            syntax: stage,
            label: self.label(stage),
            base,
            base_name,
            used,
            platform,
            replaced,
            steps: Vec::new(),
        })
    }

    /// Finds the last stage in the table that has a name.
    fn find(&self, name: &str) -> Option<usize> {
        find_last(&self.stages, name)
    }

    fn find_target(&self, request: &Request) -> Result<usize, Diagnostic> {
        let Some(name) = &request.target else {
            return Ok(self.stages.len().saturating_sub(1));
        };
        self.find(name).ok_or_else(|| {
            let names = self.stages.iter().filter_map(|stage| stage.syntax.name.as_ref());
            let suggestion = did_you_mean(name, names.map(|name| name.value.as_str()));
            Diagnostic::error(format!("target stage \"{name}\" could not be found{suggestion}"))
        })
    }

    /// Returns what a stage will do: the triggers of the stage it starts from, then what it says itself.
    fn steps_of(&self, index: usize, request: &'a Request) -> (Vec<Step<'a>>, Vec<Diagnostic>) {
        let stage = &self.stages[index];
        if stage.replaced {
            return (Vec::new(), Vec::new());
        }
        let base = match stage.base {
            Source::Stage(base) if !self.stages[base].replaced => self.stages[base].syntax.instructions.as_slice(),
            _ => &[],
        };
        let triggers = base.iter().filter_map(|instruction| match &instruction.kind {
            InstructionKind::Onbuild { trigger, .. } => Some((&**trigger, true)),
            _ => None,
        });
        let own = stage.syntax.instructions.iter().map(|instruction| (instruction, false));
        let mut steps = Vec::new();
        let mut errors = Vec::new();
        for (instruction, trigger) in triggers.chain(own) {
            match self.step(index, instruction, request.dockerfile.source.text(), trigger, request) {
                Ok(step) => steps.push(step),
                Err(error) => errors.push(error),
            }
        }
        (steps, errors)
    }

    /// Looks up the names in an instruction of stage `index`, which was parsed from `text`.
    pub(super) fn step<'i>(
        &self,
        index: usize,
        instruction: &'i Instruction,
        text: &'i str,
        trigger: bool,
        request: &Request,
    ) -> Result<Step<'i>, Diagnostic> {
        let find = |name: &'i Spanned<String>| -> Result<Option<NamedSource<'i>>, Diagnostic> {
            let source = self.find_source(index, name, request)?;
            Ok(Some(NamedSource { name, source }))
        };
        let sources = match &instruction.kind {
            InstructionKind::Copy(copy) => copy.from.iter().map(find).collect(),
            InstructionKind::Run { mounts, .. } => mounts
                .iter()
                .map(|mount| from_of(mount).map_or(Ok(None), find))
                .collect(),
            _ => Ok(Vec::new()),
        };
        Ok(Step {
            instruction,
            sources: sources?,
            trigger,
            origin: instruction.span,
            text,
        })
    }

    /// Finds out what `--from` names in stage `index`: a stage by name or number, a named context, or an image.
    fn find_source(&self, index: usize, from: &Spanned<String>, request: &Request) -> Result<Source, Diagnostic> {
        if let Ok(number) = from.parse::<i64>() {
            return match usize::try_from(number)
                .ok()
                .filter(|number| *number < self.stages.len())
            {
                Some(stage) => Ok(Source::Stage(stage)),
                None => Err(Diagnostic::error(format!("invalid stage index {number}")).at(
                    from.span,
                    format!("there are {} stages, counted from 0", self.stages.len()),
                )),
            };
        }
        // A name that is given twice means the nearest stage above; BuildKit takes the last, which then fails.
        match find_last(&self.stages[..index], from).or_else(|| self.find(from)) {
            Some(stage) => Ok(Source::Stage(stage)),
            None => Source::outside(from, &request.platform, request),
        }
    }

    /// Returns a stage or named context whose name is like an image's, which is perhaps what was meant.
    pub(super) fn near(&self, reference: &Reference, request: &Request) -> Option<String> {
        let name = reference.familiar();
        let name = name.strip_suffix(":latest").unwrap_or(&name);
        let names = self.stages.iter().filter_map(|stage| stage.syntax.name.as_ref());
        let names = names
            .map(|name| name.as_str())
            .chain(request.contexts.keys().map(String::as_str));
        nearest(name, names).map(str::to_owned)
    }

    /// Returns the stages that the target is made from, itself included, as far as is known without asking.
    pub(super) fn needed(&self) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut unvisited = vec![self.target];
        while let Some(index) = unvisited.pop() {
            if needed.insert(index) {
                unvisited.extend(self.stages[index].stage_inputs());
            }
        }
        needed
    }
}

impl ParsedStage<'_> {
    /// Returns the sources of a stage: its base, then those of its steps, each with the name that asks for it.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&Source, &Spanned<String>)> {
        let steps = self.steps.iter().flat_map(|step| step.sources.iter().flatten());
        std::iter::once((&self.base, &self.base_name)).chain(steps.map(|named| (&named.source, named.name)))
    }

    /// Returns the stages among the sources.
    fn stage_inputs(&self) -> impl Iterator<Item = usize> {
        self.sources().filter_map(|(source, _)| match source {
            Source::Stage(stage) => Some(*stage),
            _ => None,
        })
    }
}

fn find_last(stages: &[ParsedStage<'_>], name: &str) -> Option<usize> {
    let has_name = |stage: &ParsedStage<'_>| {
        stage
            .syntax
            .name
            .as_ref()
            .is_some_and(|known| known.eq_ignore_ascii_case(name))
    };
    stages.iter().rposition(has_name)
}

fn from_of(mount: &RunMount) -> Option<&Spanned<String>> {
    mount
        .options
        .iter()
        .rfind(|option| option.key == MountKey::From)?
        .value
        .as_ref()
        .filter(|from| !from.is_empty())
}
