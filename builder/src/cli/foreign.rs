//! Options of other builders that croze does not have: whoever types one is told what does its work here.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options of `docker build`, `buildx build`, `buildah build` and kaniko, and what to do instead.
#[rustfmt::skip]
const INSTEAD: [(&str, &str); 30] = [
    ("--authfile", "set `REGISTRY_AUTH_FILE`"),
    ("--builder", "there is no daemon to choose"),
    ("--cache", "a cache is always used; `--no-cache` turns it off"),
    ("--cache-dir", "state lies where `--root` or `CROZE_ROOT` says"),
    ("--cache-repo", "write `--cache-to type=registry,ref=REF --cache-from type=registry,ref=REF`"),
    ("--cgroup-parent", "steps run in croze's own control group: limit that one"),
    ("--compress", "the context is read in place and sent nowhere"),
    ("--context", "the context is the argument: `croze build DIRECTORY`"),
    ("--cpu-quota", "steps run in croze's own control group: limit that one"),
    ("--cpu-shares", "steps run in croze's own control group: limit that one"),
    ("--cpuset-cpus", "steps run in croze's own control group: limit that one"),
    ("--destination", "write `-t REF --push`"),
    ("--dockerfile", "write `-f FILE`"),
    ("--force-rm", "no container is left behind"),
    ("--format", "write `-o type=image,oci-mediatypes=false` for Docker's media types"),
    ("--insecure", "write `--insecure-registry HOST`"),
    ("--isolation", "write `--sandbox`, or nothing: the strongest that works here is taken"),
    ("--layers", "every step is a layer and cached; `--no-cache` turns that off"),
    ("--load", "there is no daemon to load into: `croze build -o type=docker,dest=- . | docker load`"),
    ("--memory", "steps run in croze's own control group: limit that one"),
    ("--memory-swap", "steps run in croze's own control group: limit that one"),
    ("--no-push", "nothing is pushed without `--push`"),
    ("--oci-layout-path", "write `-o type=oci,dest=DIRECTORY,tar=false`"),
    ("--policy", "write `--source-policy-file FILE`"),
    ("--rm", "no container is left behind"),
    ("--skip-tls-verify", "write `--insecure-registry HOST`, or `--registry-ca FILE` for a CA of your own"),
    ("--squash", "add a last stage `FROM scratch` that copies all files of the one before"),
    ("--tar-path", "write `-o type=docker,dest=FILE`"),
    ("--tarPath", "write `-o type=docker,dest=FILE`"),
    ("--tls-verify", "write `--insecure-registry HOST`, or `--registry-ca FILE` for a CA of your own"),
];

/// Adds to an error about an unknown option what does the work of it, in place of an option with a similar name.
pub(super) fn explained(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let found = INSTEAD.iter().find(|(option, _)| option == given);
    if let Some((_, instead)) = found {
        error.remove(ContextKind::SuggestedArg);
        let tip = ContextValue::StyledStrs(vec![StyledStr::from(*instead)]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::super::args::Cli;
    use super::*;

    #[test]
    fn an_option_of_another_builder_is_answered_with_what_does_its_work() {
        for (option, instead) in INSTEAD {
            let error = Cli::try_parse_from(["croze", "build", option, "."]).unwrap_err();
            let text = explained(error).to_string();
            assert!(text.contains(&format!("tip: {instead}\n")), "{text}");
            assert_eq!(text.matches("tip:").count(), 1, "{text}");
        }
    }

    #[test]
    fn an_option_that_nobody_has_keeps_its_nearest_one() {
        let error = Cli::try_parse_from(["croze", "build", "--taget=x", "."]).unwrap_err();
        let text = explained(error).to_string();
        assert!(text.contains("a similar argument exists: '--target'"), "{text}");
    }

    #[test]
    fn what_the_answers_name_exists() {
        let command = Cli::command();
        let build = command.find_subcommand("build").unwrap();
        let known = |option: &str| {
            let mut arguments = build.get_arguments().chain(command.get_arguments());
            arguments.any(|argument| argument.get_long() == option.strip_prefix("--"))
        };
        for (foreign, instead) in INSTEAD {
            let words = instead.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            for option in words.filter(|word| word.len() > 2 && word.starts_with("--")) {
                assert!(known(option), "the answer to `{foreign}` names `{option}`");
            }
        }
    }
}
