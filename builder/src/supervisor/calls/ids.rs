//! Users, groups, and what else a process hands on: the file mode creation mask and the root directory.

use rustix::io::Errno;

use crate::supervisor::call::{Call, DONE, Outcome, Reply};
use crate::supervisor::credentials::{Credentials, Ids};
use crate::supervisor::state::Tag;

/// The most supplementary groups that the kernel takes.
const MAX_GROUPS: u32 = 65_536;

pub(super) fn getuid(call: &Call<'_>) -> Outcome {
    Ok(Reply::Value(call.credentials.users.real.into()))
}

pub(super) fn geteuid(call: &Call<'_>) -> Outcome {
    Ok(Reply::Value(call.credentials.users.effective.into()))
}

pub(super) fn getgid(call: &Call<'_>) -> Outcome {
    Ok(Reply::Value(call.credentials.groups.real.into()))
}

pub(super) fn getegid(call: &Call<'_>) -> Outcome {
    Ok(Reply::Value(call.credentials.groups.effective.into()))
}

pub(super) fn getresuid(call: &Call<'_>) -> Outcome {
    three(call, call.credentials.users)
}

pub(super) fn getresgid(call: &Call<'_>) -> Outcome {
    three(call, call.credentials.groups)
}

fn three(call: &Call<'_>, ids: Ids) -> Outcome {
    for (index, id) in [ids.real, ids.effective, ids.saved].into_iter().enumerate() {
        call.write(call.argument(index), &id.to_ne_bytes())?;
    }
    Ok(DONE)
}

pub(super) fn getgroups(call: &Call<'_>) -> Outcome {
    let groups = &call.credentials.supplementary;
    let room = usize::try_from(call.descriptor(0)).map_err(|_| Errno::INVAL)?;
    if room > 0 {
        if groups.len() > room {
            return Err(Errno::INVAL);
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
        call.write(call.argument(1), &bytes)?;
    }
    Ok(Reply::Value(groups.len() as i64))
}

pub(super) fn setgroups(call: &Call<'_>) -> Outcome {
    change(call, |credentials| {
        // Whether it is allowed is asked before anything is read.
        credentials.clone().set_groups(Vec::new())?;
        let count = call.word(0);
        if count > MAX_GROUPS {
            return Err(Errno::INVAL);
        }
        let mut bytes = vec![0; count as usize * size_of::<u32>()];
        if count > 0 {
            call.read(call.argument(1), &mut bytes)?;
        }
        let group = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().unwrap_or_default());
        credentials.set_groups(bytes.chunks_exact(size_of::<u32>()).map(group).collect())
    })
}

pub(super) fn setuid(call: &Call<'_>) -> Outcome {
    change(call, |credentials| credentials.set_user(call.word(0)))
}

pub(super) fn setgid(call: &Call<'_>) -> Outcome {
    change(call, |credentials| credentials.set_group(call.word(0)))
}

pub(super) fn setreuid(call: &Call<'_>) -> Outcome {
    change(call, |credentials| {
        credentials.set_real_effective_user(call.word(0), call.word(1))
    })
}

pub(super) fn setregid(call: &Call<'_>) -> Outcome {
    change(call, |credentials| {
        credentials.set_real_effective_group(call.word(0), call.word(1))
    })
}

pub(super) fn setresuid(call: &Call<'_>) -> Outcome {
    change(call, |credentials| {
        credentials.set_three_users([0, 1, 2].map(|index| call.word(index)))
    })
}

pub(super) fn setresgid(call: &Call<'_>) -> Outcome {
    change(call, |credentials| {
        credentials.set_three_groups([0, 1, 2].map(|index| call.word(index)))
    })
}

pub(super) fn setfsuid(call: &Call<'_>) -> Outcome {
    let mut credentials = Credentials::clone(&call.credentials);
    let old = credentials.set_files_user(call.word(0));
    call.become_other(credentials)?;
    Ok(Reply::Value(old.into()))
}

pub(super) fn setfsgid(call: &Call<'_>) -> Outcome {
    let mut credentials = Credentials::clone(&call.credentials);
    let old = credentials.set_files_group(call.word(0));
    call.become_other(credentials)?;
    Ok(Reply::Value(old.into()))
}

/// Changes the credentials of the caller.
pub(super) fn change(call: &Call<'_>, change: impl FnOnce(&mut Credentials) -> Result<(), Errno>) -> Outcome {
    let mut credentials = Credentials::clone(&call.credentials);
    change(&mut credentials)?;
    call.become_other(credentials)?;
    Ok(DONE)
}

/// The kernel keeps the mask as well, for what it makes itself.
pub(super) fn umask(call: &Call<'_>) -> Outcome {
    let umask = call.word(0) & 0o777;
    call.retag(|tag| Tag { umask, ..tag })?;
    Ok(Reply::Continue)
}

/// From then on, the process's paths may mean something else than the step's.
pub(super) fn chroot(call: &Call<'_>) -> Outcome {
    let is_possible = call.place.view.as_ref().is_none_or(|view| view.programs().is_none());
    if !is_possible || !call.credentials.can(rustix::thread::CapabilitySet::SYS_CHROOT) {
        return Err(Errno::PERM);
    }
    call.retag(|tag| Tag { chrooted: true, ..tag })?;
    Ok(Reply::Continue)
}
