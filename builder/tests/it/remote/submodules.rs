//! Submodules of submodules, whose addresses are relative to each other's.

use super::git::added;
use super::read;
use crate::harness::{Lab, WebServer, sh};

#[test]
fn an_address_without_a_host_is_relative_to_the_repository_that_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = WebServer::of_directory(directory.path());
    sh(&format!(
        r#"
        export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        cd {}
        # A repository with one file, or with one submodule of this name and address.
        make() {{
            git init -q -b main work; cd work
            if [ $# = 1 ]; then echo -n leaf > file; else
                printf '[submodule "%s"]
	path = %s
	url = %s
' $2 $2 $3 > .gitmodules
                git update-index --add --cacheinfo 160000,$4,$2
            fi
            git add .gitmodules 2> /dev/null || git add file; git commit -qm 1; cd ..
            git clone -q --bare work $1; git -C $1 update-server-info; git -C work rev-parse HEAD; rm -rf work
        }}
        mkdir one other
        leaf=$(make other/leaf.git)
        middle=$(make other/middle.git leaf ../leaf.git $leaf)
        make one/top.git middle ../../other/middle.git $middle
        "#,
        directory.path().display()
    ));
    let lab = Lab::new("");
    for query in ["", "?keep-git-dir=true"] {
        let out = added(&lab, "", &server.url(&format!("/one/top.git{query}")));
        assert_eq!(read(&out, "middle/leaf/file"), "leaf");
        assert_eq!(out.join(".git").exists(), !query.is_empty());
    }
}
