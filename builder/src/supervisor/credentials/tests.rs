//! The rules in the cases that programs rely on; that they are the kernel's is tested against the kernel, in
//! `tests/sandbox/supervisor.rs`.

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::*;

const ALL: CapabilitySet = CapabilitySet::from_bits_retain(0xa804_25fb);

fn root() -> Credentials {
    Credentials::new(0, 0, vec![], ALL)
}

fn program(uid: u32, mode: u32) -> Program {
    Program {
        uid,
        gid: 50,
        mode,
        capabilities: None,
    }
}

#[test]
fn root_that_becomes_a_user_cannot_come_back() {
    let mut process = root();
    process.set_groups(vec![30, 10]).unwrap();
    process.set_three_groups([1000; 3]).unwrap();
    process.set_user(1000).unwrap();
    assert_eq!(process.supplementary, [10, 30]);
    assert_eq!(process.permitted, CapabilitySet::empty());
    assert_eq!(process.set_user(0), Err(Errno::PERM));
    assert_eq!(process.set_groups(vec![]), Err(Errno::PERM));
    assert_eq!(process.set_three_users([u32::MAX, 1000, u32::MAX]), Ok(()));
}

#[test]
fn a_saved_root_can_be_taken_on_again_and_brings_its_capabilities_back() {
    let mut process = root();
    process.set_three_users([u32::MAX, 1000, u32::MAX]).unwrap();
    assert_eq!((process.effective, process.permitted), (CapabilitySet::empty(), ALL));
    process.set_three_users([u32::MAX, 0, u32::MAX]).unwrap();
    assert_eq!(process.effective, ALL);
}

#[test]
fn capabilities_are_kept_across_users_when_asked_for() {
    let mut process = root();
    process.set_keeps_capabilities(1).unwrap();
    process.set_user(1000).unwrap();
    assert_eq!((process.permitted, process.effective), (ALL, CapabilitySet::empty()));
    let started = process.starting(&program(0, 0o755)).unwrap();
    assert_eq!(started.permitted, CapabilitySet::empty());
    assert!(!started.keeps_capabilities());
}

#[test]
fn the_user_for_files_takes_their_capabilities_along() {
    let mut process = root();
    assert_eq!(process.set_files_user(1000), 0);
    assert!(!process.can(CapabilitySet::DAC_OVERRIDE) && process.can(CapabilitySet::SETUID));
    assert_eq!(process.set_files_user(0), 1000);
    assert!(process.can(CapabilitySet::DAC_OVERRIDE));
}

#[test]
fn a_set_user_id_program_makes_its_user_its_owner() {
    let user = Credentials::new(1000, 1000, vec![], ALL);
    let started = user.starting(&program(0, 0o4755)).unwrap();
    assert_eq!(
        (started.users.real, started.users.effective, started.users.saved),
        (1000, 0, 0)
    );
    assert_eq!(started.effective, ALL);
    let group = user.starting(&program(0, 0o2755)).unwrap();
    assert_eq!((group.users, group.groups.effective), (user.users, 50));
    // Without permission to execute for the group, the bit means mandatory locking.
    assert_eq!(user.starting(&program(0, 0o2745)).unwrap(), user);
}

#[test]
fn no_new_privileges_holds_programs_back() {
    let mut user = Credentials::new(1000, 1000, vec![], ALL);
    user.no_new_privileges = true;
    assert_eq!(user.starting(&program(0, 0o6755)).unwrap(), user);
}

#[test]
fn capabilities_of_a_file_are_gained_within_the_bounds() {
    let user = Credentials::new(1000, 1000, vec![], ALL);
    let mut value = 0x0200_0001u32.to_le_bytes().to_vec();
    for word in [1u32 << 13, 0, 0, 0] {
        value.extend(word.to_le_bytes());
    }
    let capabilities = FileCapabilities::parse(&value);
    let file = Program {
        capabilities,
        ..program(0, 0o755)
    };
    assert_eq!(user.starting(&file).unwrap().effective, CapabilitySet::NET_RAW);
    let mut bounded = user;
    bounded.bounding -= CapabilitySet::NET_RAW;
    assert_eq!(bounded.starting(&file), Err(Errno::PERM));
    assert_eq!(FileCapabilities::parse(&value[..19]), None);
}

#[test]
fn bounds_and_the_ambient_set_can_only_be_changed_as_far_as_is_allowed() {
    let mut process = root();
    assert_eq!(process.change_ambient(Ambient::Raise, 0), Err(Errno::PERM));
    let mut data = process.capabilities();
    data.inheritable = CapabilitySet::CHOWN;
    process.set_capabilities(data).unwrap();
    process.change_ambient(Ambient::Raise, 0).unwrap();
    assert_eq!(process.change_ambient(Ambient::IsSet, 0), Ok(true));
    process.give_up_gaining(13).unwrap();
    assert_eq!(process.can_gain(13), Ok(false));
    assert_eq!(process.can_gain(64), Err(Errno::INVAL));
    data.permitted |= CapabilitySet::SYS_ADMIN;
    assert_eq!(process.set_capabilities(data), Err(Errno::PERM));
}

#[test]
fn access_is_judged_by_the_real_ids() {
    let user = Credentials::new(1000, 1000, vec![], ALL);
    let as_root = user.starting(&program(0, 0o4755)).unwrap();
    let judged = as_root.for_access();
    assert_eq!((judged.users.files, judged.effective), (1000, CapabilitySet::empty()));
    assert_eq!(root().for_access(), root());
}
