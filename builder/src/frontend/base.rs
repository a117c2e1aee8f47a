//! How a stage begins: with an image, another stage, the files of a named context, or nothing.

use registry::oci::{ContainerConfig, ImageConfig, Platform};

use super::environment::ensure_path;
use super::failure::Failure;
use super::lowered::{EXPORTER_COMMENT, HistoryEntry};
use super::lowering::Lowering;
use super::name::StepNames;
use super::path::join;
use super::source::Source;
use super::stage::{OpenStage, StageState};
use super::stages::ParsedStage;
use crate::dockerfile::InstructionKind;
use crate::graph::VertexId;
use crate::op::{CopyOp, CopySource, Op};

/// Opens a stage: its base is in place and none of its instructions is performed.
pub(super) fn open(parsed: &ParsedStage<'_>, lowering: &mut Lowering<'_>) -> Result<OpenStage, Failure> {
    let mut names = StepNames::new(&parsed.label, count_steps(parsed), lowering.request.multi_platform);
    let mut state = match &parsed.base {
        Source::Stage(base) => {
            let mut state = lowering.stage(*base)?.clone();
            // Its triggers are in our steps by now, and nobody else's business.
            state.config.config.on_build.clear();
            state
        }
        Source::Image(image) => {
            let base = lowering.image(image, parsed.base_name.span, Some((&mut names, &parsed.label)))?;
            let mut state = StageState::empty(inherited(&base.image.config), image.platform.clone());
            state.rootfs = base.vertex;
            state.base = Some(base);
            state
        }
        Source::Local { context, name } => {
            let files = lowering.local(context, name);
            copied(files, context, parsed, lowering)
        }
        Source::Remote { context, op } => {
            let files = lowering.remote(context, op);
            copied(files, context, parsed, lowering)
        }
        // `--platform` changes nothing where there is nothing.
        Source::Scratch => {
            let platform = &*lowering.request.platform;
            StageState::empty(empty_config(platform), platform.clone())
        }
    };
    ensure_path(&mut state.config);
    state.env.add_config(&state.config);
    let dir = &mut state.config.config.working_dir;
    if !dir.is_empty() {
        *dir = join("/", dir);
    }
    let name = parsed.syntax.name.as_ref().map(|name| name.as_str());
    Ok(OpenStage {
        state,
        names,
        label: parsed.label.clone(),
        no_cache: lowering.request.no_cache.covers(name),
        has_cmd: false,
        trigger_from: None,
    })
}

/// Begins with the files of a named context, as a layer of their own.
fn copied(files: VertexId, context: &str, parsed: &ParsedStage<'_>, lowering: &mut Lowering<'_>) -> StageState {
    let mut state = StageState::empty(empty_config(&parsed.platform), parsed.platform.clone());
    let name = format!("[context {context}] load from client");
    let (copy, origin) = (Op::Copy(everything()), Some(parsed.syntax.span));
    let copy = lowering.add(copy, vec![files], name.clone(), &parsed.label, origin);
    state.rootfs = Some(copy);
    state.history.push(HistoryEntry {
        created_by: name.into(),
        comment: EXPORTER_COMMENT,
        layer: Some(copy),
    });
    state
}

/// Counts the steps that have a name in progress output: an image as base, and whatever can make a layer. Of
/// triggers BuildKit counts every kind.
fn count_steps(parsed: &ParsedStage<'_>) -> usize {
    let base = !matches!(parsed.base, Source::Stage(_)) && parsed.base_name.value != "scratch";
    let counts = parsed.steps.iter().filter(|step| {
        step.trigger
            || matches!(
                step.instruction.kind,
                InstructionKind::Run { .. }
                    | InstructionKind::Copy(_)
                    | InstructionKind::Add(_)
                    | InstructionKind::Workdir(_)
            )
    });
    usize::from(base) + counts.count()
}

/// Returns what an image leaves to those that are made from it. What tells of its own making (`created`, and
/// what old versions of Docker noted about their build containers) is not handed down, as BuildKit does.
fn inherited(config: &ImageConfig) -> ImageConfig {
    let mut extra = config.extra.clone();
    extra.retain(|key, _| key == "os.features");
    ImageConfig {
        created: None,
        rootfs: registry::oci::RootFs::default(),
        history: Vec::new(),
        config: ContainerConfig {
            extra: std::collections::BTreeMap::new(),
            ..config.config.clone()
        },
        extra,
        ..config.clone()
    }
}

/// Returns the config of `scratch`.
fn empty_config(platform: &Platform) -> ImageConfig {
    ImageConfig {
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        os: platform.os.clone(),
        os_version: platform.os_version.clone(),
        config: ContainerConfig {
            working_dir: "/".to_owned(),
            ..ContainerConfig::default()
        },
        ..ImageConfig::default()
    }
}

/// Copies all of input 0 into an empty file system.
fn everything() -> CopyOp {
    let source = CopySource::Path {
        input: 0,
        path: "/".to_owned(),
        keep_owner: false,
        unpack: false,
    };
    CopyOp::into_scratch(vec![source], "/")
}
