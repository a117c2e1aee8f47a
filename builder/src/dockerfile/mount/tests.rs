//! What mounts mean, and what is said about those that mean nothing.

use super::*;

fn read(text: &str) -> Result<RunMount, String> {
    let mut mapped = Mapped::default();
    mapped.push(text, 0);
    parse(mapped.whole(), Span::new(0, text.len())).map_err(|error| error.message)
}

fn resolved(text: &str) -> Mount {
    read(text)
        .unwrap()
        .resolve(&mut |value| Ok(value.replace("$T", "cache")))
        .unwrap()
}

#[test]
fn options_are_known_by_all_their_names() {
    let mount = resolved("type=bind,src=/a,dst=/b,from=stage,rw");
    assert_eq!(mount.kind, MountKind::Bind);
    assert_eq!(mount.source.unwrap().value, "/a");
    assert_eq!(mount.target.unwrap().value, "/b");
    assert_eq!(mount.from.unwrap().value, "stage");
    assert!(mount.writable);
    let mount = resolved("TYPE=Cache,destination=/c,SHARING=Locked,mode=0755,uid=1,gid=2,id=x,readonly=true");
    assert_eq!((mount.mode, mount.uid, mount.gid), (Some(0o755), Some(1), Some(2)));
    assert_eq!(mount.sharing, crate::dockerfile::Sharing::Locked);
    assert!(!mount.writable);
    assert_eq!(resolved("type=tmpfs,target=/t,size=128m").size, Some(128 << 20));
}

#[test]
fn a_mount_is_a_read_only_bind_unless_it_says_otherwise() {
    let mount = resolved("target=/x");
    assert_eq!((mount.kind, mount.writable), (MountKind::Bind, false));
    assert!(resolved("type=cache,target=/x").writable);
    assert!(resolved("type=tmpfs,target=/x").writable);
    assert!(!resolved("type=bind,target=/x,rw=false").writable);
}

#[test]
fn variables_may_stand_anywhere_but_in_from() {
    let mount = read("type=$T,target=/x,sharing=locked").unwrap();
    assert_eq!(mount.literal_kind(), None);
    assert_eq!(resolved("type=$T,target=/x,sharing=locked").kind, MountKind::Cache);
    assert_eq!(
        read("from=$x,target=/y").unwrap_err(),
        "'from' doesn't support variable expansion, define alias stage instead"
    );
    let mount = read("type=$T,target=/x,required").unwrap();
    let error = mount
        .resolve(&mut |value| Ok(value.replace("$T", "tmpfs")))
        .unwrap_err();
    assert_eq!(error.message, "unexpected key 'required' for mount type 'tmpfs'");
}

#[test]
fn quoted_fields_may_hold_commas() {
    let mount = resolved("type=bind,\"target=/a,b\",\"source=/\"\"c\"\"\"");
    assert_eq!(mount.target.unwrap().value, "/a,b");
    assert_eq!(mount.source.unwrap().value, "/\"c\"");
    assert_eq!(
        read("target=\"/a").unwrap_err(),
        "failed to parse csv mounts: bare \" in non-quoted-field"
    );
    assert_eq!(
        read("\"target=/a").unwrap_err(),
        "failed to parse csv mounts: extraneous or missing \" in quoted-field"
    );
    assert!(read("\"target=/a\"x").is_err());
}

#[test]
fn what_is_wrong_is_said_with_a_suggestion() {
    let cases = [
        ("typ=tmpfs", "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"),
        ("type=tmp", "unsupported mount type \"tmp\" (did you mean tmpfs?)"),
        ("target", "invalid field 'target' must be a key=value pair"),
        (
            "type=cache,sharing=share",
            "unsupported sharing value \"share\" (did you mean shared?)",
        ),
        ("mode=0755,target=/x", "mode not allowed for \"bind\" type mounts"),
        ("type=bind,sharing=locked", "invalid cache sharing set for bind mount"),
        ("type=cache,mode=9", "invalid value 9 for mode"),
        ("type=cache,uid=+1", "invalid value +1 for uid"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("type=bind,ro=maybe", "invalid value for readonly: maybe"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=ssh,src=b", "ssh does not support source"),
    ];
    for (text, message) in cases {
        assert_eq!(read(text).unwrap_err(), message, "{text}");
    }
}
