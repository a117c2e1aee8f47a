//! `COPY` and `ADD`.

use super::{Input, ownership};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::dockerfile::{AddOptions, CopyOptions, FileSource};
use crate::frontend::lowering::Lowering;
use crate::frontend::observe::Seen;
use crate::frontend::path::{join, join_destination};
use crate::frontend::remote::{AddFlags, Fetched, refused};
use crate::frontend::stage::OpenStage;
use crate::frontend::stages::Step;
use crate::graph::VertexId;
use crate::op::{CopyOp, CopySource, InlineFile, Op};
use crate::remote::{Remote, masked, masked_words};

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
    keep_owner: bool,
    /// `None` for `COPY`.
    add: Option<AddFlags>,
}

/// A source other than a heredoc, expanded.
struct NamedFiles {
    /// As in the history.
    text: String,
    /// How it is fetched, if it is on the network.
    fetched: Option<Fetched>,
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
        add: None,
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
    let flags = AddFlags {
        checksum: lowering.optional_word(add.checksum.as_ref(), stage)?,
        keep_git_dir: add.keep_git_dir,
        unpack: add.unpack,
        span: step.instruction.span,
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
        keep_owner: false,
        add: Some(flags),
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
        let destination = lowering.word(self.destination, stage)?;
        let chown = lowering.optional_word(self.chown, stage)?;
        let chmod = lowering.optional_word(self.chmod, stage)?;
        let mode = chmod.as_ref().map(ownership::chmod).transpose()?;
        let text = self.history(&paths, &inline, &destination, chown.as_ref(), chmod.as_ref());
        let title = masked_words(&lowering.title(&step.instruction.original, stage));

        // BuildKit copies without --link where there is --chmod, so that the destination's symbolic links count.
        let beside = self.link && chmod.is_none();
        let under = stage.state.rootfs.filter(|_| !beside);
        let mut inputs: Vec<VertexId> = under.into_iter().collect();
        let mut sources = Vec::new();
        let mut files = None;
        for path in paths {
            let source = match path.fetched {
                Some(fetched) => {
                    let vertex = lowering.add(fetched.op, Vec::new(), fetched.name, &stage.label, Some(step.origin));
                    CopySource::Path {
                        input: position_of(vertex, &mut inputs),
                        path: fetched.path,
                        keep_owner: false,
                        unpack: fetched.unpack,
                    }
                }
                None => CopySource::Path {
                    input: *files.get_or_insert_with(|| {
                        inputs.push(match from {
                            None => lowering.context(),
                            Some(Some(vertex)) => vertex,
                            Some(None) => lowering.nothing(),
                        });
                        inputs.len() - 1
                    }),
                    path: self.source_path(&path.text),
                    keep_owner: self.keep_owner,
                    unpack: self.add.as_ref().is_some_and(|add| add.unpack.unwrap_or(true)),
                },
            };
            sources.push(source);
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
            mtime: lowering.globals.epoch(),
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
    ) -> Result<(Vec<NamedFiles>, Vec<InlineFile>), Diagnostic> {
        let (mut paths, mut inline) = (Vec::new(), Vec::new());
        for source in self.sources {
            match source {
                FileSource::Path(written) => {
                    let text = lowering.word(written, stage)?;
                    let fetched = self.fetched(&text, written)?;
                    if !self.has_from && fetched.is_none() {
                        let (path, span) = (text.as_str(), written.span);
                        lowering.see(Seen::ContextPath { path, span });
                    }
                    paths.push(NamedFiles { text, fetched });
                }
                FileSource::Heredoc(heredoc) => inline.push(InlineFile {
                    name: heredoc.name.clone(),
                    content: lowering.body(heredoc, stage)?,
                }),
            }
        }
        Ok((paths, inline))
    }

    /// Returns how a source is fetched; `None` if it is a path.
    fn fetched(&self, text: &str, written: &Spanned<String>) -> Result<Option<Fetched>, Diagnostic> {
        let remote = Remote::of_add(text);
        let Some(flags) = &self.add else {
            let message = match remote {
                None => return Ok(None),
                Some(Ok(Remote::Web(_))) => "source can't be a URL for COPY",
                Some(_) => "source can't be a git ref for COPY",
            };
            return Err(Diagnostic::error(message).at(written.span, ""));
        };
        // One checksum cannot be that of two files.
        let refused_files = flags.refuse_files(self.sources.len());
        match (remote, refused_files) {
            (None, None) => Ok(None),
            (None, Some(error)) => Err(error),
            (Some(_), Some(error)) if flags.checksum.is_some() && self.sources.len() > 1 => Err(error),
            (Some(remote), _) => {
                let remote = remote.map_err(|error| refused(&error, written.span))?;
                flags.fetched(remote).map(Some)
            }
        }
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
        paths: &[NamedFiles],
        inline: &[InlineFile],
        destination: &str,
        chown: Option<&Spanned<String>>,
        chmod: Option<&Spanned<String>>,
    ) -> String {
        let mut words = vec![self.keyword.to_owned()];
        words.extend(self.parents.then(|| "--parents".to_owned()));
        words.extend(chown.map(|chown| format!("--chown={}", chown.value)));
        words.extend(chmod.map(|chmod| format!("--chmod={}", chmod.value)));
        // Where it was fetched from is told; as whom, is nobody's business.
        words.extend(paths.iter().map(|path| masked(&path.text)));
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
    Ok(position_of(rootfs, inputs))
}

/// Returns the position of an input, added now if it is none yet.
fn position_of(vertex: VertexId, inputs: &mut Vec<VertexId>) -> usize {
    inputs.iter().position(|input| *input == vertex).unwrap_or_else(|| {
        inputs.push(vertex);
        inputs.len() - 1
    })
}
