//! SOURCE_DATE_EPOCH.

use serde_json::Value;

use super::{Layout, lab, pushed, script};

const TIME: &str = "2015-10-21T07:28:00Z";
const EPOCH: &str = "1445412480";

/// Builds an image with these words of `--output` and returns it.
fn layout(lab: &super::Lab, options: &str, words: &[&str]) -> Layout {
    script(lab, "rm -rf image");
    let spec = format!("type=oci,tar=false,dest=image{options}");
    lab.build(&[&["-o", &spec], words].concat());
    Layout(lab.path().join("image"))
}

fn times(config: &Value) -> Vec<&str> {
    let history = config["history"].as_array().unwrap().iter();
    let times = history.map(|entry| &entry["created"]).chain([&config["created"]]);
    times.map(|time| time.as_str().unwrap_or_default()).collect()
}

/// Lists the times of what is in the layers, each once.
fn layer_times(lab: &super::Lab, layout: &Layout) -> String {
    let manifest = layout.root();
    let layers = manifest["layers"].as_array().unwrap().iter();
    let digests: Vec<&str> = layers.map(|layer| layer["digest"].as_str().unwrap()).collect();
    let files = digests
        .iter()
        .map(|digest| format!("image/blobs/{}", digest.replace(':', "/")));
    let files: Vec<String> = files.collect();
    script(
        lab,
        &format!(
            "for file in {}; do TZ=UTC tar --full-time -tvf $file | awk '{{print $4 \"T\" $5 \"Z\"}}'; done | sort -u",
            files.join(" ")
        ),
    )
}

#[test]
fn the_epoch_is_the_time_of_image_and_history() {
    // BK-229
    let lab = lab("FROM scratch\nENTRYPOINT foo bar\nCOPY Dockerfile .\n", &[]);
    let argument = format!("SOURCE_DATE_EPOCH={EPOCH}");
    for options in ["", ",source-date-epoch="] {
        let config = layout(&lab, options, &["--build-arg", &argument]).config();
        assert_eq!(times(&config), [TIME; 3], "{options}");
    }
}

#[test]
fn the_dockerfile_may_have_a_default_for_it() {
    // BK-230
    let lab = lab(
        &format!("ARG SOURCE_DATE_EPOCH={EPOCH}\nFROM scratch\nCOPY Dockerfile .\n"),
        &[],
    );
    let image = layout(&lab, ",rewrite-timestamp=true", &[]);
    assert_eq!(times(&image.config()), [TIME; 2]);
    assert_eq!(layer_times(&lab, &image), format!("{TIME}\n"));
    assert_eq!(
        image.root()["layers"][0]["annotations"]["buildkit/rewritten-timestamp"],
        EPOCH
    );
    // BK-231
    let other = layout(
        &lab,
        ",rewrite-timestamp=true",
        &["--build-arg", "SOURCE_DATE_EPOCH=1445412000"],
    );
    assert_eq!(times(&other.config()), ["2015-10-21T07:20:00Z"; 2]);
    assert_eq!(layer_times(&lab, &other), "2015-10-21T07:20:00Z\n");
    // BK-232
    let reset = layout(&lab, ",rewrite-timestamp=true,source-date-epoch=", &[]);
    assert_ne!(layer_times(&lab, &reset), format!("{TIME}\n"));
    assert_eq!(reset.root()["layers"][0]["annotations"], Value::Null);
}

#[test]
fn a_directory_has_no_time() {
    // BK-237
    let lab = lab(
        "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nARG SOURCE_DATE_EPOCH\nCOPY Dockerfile .\n",
        &[],
    );
    let before = script(&lab, "date -u +%FT%T");
    let config = layout(&lab, "", &[]).config();
    let dated = times(&config).into_iter().filter(|time| !time.is_empty());
    assert!(dated.into_iter().all(|time| time >= before.trim()), "{config}");
}

#[test]
fn an_image_is_the_same_every_time_and_its_base_is_left_as_it_is() {
    // BK-242 BK-377
    let base = pushed("epoch-base", "FROM BASE/busybox\nRUN echo base > /base\n", &[]);
    let text = format!(
        "FROM {base}\nRUN touch /foo && touch -d '2010-01-01 12:34:56' /foo-2010 && \
         touch -d '2030-01-01 12:34:56' /foo-2030 && rm /base\nCOPY --link Dockerfile /linked/\n\
         WORKDIR /work/directory\nCOPY foo /copied/into/\n"
    );
    let lab = lab(&text, &[("foo", "")]);
    let words = ["--build-arg", "SOURCE_DATE_EPOCH=1673354096"];
    let digest = |layout: &Layout| layout.index()["manifests"][0]["digest"].clone();
    let first = layout(&lab, ",rewrite-timestamp=true", &words);
    let of_base = script(
        &lab,
        &format!("skopeo inspect --raw --tls-verify=false docker://{base}"),
    );
    let of_base: Value = serde_json::from_str(&of_base).unwrap();
    let layers = first.root()["layers"].as_array().unwrap().clone();
    let unchanged = of_base["layers"].as_array().unwrap();
    for (ours, theirs) in layers.iter().zip(unchanged) {
        assert_eq!(ours["digest"], theirs["digest"], "a layer of the base was rewritten");
    }
    for layer in &layers[unchanged.len()..] {
        assert_eq!(layer["annotations"]["buildkit/rewritten-timestamp"], "1673354096");
    }
    let config = first.config();
    let theirs = script(
        &lab,
        &format!("skopeo inspect --config --raw --tls-verify=false docker://{base}"),
    );
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let own = theirs["history"].as_array().unwrap().len();
    assert_eq!(
        config["history"].as_array().unwrap()[..own],
        theirs["history"].as_array().unwrap()[..]
    );
    assert!(
        times(&config)[own..].iter().all(|time| *time == "2023-01-10T12:34:56Z"),
        "{config}"
    );

    let first = digest(&first);
    lab.croze(&["prune", "--all"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(digest(&layout(&lab, ",rewrite-timestamp=true", &words)), first);
    let plain = layout(&lab, "", &words);
    assert!(
        plain.root()["layers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|layer| layer["annotations"].is_null())
    );
    // What one output rewrote, the cache has not.
    assert_ne!(digest(&plain), first);
    assert!(layer_times(&lab, &plain).contains("2030-01-01"));
}
