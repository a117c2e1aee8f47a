//! Whom a step runs as, and with which capabilities.

use std::io;

use rustix::fs::{Gid as FsGid, Uid as FsUid, fchown};
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::executor::process::{Credentials, Privileges};
use crate::executor::setup_error::{OnPath, SetupError};

/// Docker's default capabilities.
pub(super) const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Takes on the credentials. Any other user than root is left without capabilities, but can regain those in the
/// bounding set through a setuid program, as in Docker.
pub(super) fn take_on(credentials: &Credentials, privileges: Privileges) -> Result<(), SetupError> {
    let Credentials { uid, gid, groups } = credentials;
    own_output(*uid, *gid)?;
    // Without a user namespace of croze's own, some may have been withheld from croze.
    let own = capabilities(None).on("read the capabilities of", "the step")?.permitted;
    let capabilities = match privileges {
        Privileges::Docker => {
            limit_capabilities()?;
            CAPABILITIES.intersection(own)
        }
        Privileges::All => own,
    };

    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups).on("set the supplementary groups of", "the step")?;
    let gid = Gid::from_raw(*gid);
    set_thread_res_gid(gid, gid, gid).on("become group", gid.as_raw().to_string())?;
    let uid = Uid::from_raw(*uid);
    set_thread_res_uid(uid, uid, uid).on("become user", uid.as_raw().to_string())?;

    hold(if uid.is_root() {
        capabilities
    } else {
        CapabilitySet::empty()
    })
}

/// Keeps the capabilities of root, and its ids: there are no others.
pub(super) fn stay_root() -> Result<(), SetupError> {
    let own = capabilities(None).on("read the capabilities of", "the step")?.permitted;
    limit_capabilities()?;
    hold(CAPABILITIES.intersection(own))
}

/// Gives up all capabilities, without which there is nothing that a program could gain.
pub(super) fn have_nothing() -> Result<(), SetupError> {
    clear_ambient_capability_set().on("clear", "the ambient capabilities")?;
    hold(CapabilitySet::empty())
}

fn hold(held: CapabilitySet) -> Result<(), SetupError> {
    let sets = CapabilitySets {
        effective: held,
        permitted: held,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).on("set the capabilities of", "the step")
}

/// Lets the step reopen its output, as `> /dev/stderr` does: whoever else runs croze owns the pipes.
fn own_output(uid: u32, gid: u32) -> Result<(), SetupError> {
    let (user, group) = (FsUid::from_raw(uid), FsGid::from_raw(gid));
    fchown(io::stdout(), Some(user), Some(group)).on("change the owner of", "standard output")?;
    fchown(io::stderr(), Some(user), Some(group)).on("change the owner of", "standard error")
}

/// Takes all other capabilities out of reach of the step and its descendants.
fn limit_capabilities() -> Result<(), SetupError> {
    clear_ambient_capability_set().on("clear", "the ambient capabilities")?;
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if CAPABILITIES.contains(capability) {
            continue;
        }
        match capability_is_in_bounding_set(capability) {
            // The kernel knows no more.
            Err(rustix::io::Errno::INVAL) => break,
            // Removing what is not there takes a capability as well.
            Ok(false) => continue,
            found => found.on("look for the capability", bit.to_string())?,
        };
        remove_capability_from_bounding_set(capability).on("drop the capability", bit.to_string())?;
    }
    Ok(())
}
