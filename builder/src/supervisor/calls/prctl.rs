//! What `prctl` says and changes about credentials.

use rustix::io::Errno;

use super::ids::change;
use crate::supervisor::call::{Call, DONE, Outcome, Reply};
use crate::supervisor::credentials::Ambient;

const SET_DUMPABLE: u32 = libc::PR_SET_DUMPABLE as u32;
const GET_KEEPCAPS: u32 = libc::PR_GET_KEEPCAPS as u32;
const SET_KEEPCAPS: u32 = libc::PR_SET_KEEPCAPS as u32;
const CAPBSET_READ: u32 = libc::PR_CAPBSET_READ as u32;
const CAPBSET_DROP: u32 = libc::PR_CAPBSET_DROP as u32;
const GET_SECUREBITS: u32 = libc::PR_GET_SECUREBITS as u32;
const SET_SECUREBITS: u32 = libc::PR_SET_SECUREBITS as u32;
const SET_NO_NEW_PRIVS: u32 = libc::PR_SET_NO_NEW_PRIVS as u32;
const GET_NO_NEW_PRIVS: u32 = libc::PR_GET_NO_NEW_PRIVS as u32;
const CAP_AMBIENT: u32 = libc::PR_CAP_AMBIENT as u32;
const SET_SECCOMP: u32 = libc::PR_SET_SECCOMP as u32;

/// The options that are answered here.
pub(super) const OPTIONS: &[u32] = &[
    SET_DUMPABLE,
    GET_KEEPCAPS,
    SET_KEEPCAPS,
    CAPBSET_READ,
    CAPBSET_DROP,
    GET_SECUREBITS,
    SET_SECUREBITS,
    SET_NO_NEW_PRIVS,
    GET_NO_NEW_PRIVS,
    CAP_AMBIENT,
    SET_SECCOMP,
];

pub(super) fn prctl(call: &Call<'_>) -> Outcome {
    let value = call.argument(1);
    let flag = |flag: bool| Ok(Reply::Value(flag.into()));
    match call.word(0) {
        // A process that cannot be looked at could not be served: its memory would be out of reach.
        SET_DUMPABLE if value <= 1 => Ok(DONE),
        GET_KEEPCAPS => flag(call.credentials.keeps_capabilities()),
        SET_KEEPCAPS => change(call, |credentials| credentials.set_keeps_capabilities(value)),
        CAPBSET_READ => flag(call.credentials.can_gain(value)?),
        CAPBSET_DROP => change(call, |credentials| credentials.give_up_gaining(value)),
        GET_SECUREBITS => Ok(Reply::Value(call.credentials.securebits().into())),
        SET_SECUREBITS => change(call, |credentials| credentials.set_securebits(call.word(1))),
        SET_NO_NEW_PRIVS => set_no_new_privileges(call),
        GET_NO_NEW_PRIVS if rest_is_zero(call, 1) => flag(call.credentials.no_new_privileges),
        CAP_AMBIENT => ambient(call),
        SET_SECCOMP => super::through::set_filter(call),
        _ => Err(Errno::INVAL),
    }
}

fn rest_is_zero(call: &Call<'_>, from: usize) -> bool {
    (from..5).all(|index| call.argument(index) == 0)
}

/// In the kernel's eyes every process of a step has had this set from the start, or it could not be supervised.
fn set_no_new_privileges(call: &Call<'_>) -> Outcome {
    if call.argument(1) != 1 || !rest_is_zero(call, 2) {
        return Err(Errno::INVAL);
    }
    change(call, |credentials| {
        credentials.no_new_privileges = true;
        Ok(())
    })
}

fn ambient(call: &Call<'_>) -> Outcome {
    let capability = call.argument(2);
    if !rest_is_zero(call, 3) {
        return Err(Errno::INVAL);
    }
    let kind = match i32::try_from(call.argument(1)) {
        Ok(libc::PR_CAP_AMBIENT_CLEAR_ALL) if capability == 0 => {
            return change(call, |credentials| {
                credentials.clear_ambient();
                Ok(())
            });
        }
        Ok(libc::PR_CAP_AMBIENT_IS_SET) => Ambient::IsSet,
        Ok(libc::PR_CAP_AMBIENT_RAISE) => Ambient::Raise,
        Ok(libc::PR_CAP_AMBIENT_LOWER) => Ambient::Lower,
        _ => return Err(Errno::INVAL),
    };
    let mut is_set = false;
    change(call, |credentials| {
        is_set = credentials.change_ambient(kind, capability)?;
        Ok(())
    })?;
    Ok(Reply::Value(is_set.into()))
}
