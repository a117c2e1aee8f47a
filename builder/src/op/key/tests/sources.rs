//! What enters the key of a source on the network.

use super::operations::check;
use crate::op::key::Define;
use crate::op::{GitOp, HttpForm, HttpOp, Op};
use crate::remote::{MtimeOf, Remote};

pub(super) fn http() -> HttpOp {
    let Some(Ok(Remote::Web(address))) = Remote::of_add("https://example.com/file") else {
        panic!("no web address");
    };
    HttpOp {
        address,
        form: HttpForm::File {
            name: "file".to_owned(),
        },
        checksum: None,
    }
}

pub(super) fn git() -> GitOp {
    let Some(Ok(Remote::Git(address))) = Remote::of_add("https://example.com/x.git#main:sub") else {
        panic!("no git address");
    };
    GitOp {
        address,
        keep_git_dir: false,
    }
}

#[test]
fn what_enters_the_key_of_a_source_on_the_network() {
    check(
        http(),
        Op::Http,
        &[
            ("name", |op| {
                op.form = HttpForm::File {
                    name: "other".to_owned(),
                }
            }),
            ("form", |op| op.form = HttpForm::Archive),
        ],
        &[
            ("address", |op| op.address.url.push('x')),
            ("checksum", |op| op.checksum = Some(registry::oci::Digest::of(b""))),
        ],
    );
    check(
        git(),
        Op::Git,
        &[
            ("directory", |op| op.address.subdir.clear()),
            ("submodules", |op| op.address.submodules = Some(false)),
            ("times", |op| op.address.mtime = Some(MtimeOf::Commit)),
            ("git", |op| op.keep_git_dir = true),
        ],
        &[
            ("address", |op| op.address.url.push('x')),
            ("ref", |op| op.address.reference = None),
            ("checksum", |op| op.address.checksum = Some("abc".to_owned())),
            ("way of asking", |op| op.address.fetch_by_commit = true),
            ("the address's own wish", |op| op.address.keep_git_dir = Some(true)),
        ],
    );
    fn kept(url: &str) -> GitOp {
        let mut op = git();
        op.address.url = url.to_owned();
        op.keep_git_dir = true;
        op
    }
    assert_ne!(Op::Git(kept("a")).operation(), Op::Git(kept("b")).operation());
    assert!(Op::Http(http()).is_source() && Op::Git(git()).is_source());
}
