//! Provenance of images: what it tells in each form and mode.

use serde_json::{Value, json};

use super::super::{Layout, pushed};
use super::{Attested, Told, VERSIONS, lab, script};
use crate::harness::base_registry;

fn busybox() -> String {
    format!("pkg:docker/{}/busybox@latest?platform=linux%2Famd64", base_registry())
}

/// Returns the digest of what the registry has under a name.
fn digest_of(lab: &super::Lab, name: &str) -> String {
    let raw = format!("skopeo inspect --raw --tls-verify=false docker://{name} | sha256sum | cut -d' ' -f1");
    script(lab, &raw).trim().to_owned()
}

#[test]
fn provenance_has_two_forms_and_two_modes() {
    // BK-274
    let dockerfile = "FROM BASE/busybox\nRUN echo ok > /foo\n";
    let lab = lab(dockerfile, &[]);
    let commit = script(
        &lab,
        "cd context; export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD
         git init -q .; git config user.email a@b; git config user.name a; git add .; git commit -qm 1
         git remote add origin https://user:pass@example.invalid/repo.git; chown -R --reference=Dockerfile .git
         git rev-parse HEAD",
    );
    let base = digest_of(&lab, &format!("{}/busybox:latest", base_registry()));
    for (asked, version) in VERSIONS {
        for mode in ["", "min", "max"] {
            let mode_asked = if mode.is_empty() {
                String::new()
            } else {
                format!("mode={mode}")
            };
            let attest = format!("type=provenance,{asked}{mode_asked}");
            let words = [
                "--attest",
                attest.trim_end_matches(','),
                "--build-arg=FOO=bar",
                "--label=lbl=abc",
                "--build-context=foo=https://foo:bar@example.invalid/foo.html",
            ];
            let image = Attested::pushed(&lab, "modes", &words);
            assert_eq!(image.entries().len(), 2, "{attest}");
            let described = image.attestations("linux/amd64");
            assert_eq!(
                described["annotations"]["vnd.docker.reference.type"],
                "attestation-manifest"
            );
            assert_eq!(
                described["platform"],
                json!({"os": "unknown", "architecture": "unknown"})
            );
            let statement = image.statements("linux/amd64").remove(0);
            assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
            assert_eq!(
                statement["predicateType"],
                format!("https://slsa.dev/provenance/{version}")
            );
            let name = image.tag.replace(":1", "@1");
            let digest = image.image("linux/amd64")["digest"]
                .as_str()
                .unwrap()
                .replace("sha256:", "");
            assert_eq!(
                statement["subject"],
                json!([{"name": format!("pkg:docker/{name}?platform=linux%2Famd64"), "digest": {"sha256": digest}}])
            );

            let predicate = &statement["predicate"];
            let told = Told::of(predicate);
            assert_eq!(told.is_v1, version == "v1");
            let build_type = if told.is_v1 {
                "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
            } else {
                "https://mobyproject.org/buildkit@v1"
            };
            assert_eq!((told.build_type(), told.builder()), (&json!(build_type), &json!("")));
            assert_eq!(
                (&told.source()["uri"], told.path()),
                (&Value::Null, &json!("Dockerfile"))
            );
            assert_eq!(told.request()["frontend"], "dockerfile.v0");
            assert_eq!(told.locals(), ["context", "dockerfile"]);
            let masked = "https://xxxxx:xxxxx@example.invalid";
            let context = format!("{masked}/foo.html");
            let is_max = mode != "min";
            let args = if is_max {
                json!({"build-arg:FOO": "bar", "label:lbl": "abc", "context:foo": context})
            } else {
                json!({ "context:foo": context })
            };
            assert_eq!(told.request()["args"], args, "{attest}");
            assert_eq!(
                told.materials(),
                [json!({"uri": busybox(), "digest": {"sha256": base}})]
            );
            assert_eq!(
                told.extension()["vcs"],
                json!({"source": format!("{masked}/repo.git"), "revision": commit.trim()})
            );
            assert_eq!(told.platform(), "linux/amd64");
            let [id, started, finished] = told.invocation().map(|told| told.as_str().unwrap().to_owned());
            assert!(!id.is_empty() && started < finished, "{started} {finished}");
            let age = script(&lab, &format!("echo $(($(date +%s) - $(date -d {finished} +%s)))"));
            assert!((0..300).contains(&age.trim().parse::<i64>().unwrap()), "{finished}");
            assert_eq!(told.completeness(), [is_max, false]);
            assert!(!told.is_hermetic() && !told.is_reproducible());

            let extension = told.extension();
            assert_eq!(told.build_config().is_null(), !is_max);
            assert_eq!(
                (extension["source"].is_null(), extension["layers"].is_null()),
                (!is_max, !is_max)
            );
            if is_max {
                assert_eq!(extension["layers"].as_object().unwrap().len(), 2);
                let info = &extension["source"]["infos"][0];
                let data = script(&lab, "base64 -w0 context/Dockerfile");
                assert_eq!((&info["filename"], &info["data"]), (&json!("Dockerfile"), &json!(data)));
                // The base, the command, and one that only names the result.
                assert_eq!(told.build_config()["llbDefinition"].as_array().unwrap().len(), 3);
            }
        }
    }
}

#[test]
fn every_platform_has_provenance_of_its_own() {
    // BK-276
    let base = format!("{}/checks/attest-base:1", base_registry());
    let source = lab(
        "FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n",
        &[],
    );
    source.build(&["-t", &base, "--push", "--platform=linux/amd64,linux/arm64"]);
    let lab = lab(
        &format!("FROM {base}\nARG TARGETARCH\nCOPY <<EOF /foo\nok-$TARGETARCH\nEOF\n"),
        &[],
    );
    let words = [
        "--provenance=mode=max",
        "--build-arg=FOO=bar",
        "--label=lbl=abc",
        "--platform=linux/amd64,linux/arm64",
    ];
    let image = Attested::pushed(&lab, "platforms", &words);
    let kinds: Vec<bool> = image
        .entries()
        .iter()
        .map(|entry| entry["platform"]["os"] == "linux")
        .collect();
    assert_eq!(kinds, [true, true, false, false]);
    let index = digest_of(&lab, &base);
    for architecture in ["amd64", "arm64"] {
        let statement = image.statements(&format!("linux/{architecture}")).remove(0);
        let told = Told::of(&statement["predicate"]);
        let uri = format!(
            "pkg:docker/{}?platform=linux%2F{architecture}",
            base.replace(":1", "@1")
        );
        assert_eq!(told.materials(), [json!({"uri": uri, "digest": {"sha256": index}})]);
        assert_eq!(
            told.request()["args"],
            json!({"build-arg:FOO": "bar", "label:lbl": "abc"})
        );
    }
}

#[test]
fn secrets_and_agents_are_told_by_their_ids() {
    // BK-277
    let lab = lab(
        "FROM BASE/busybox\nRUN --mount=type=secret,id=mysecret --mount=type=secret,id=othersecret \
         --mount=type=ssh echo ok > /foo\nRUN --mount=type=secret,id=mysecret,required=true,env=TOKEN test -n \"$TOKEN\"\n",
        &[],
    );
    script(
        &lab,
        "echo -n canary-of-a-secret > secret; chown --reference=context secret",
    );
    for version in ["v1", "v0.2"] {
        let attest = format!("--provenance=mode=max,version={version}");
        let image = Attested::pushed(&lab, "secrets", &[&attest, "--secret=id=mysecret,src=secret"]);
        let predicate = image.predicate();
        let request = Told::of(&predicate).request();
        assert_eq!(
            request["secrets"],
            json!([{"id": "mysecret"}, {"id": "othersecret", "optional": true}])
        );
        assert_eq!(request["ssh"], json!([{"id": "default", "optional": true}]));
        assert!(!predicate.to_string().contains("canary"), "{predicate}");
        let min = Attested::pushed(
            &lab,
            "secrets",
            &["--provenance=mode=min", "--secret=id=mysecret,src=secret"],
        );
        let min = min.predicate();
        assert!(Told::of(&min).request()["secrets"].is_null());
    }
}

#[test]
fn an_image_of_a_layout_is_a_material_without_a_registry() {
    // BK-278
    let inner = lab("FROM scratch\nCOPY <<EOF /foo\nfoo\nEOF\n", &[]);
    let layout = Layout::of(&inner, &[]);
    let entry = layout.index()["manifests"][0].clone();
    let digest = entry["digest"].as_str().unwrap();
    let lab = lab("FROM foo\nCOPY <<EOF /bar\nbar\nEOF\n", &[]);
    let context = format!("--build-context=foo=oci-layout://{}@{digest}", layout.0.display());
    let image = Attested::pushed(&lab, "layout", &["--provenance=mode=max", &context]);
    let predicate = image.predicate();
    let materials = Told::of(&predicate).materials();
    assert_eq!(
        materials,
        [json!({
            "uri": format!("pkg:oci/foo?digest={digest}&platform=linux%2Famd64"),
            "digest": {"sha256": digest.replace("sha256:", "")},
        })]
    );
}

#[test]
fn a_platform_that_is_asked_for_twice_is_built_once() {
    // BK-280
    let lab = lab(
        "FROM BASE/busybox AS base-linux\nFROM missing AS base-windows\nFROM base-$TARGETOS\n",
        &[],
    );
    let words = ["--provenance=mode=max", "--platform=linux/amd64,linux/amd64"];
    let image = Attested::pushed(&lab, "twice", &words);
    assert_eq!(image.entries().len(), 2);
    assert_eq!(image.statements("linux/amd64").len(), 1);
}

#[test]
fn every_line_belongs_to_a_step() {
    // BK-281
    let dockerfile =
        "FROM BASE/busybox\nRUN echo hello > foo\nWORKDIR /tmp\nCOPY foo foo2\nCOPY --link foo foo3\nADD bar bar";
    let lab = lab(dockerfile, &[("foo", "data"), ("bar", "data2")]);
    let image = Attested::pushed(&lab, "lines", &["--provenance=mode=max"]);
    let predicate = image.predicate();
    let told = Told::of(&predicate);
    let steps = told.build_config()["llbDefinition"].as_array().unwrap();
    let step = |id: &str| {
        let mut found = steps.iter().filter(|step| step["id"] == id);
        (found.next().unwrap(), found.next())
    };
    let mut covered = [false; 6];
    for (id, location) in told.extension()["source"]["locations"].as_object().unwrap() {
        let (step, twice) = step(id);
        assert!(twice.is_none(), "{id} is not the name of one step");
        let Some(locations) = location["locations"].as_array() else {
            assert_eq!(step["op"]["Op"]["source"]["identifier"], "local://context");
            continue;
        };
        assert_eq!(locations.len(), 1, "{id}");
        for range in locations[0]["ranges"].as_array().unwrap() {
            assert_eq!(range["start"]["line"], range["end"]["line"]);
            covered[range["start"]["line"].as_u64().unwrap() as usize - 1] = true;
        }
    }
    assert_eq!(covered, [true; 6]);
}

#[test]
fn the_layers_of_a_step_are_listed_once() {
    // BK-282
    let lab = lab(
        "FROM BASE/busybox AS base\n\nFROM base AS a\nRUN date +%s > /a.txt\n\n\
         FROM base AS b\nCOPY --from=a /a.txt /\nRUN date +%s > /b.txt\n",
        &[],
    );
    let image = Attested::pushed(&lab, "layers", &["--provenance=mode=max"]);
    let predicate = image.predicate();
    let told = Told::of(&predicate);
    let layers = told.extension()["layers"].as_object().unwrap();
    assert_eq!(layers["step0:0"].as_array().unwrap().len(), 1);
    // Every stack is the beginning of the image's; the stage that only lends a file is none of it.
    let manifest = image.layout.blob(&image.image("linux/amd64"));
    let all = manifest["layers"].as_array().unwrap();
    let mut lengths: Vec<usize> = Vec::new();
    for chains in layers.values() {
        let chain = chains[0].as_array().unwrap();
        assert_eq!(chain[..], all[..chain.len()]);
        lengths.push(chain.len());
    }
    lengths.sort_unstable();
    assert_eq!(lengths, [all.len() - 2, all.len() - 1, all.len()]);
}

#[test]
fn nothing_of_the_run_is_told_of_what_is_reproducible() {
    let lab = lab("FROM scratch\nCOPY Dockerfile /\n", &[]);
    let words = [
        "--provenance=reproducible=true,builder-id=https://ci.example.com/1",
        "--build-arg=SOURCE_DATE_EPOCH=1",
    ];
    let first = Attested::pushed(&lab, "reproducible", &words);
    let predicate = first.predicate();
    let told = Told::of(&predicate);
    assert!(told.is_reproducible());
    assert_eq!(told.invocation(), [&Value::Null; 3]);
    assert_eq!(told.builder(), "https://ci.example.com/1");
    let second = Attested::pushed(&lab, "reproducible", &[&words[..], &["--no-cache"]].concat());
    assert_eq!(first.index(), second.index());
}

#[test]
fn proxies_and_passwords_are_not_told() {
    let tag = pushed("attest-quiet", "FROM scratch\nCOPY Dockerfile /\n", &[]);
    let lab = lab(&format!("FROM {tag}\nCOPY Dockerfile /x\n"), &[]);
    let words = [
        "--provenance=mode=max",
        "--build-arg=http_proxy=http://me:canary@proxy.invalid",
        "--build-arg=MIRROR=https://me:canary@mirror.invalid/x",
    ];
    let predicate = Attested::pushed(&lab, "quiet", &words).predicate();
    let args = Told::of(&predicate).request()["args"].clone();
    assert_eq!(
        args,
        json!({"build-arg:MIRROR": "https://xxxxx:xxxxx@mirror.invalid/x"})
    );
    assert!(!predicate.to_string().contains("canary"), "{predicate}");
}
