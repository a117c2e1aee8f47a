//! Attestations beside files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::pushed;
use super::{lab, read, script};

const OUT: &str = "FROM BASE/busybox AS base\nCOPY <<EOF /out/foo\nok\nEOF\n\nFROM scratch\nCOPY --from=base /out /\n";

/// The digest of `ok` and a line's end.
const OK: &str = "dc51b8c96c2d745df3bd5590d990230a482fd247123599548e0632fdbf97fc22";

fn statement(path: &Path, name: &str) -> Value {
    let statement: Value = serde_json::from_str(&read(path, name)).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    statement
}

#[test]
fn provenance_of_nothing_is_written_everywhere() {
    // BK-279
    let lab = lab("FROM scratch\nENV FOO=bar\n", &[]);
    for platforms in ["linux/amd64", "linux/amd64,linux/arm64"] {
        for (number, output) in ["type=image,name=nil:1", "type=local,dest=nil", "type=tar,dest=nil.tar"]
            .iter()
            .enumerate()
        {
            lab.build(&["--provenance=mode=max", "--platform", platforms, "-o", output]);
            let several = platforms.contains(',');
            let place = if several {
                "linux_arm64/provenance.json"
            } else {
                "provenance.json"
            };
            match number {
                0 => {}
                1 => {
                    let told = statement(&lab.path().join("nil"), place);
                    assert_eq!(told["subject"], json!([]));
                    script(&lab, "rm -r nil");
                }
                _ => drop(script(&lab, &format!("tar -xOf nil.tar {place}"))),
            }
        }
    }
}

#[test]
fn provenance_is_a_file_beside_the_others() {
    // BK-283
    let lab = lab(OUT, &[]);
    let out = lab.build_files(&["--provenance=mode=max"]);
    assert_eq!(read(&out, "foo"), "ok\n");
    let told = statement(&out, "provenance.json");
    assert_eq!(told["subject"], json!([{"name": "foo", "digest": {"sha256": OK}}]));
    assert!(told["predicate"]["buildDefinition"].is_object());
    let mode = fs::metadata(out.join("provenance.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    lab.build(&["--provenance=mode=max", "-o", "type=tar,dest=out.tar"]);
    assert_eq!(script(&lab, "tar -tf out.tar"), "foo\nprovenance.json\n");
}

#[test]
fn a_platform_may_have_a_directory_of_its_own() {
    // BK-284
    let lab = lab(OUT, &[]);
    lab.build(&["--provenance=mode=max", "-o", "type=local,dest=out,platform-split=true"]);
    let out = lab.path().join("out/linux_amd64");
    assert_eq!(read(&out, "foo"), "ok\n");
    statement(&out, "provenance.json");
}

#[test]
fn every_platform_has_its_statement_in_its_directory() {
    // BK-285
    let lab = lab(
        "FROM scratch AS base\nCOPY <<EOF /out/foo\nok\nEOF\n\nFROM scratch\nCOPY --from=base /out /\n",
        &[],
    );
    let out = lab.build_files(&["--provenance=mode=max", "--platform=linux/amd64,linux/arm64"]);
    for platform in ["linux_amd64", "linux_arm64"] {
        assert_eq!(read(&out.join(platform), "foo"), "ok\n");
        statement(&out.join(platform), "provenance.json");
    }
}

#[test]
fn statements_in_one_directory_are_told_apart_by_their_platform() {
    // BK-286
    let lab = lab(
        "FROM scratch AS base\nARG TARGETARCH\nCOPY <<EOF /out/foo_${TARGETARCH}\nok\nEOF\n\n\
         FROM scratch\nCOPY --from=base /out /\n",
        &[],
    );
    let output = "type=local,dest=out,platform-split=false,attestation-prefix=app-";
    let platforms = "--platform=linux/amd64,linux/arm64";
    lab.build(&["--provenance=mode=max", platforms, "-o", &output.replace("app-", "")]);
    lab.build(&["--provenance=filename=slsa.json", platforms, "-o", output]);
    for architecture in ["amd64", "arm64"] {
        let out = lab.path().join("out");
        assert_eq!(read(&out, &format!("foo_{architecture}")), "ok\n");
        let told = statement(&out, &format!("provenance.linux_{architecture}.json"));
        assert_eq!(told["subject"][0]["name"], format!("foo_{architecture}"));
        statement(&out, &format!("app-slsa.linux_{architecture}.json"));
    }
}

#[test]
fn an_sbom_is_a_file_too_and_what_is_for_images_only_is_none() {
    let scanner = "FROM BASE/busybox\nRUN echo '{\"_type\":\"https://in-toto.io/Statement/v0.1\",\
                   \"predicateType\":\"https://cyclonedx.org/bom\",\"predicate\":{}}' > /bom\n\
                   CMD cp /bom $BUILDKIT_SCAN_DESTINATION/sbom.cdx.json\n";
    let scanner = pushed("attest-files-scanner", scanner, &[]);
    let lab = lab(OUT, &[]);
    let sbom = format!("--sbom=generator={scanner}");
    let out = lab.build_files(&[
        &sbom,
        "--provenance=mode=min,inline-only=true",
        "--build-arg=SOURCE_DATE_EPOCH=7",
    ]);
    assert!(!out.join("provenance.json").exists());
    let told = statement(&out, "sbom.cdx.json");
    assert_eq!(told["predicateType"], "https://cyclonedx.org/bom");
    assert_eq!(told["subject"][0]["name"], "foo");
    assert_eq!(script(&lab, "stat -c %Y out/sbom.cdx.json").trim(), "7");
}
