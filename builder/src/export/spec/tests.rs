//! Tests of `--output`: what each form means, and that nothing is ignored.

use registry::compress::Compression;

use super::super::{Annotation, AnnotationTarget, OutputEpoch};
use super::*;
use crate::image::MediaTypes;

fn parse(text: &str) -> OutputSpec {
    OutputSpec::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    OutputSpec::parse(text).expect_err(text).to_string()
}

fn options(text: &str) -> ImageOptions {
    match parse(text) {
        OutputSpec::Layout { options, .. } | OutputSpec::Image(ImageOutput { options, .. }) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_value_is_a_directory_or_standard_output() {
    let local = |directory: &str| OutputSpec::Local {
        directory: directory.into(),
        files: FilesOptions::default(),
        mode: LocalMode::Copy,
    };
    assert_eq!(parse("out"), local("out"));
    assert_eq!(parse("out.tar"), local("out.tar"));
    assert_eq!(parse("name=x"), local("name=x"));
    assert_eq!(parse("type=local,dest=a/b"), local("a/b"));
    let tar = OutputSpec::Tar {
        destination: Destination::Stdout,
        files: FilesOptions::default(),
    };
    assert_eq!(parse("-"), tar);
    assert_eq!(parse("type=tar"), tar);
    assert_eq!(parse("type=cacheonly"), OutputSpec::CacheOnly);
    let cleared = OutputSpec::Local {
        directory: "out".into(),
        files: FilesOptions {
            platform_split: Some(true),
            epoch: OutputEpoch::At(7),
            attestation_prefix: "app-".to_owned(),
        },
        mode: LocalMode::Delete,
    };
    let text = "type=local,dest=out,mode=delete,platform-split=true,source-date-epoch=7,attestation-prefix=app-";
    assert_eq!(parse(text), cleared);
}

#[test]
fn layouts_go_to_files_directories_and_standard_output() {
    let place = |text: &str| match parse(text) {
        OutputSpec::Layout { form, place, .. } => (form, place),
        other => panic!("{other:?}"),
    };
    let archive = |path: &str| LayoutPlace::Archive(Destination::File(path.into()));
    assert_eq!(place("type=oci,dest=x.tar"), (Form::Oci, archive("x.tar")));
    assert_eq!(
        place("type=docker,dest=x.tar,tar=true"),
        (Form::Docker, archive("x.tar"))
    );
    assert_eq!(place("type=docker").1, LayoutPlace::Archive(Destination::Stdout));
    assert_eq!(place("type=oci,dest=-").1, LayoutPlace::Archive(Destination::Stdout));
    assert_eq!(place("type=oci,dest=x,tar=false").1, LayoutPlace::Directory("x".into()));
}

#[test]
fn choices_about_the_image_are_read() {
    let options = options(
        "type=oci,\"name=a:1,localhost:5000/b\",compression=zstd,compression-level=9,force-compression=true,\
         oci-mediatypes=false,rewrite-timestamp=true,source-date-epoch=7,annotation.Key.x=v=1,\
         annotation-index.k=i,annotation-manifest-descriptor[linux/arm64].k=d",
    );
    let names: Vec<String> = options.names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["docker.io/library/a:1", "localhost:5000/b:latest"]);
    assert_eq!(options.compression, Some(Compression::Zstd { level: 9 }));
    assert!(options.force_compression && options.rewrite_timestamp);
    assert_eq!(options.media_types, MediaTypes::Docker);
    assert_eq!(options.source_date_epoch, OutputEpoch::At(7));
    let annotation = |target, platform: Option<&str>, key: &str, value: &str| Annotation {
        target,
        platform: platform.map(|platform| platform.parse().unwrap()),
        key: key.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(
        options.annotations,
        [
            annotation(AnnotationTarget::Manifest, None, "Key.x", "v=1"),
            annotation(AnnotationTarget::Index, None, "k", "i"),
            annotation(AnnotationTarget::ManifestDescriptor, Some("linux/arm64"), "k", "d"),
        ]
    );
    let arm: registry::oci::Platform = "linux/arm64".parse().unwrap();
    assert_eq!(
        options.annotations_for(AnnotationTarget::ManifestDescriptor, Some(&arm)),
        [("k".to_owned(), "d".to_owned())].into()
    );
    assert!(
        options
            .annotations_for(AnnotationTarget::ManifestDescriptor, None)
            .is_empty()
    );
}

#[test]
fn a_level_alone_is_one_of_gzip() {
    assert_eq!(
        options("type=oci,compression-level=9").compression,
        Some(Compression::Gzip { level: 9 })
    );
    assert_eq!(
        options("type=oci,compression=gzip").compression,
        Some(Compression::GZIP)
    );
    assert_eq!(
        options("type=oci,compression=uncompressed").compression,
        Some(Compression::None)
    );
    assert_eq!(options("type=oci").compression, None);
}

#[test]
fn an_image_is_pushed_or_kept() {
    let image = |text: &str| match parse(text) {
        OutputSpec::Image(image) => image,
        other => panic!("{other:?}"),
    };
    assert!(!image("type=image").push);
    assert!(image("type=image,push=true").push);
    let pushed =
        image("type=registry,push-by-digest=true,name-canonical=true,name=a,registry.insecure=true,unpack=false");
    assert!(pushed.push && pushed.by_digest && pushed.insecure);
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    for (text, message) in [
        ("type=ocii", "did you mean `oci`?"),
        ("dest=x,tar=false", "`type` is missing"),
        ("type=oci,destination=x", "`destination` is not known here"),
        ("type=oci,compresion=zstd", "did you mean `compression`?"),
        (
            "type=oci,compression=estargz",
            "must be `uncompressed`, `gzip` or `zstd`, not `estargz`",
        ),
        ("type=oci,compression=zstd,compression-level=23", "a level from 1 to 22"),
        (
            "type=oci,compression=uncompressed,compression-level=1",
            "`compression-level` is not known here",
        ),
        ("type=oci,compression-level=10", "a level from 0 to 9"),
        ("type=oci,tar=false", "must be a directory, not standard output"),
        ("type=local,dest=-", "must be a directory, not standard output"),
        ("type=local", "`dest` is missing"),
        (
            "type=local,dest=x,mode=replace",
            "must be `copy` or `delete`, not `replace`",
        ),
        ("type=image,unpack=true", "`unpack=true` is not supported"),
        ("type=image,push-by-digest=true", "makes sense only with `push=true`"),
        ("type=tar,name=x", "`name` is not known here"),
        ("type=oci,name=UPPER/x.", "is not an image reference"),
        ("type=oci,annotation=x", "is no annotation"),
        ("type=oci,annotation-nowhere.k=x", "is no annotation"),
        ("type=oci,annotation[linux/amd64.k=x", "is no annotation"),
        ("type=oci,annotation[nosuch/a/b/c].k=x", "is not a platform"),
        ("type=oci,dest=x,dest=y", "`dest` is given twice"),
        ("", "has an empty field"),
    ] {
        let error = refused(text);
        assert!(error.contains(message), "{text}: {error}");
    }
}
