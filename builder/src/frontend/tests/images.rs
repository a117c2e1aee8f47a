//! The images that the tests start from.

use registry::oci::{Digest, ImageConfig, Platform, Reference};

use crate::frontend::{ResolveError, ResolveImage, ResolvedImage};

/// A registry with a few repositories, in every tag and platform but `nosuchtag`.
pub(super) struct Images;

impl ResolveImage for Images {
    fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<ResolvedImage, ResolveError> {
        let config = match reference.repository() {
            "library/busybox" | "library/alpine" => r#"{"Env": ["PATH=/bin:/usr/bin"], "Cmd": ["sh"]}"#,
            "library/app" => {
                r#"{"User": "app", "Env": ["PATH=/bin", "MODE=prod"], "Entrypoint": ["/app"], "Cmd": ["run"],
                    "WorkingDir": "/srv", "Labels": {"from": "base"}, "StopSignal": "SIGINT", "Shell": ["/bin/bash", "-c"],
                    "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}, "Hostname": "3c1f"}"#
            }
            "library/onbuild" => {
                r#"{"OnBuild": ["RUN mkdir -p /out", "COPY --from=alpine /etc/passwd /out/", "ARG MODE=fast",
                    "COPY --from=source /in /out/"]}"#
            }
            "library/badonbuild" => r#"{"OnBuild": ["RUN --mount=type=cahce,target=/x true"]}"#,
            "library/empty" => r#"{"Labels": {"foo": "bar"}}"#,
            _ => return Err(missing(reference)),
        };
        if reference.tag() == Some("nosuchtag") {
            return Err(missing(reference));
        }
        let layers = match reference.repository() {
            "library/empty" => "",
            _ => r#""sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#,
        };
        let (os, architecture) = (&platform.os, &platform.architecture);
        let text = format!(
            r#"{{"created": "2024-01-01T00:00:00Z", "author": "somebody", "os": "{os}", "architecture": "{architecture}",
                 "config": {config}, "rootfs": {{"type": "layers", "diff_ids": [{layers}]}}, "docker_version": "19.03"}}"#
        );
        let config: ImageConfig = serde_json::from_str(&text).unwrap();
        let digest = Digest::of(format!("{reference} {platform}").as_bytes());
        Ok(ResolvedImage {
            reference: reference.with_digest(digest),
            manifest_digest: digest,
            config,
        })
    }
}

fn missing(reference: &Reference) -> ResolveError {
    ResolveError(format!("`{reference}` is not in the registry").into())
}
