//! `InvalidBaseImagePlatform`.

use registry::oci::Platform;

use super::StageRule;
use crate::frontend::Seen;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns of a base image that is for another platform than the stage.
pub(super) struct Mismatch;

impl StageRule for Mismatch {
    fn see(&mut self, seen: &Seen<'_>, findings: &mut Findings) {
        let Seen::Stage {
            syntax,
            base: Some(base),
            ..
        } = seen
        else {
            return;
        };
        let (expected, config) = (base.platform, base.config);
        if expected.os == config.os && expected.architecture == config.architecture {
            return;
        }
        let actual = Platform {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
            os_version: config.os_version.clone(),
        };
        let detail = format!(
            "Base image {} was pulled with platform \"{actual}\", expected \"{expected}\" for current build",
            base.name
        );
        findings.warn(&rule::INVALID_BASE_IMAGE_PLATFORM, detail, syntax.base.span);
    }
}
