//! What is printed parses to the same tree, and any text is read or refused: made of pieces, or of real files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use builder::diagnostic::SourceFile;
use builder::dockerfile::{CommandForm, InstructionKind, Unprintable, parse, print};
use proptest::prelude::*;

use crate::properties::{self, print::assert_printed_parses_back};
use crate::shared::{corpus, files_below};

static FILES: LazyLock<Vec<PathBuf>> = LazyLock::new(|| files_below(&corpus().join("files")));

fn check_all(directory: &Path) -> usize {
    let files = files_below(directory);
    files
        .iter()
        .filter(|path| {
            let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
            assert_printed_parses_back(&text)
        })
        .count()
}

#[test]
fn a_trigger_whose_flags_are_ended_parses_back() {
    assert!(assert_printed_parses_back("FROM a\nONBUILD -- ARG b\n"));
}

#[test]
fn every_real_file_parses_back_when_printed() {
    assert!(check_all(&corpus().join("files")) > 1600);
    assert!(check_all(&corpus().join("adversarial")) > 50);
}

#[test]
fn every_file_of_ours_parses_back_when_printed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/syntax");
    assert!(check_all(&directory) >= 5);
}

#[test]
fn what_only_odd_white_space_can_say_is_said() {
    for text in [
        "FROM a\nRUN x\\\u{b}\nUSER u",
        "FROM a\nCOPY [\"c:\\\\\", \"d:\\\\\"]\nUSER u",
        "# escape=`\nFROM a\nCOPY --chown=\"a `\" b\" -- --x y",
        "FROM a\nVOLUME [\"/a b\", \"[x\"]",
        "FROM a\nRUN --mount=\"type=bind,\\\"target=/a,b\\\"\" --network=none",
        "\n# escape=`\n# not a directive\nFROM a",
        "# syntax=docker/dockerfile:1\t for me\nFROM a",
    ] {
        assert!(assert_printed_parses_back(text), "{text:?}");
    }
}

#[test]
fn a_key_of_the_old_form_that_is_an_escape_character_parses_back() {
    for text in [
        "FROM a\nENV \\  [A=b c",
        "FROM a\nLABEL \"\\ \"  b=c",
        "# escape=`\nFROM a\nENV a`\t b=c",
        "FROM a\nENV a\\\u{a0}\u{b}b=c",
    ] {
        assert!(assert_printed_parses_back(text), "{text:?}");
    }
}

#[test]
fn words_around_heredocs_stay_apart() {
    for text in [
        "FROM a\nCOPY \\  <<A /d\nA\n",
        "FROM a\nCOPY <<A 3<<\u{b}/c\nA\n",
        "FROM a\nCOPY <<\"a\\b\" 03<<x /d/\na\\b\nx\n",
        "FROM a\nADD <<A '\\  x' ${x:-\\  y} /d/\nA\n",
    ] {
        assert!(assert_printed_parses_back(text), "{text:?}");
    }
}

#[test]
fn a_heredoc_whose_name_ends_in_white_space_parses_back() {
    for text in [
        "FROM a\nRUN cat <<a\\\u{a0}\na\u{a0}\n",
        "FROM a\nRUN cat <<\\\u{b}\n\u{b}\n",
        "# escape=`\nFROM a\nRUN cat <<a\\ \na \nUSER u",
        "FROM a\nRUN <<A cat <<\\\u{2003}  \nA\n\u{2003}\n",
    ] {
        assert!(assert_printed_parses_back(text), "{text:?}");
    }
}

#[test]
fn flags_that_show_or_hide_heredocs_go_on_to_do_so() {
    for text in [
        // An odd quote, a half substitution or `<<` in a flag: no heredoc is found behind it.
        "FROM a\nRUN --mount=target=/${ cat <<EOF\n",
        "FROM a\nRUN --device='\\'' cat <<EOF\n",
        "FROM a\nRUN --mount=target=/a<< <<EOF\n",
        "# escape=`\nFROM a\nRUN --device=a\\ <<EOF\n",
        "# escape=`\nFROM a\nRUN --device=a`' <<EOF\n",
        // The same where it is hidden from whoever looks for heredocs.
        "# escape=`\nFROM a\nCOPY --chown='a\"b' <<EOF /d\nEOF\n",
        "FROM a\nCOPY --chown='${' --exclude='a<<' <<EOF /d\nEOF\n",
        // A heredoc that stands in a flag's value.
        "# escape=`\nFROM a\nRUN --device=a` <<EOF cat\nEOF\n",
        "FROM a\nRUN --device='a\\' <<EOF ' cat 'x\nEOF\n",
        "FROM a\nRUN --device='a\\' <<EOF # no more\nEOF\n",
    ] {
        assert!(assert_printed_parses_back(text), "{text:?}");
    }
}

#[test]
fn a_trigger_with_a_heredoc_whose_name_ends_in_an_escape_character_parses_back() {
    let text = "FROM a\nONBUILD RUN cat <<'a\\'\nb\na\\\nUSER u";
    assert!(assert_printed_parses_back(text));
}

#[test]
fn instructions_and_comments_as_long_as_lines_may_be_parse_back() {
    let half = "x ".repeat(20_000);
    for text in [
        format!("FROM a\nRUN {half}\\\n{half}\\\n  {half}y\n"),
        format!("FROM a\nONBUILD RUN {half}\\\n{half}<<E\nE\n"),
        format!("FROM a\n#{}\nUSER u\n", &"y".repeat(65_534)),
        format!("#check={}\nFROM a\n", &"y".repeat(65_528)),
    ] {
        assert!(assert_printed_parses_back(&text));
    }
}

#[test]
fn a_tree_that_no_text_says_is_refused() {
    let changed = |change: fn(&mut CommandForm)| {
        let text = "FROM a\nRUN cat <<EOF\nEOF\n";
        let mut file = parse(Arc::new(SourceFile::new("Dockerfile", text))).unwrap();
        let instruction = &mut file.stages[0].instructions[0];
        let InstructionKind::Run { command, .. } = &mut instruction.kind else {
            panic!("{instruction:?}")
        };
        change(command);
        print(&file).unwrap_err()
    };
    let without_heredocs = changed(|command| {
        if let CommandForm::Shell { heredocs, .. } = command {
            heredocs.clear();
        }
    });
    assert!(
        matches!(without_heredocs, Unprintable::Heredocs { .. }),
        "{without_heredocs}"
    );
    let unbreakable = changed(|command| {
        if let CommandForm::Shell { line, .. } = command {
            line.value.push_str(&format!(" {}", "\\".repeat(70_000)));
        }
    });
    assert!(matches!(unbreakable, Unprintable::LongLine { .. }), "{unbreakable}");
}

/// Pieces that Dockerfiles are made of, and some that they are broken with.
fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "FROM a",
        "FROM --platform=$P b AS c",
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "ARG ",
        "LABEL ",
        "CMD ",
        "HEALTHCHECK ",
        "ONBUILD ",
        "SHELL ",
        "VOLUME ",
        "EXPOSE ",
        "--mount=type=cache,target=/x ",
        "--chown=\"a b\" ",
        "--link ",
        "-- ",
        "<<EOF ",
        "<<-'E F' ",
        "\nEOF\n",
        "\nE F\n",
        "[\"a\", \"b\"]",
        "[",
        "a=1 ",
        "b=\"c d\" ",
        "'",
        "\"",
        "\\",
        "`",
        "\\\n",
        "\n",
        "\r\n",
        "\n#c\n",
        "# escape=`\n",
        "# check=skip=all\n",
        " ",
        "\t",
        "\u{b}",
        "\u{a0}",
        "é",
        "\u{feff}",
        "$x",
        "${x:-y}",
        "${",
        "/a ",
        "x ",
        "CMD x",
        "NONE",
        "--interval=5s ",
        "\0",
    ];
    prop::sample::select(fixed.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_made_of_pieces_is_read_or_refused(pieces in prop::collection::vec(piece(), 0..16)) {
        let text = format!("FROM a\n{}", pieces.concat());
        properties::parse::check(text.as_bytes());
        properties::parse::check(pieces.concat().as_bytes());
    }

    #[test]
    fn whatever_a_real_file_is_changed_to_is_read_or_refused(
        file in 0_usize..1711,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), piece()), 1..6),
    ) {
        let mut text: Vec<char> = String::from_utf8_lossy(&fs::read(&FILES[file % FILES.len()]).unwrap()).chars().collect();
        for (start, length, piece) in cuts {
            let start = start.index(text.len() + 1);
            let end = (start + length.index(40)).min(text.len());
            text.splice(start..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        properties::parse::check(text.as_bytes());
    }
}
