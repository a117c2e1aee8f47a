//! What a source means, over real trees with a real ignore file.

mod meanwhile;

use std::fs;
use std::os::unix::fs::symlink;

use snapshotter::Root;

use super::*;
use crate::context::{Content, Standing, TreeKind};
use crate::dockerfile::ignore::Matcher;

struct World(tempfile::TempDir);

impl World {
    /// Makes a tree: `path`, `directory/` or `path -> target`.
    fn new(files: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let (path, target) = file
                .split_once(" -> ")
                .map_or((*file, None), |(path, target)| (path, Some(target)));
            let place = dir.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            match target {
                Some(target) => symlink(target, place).unwrap(),
                None if path.ends_with('/') => fs::create_dir_all(place).unwrap(),
                None => fs::write(place, path).unwrap(),
            }
        }
        Self(dir)
    }

    fn root(&self) -> Root {
        Root::open(self.0.path()).unwrap()
    }

    fn tree(&self, kind: TreeKind, ignored: &[&str]) -> Tree {
        match kind {
            TreeKind::RootFs => Tree::root_fs(self.root()),
            TreeKind::Context => Tree::context(self.root(), Matcher::parse(&ignored.join("\n")).unwrap()),
        }
    }

    /// Selects a source of a context and returns the paths in the tree, without the tops of directories.
    fn select(&self, path: &str, ignored: &[&str]) -> Result<Vec<String>, SelectError> {
        let selection = self.selection(path, ignored)?;
        let mut paths = Vec::new();
        for matched in &selection.matches {
            for entry in &matched.entries {
                if !(entry.path.as_os_str().is_empty() && entry.stat.is_dir()) {
                    let path = matched.origin.join(&entry.path).to_string_lossy().into_owned();
                    paths.push(path.trim_end_matches('/').to_owned());
                }
            }
        }
        Ok(paths)
    }

    fn selection(&self, path: &str, ignored: &[&str]) -> Result<Selection, SelectError> {
        let query = Query::Source {
            path,
            parents: false,
            exclude: &[],
        };
        select(&self.tree(TreeKind::Context, ignored), query, None)
    }
}

// BK-053 and the documentation of COPY.
#[test]
fn a_source_is_a_path_or_a_wildcard() {
    let world = World::new(&[
        "foo",
        "bar",
        "sub/one/x",
        "sub/two/x",
        "sub/y",
        "arr[0].txt",
        ".hidden",
        "to-sub -> sub",
    ]);
    let table: [(&str, &[&str]); 14] = [
        ("foo", &["foo"]),
        ("/foo", &["foo"]),
        ("../../foo", &["foo"]),
        ("sub/../foo", &["foo"]),
        ("sub/y/", &["sub/y"]),
        ("*o*", &["foo", "sub/one", "sub/one/x", "sub/two", "sub/two/x", "sub/y"]),
        ("sub/*/x", &["sub/one/x", "sub/two/x"]),
        ("sub/[^t]*/x", &["sub/one/x"]),
        ("to-sub/*/x", &["sub/one/x", "sub/two/x"]),
        ("to-su?/*/x", &[]),
        ("arr[[]0].txt", &["arr[0].txt"]),
        (".h*", &[".hidden"]),
        ("nothing*", &[]),
        ("nowhere/*", &[]),
    ];
    for (source, expected) in table {
        assert_eq!(world.select(source, &[]).unwrap(), expected, "{source}");
    }
    assert!(matches!(world.select("a[", &[]), Err(SelectError::BadPattern { .. })));
}

#[test]
fn the_source_of_a_mount_has_no_wildcards() {
    let world = World::new(&["a*/x", "ab/y"]);
    let selection = select(&world.tree(TreeKind::RootFs, &[]), Query::Exact("/a*"), None).unwrap();
    assert_eq!(selection.matches[0].origin, Path::new("a*"));
}

// BK-184.
#[test]
fn what_the_ignore_file_hides_is_not_there() {
    let world = World::new(&[
        "foo",
        "bar",
        "baz",
        "bay",
        "dir/bar",
        "dir/foo",
        "logs/a",
        "logs/keep/b",
        "logs/drop/c",
    ]);
    let table: [(&str, &[&str], &[&str]); 8] = [
        (".", &["ba*", "!bay", "dir", "logs"], &["bay", "foo"]),
        ("*", &["ba*", "!bay", "dir", "logs"], &["bay", "foo"]),
        ("b*", &["ba*", "!bay"], &["bay"]),
        ("b*", &["*"], &[]),
        ("dir", &["**/foo"], &["dir/bar"]),
        ("logs", &["logs", "!logs/keep"], &["logs/keep", "logs/keep/b"]),
        ("logs/*", &["logs/*", "!logs/keep/b"], &["logs/keep/b"]),
        (".", &["*", "!logs/keep/b"], &["logs", "logs/keep", "logs/keep/b"]),
    ];
    for (source, ignored, expected) in table {
        assert_eq!(world.select(source, ignored).unwrap(), expected, "{source} {ignored:?}");
    }
}

#[test]
fn a_hidden_directory_is_not_even_opened() {
    let world = World::new(&["secret/x", "seen"]);
    let lists = |path: &str| world.select(path, &["secret"]);
    let denied = world.0.path().join("secret");
    // Opening it would fail for everybody, root included.
    fs::remove_dir_all(&denied).unwrap();
    fs::write(&denied, "").unwrap();
    assert_eq!(lists(".").unwrap(), ["seen"]);
    assert!(matches!(lists("secret"), Err(SelectError::Ignored { line: 1, .. })));
}

// BK-262: the message tells what hid the file.
#[test]
fn a_missing_source_says_why_it_is_missing() {
    let world = World::new(&[
        "main.rs",
        "dir/config.yaml",
        "dir/hidden",
        "out -> /etc",
        "up -> ../x",
        "gone -> nowhere",
    ]);
    let message = |source: &str| {
        let error = world
            .select(source, &["# of no matter", "dir/hidden", "*.log"])
            .unwrap_err();
        (error.to_string(), error.help())
    };
    let is = |source: &str, expected: &str, help: Option<&str>| {
        assert_eq!(message(source), (expected.to_owned(), help.map(str::to_owned)));
    };
    is(
        "mian.rs",
        "\"/mian.rs\": not found in the build context",
        Some("did you mean `main.rs`?"),
    );
    is(
        "dri/config.yaml",
        "\"/dri/config.yaml\": not found in the build context",
        Some("did you mean `dir/config.yaml`?"),
    );
    is("dir/hiden", "\"/dir/hiden\": not found in the build context", None);
    is(
        "nothing-like-it",
        "\"/nothing-like-it\": not found in the build context",
        None,
    );
    is("main.rs/x", "\"/main.rs/x\": not found in the build context", None);
    is(
        "dir/hidden",
        "\"/dir/hidden\": not found in the build context: line 2 of the ignore file hides it",
        Some("add `!dir/hidden` below line 2 of the ignore file"),
    );
    is(
        "gone",
        "\"/gone\" is a symbolic link to `nowhere`, which does not exist",
        None,
    );
}

// G8: the link is named, and nothing outside is read.
#[test]
fn a_link_that_leaves_the_context_is_an_error_that_names_it() {
    let world = World::new(&[
        "a -> /etc",
        "up -> ../../etc/passwd",
        "deep/er -> ../a",
        "inside -> /sub/x",
        "sub/x",
    ]);
    for (source, link, target) in [
        ("a/passwd", "/a", "/etc"),
        ("a", "/a", "/etc"),
        ("up", "/up", "../../etc/passwd"),
        ("deep/er/hostname", "/a", "/etc"),
        ("u*", "/up", "../../etc/passwd"),
    ] {
        let error = world.select(source, &[]).unwrap_err();
        let expected = format!("\"{link}\" is a symbolic link to `{target}`, which is outside of the build context");
        assert_eq!(error.to_string(), expected, "{source}");
    }
    assert_eq!(world.select("inside", &[]).unwrap(), ["sub/x"]);
    assert_eq!(world.select("a/*", &[]).unwrap(), Vec::<String>::new());
}

#[test]
fn links_do_not_go_around_the_ignore_file() {
    let world = World::new(&["link -> secret/key", "secret/key", "hidden-link -> open", "open"]);
    assert!(matches!(
        world.select("link", &["secret"]),
        Err(SelectError::Ignored { line: 1, .. })
    ));
    assert!(matches!(
        world.select("hidden-link", &["hidden*"]),
        Err(SelectError::Ignored { line: 1, .. })
    ));
}

#[test]
fn a_loop_of_links_is_an_error() {
    let world = World::new(&["a -> b", "b -> a", "chain0"]);
    assert!(matches!(world.select("a", &[]), Err(SelectError::TooManyLinks { .. })));
    for link in 1..=40 {
        symlink(
            format!("chain{}", link - 1),
            world.0.path().join(format!("chain{link}")),
        )
        .unwrap();
    }
    assert_eq!(world.select("chain40", &[]).unwrap(), ["chain0"]);
}

#[test]
fn absolute_links_of_a_root_file_system_are_ordinary() {
    let world = World::new(&["etc/real", "sub -> /etc", "broken -> /nowhere"]);
    let tree = world.tree(TreeKind::RootFs, &[]);
    let at = |path| {
        select(
            &tree,
            Query::Source {
                path,
                parents: false,
                exclude: &[],
            },
            None,
        )
    };
    assert_eq!(at("/sub/real").unwrap().matches[0].origin, Path::new("etc/real"));
    assert!(matches!(at("/broken"), Err(SelectError::DanglingLink { .. })));
}

#[test]
fn a_match_is_called_as_it_was_written() {
    let world = World::new(&["link -> sub/real", "sub/real"]);
    let selection = world.selection("link", &[]).unwrap();
    assert_eq!(selection.matches[0].name, "link");
    assert_eq!(selection.matches[0].origin, Path::new("sub/real"));
}

#[test]
fn entries_come_directories_first_and_sorted_by_bytes() {
    let world = World::new(&["b/2", "b/1", "a.x", "a/z", "a/y/k", "c"]);
    assert_eq!(
        world.select(".", &[]).unwrap(),
        ["a", "a/y", "a/y/k", "a/z", "a.x", "b", "b/1", "b/2", "c"]
    );
}

#[test]
fn a_directory_shown_for_what_is_in_it_belongs_to_the_context_but_not_to_a_filter() {
    let world = World::new(&["dir/keep", "dir/drop"]);
    let standing = |tree: &Tree, query| select(tree, query, None).unwrap().matches[0].entries[1].standing;
    let ignoring = world.tree(TreeKind::Context, &["*", "!dir/keep"]);
    let plain = world.tree(TreeKind::Context, &[]);
    let exclude = ["*".to_owned(), "!dir/keep".to_owned()];
    assert_eq!(standing(&ignoring, Query::Exact(".")), Standing::Selected);
    let excluding = Query::Source {
        path: ".",
        parents: false,
        exclude: &exclude,
    };
    assert_eq!(standing(&plain, excluding), Standing::Implied);
    let parents = Query::Source {
        path: "dir/keep",
        parents: true,
        exclude: &[],
    };
    assert_eq!(standing(&plain, parents), Standing::Implied);
}

#[test]
fn many_files_are_hashed_by_several_threads_and_none_is_mixed_up() {
    let world = World::new(&[]);
    for directory in 0..20 {
        fs::create_dir(world.0.path().join(format!("{directory}"))).unwrap();
        for file in 0..150 {
            let content = format!("{directory}/{file}").repeat(200);
            fs::write(world.0.path().join(format!("{directory}/{file}")), content).unwrap();
        }
    }
    let selection = world.selection(".", &[]).unwrap();
    let mut files = 0;
    for entry in &selection.matches[0].entries {
        if let Content::File(content) = &entry.content {
            let bytes = fs::read(world.0.path().join(&entry.path)).unwrap();
            let mut hasher = crate::context::begin_file_digest(&[]);
            hasher.update(&bytes);
            assert_eq!(content.digest, hasher.finish(), "{}", entry.path.display());
            files += 1;
        }
    }
    assert_eq!(files, 3000);
}

#[test]
fn special_files_are_selected_without_being_opened() {
    let world = World::new(&["dir/"]);
    let fifo = world.0.path().join("dir/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for source in ["dir", "dir/fifo"] {
        let selection = world.selection(source, &[]).unwrap();
        assert!(matches!(
            selection.matches[0].entries.last().unwrap().content,
            Content::Nothing
        ));
    }
}

#[test]
fn a_name_that_begins_with_an_exclamation_mark_is_one() {
    let world = World::new(&["!a/file", "!b/file", "c"]);
    let selected = |path| {
        let query = Query::Source {
            path,
            parents: true,
            exclude: &[],
        };
        let selection = select(&world.tree(TreeKind::Context, &[]), query, None).unwrap();
        let entries = selection.matches.into_iter().flat_map(|matched| matched.entries);
        let files = entries.filter(|entry| !entry.stat.is_dir());
        files.map(|entry| entry.path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(selected("!a/file"), ["!a/file"]);
    assert_eq!(selected("!*/file"), ["!a/file", "!b/file"]);
    assert_eq!(selected("!b"), ["!b/file"]);
}

#[test]
fn a_selection_seen_from_the_top_has_its_files_where_they_are() {
    let world = World::new(&["dir/below/file", "link -> dir/below"]);
    for (path, expected) in [
        ("dir/below", vec!["", "dir/below", "dir/below/file"]),
        ("link/file", vec!["", "dir/below/file"]),
        ("/", vec!["", "dir", "dir/below", "dir/below/file", "link"]),
    ] {
        let tree = world.tree(TreeKind::Context, &[]);
        let selection = select(&tree, Query::Exact(path), None).unwrap().seen_from_top();
        let paths = selection.matches[0]
            .entries
            .iter()
            .map(|entry| entry.path.to_str().unwrap());
        assert_eq!(paths.collect::<Vec<_>>(), expected, "{path}");
        assert!(selection.matches[0].origin.as_os_str().is_empty());
        assert!(matches!(selection.matches[0].entries[0].content, Content::Directory(_)));
    }
}
