//! Trees of single instructions, and the errors of wrong ones.

use super::*;
use crate::dockerfile::instruction::{CommandForm, FileSource, HealthcheckTest};

fn file(text: &str) -> Result<Dockerfile, Vec<Diagnostic>> {
    parse(Arc::new(SourceFile::new("Dockerfile", text)))
}

/// Parses one instruction in a stage.
fn one(text: &str) -> InstructionKind {
    let mut file = file(&format!("FROM a\n{text}")).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let instructions = &mut file.stages[0].instructions;
    assert_eq!(instructions.len(), 1, "{text}");
    instructions.remove(0).kind
}

/// The error of one wrong instruction, and the text that it points at.
fn error(text: &str) -> (String, String) {
    let source = format!("FROM a\n{text}");
    let errors = file(&source).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let label = &errors[0].labels[0];
    (errors[0].message.clone(), source[label.span.range()].to_owned())
}

fn messages(text: &str) -> Vec<String> {
    file(text).unwrap_err().into_iter().map(|error| error.message).collect()
}

#[test]
fn a_file_is_globals_and_stages() {
    let file = file("# check=skip=all\nARG V=1 W\nFROM --platform=$P a:$V aS Base\nRUN x\nFROM base\n").unwrap();
    assert_eq!(file.check.unwrap().value, "skip=all");
    assert_eq!(file.globals.len(), 1);
    let [first, second] = file.stages.as_slice() else {
        panic!()
    };
    assert_eq!(first.name.as_ref().unwrap().value, "base");
    assert_eq!(first.platform.as_ref().unwrap().value, "$P");
    assert_eq!(first.original, "FROM --platform=$P a:$V aS Base");
    assert_eq!((first.instructions.len(), second.base.value.as_str()), (1, "base"));
}

#[test]
fn comments_describe_stages() {
    let file = file("# base what it is\n# more\nFROM a AS base\n").unwrap();
    assert_eq!(file.stages[0].comment.as_deref(), Some("what it is"));
    assert_eq!(file.stages[0].comments, ["base what it is", "more"]);
}

#[test]
fn files_that_build_nothing_are_errors() {
    assert_eq!(messages(""), ["the Dockerfile cannot be empty"]);
    assert_eq!(messages("\n# c\n"), ["file with no instructions"]);
    assert_eq!(messages("ARG a"), ["dockerfile contains no stages to build"]);
    assert_eq!(messages("RUN x\nRUN y\nFROM a"), ["no build stage in current context"]);
}

#[test]
fn all_errors_are_told_at_once_in_order() {
    let text = "FROM a b\nRUN --mont=x y\nCOPY a\nFNTRYPOINT x\nENV\nEXPOSE 80\n";
    assert_eq!(
        messages(text),
        [
            "FROM requires either one or three arguments",
            "unknown flag: --mont (did you mean mount?)",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
            "unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)",
            "ENV requires at least one argument",
        ]
    );
}

#[test]
fn a_misspelt_run_does_not_turn_its_heredoc_into_errors() {
    assert_eq!(
        messages("FROM a\nRNU <<EOF\napt-get update\nmake\nEOF\nUSER x\n"),
        ["unknown instruction: RNU (did you mean RUN?)"]
    );
}

#[test]
fn lines_that_lost_their_instruction_are_one_error() {
    let errors =
        file("FROM a\nRUN make &&\n  make test\n  && make install\n  | tee log\nUSER\napt-get x\n").unwrap_err();
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "unknown instruction: make",
            "USER requires exactly one argument",
            "unknown instruction: apt-get",
        ]
    );
    assert_eq!(errors[0].notes, ["2 more lines after it are no instructions either"]);
    assert!(errors[0].help.as_ref().unwrap().contains("must end with `\\`"));
    assert!(errors[2].notes.is_empty());
}

#[test]
fn errors_point_at_what_is_wrong() {
    let cases = [
        (
            "from b AS 1x",
            "invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
            "1x",
        ),
        ("ENV a", "ENV must have two arguments", "ENV"),
        (
            "ENV a=1 b",
            "Syntax error - can't find = in \"b\". Must be of the form: name=value",
            "b",
        ),
        ("LABEL =x", "LABEL names can not be blank", "LABEL"),
        ("ARG a =x", "ARG names can not be blank", "ARG"),
        (
            "CMD [\"a\", 1]",
            "when using JSON array syntax, arrays must be comprised of strings only",
            "1",
        ),
        (
            "SHELL sh -c",
            "SHELL requires the arguments to be in JSON form",
            "SHELL",
        ),
        ("SHELL []", "SHELL requires at least one argument", "SHELL"),
        ("USER", "USER requires exactly one argument", "USER"),
        ("MAINTAINER --boo x", "unknown flag: --boo", "--boo"),
        ("VOLUME [\"\"]", "VOLUME specified can not be an empty string", "\"\""),
        (
            "HEALTHCHECK NONE x",
            "HEALTHCHECK NONE takes no arguments",
            "HEALTHCHECK",
        ),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", "CMD"),
        ("HEALTHCHECK x", "Unknown type \"X\" in HEALTHCHECK (try CMD)", "x"),
        (
            "HEALTHCHECK --interval=50ns CMD x",
            "Interval \"interval\" cannot be less than 1ms",
            "50ns",
        ),
        (
            "HEALTHCHECK --retries=-1 CMD x",
            "--retries cannot be negative (-1)",
            "-1",
        ),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger", "FROM"),
        (
            "ONBUILD ONBUILD RUN x",
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
            "ONBUILD",
        ),
        ("onbuild", "ONBUILD requires at least one argument", "onbuild"),
        (
            "ONBUILD COPY x",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
            "COPY",
        ),
        (
            "RUN --network=hots x",
            "invalid network mode \"hots\" (did you mean host?)",
            "hots",
        ),
        (
            "RUN \\\n  --mount=type=tmp,target=/x y",
            "unsupported mount type \"tmp\" (did you mean tmpfs?)",
            "tmp",
        ),
        (
            "COPY /foo <<EOF\nEOF",
            "COPY cannot accept a heredoc as a destination",
            "COPY",
        ),
        (
            "COPY <<'A B' '  <<C ' /d\nx\nA B\n",
            "COPY cannot tell which source the heredoc `A B` is",
            "COPY",
        ),
        (
            "COPY << EOF /foo\nEOF",
            "COPY cannot tell which source the heredoc `EOF` is",
            "COPY",
        ),
        (
            "COPY [\"<<EOF\", \"/foo\"]",
            "COPY cannot find the body of the heredoc `<<EOF`",
            "COPY",
        ),
        ("RUN <<A <<B\nA\n B\n", "unterminated heredoc", "<<B"),
        ("\\", "unknown instruction: ", ""),
    ];
    for (text, message, place) in cases {
        assert_eq!(error(text), (message.to_owned(), place.to_owned()), "{text}");
    }
    let message = error("COPY --from=$x a b").0;
    assert!(message.starts_with("variable expansion is not supported for --from"));
}

#[test]
fn commands_have_two_forms() {
    assert_eq!(
        one("CMD [\"a\", \"b\"]"),
        InstructionKind::Cmd(CommandForm::Exec(vec!["a".into(), "b".into()]))
    );
    assert_eq!(
        one("ENTRYPOINT []"),
        InstructionKind::Entrypoint(CommandForm::Exec(vec![]))
    );
    for text in ["[]random string", "echo \"hi", "['a']"] {
        let InstructionKind::Entrypoint(CommandForm::Shell { line, .. }) = one(&format!("ENTRYPOINT {text}")) else {
            panic!("{text}")
        };
        assert_eq!(line.value, text);
    }
}

#[test]
fn run_takes_flags_and_heredocs() {
    let kind = one("RUN --mount=target=/x --network=none -- <<-E 3<<'F' cat\n\ta\n\tE\n$x\nF\n");
    let InstructionKind::Run {
        command,
        mounts,
        network,
        ..
    } = kind
    else {
        panic!()
    };
    assert_eq!((mounts.len(), network.unwrap().value), (1, "none".to_owned()));
    let CommandForm::Shell { line, heredocs } = command else {
        panic!()
    };
    assert_eq!(line.value, "<<-E 3<<'F' cat");
    assert_eq!(
        (heredocs[0].body.as_str(), heredocs[0].opener.as_str()),
        ("a\n", "<<-E")
    );
    assert_eq!(
        (heredocs[1].body.as_str(), heredocs[1].expand, heredocs[1].fd),
        ("$x\n", false, 3)
    );
}

#[test]
fn sources_may_be_files_in_the_dockerfile() {
    let InstructionKind::Copy(copy) = one("COPY --link a <<X <<Y /dest\nY\nX\nX\nY\n") else {
        panic!()
    };
    let [FileSource::Path(a), FileSource::Heredoc(x), FileSource::Heredoc(y)] = copy.sources.as_slice() else {
        panic!("{:?}", copy.sources)
    };
    assert_eq!(
        (a.value.as_str(), x.body.as_str(), y.body.as_str()),
        ("a", "Y\n", "X\n")
    );
    assert!(copy.link);
}

#[test]
fn pairs_keep_their_quotes_for_later() {
    let InstructionKind::Env(pairs) = one("ENV a=\"b c\" d=e\\ f \\\n  g='h'") else {
        panic!()
    };
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|pair| (pair.key.as_str(), pair.value.as_str()))
        .collect();
    assert_eq!(pairs, [("a", "\"b c\""), ("d", "e\\ f"), ("g", "'h'")]);
    let InstructionKind::Env(pairs) = one("ENV SCUBA  1 DUBA=3") else {
        panic!()
    };
    assert_eq!(
        (pairs[0].key.as_str(), pairs[0].value.as_str(), pairs[0].legacy),
        ("SCUBA", "1 DUBA=3", true)
    );
}

#[test]
fn health_is_checked_in_nanoseconds() {
    let kind = one("HEALTHCHECK --interval=1m --timeout=0ms --retries=3 cmd [\"curl\"]");
    let InstructionKind::Healthcheck {
        test,
        interval,
        timeout,
        retries,
        ..
    } = kind
    else {
        panic!()
    };
    assert_eq!((interval, timeout, retries), (60_000_000_000, 0, 3));
    assert_eq!(test, HealthcheckTest::Cmd(CommandForm::Exec(vec!["curl".into()])));
}

#[test]
fn onbuild_keeps_the_text_and_its_meaning() {
    let text = "OnBuild RUN <<-'E'\n\tx\n\tE\n";
    let InstructionKind::Onbuild { expression, trigger } = one(text) else {
        panic!()
    };
    assert_eq!(expression.value, "RUN <<-'E'\n\tx\nE");
    let (source, again) = parse_trigger("ONBUILD of `a`", &expression.value).unwrap();
    assert_eq!(source.name(), "ONBUILD of `a`");
    let body = |kind: &InstructionKind| match kind {
        InstructionKind::Run {
            command: CommandForm::Shell { heredocs, .. },
            ..
        } => heredocs[0].body.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (body(&trigger.kind), body(&again.kind)),
        ("x\n".to_owned(), "x\n".to_owned())
    );
}

#[test]
fn a_trigger_is_one_instruction() {
    assert!(parse_trigger("t", "RUN a\nRUN b").is_err());
    assert!(parse_trigger("t", "").is_err());
    assert!(parse_trigger("t", "FROM a").is_err());
    assert!(parse_trigger("t", "COPY a").is_err());
}

#[test]
fn spans_reach_from_the_first_to_the_last_byte() {
    let source = "FROM a\n  RUN x \\\n # c\n  y\nCOPY <<E /\nb\nE\nUSER u";
    let file = file(source).unwrap();
    let spans: Vec<&str> = file.stages[0]
        .instructions
        .iter()
        .map(|i| &source[i.span.range()])
        .collect();
    assert_eq!(spans, ["RUN x \\\n # c\n  y", "COPY <<E /\nb\nE", "USER u"]);
}
