//! What `--cache-to` and `--cache-from` understand, and what they refuse.

use super::*;

fn here() -> Surroundings<'static> {
    Surroundings {
        absolute: &|path| Path::new("/here").join(path),
        variable: &|name| (name == "AWS_REGION").then(|| "eu-west-1".to_owned()),
    }
}

fn to(text: &str) -> Result<CacheTo, CacheSpecError> {
    CacheTo::parse(text, &here())
}

fn from(text: &str) -> Result<CacheFrom, CacheSpecError> {
    CacheFrom::parse(text, &here())
}

#[test]
fn what_is_understood_is_kept() {
    let registry = |options| CacheTo::Registry {
        reference: "example.com/a:cache".parse().unwrap(),
        insecure: false,
        options,
    };
    assert_eq!(to("example.com/a:cache"), Ok(registry(ExportOptions::default())));
    let all = "type=registry,ref=example.com/a:cache,mode=max,image-manifest=true,oci-mediatypes=true,\
               compression=zstd,compression-level=9,force-compression=true,ignore-error=false";
    let options = ExportOptions {
        mode: Mode::Max,
        compression: Some(Compression::Zstd { level: 9 }),
        force_compression: true,
        must_succeed: true,
        mounts: Mounts::default(),
    };
    assert_eq!(to(all), Ok(registry(options)));
    let local = CacheTo::Directory {
        directory: "/here/cache".into(),
        tag: "t".to_owned(),
        reset: true,
        options: ExportOptions::default(),
    };
    assert_eq!(to("type=local,dest=cache,tag=t,reset=true"), Ok(local));
    assert_eq!(to("type=inline"), Ok(CacheTo::Inline));
    let directory = |which| CacheFrom::Directory {
        directory: "/cache".into(),
        which,
    };
    let digest = Digest::of(b"");
    assert_eq!(
        from("type=local,src=/cache"),
        Ok(directory(Which::Tag("latest".into())))
    );
    let pinned = format!("type=local,src=/cache,digest={digest}");
    assert_eq!(from(&pinned), Ok(directory(Which::Digest(digest))));
    assert!(from(&format!("type=registry,ref=a@{digest},registry.insecure")).is_ok());
}

#[test]
fn what_is_not_is_refused_by_name() {
    let long = format!("type=registry,ref=a:{}", "x".repeat(64));
    let pinned = format!("a@{}", Digest::of(b""));
    for (text, said) in [
        (
            "type=azblob,name=b",
            "`type=azblob` is not supported; there are `registry`",
        ),
        ("type=s3", "`bucket` is missing"),
        ("type=s3,bucket=b,access_key_id=a", "`secret_access_key` is missing"),
        ("type=s3,bucket=b,touch_refresh=1h", "`touch_refresh` is not known here"),
        ("type=gha", "`url_v2` is missing, and so is `$ACTIONS_RESULTS_URL`"),
        ("type=gha,url=https://x/", "version 1 of GitHub's cache service"),
        (
            "type=gha,url_v2=https://x/",
            "`token` is missing, and so is `$ACTIONS_RUNTIME_TOKEN`",
        ),
        ("type=registry,ref=a,mounts=", "`mounts` must be"),
        ("type=registry,ref=a,mounts-max-size=1x", "`mounts-max-size` must be"),
        ("type=registry,ref=a,mounts-max-size=1g", "`mounts` is missing"),
        ("type=registry", "`ref` is missing"),
        ("type=registry,ref=A", "not an image reference"),
        ("type=registry,ref=a,mode=mid", "`mode` must be `min` or `max`"),
        ("type=registry,ref=a,image-manifest=false", "`image-manifest=false`"),
        ("type=registry,ref=a,oci-mediatypes=false", "`oci-mediatypes=false`"),
        ("type=registry,ref=a,reset=true", "`reset` is not known here"),
        ("type=local,dest=d,src=e", "`src` is not known here"),
        ("type=inline,mode=max", "`type=inline,mode=max`"),
        ("type=inline,ref=a", "`ref` is not known here"),
        ("ref=a", "`type` is missing"),
        (long.as_str(), "at most 63"),
        (pinned.as_str(), "under a tag"),
    ] {
        let error = to(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    for (text, said) in [
        ("type=inline", "type=registry,ref=IMAGE"),
        ("type=local,dest=d", "`src` is missing"),
        ("type=local,src=d,digest=x", "must be a digest"),
        ("type=registry,ref=a,mode=max", "`mode` is not known here"),
    ] {
        let error = from(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn a_place_in_s3_has_the_names_that_buildkit_gives_it() {
    let text = "type=s3,bucket=b,prefix=p/,name=app,endpoint_url=https://s3.example,use_path_style=true,\
                access_key_id=id,secret_access_key=key,session_token=token,mode=max";
    let Ok(CacheTo::Objects {
        place: ObjectPlace::S3 { options, name },
        options: export,
    }) = to(text)
    else {
        panic!("it is refused");
    };
    assert_eq!((name.as_str(), options.region.as_str()), ("app", "eu-west-1"));
    assert_eq!(
        (options.documents.as_str(), options.blobs.as_str()),
        ("p/manifests/app/", "p/blobs/")
    );
    assert!(options.path_style && export.mode == Mode::Max);
    assert!(!format!("{options:?}").contains("key\"") && !format!("{options:?}").contains("token\")"));
}

#[test]
fn cache_mounts_are_named_or_all() {
    let mounts = |text: &str| {
        let to = to(&format!("type=local,dest=d,{text}")).unwrap();
        to.options().unwrap().mounts.clone()
    };
    let all = mounts("mounts=true");
    assert!(all.has("/root/.npm") && all.max_size() == 4 << 30);
    let some = mounts("mounts=/root/.npm;go,mounts-max-size=1g");
    assert!(some.has("go") && some.has("/root/.npm") && !some.has("other") && some.max_size() == 1 << 30);
    assert!(!mounts("mounts=false").has("go"));
}
