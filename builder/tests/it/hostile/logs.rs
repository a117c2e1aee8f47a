//! What a step prints steers neither a terminal nor a CI runner (rows L1 to L3).

use crate::harness::Lab;

/// Commands as runners know them, and sequences as terminals do; each with a word that shows that it was printed.
const CORPUS: &str = r#"
::add-mask::hidden
  ::error file=x::forged
::stop-commands::token
##[set-output name=a]forged
text ##[error]forged
##vso[task.setvariable variable=a]forged
##teamcity[message text='forged']
section_start:1560896352:forged\r\033[0Ksection
\033]0;title\007after-title
\033]52;c;Zm9yZ2Vk\007after-clipboard
\033[2J\033[Hafter-clear
\033]8;;http://evil.example\033\\link\033]8;;\033\\
\233\062Jafter-c1
over\rwritten
"#;

/// The lines that GitHub's runner takes for commands: `::` after white space, or `##[` anywhere
/// (`ActionCommand.TryParseV2` and `TryParse`); and those of others.
fn commands(text: &str) -> Vec<&str> {
    let is_command = |line: &&str| {
        let hash = |word: &str| line.contains(&format!("##{word}["));
        line.trim_start().starts_with("::") || hash("") || hash("vso") || hash("teamcity")
    };
    text.lines().filter(is_command).collect()
}

/// Characters that steer a terminal, but for the end of a line and a tab.
fn steering(text: &str) -> Vec<char> {
    text.chars()
        .filter(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        .collect()
}

fn assert_harmless(text: &str) {
    assert_eq!(commands(text), Vec::<&str>::new(), "{text}");
    assert_eq!(steering(text), Vec::<char>::new(), "{text}");
}

#[test]
fn l1_l2_what_a_step_prints_is_no_command_and_no_sequence() {
    let corpus = CORPUS.replace('\n', "\\n").replace('\'', "'\\''");
    for (end, code) in [("", 0), ("; exit 3", 4)] {
        let lab = Lab::new(&format!("FROM BASE/busybox\nRUN printf '%b' '{corpus}'{end}\n"));
        for progress in ["plain", "quiet"] {
            let option = format!("--progress={progress}");
            let outcome = lab.croze(&["build", &option, "--no-cache", "context"]);
            assert_eq!(outcome.code, code, "{}", outcome.stderr);
            assert_harmless(&outcome.stderr);
            let is_shown = progress == "plain" || code != 0;
            for word in ["forged", "after-title", "after-clear", "written"] {
                assert_eq!(outcome.stderr.contains(word), is_shown, "{word}: {}", outcome.stderr);
            }
        }
        let logs = lab.croze(&["logs"]);
        assert_harmless(&logs.stdout);
        assert!(logs.stdout.contains("after-title"), "{}", logs.stdout);
        // Who asks for one step gets its bytes.
        let exact = lab.croze(&["logs", "--step", "RUN"]);
        assert!(
            exact.stdout.contains("\u{1b}]0;title\u{7}after-title"),
            "{}",
            exact.stdout
        );
        // For programs: nothing of it is at the beginning of a line, and bytes are base64.
        let raw = lab.croze(&["build", "--progress=rawjson", "--no-cache", "context"]);
        assert_eq!(steering(&raw.stderr), Vec::<char>::new(), "{}", raw.stderr);
        assert!(raw.stderr.lines().all(|line| !line.trim_start().starts_with("::")));
    }
}

#[test]
fn l3_names_in_messages_are_no_command_and_no_sequence() {
    for dockerfile in [
        "FROM scratch\nCOPY \"::error::x\\033[2J\" /\n",
        "FROM scratch\n##[error]forged\nRUN --bad=##[error] x\n",
        "FROM scratch AS \"\u{1b}]0;t\u{7}\"\n",
        "FROM ##[error]forged\n",
        "::error::forged\n",
        "FROM scratch\nCOPY missing\u{202e} /\n",
    ] {
        let lab = Lab::new(dockerfile);
        let outcome = lab.croze(&["build", "--progress=plain", "context"]);
        assert_ne!(outcome.code, 0, "{dockerfile:?}");
        assert_ne!(outcome.code, 101, "{}", outcome.stderr);
        assert_harmless(&outcome.stderr);
    }
}
