//! As whom, in which sandbox and on which kernel the tests run croze.

use builder::rung::{ProcView, Rung};

use crate::harness::is_root;

/// As whom a test runs croze.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Who {
    /// Real root.
    Root,
    /// A user with subordinate ids.
    User,
}

/// As whom and in which sandbox a test runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Place {
    pub(crate) who: Who,
    pub(crate) rung: Rung,
    pub(crate) proc: ProcView,
    /// Whether the kernel answers as one from before the new mount API.
    pub(crate) old_kernel: bool,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let who = match self.who {
            Who::Root => "root",
            Who::User => "a user",
        };
        let proc = match self.proc {
            ProcView::New => "",
            ProcView::Bound => " with a masked /proc",
        };
        let kernel = if self.old_kernel { " on an old kernel" } else { "" };
        write!(f, "{who} in {}{proc}{kernel}", self.rung)
    }
}

impl Place {
    /// Those that this test run can bring about.
    pub(crate) fn available() -> Vec<Self> {
        let place = |who, rung, proc| Self {
            who,
            rung,
            proc,
            old_kernel: false,
        };
        let mut places = vec![
            place(Who::User, Rung::Userns, ProcView::New),
            place(Who::User, Rung::Userns, ProcView::Bound),
            place(Who::User, Rung::UsernsSingle, ProcView::New),
            place(Who::User, Rung::UsernsSingle, ProcView::Bound),
        ];
        if is_root() {
            places.push(place(Who::Root, Rung::Userns, ProcView::New));
            places.push(place(Who::Root, Rung::Direct, ProcView::New));
            places.push(Self {
                old_kernel: true,
                ..place(Who::Root, Rung::Userns, ProcView::New)
            });
        }
        places
    }

    /// Those in which nothing is mounted, as far as this test run can bring them about.
    pub(crate) fn without_mounts() -> Vec<Self> {
        let chroot = Self {
            who: Who::Root,
            rung: Rung::Chroot,
            proc: ProcView::Bound,
            old_kernel: false,
        };
        let chroot = is_root().then_some(chroot);
        chroot.into_iter().chain(Self::in_ptrace()).collect()
    }

    /// The one in which not even the root is changed.
    pub(crate) fn in_ptrace() -> Vec<Self> {
        vec![Self {
            who: Who::User,
            rung: Rung::Ptrace,
            proc: ProcView::Bound,
            old_kernel: false,
        }]
    }
}
