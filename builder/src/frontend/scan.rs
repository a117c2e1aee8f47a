//! What an SBOM generator is to see beside the image: the build context, and stages that leave only some files to it.

use super::globals::Globals;
use super::lowered::ScanTargets;
use super::request::Request;
use super::stage::StageState;
use super::stages::ParsedStage;
use crate::attributes::truth;

/// The argument with which the target asks for a scan of the build context.
pub(super) const CONTEXT: &str = "BUILDKIT_SBOM_SCAN_CONTEXT";
/// The argument with which a stage asks for a scan of itself.
pub(super) const STAGE: &str = "BUILDKIT_SBOM_SCAN_STAGE";

/// Returns what the arguments of stages say; `stages` are those that were lowered, each with whether it is the target.
pub(super) fn targets<'a>(
    stages: impl Iterator<Item = (bool, &'a ParsedStage<'a>, &'a StageState)>,
    request: &Request,
    globals: &Globals,
) -> ScanTargets {
    let mut targets = ScanTargets::default();
    for (is_target, parsed, state) in stages {
        if is_target {
            targets.context = is_wanted(CONTEXT, &parsed.label, state, globals);
        } else if is_wanted(STAGE, &parsed.label, state, globals) {
            targets.stages.push((parsed.label.clone(), state.rootfs));
        } else {
            continue;
        }
        let name = parsed.syntax.name.as_ref().map(|name| name.as_str());
        targets.no_cache |= request.no_cache.covers(name);
    }
    targets
}

/// Tells whether an argument is on for a stage: it holds a truth value as Go reads it, or a list of stages.
fn is_wanted(argument: &str, stage: &str, state: &StageState, globals: &Globals) -> bool {
    let own = state.args.iter().rfind(|arg| arg.name == argument);
    let value = match own {
        Some(own) => own.value.as_deref(),
        None => globals.get(argument),
    };
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return false;
    };
    truth(value).unwrap_or_else(|| value.split(',').any(|listed| listed == stage))
}

#[cfg(test)]
mod tests {
    use super::super::tests::build;
    use super::*;

    fn scanned(text: &str, flags: &[&str]) -> (bool, Vec<String>) {
        let ScanTargets { context, stages, .. } = build(text, flags).lowered.scan;
        (context, stages.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn a_stage_is_scanned_if_it_says_so_and_the_target_is_made_from_it() {
        let text = "ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\n\
                    FROM scratch AS file\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY a /a\n\
                    FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=0,stage-1\nCOPY --from=file /a /b\n\
                    FROM scratch AS unneeded\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n\
                    FROM scratch AS silent\nARG BUILDKIT_SBOM_SCAN_STAGE=file\n\
                    FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n\
                    COPY --from=1 /b /\nCOPY --from=silent / /\n";
        assert_eq!(
            scanned(text, &[]),
            (true, vec!["file".to_owned(), "stage-1".to_owned()])
        );
        let off = [
            "--build-arg BUILDKIT_SBOM_SCAN_CONTEXT=false",
            "--build-arg BUILDKIT_SBOM_SCAN_STAGE=false",
        ];
        assert_eq!(scanned(text, &off), (false, Vec::new()));
    }

    #[test]
    fn an_argument_that_nobody_declares_scans_nothing() {
        let on = [
            "--build-arg BUILDKIT_SBOM_SCAN_CONTEXT=true",
            "--build-arg BUILDKIT_SBOM_SCAN_STAGE=true",
        ];
        for text in ["FROM scratch AS a\nFROM a\n", "FROM scratch\n"] {
            assert_eq!(scanned(text, &on), (false, Vec::new()));
            assert_eq!(scanned(text, &[]), (false, Vec::new()));
        }
    }

    #[test]
    fn a_stage_that_ignores_the_cache_is_scanned_anew() {
        let text = "FROM scratch AS a\nARG BUILDKIT_SBOM_SCAN_STAGE=1\nCOPY x /\nFROM scratch\nCOPY --from=a /x /\n";
        let is_fresh = |flags: &[&str]| build(text, flags).lowered.scan.no_cache;
        assert!(!is_fresh(&[]) && is_fresh(&["--no-cache"]) && is_fresh(&["--no-cache-filter a"]));
    }
}
