//! `RedundantTargetPlatform` and `FromPlatformFlagConstDisallowed`.

use registry::oci::Platform;

use crate::lint::file::File;
use crate::lint::findings::Findings;
use crate::lint::rule;

/// Warns of `--platform=$TARGETPLATFORM`, which is what happens anyway.
pub(super) fn redundant(file: &File<'_>, findings: &mut Findings) {
    const VARIABLE: &str = "TARGETPLATFORM";
    let Some(globals) = &file.globals else { return };
    for stage in &file.dockerfile.stages {
        let Some(platform) = &stage.platform else { continue };
        let (Ok(written), Ok(target)) = (globals.expand(platform), globals.expand("$TARGETPLATFORM")) else {
            continue;
        };
        if written.used == [VARIABLE] && written.unset.is_empty() && written.text == target.text {
            findings.go_to(stage.span, &stage.comments);
            let detail = format!(
                "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
                platform.value
            );
            findings.warn(&rule::REDUNDANT_TARGET_PLATFORM, detail, platform.span);
        }
    }
}

/// Warns of a platform without variables, unless the name of the stage admits it.
pub(super) fn constant(file: &File<'_>, findings: &mut Findings) {
    let Some(globals) = &file.globals else { return };
    for stage in &file.dockerfile.stages {
        let Some(written) = &stage.platform else { continue };
        let Ok(expanded) = globals.expand(written) else {
            continue;
        };
        let Ok(platform) = expanded.text.parse::<Platform>() else {
            continue;
        };
        let name = stage.name.as_ref().map_or("", |name| name);
        let admits = name.contains(&platform.os) || name.contains(&platform.architecture);
        if expanded.used.is_empty() && expanded.unset.is_empty() && !admits {
            findings.go_to(stage.span, &stage.comments);
            let detail = format!(
                "FROM --platform flag should not use constant value \"{}\"",
                expanded.text
            );
            findings.warn(&rule::FROM_PLATFORM_FLAG_CONST_DISALLOWED, detail, written.span);
        }
    }
}
