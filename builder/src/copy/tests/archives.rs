//! `ADD` of local archives.

use std::io::Write as _;

use super::*;

/// Members of an archive: path, type, content or link target, owner.
type Member<'a> = (&'a str, tar::EntryType, &'a str, u32);

const FILE: tar::EntryType = tar::EntryType::Regular;
const DIRECTORY: tar::EntryType = tar::EntryType::Directory;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD_LINK: tar::EntryType = tar::EntryType::Link;

fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content, owner) in members {
        let mut header = tar::Header::new_ustar();
        let is_link = matches!(*kind, LINK | HARD_LINK);
        header.set_entry_type(*kind);
        header.set_mode(if *kind == DIRECTORY { 0o750 } else { 0o640 });
        header.set_uid((*owner).into());
        header.set_gid((*owner).into());
        header.set_mtime(1_000_000_000);
        header.set_size(if *kind == FILE { content.len() as u64 } else { 0 });
        header.set_path(path).unwrap();
        if is_link {
            header.set_link_name_literal(content).unwrap();
        }
        header.set_cksum();
        builder
            .append(&header, if *kind == FILE { content.as_bytes() } else { b"" })
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn add(sources: &[&str], destination: &str) -> CopyOp {
    let mut add = op(sources, destination);
    for source in &mut add.sources {
        if let CopySource::Path { unpack, .. } = source {
            *unpack = true;
        }
    }
    add
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

// BK-076, BK-077, BK-086.
#[test]
fn an_archive_is_known_by_its_content_whatever_packs_it() {
    let tar = archive(&[("dir/", DIRECTORY, "", 7), ("dir/foo", FILE, "content", 8)]);
    let multi = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
    for bytes in [tar.clone(), gzip(&tar), bzip2(&tar), xz(&tar), zstd(&tar), multi] {
        let world = World::new(&[]);
        fs::write(world.context("no-telling-name"), bytes).unwrap();
        world.copy(&add(&["no-telling-name"], "/dest")).unwrap();
        assert_eq!(world.listing(), ["dest/", "dest/dir/", "dest/dir/foo"]);
        assert_eq!(world.read("dest/dir/foo"), "content");
        assert_eq!(
            (owner(&world.out("dest/dir/foo")), owner(&world.out("dest/dir"))),
            ((8, 8), (7, 7))
        );
        assert_eq!(
            (mode(&world.out("dest/dir/foo")), mode(&world.out("dest/dir"))),
            (0o640, 0o750)
        );
        assert_eq!(fs::metadata(world.out("dest/dir/foo")).unwrap().mtime(), 1_000_000_000);
    }
}

// BK-078, BK-079.
#[test]
fn what_is_no_archive_or_not_to_be_unpacked_is_copied_as_it_is() {
    let tar = archive(&[("foo", FILE, "content", 0)]);
    let mut broken = tar.clone();
    broken[150] ^= 1;
    let table = [
        (true, b"plain text".to_vec()),
        (true, Vec::new()),
        (true, vec![0; 10240]),
        (true, broken),
        (true, gzip(b"compressed text")),
        (true, gzip(&tar)[..40].to_vec()),
        (true, b"\x1f\x8b\x08 not really".to_vec()),
        (true, b"BZh9 not really".to_vec()),
        (true, b"\xfd7zXZ\0 not really".to_vec()),
        (true, b"\x28\xb5\x2f\xfd".to_vec()),
        (false, tar.clone()),
        (false, gzip(&tar)),
    ];
    for (unpack, bytes) in table {
        let world = World::new(&[]);
        fs::write(world.context("file.tar.gz"), &bytes).unwrap();
        let make = if unpack { add } else { op };
        world.copy(&make(&["file.tar.gz"], "/")).unwrap();
        assert!(
            fs::read(world.out("file.tar.gz")).unwrap() == bytes,
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

// BK-083, BK-084, BK-003.
#[test]
fn directories_that_the_archive_does_not_mention_are_made_and_links_stay_inside() {
    let world = World::new(&[]).existing(&["run/", "var/run -> /run"]);
    let members = [
        ("etc/dnf/x", FILE, "implied", 0),
        ("var/run/act/", DIRECTORY, "", 0),
        ("var/run/act/HEAD", FILE, "head", 0),
        ("var/run/act/HEAD.link", HARD_LINK, "var/run/act/HEAD", 0),
        ("symlink", LINK, "../tmp/symlink-target", 0),
    ];
    fs::write(world.context("t.tar.gz"), gzip(&archive(&members))).unwrap();
    fs::write(world.context("foo"), "content0").unwrap();
    world.copy(&add(&["t.tar.gz"], "/")).unwrap();
    world.copy(&add(&["foo"], "/symlink/")).unwrap();
    assert_eq!(world.read("etc/dnf/x"), "implied");
    assert_eq!(world.read("run/act/HEAD"), "head");
    let inode = |path: &str| fs::metadata(world.out(path)).unwrap().ino();
    assert_eq!(inode("run/act/HEAD"), inode("run/act/HEAD.link"));
    assert_eq!(world.read("tmp/symlink-target/foo"), "content0");
}

// BK-085.
#[test]
fn chown_owns_what_is_unpacked_and_the_directory_it_goes_to() {
    let world = World::new(&[]);
    let members = [
        ("foo", FILE, "", 7),
        ("link", LINK, "foo", 7),
        ("dir/", DIRECTORY, "", 7),
    ];
    fs::write(world.context("t.tar"), archive(&members)).unwrap();
    world
        .copy_as(&add(&["t.tar"], "/out/"), Some(Owner { uid: 100, gid: 200 }), false)
        .unwrap();
    for path in ["out", "out/foo", "out/link", "out/dir"] {
        assert_eq!(owner(&world.out(path)), (100, 200), "{path}");
    }
}

// BK-086.
#[test]
fn a_wildcard_unpacks_each_archive_and_copies_the_rest() {
    let world = World::new(&["text=t"]);
    fs::write(world.context("t.tar"), archive(&[("foo", FILE, "1", 0)])).unwrap();
    fs::write(world.context("tb.tar"), archive(&[("bar", FILE, "2", 0)])).unwrap();
    world.copy(&add(&["t*"], "/dest")).unwrap();
    assert_eq!(world.listing(), ["dest/", "dest/bar", "dest/foo", "dest/text"]);
}

// U1, U2: the archive is a stranger's.
#[test]
fn an_archive_cannot_write_outside_of_the_root() {
    let attacks: [&[Member<'_>]; 3] = [
        &[("esc", LINK, "../../victim", 0), ("esc/p", FILE, "evil", 0)],
        &[("esc", LINK, "/../../context", 0), ("esc/p", FILE, "evil", 0)],
        &[("esc", LINK, "/", 0), ("esc/p", FILE, "evil", 0)],
    ];
    for attack in attacks {
        let world = World::new(&["t.tar"]);
        fs::write(world.context("t.tar"), archive(attack)).unwrap();
        let _either = world.copy(&add(&["t.tar"], "/in/"));
        assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(world.context("")).unwrap().count(), 1);
    }
}

#[test]
fn a_damaged_archive_is_an_error_that_names_it() {
    let world = World::new(&[]);
    let tar = archive(&[("foo", FILE, &"x".repeat(5000), 0)]);
    fs::write(world.context("cut.tar"), &tar[..1024]).unwrap();
    let error = world.copy(&add(&["cut.tar"], "/")).unwrap_err();
    assert_eq!(error.to_string(), "cannot unpack \"/cut.tar\"");
    assert!(matches!(error, Failure::Copy(CopyError::Archive { .. })));
}
