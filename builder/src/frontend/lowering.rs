//! The way through the stages: each is lowered once, after those that it is made from.

use std::cell::RefCell;
use std::collections::BTreeSet;

use registry::oci::{Platform, Reference};

use super::base;
use super::environment::Environment;
use super::expand::Expander;
use super::failure::{Failure, LowerError};
use super::globals::Globals;
use super::governed::{self, Refused};
use super::instruction;
use super::lowered::{Base, ScanTargets};
use super::name::StepNames;
use super::observe::{BaseImage, Observe, Seen};
use super::onbuild;
use super::request::Request;
use super::scan;
use super::source::{ImageSource, Source};
use super::stage::{OpenStage, StageState};
use super::stages::{NamedSource, ParsedStage, StageTable, Step};
use super::{ResolveImage, ResolvedImage};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::dockerfile::InstructionKind;
use crate::graph::{GraphBuilder, Meta, VertexId};
use crate::op::{ImageOp, LocalOp, Op, WorkdirOp};
use crate::policy::Place;

/// What instructions are lowered with: the request, the names in it, and the graph that grows.
pub(super) struct Lowering<'a> {
    pub(super) request: &'a Request,
    pub(super) globals: &'a Globals,
    pub(super) expander: Expander,
    /// Shared, because words are expanded while other parts are borrowed.
    observer: RefCell<&'a mut dyn Observe>,
    table: &'a StageTable<'a>,
    images: &'a dyn ResolveImage,
    graph: &'a mut GraphBuilder<Op>,
    stages: Vec<Outcome>,
    /// Whether the Dockerfile is only looked at: then nothing in it needs consent, and nothing of the machine.
    pub(super) only_looks: bool,
    /// The first source that the policy is against.
    refused: Option<Refused>,
}

/// How far a stage is.
#[derive(Clone, Debug)]
enum Outcome {
    Untouched,
    Lowered(Box<StageState>),
    Failed,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(
        request: &'a Request,
        table: &'a StageTable<'a>,
        globals: &'a Globals,
        images: &'a dyn ResolveImage,
        observer: &'a mut dyn Observe,
        graph: &'a mut GraphBuilder<Op>,
    ) -> Self {
        Self {
            request,
            globals,
            expander: Expander::new(&request.dockerfile),
            observer: RefCell::new(observer),
            table,
            images,
            graph,
            stages: vec![Outcome::Untouched; table.stages.len()],
            only_looks: false,
            refused: None,
        }
    }

    /// Lowers what the target needs and returns the target, and what of the rest an SBOM generator is to see.
    pub(super) fn target(mut self) -> Result<(StageState, ScanTargets), LowerError> {
        let source = &self.request.dockerfile.source;
        let in_file = |error: Diagnostic| error.in_file(source);
        let mut errors = Vec::new();
        for index in self.table.needed() {
            match self.stage(index) {
                Ok(_) | Err(Failure::Inherited) => {}
                Err(Failure::Dockerfile(error)) => errors.push(in_file(*error)),
                // An image that is not there is told alone: what else is wrong would hide it.
                Err(Failure::Resolve {
                    diagnostic,
                    span,
                    near,
                    error,
                }) => {
                    return Err(LowerError::Resolve {
                        diagnostic: Box::new(in_file(*diagnostic)),
                        span,
                        near,
                        error,
                    });
                }
                Err(Failure::Policy(refused)) => return Err(refused.into()),
            }
        }
        if let Some(refused) = self.refused {
            return Err(refused.into());
        }
        let lowered = self.table.stages.iter().zip(&self.stages).enumerate();
        let lowered = lowered.filter_map(|(index, (parsed, outcome))| match outcome {
            Outcome::Lowered(state) => Some((index == self.table.target, parsed, &**state)),
            _ => None,
        });
        let scan = scan::targets(lowered, self.request, self.globals);
        match self.stages.swap_remove(self.table.target) {
            Outcome::Lowered(state) if errors.is_empty() => Ok((*state, scan)),
            _ => Err(LowerError::Dockerfile(errors)),
        }
    }

    /// Lowers these stages for the observer alone, and returns what stood in the way of some.
    pub(super) fn inspect(mut self, stages: BTreeSet<usize>) -> Vec<LowerError> {
        self.only_looks = true;
        let source = &self.request.dockerfile.source;
        let failures = stages.into_iter().filter_map(|index| match self.stage(index) {
            Ok(_) | Err(Failure::Inherited) => None,
            Err(Failure::Dockerfile(error)) => Some(LowerError::Dockerfile(vec![error.in_file(source)])),
            Err(Failure::Resolve {
                diagnostic,
                span,
                near,
                error,
            }) => Some(LowerError::Resolve {
                diagnostic: Box::new(diagnostic.in_file(source)),
                span,
                near,
                error,
            }),
            Err(Failure::Policy(refused)) => Some(refused.into()),
        });
        failures.collect()
    }

    /// Tells the observer of something.
    pub(super) fn see(&self, seen: Seen<'_>) {
        self.observer.borrow_mut().see(seen);
    }

    /// Returns a stage, lowered now if it is not yet.
    pub(super) fn stage(&mut self, index: usize) -> Result<&StageState, Failure> {
        if let Outcome::Untouched = self.stages[index] {
            // Should the stage, through an ONBUILD, ask for itself, it meets this mark.
            self.stages[index] = Outcome::Failed;
            self.stages[index] = Outcome::Lowered(Box::new(self.lower_stage(index)?));
        }
        match &self.stages[index] {
            Outcome::Lowered(state) => Ok(state),
            _ => Err(Failure::Inherited),
        }
    }

    fn lower_stage(&mut self, index: usize) -> Result<StageState, Failure> {
        let table = self.table;
        let parsed = &table.stages[index];
        let mut stage = base::open(parsed, self)?;
        self.see_stage(index, &stage);
        if parsed.replaced {
            stage.state.config.config.on_build.clear();
            return Ok(stage.state);
        }
        let triggers = onbuild::take(&mut stage, parsed)?;
        stage.names.add_triggers(triggers.len());
        stage.trigger_from = Some(parsed.syntax.span);
        for trigger in &triggers {
            let step = table.step(index, &trigger.instruction, trigger.source.text(), true, self.request);
            let lowered = step.map_err(Failure::from).and_then(|step| {
                let step = Step {
                    origin: parsed.syntax.span,
                    ..step
                };
                self.lower_step(index, &step, &mut stage)
            });
            lowered.map_err(|failure| trigger.locate(failure, parsed))?;
        }
        stage.trigger_from = None;
        for step in &parsed.steps {
            self.lower_step(index, step, &mut stage)?;
        }
        Ok(stage.state)
    }

    fn see_stage(&self, index: usize, stage: &OpenStage) {
        let parsed = &self.table.stages[index];
        let base = match (&parsed.base, &stage.state.base) {
            (Source::Image(image), Some(base)) => Some(BaseImage {
                name: &parsed.base_name.value,
                platform: &image.platform,
                config: &base.image.config,
            }),
            _ => None,
        };
        let parent = match parsed.base {
            Source::Stage(parent) => Some(parent),
            _ => None,
        };
        let seen = Seen::Stage {
            index,
            syntax: parsed.syntax,
            parent,
            used: &parsed.used,
            base,
        };
        self.see(seen);
    }

    fn lower_step(&mut self, index: usize, step: &Step<'_>, stage: &mut OpenStage) -> Result<(), Failure> {
        let mut inputs = Vec::new();
        for named in &step.sources {
            inputs.push(match named {
                Some(named) => Some(self.input(index, step, named)?),
                None => None,
            });
        }
        // Only now: the inputs may have been stages that were seen in their turn.
        let seen = Seen::Instruction {
            stage: index,
            instruction: step.instruction,
            from: stage.trigger_from,
            has_shell: !stage.state.config.config.shell.is_empty(),
        };
        self.see(seen);
        Ok(instruction::lower(step, &inputs, stage, self)?)
    }

    /// Returns the vertex of a source that a step of stage `index` asks for; `None` if it has no files.
    fn input(&mut self, index: usize, step: &Step<'_>, named: &NamedSource<'_>) -> Result<Option<VertexId>, Failure> {
        let name = named.name;
        match &named.source {
            Source::Scratch => Ok(None),
            Source::Local { context, name } => Ok(Some(self.local(context, name))),
            Source::Remote { context, op } => Ok(Some(self.remote(context, op))),
            Source::Image(image) => Ok(self.image(image, name.span, None)?.vertex),
            Source::Stage(from) => {
                let (wanted, current) = (&self.table.stages[*from], &self.table.stages[index]);
                if *from >= index && !wanted.replaced {
                    return Err(forward_reference(step, name, wanted, current).into());
                }
                Ok(self.stage(*from)?.rootfs)
            }
        }
    }

    /// Returns the build context.
    pub(super) fn context(&mut self) -> VertexId {
        let op = Op::Local(LocalOp {
            name: "context".to_owned(),
        });
        self.add(op, Vec::new(), "[internal] load build context".to_owned(), "", None)
    }

    /// Returns the files of a named context.
    pub(super) fn local(&mut self, context: &str, name: &str) -> VertexId {
        let op = Op::Local(LocalOp { name: name.to_owned() });
        self.add(
            op,
            Vec::new(),
            format!("[context {context}] load from client"),
            "",
            None,
        )
    }

    /// Returns the files of a named context on the network.
    pub(super) fn remote(&mut self, context: &str, op: &Op) -> VertexId {
        let name = match op {
            Op::Git(git) => format!("[context {context}] load git source {}", git.address),
            Op::Http(http) => format!("[context {context}] load {}", http.address),
            _ => format!("[context {context}] load"),
        };
        self.add(op.clone(), Vec::new(), name, "", None)
    }

    /// Returns an empty file system as a vertex, for where there must be one.
    pub(super) fn nothing(&mut self) -> VertexId {
        let op = Op::Workdir(WorkdirOp {
            path: "/".to_owned(),
            user: String::new(),
            mtime: None,
            scratch: true,
        });
        self.add(op, Vec::new(), "[internal] empty file system".to_owned(), "", None)
    }

    /// Resolves an image that is named at `span` and adds it, for `stage` if it is the base of one.
    pub(super) fn image(
        &mut self,
        image: &ImageSource,
        span: Span,
        stage: Option<(&mut StepNames, &str)>,
    ) -> Result<Base, Failure> {
        let resolved = self.resolve(&image.reference, &image.platform, span)?;
        // An image without layers is as empty as `scratch`; old images have layers and no list of them.
        let config = &resolved.config;
        let has_layers = !config.rootfs.diff_ids.is_empty() || config.history.iter().any(|entry| !entry.empty_layer);
        let vertex = has_layers.then(|| {
            let reference = &resolved.reference;
            let label = stage.as_ref().map_or("", |(_, label)| label).to_owned();
            let name = match (&image.context, stage) {
                (Some(context), _) => format!("[context {context}] {reference}"),
                (None, Some((names, _))) => names.next(
                    &format!("FROM {reference}"),
                    false,
                    &image.platform,
                    &Environment::default(),
                ),
                (None, None) => format!("FROM {reference}"),
            };
            let op = Op::Image(ImageOp {
                reference: reference.clone(),
                platform: image.platform.clone(),
            });
            self.add(op, Vec::new(), name, &label, Some(span))
        });
        Ok(Base {
            image: resolved,
            vertex,
        })
    }

    fn resolve(&self, reference: &Reference, platform: &Platform, span: Span) -> Result<ResolvedImage, Failure> {
        let place = Place::Image(reference.clone());
        self.request.policy.decide(&place).map_err(|error| {
            Failure::Policy(Refused {
                origin: Some(span),
                error,
            })
        })?;
        self.images.resolve(reference, platform).map_err(|error| {
            let near = self.table.near(reference, self.request);
            let suggestion = near.as_ref().map(|near| format!(" (did you mean {near}?)"));
            let suggestion = suggestion.unwrap_or_default();
            let message = format!("cannot resolve the image `{reference}` for {platform}{suggestion}");
            let mut diagnostic = Diagnostic::error(message).at(span, "");
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                diagnostic = diagnostic.note(error.to_string());
                cause = error.source();
            }
            Failure::Resolve {
                diagnostic: Box::new(diagnostic),
                span,
                near,
                error,
            }
        })
    }

    /// Adds a vertex.
    pub(super) fn add(
        &mut self,
        op: Op,
        inputs: Vec<VertexId>,
        name: String,
        stage: &str,
        origin: Option<Span>,
    ) -> VertexId {
        let op = match governed::instead(&op, self.request) {
            Ok(other) => other.unwrap_or(op),
            Err(error) => {
                self.refused.get_or_insert(Refused { origin, error });
                op
            }
        };
        let meta = Meta {
            name,
            stage: stage.to_owned(),
            platform: self.request.platform.to_string(),
            origin,
        };
        self.graph.add(op, inputs, meta)
    }
}

fn forward_reference(
    step: &Step<'_>,
    name: &Spanned<String>,
    wanted: &ParsedStage<'_>,
    current: &ParsedStage<'_>,
) -> Diagnostic {
    let verb = match step.instruction.kind {
        InstructionKind::Run { .. } => "mount",
        _ => "copy",
    };
    let message = format!(
        "cannot {verb} from stage \"{}\", it needs to be defined before current stage \"{}\"",
        name.value, current.label
    );
    Diagnostic::error(message)
        .at(name.span, "")
        .at(wanted.syntax.span, "it is defined here")
}
