//! SBOMs, made by a generator that is an image of ours.

use serde_json::{Value, json};

use super::super::pushed;
use super::{Attested, Lab, Told, lab};

/// A generator that writes `core`, and `extra` for everything else that it sees.
const SCANNER: &str = r#"FROM BASE/busybox
COPY <<-"EOF" /scan.sh
	set -e
	bundle() {
		cat <<-BUNDLE
			{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://spdx.dev/Document",
			"predicate": {"name": "$1", "files": "$(ls $2 | tr '\n' ' ')"}}
		BUNDLE
	}
	! touch $BUILDKIT_SCAN_SOURCE/x 2>/dev/null
	bundle core $BUILDKIT_SCAN_SOURCE > $BUILDKIT_SCAN_DESTINATION/$(basename $BUILDKIT_SCAN_SOURCE).spdx.json
	if [ "${BUILDKIT_SCAN_SOURCE_EXTRAS}" ]; then
		for src in "${BUILDKIT_SCAN_SOURCE_EXTRAS}"/*; do
			bundle extra $src > $BUILDKIT_SCAN_DESTINATION/$(basename $src).spdx.json
		done
	fi
EOF
CMD sh /scan.sh
"#;

fn scanned(lab: &Lab, name: &str, scanner: &str, words: &[&str]) -> Vec<Value> {
    let generator = format!("--sbom=generator={scanner}");
    let image = Attested::pushed(lab, name, &[&[generator.as_str()], words].concat());
    assert_eq!(image.entries().len(), 2);
    let statements = image.statements("linux/amd64");
    statements
        .iter()
        .map(|statement| statement["predicate"].clone())
        .collect()
}

#[test]
fn a_generator_of_ones_own_says_what_is_in_the_image() {
    // BK-272
    let scanner = r#"FROM BASE/busybox
COPY <<-"EOF" /scan.sh
	set -e
	cat <<BUNDLE > $BUILDKIT_SCAN_DESTINATION/spdx.json
	{
	  "_type": "https://in-toto.io/Statement/v1",
	  "predicateType": "https://spdx.dev/Document",
	  "predicate": {"name": "sbom-scan"}
	}
	BUNDLE
EOF
CMD sh /scan.sh
"#;
    let scanner = pushed("attest-scanner", scanner, &[]);
    let lab = lab("FROM scratch\nCOPY <<EOF /foo\ndata\nEOF\n", &[]);
    let image = Attested::pushed(&lab, "sbom", &["--attest", &format!("type=sbom,generator={scanner}")]);
    assert_eq!(image.entries().len(), 2);
    let digest = image.image("linux/amd64")["digest"]
        .as_str()
        .unwrap()
        .replace("sha256:", "");
    let attestations = image.attestations("linux/amd64");
    assert_eq!(
        attestations["platform"],
        json!({"os": "unknown", "architecture": "unknown"})
    );
    let manifest = image.layout.blob(&attestations);
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["mediaType"], "application/vnd.in-toto+json");
    assert_eq!(
        layers[0]["annotations"],
        json!({"in-toto.io/predicate-type": "https://spdx.dev/Document"})
    );
    let statement = image.layout.blob(&layers[0]);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://spdx.dev/Document");
    assert_eq!(statement["predicate"], json!({"name": "sbom-scan"}));
    assert_eq!(statement["subject"][0]["digest"], json!({"sha256": digest}));
}

#[test]
fn arguments_choose_what_else_is_scanned() {
    // BK-273
    let scanner = pushed("attest-scanner-args", SCANNER, &[]);
    let undeclared = lab("FROM scratch AS base\nCOPY <<EOF /foo\ndata\nEOF\nFROM base\n", &[]);
    let on = [
        "--build-arg=BUILDKIT_SBOM_SCAN_CONTEXT=true",
        "--build-arg=BUILDKIT_SBOM_SCAN_STAGE=true",
    ];
    assert_eq!(
        scanned(&undeclared, "undeclared", &scanner, &on),
        [json!({"name": "core", "files": "foo "})]
    );
    let declared = lab(
        "ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\n\
         FROM scratch AS file\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY <<EOF /file\ndata\nEOF\n\
         FROM scratch AS base\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY --from=file /file /foo\n\
         FROM scratch AS base2\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY --from=file /file /bar\n\
         RUN non-existent-command-would-fail\n\
         FROM base\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n",
        &[("ignored", ""), (".dockerignore", "ignored")],
    );
    assert_eq!(
        scanned(&declared, "declared", &scanner, &[]),
        [
            json!({"name": "core", "files": "foo "}),
            json!({"name": "extra", "files": "foo "}),
            json!({"name": "extra", "files": "Dockerfile "}),
            json!({"name": "extra", "files": "file "}),
        ]
    );
    let off = [
        "--build-arg=BUILDKIT_SBOM_SCAN_CONTEXT=false",
        "--build-arg=BUILDKIT_SBOM_SCAN_STAGE=false",
    ];
    assert_eq!(scanned(&declared, "off", &scanner, &off).len(), 1);
}

#[test]
fn a_scan_is_a_step_that_is_cached_and_told_of() {
    let scanner = pushed("attest-scanner-cached", SCANNER, &[]);
    let lab = lab("FROM BASE/busybox\nCOPY foo /\n", &[("foo", "data")]);
    let words = [
        "--sbom",
        &format!("generator={scanner},Flavour=x"),
        "--provenance=mode=min",
    ];
    let image = Attested::pushed(&lab, "cached", &words);
    let types: Vec<Value> = image
        .statements("linux/amd64")
        .iter()
        .map(|s| s["predicateType"].clone())
        .collect();
    assert_eq!(types, ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]);
    let provenance = image.statements("linux/amd64").remove(1);
    let uris: Vec<&Value> = Told::of(&provenance["predicate"])
        .materials()
        .iter()
        .map(|m| &m["uri"])
        .collect();
    assert!(uris[1].as_str().unwrap().contains("attest-scanner-cached"), "{uris:?}");
    let again = lab.build(&words);
    let step = format!("[linux/amd64] generating sbom using {scanner}");
    let number = again
        .stderr
        .lines()
        .find_map(|line| line.strip_suffix(&format!(" {step}")));
    let number = number.unwrap_or_else(|| panic!("{}", again.stderr));
    assert!(again.stderr.contains(&format!("{number} CACHED")), "{}", again.stderr);
    lab.write("foo", "other");
    let plan = lab
        .croze(&[&["build", "--plan", "context"], &words[..]].concat())
        .stdout;
    assert!(plan.contains(&format!("run       {step}")), "{plan}");
}

#[test]
fn every_platform_is_scanned_even_if_there_is_nothing() {
    let scanner = pushed("attest-scanner-platforms", SCANNER, &[]);
    let lab = lab("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /of-$TARGETARCH\n", &[]);
    let generator = format!("--sbom=generator={scanner}");
    let platforms = "--platform=linux/amd64,linux/arm64";
    let image = Attested::pushed(&lab, "scanned-platforms", &[&generator, platforms]);
    for architecture in ["amd64", "arm64"] {
        let statement = image.statements(&format!("linux/{architecture}")).remove(0);
        assert_eq!(statement["predicate"]["files"], format!("of-{architecture} "));
        let purl = statement["subject"][0]["name"].as_str().unwrap();
        assert!(purl.ends_with(&format!("?platform=linux%2F{architecture}")), "{purl}");
    }
    lab.write("Dockerfile", "FROM scratch\nENV FOO=bar\n");
    assert_eq!(
        scanned(&lab, "scanned-nothing", &scanner, &[]),
        [json!({"name": "core", "files": ""})]
    );
}

#[test]
fn what_is_no_generator_fails_the_build() {
    let silent = pushed("attest-silent", "FROM BASE/busybox\nCMD [\"true\"]\n", &[]);
    let mute = pushed("attest-mute", "FROM scratch\nCOPY Dockerfile /\n", &[]);
    let liar = pushed(
        "attest-liar",
        "FROM BASE/busybox\nCMD echo hello > $BUILDKIT_SCAN_DESTINATION/x\n",
        &[],
    );
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    for (generator, said) in [
        (&silent, "the SBOM generator has written nothing"),
        (&mute, "is no SBOM generator"),
        (
            &liar,
            "`x`, which the SBOM generator has written, is not an in-toto statement",
        ),
    ] {
        let outcome = lab.croze(&["build", "--sbom", &format!("generator={generator}"), "context"]);
        outcome.fails(8, &[said]);
    }
}
