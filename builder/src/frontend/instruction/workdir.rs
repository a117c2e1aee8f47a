//! `WORKDIR`: a directory that steps start in, and that is made if it is not there.

use crate::diagnostic::{Diagnostic, Spanned};
use crate::frontend::lowering::Lowering;
use crate::frontend::observe::Seen;
use crate::frontend::path::join;
use crate::frontend::stage::OpenStage;
use crate::frontend::stages::Step;
use crate::op::{Op, WorkdirOp};

/// Goes to a directory. The root is there always, so that going there makes no layer.
pub(super) fn lower(
    path: &Spanned<String>,
    step: &Step<'_>,
    stage: &mut OpenStage,
    lowering: &mut Lowering<'_>,
) -> Result<(), Diagnostic> {
    let span = path.span;
    let path = lowering.word(path, stage)?;
    lowering.see(Seen::Workdir { path: &path, span });
    let dir = join(stage.state.cwd(), &path);
    stage.state.config.config.working_dir.clone_from(&dir);
    let text = format!("WORKDIR {dir}");
    if dir == "/" {
        stage.state.record(text);
        return Ok(());
    }
    let title = lowering.title(&step.instruction.original, stage);
    let name = stage.next_name(&title, step.trigger);
    let op = Op::Workdir(WorkdirOp {
        path: dir,
        user: stage.state.config.config.user.clone(),
        mtime: lowering.globals.epoch(),
        scratch: stage.state.rootfs.is_none(),
    });
    let inputs = stage.state.rootfs.into_iter().collect();
    let vertex = lowering.add(op, inputs, name, &stage.label, Some(step.origin));
    stage.state.record_layer(text, vertex, vertex);
    Ok(())
}
