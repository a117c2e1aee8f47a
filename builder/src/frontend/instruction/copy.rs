//! `COPY` and `ADD`.

use super::remote::{self, Remote};
use super::{Input, ownership};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::dockerfile::{AddOptions, CopyOptions, FileSource};
use crate::frontend::lowering::Lowering;
use crate::frontend::observe::Seen;
use crate::frontend::path::{join, join_destination};
use crate::frontend::stage::OpenStage;
use crate::frontend::stages::Step;
use crate::graph::VertexId;
use crate::op::{CopyOp, CopySource, InlineFile, Op};

/// What `COPY` and `ADD` have in common, as written.
struct Transfer<'a> {
    keyword: &'static str,
    sources: &'a [FileSource],
    /// Whether the sources are somewhere else than in the build context.
    has_from: bool,
    destination: &'a Spanned<String>,
    chown: Option<&'a Spanned<String>>,
    chmod: Option<&'a Spanned<String>>,
    link: bool,
    parents: bool,
    exclude: &'a [Spanned<String>],
    unpack: bool,
    keep_owner: bool,
    /// What is wrong if the sources are files.
    only_remote: Option<Diagnostic>,
}

pub(super) fn lower_copy(
    copy: &CopyOptions,
    step: &Step<'_>,
    inputs: &[Input],
    stage: &mut OpenStage,
    lowering: &mut Lowering<'_>,
) -> Result<(), Diagnostic> {
    let transfer = Transfer {
        keyword: "COPY",
        sources: &copy.sources,
        has_from: copy.from.is_some(),
        destination: &copy.destination,
        chown: copy.chown.as_ref(),
        chmod: copy.chmod.as_ref(),
        link: copy.link,
        parents: copy.parents,
        exclude: &copy.exclude,
        unpack: false,
        only_remote: None,
        keep_owner: step.sources.iter().flatten().any(|named| named.source.keeps_owner()),
    };
    let from = inputs.first().copied().flatten();
    transfer.lower(from, step, stage, lowering)
}

pub(super) fn lower_add(
    add: &AddOptions,
    step: &Step<'_>,
    stage: &mut OpenStage,
    lowering: &mut Lowering<'_>,
) -> Result<(), Diagnostic> {
    let only_remote = match (&add.checksum, add.keep_git_dir) {
        (Some(checksum), _) if add.sources.len() > 1 => {
            Some(Diagnostic::error("checksum can't be specified for multiple sources").at(checksum.span, ""))
        }
        (Some(checksum), _) => {
            Some(Diagnostic::error("checksum requires HTTP(S) or Git sources").at(checksum.span, ""))
        }
        (None, Some(_)) => {
            Some(Diagnostic::error("--keep-git-dir requires a git source").at(step.instruction.span, ""))
        }
        (None, None) => None,
    };
    let transfer = Transfer {
        keyword: "ADD",
        sources: &add.sources,
        has_from: false,
        destination: &add.destination,
        chown: add.chown.as_ref(),
        chmod: add.chmod.as_ref(),
        link: add.link,
        parents: false,
        exclude: &add.exclude,
        unpack: add.unpack.unwrap_or(true),
        keep_owner: false,
        only_remote,
    };
    transfer.lower(None, step, stage, lowering)
}

impl Transfer<'_> {
    /// Adds the copy, on top of the stage or, with `--link`, beside it. `from` is where `--from` led.
    fn lower(
        &self,
        from: Input,
        step: &Step<'_>,
        stage: &mut OpenStage,
        lowering: &mut Lowering<'_>,
    ) -> Result<(), Diagnostic> {
        let (paths, inline) = self.expand_sources(stage, lowering)?;
        if let Some(error) = &self.only_remote {
            return Err(error.clone());
        }
        let destination = lowering.word(self.destination, stage)?;
        let chown = lowering.optional_word(self.chown, stage)?;
        let chmod = lowering.optional_word(self.chmod, stage)?;
        let mode = chmod.as_ref().map(ownership::chmod).transpose()?;
        let text = self.history(&paths, &inline, &destination, chown.as_ref(), chmod.as_ref());
        let title = lowering.title(&step.instruction.original, stage);

        // BuildKit copies without --link where there is --chmod, so that the destination's symbolic links count.
        let beside = self.link && chmod.is_none();
        let under = stage.state.rootfs.filter(|_| !beside);
        let mut inputs: Vec<VertexId> = under.into_iter().collect();
        let mut sources = Vec::new();
        if !paths.is_empty() {
            let input = inputs.len();
            inputs.push(match from {
                None => lowering.context(),
                Some(Some(vertex)) => vertex,
                Some(None) => lowering.nothing(),
            });
            sources.extend(paths.iter().map(|path| CopySource::Path {
                input,
                path: self.source_path(path),
                keep_owner: self.keep_owner,
            }));
        }
        sources.extend(inline.into_iter().map(CopySource::Inline));

        let names_from = match &chown {
            Some(chown) if ownership::has_names(chown) => Some(position_of_names(chown, &mut inputs, stage)?),
            _ => None,
        };
        let mut destination = join_destination(stage.state.cwd(), &destination);
        if sources.len() > 1 && !destination.ends_with('/') {
            destination.push('/');
        }
        let copy = Op::Copy(CopyOp {
            scratch: under.is_none(),
            sources,
            destination,
            chown: chown.map(|chown| chown.value),
            names_from,
            chmod: mode,
            parents: self.parents,
            exclude: self.exclude.iter().map(|pattern| pattern.value.clone()).collect(),
            unpack: self.unpack,
        });
        let name = stage.next_name(&title, step.trigger);
        let origin = Some(step.origin);
        let layer = lowering.add(copy, inputs, name.clone(), &stage.label, origin);
        let rootfs = match stage.state.rootfs {
            Some(under) if beside => lowering.add(Op::Merge, vec![under, layer], name, &stage.label, origin),
            _ => layer,
        };
        stage.state.record_layer(text, layer, rootfs);
        Ok(())
    }

    /// Expands the sources: paths first, then heredocs, as BuildKit orders them.
    fn expand_sources(
        &self,
        stage: &OpenStage,
        lowering: &Lowering<'_>,
    ) -> Result<(Vec<String>, Vec<InlineFile>), Diagnostic> {
        let (mut paths, mut inline) = (Vec::new(), Vec::new());
        for source in self.sources {
            match source {
                FileSource::Path(written) => {
                    let path = lowering.word(written, stage)?;
                    if let Some(remote) = remote::classify(&path) {
                        return Err(self.refuse(remote, &path, written));
                    }
                    if !self.has_from {
                        let span = written.span;
                        lowering.see(Seen::ContextPath { path: &path, span }, stage);
                    }
                    paths.push(path);
                }
                FileSource::Heredoc(heredoc) => inline.push(InlineFile {
                    name: heredoc.name.clone(),
                    content: lowering.body(heredoc, stage)?,
                }),
            }
        }
        Ok((paths, inline))
    }

    fn refuse(&self, remote: Remote, path: &str, written: &Spanned<String>) -> Diagnostic {
        let error = match (self.keyword, remote) {
            ("COPY", Remote::Url) => Diagnostic::error("source can't be a URL for COPY"),
            ("COPY", Remote::Git) => Diagnostic::error("source can't be a git ref for COPY"),
            (_, Remote::Url) => Diagnostic::error(format!("ADD of a URL is not supported yet: `{path}`"))
                .help("download the file before the build, or with curl in a RUN"),
            (_, Remote::Git) => Diagnostic::error(format!("ADD of a git repository is not supported yet: `{path}`"))
                .help("clone the repository before the build, or with git in a RUN"),
        };
        error.at(written.span, "")
    }

    /// Returns a source as a path from the root of where it comes from. With `--parents` there is exactly one
    /// `/./` in it, before which the parents are not kept.
    fn source_path(&self, path: &str) -> String {
        if !self.parents {
            return join("/", path);
        }
        let (root, kept) = path.split_once("/./").unwrap_or(("/", path));
        format!("{}/.{}", join("/", root).trim_end_matches('/'), join("/", kept))
    }

    fn history(
        &self,
        paths: &[String],
        inline: &[InlineFile],
        destination: &str,
        chown: Option<&Spanned<String>>,
        chmod: Option<&Spanned<String>>,
    ) -> String {
        let mut words = vec![self.keyword.to_owned()];
        words.extend(self.parents.then(|| "--parents".to_owned()));
        words.extend(chown.map(|chown| format!("--chown={}", chown.value)));
        words.extend(chmod.map(|chmod| format!("--chmod={}", chmod.value)));
        words.extend(paths.iter().cloned());
        words.extend(inline.iter().map(|file| format!("<<{}", file.name)));
        words.push(destination.to_owned());
        format!("{} # buildkit", words.join(" "))
    }
}

/// Returns the position of the input that has the users and groups: the stage itself, which is made an input if
/// it is not one yet.
fn position_of_names(
    chown: &Spanned<String>,
    inputs: &mut Vec<VertexId>,
    stage: &OpenStage,
) -> Result<usize, Diagnostic> {
    let Some(rootfs) = stage.state.rootfs else {
        let message = format!(
            "`{}` cannot be looked up: the stage has no `/etc/passwd` yet",
            chown.value
        );
        return Err(Diagnostic::error(message)
            .at(chown.span, "")
            .help("use numbers, as in `--chown=1000:1000`"));
    };
    Ok(inputs.iter().position(|input| *input == rootfs).unwrap_or_else(|| {
        inputs.push(rootfs);
        inputs.len() - 1
    }))
}
