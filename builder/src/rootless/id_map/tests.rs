//! Tests of the planning of id maps.

use super::*;

const EVERYTHING: Mapping = Mapping {
    inside: 0,
    outside: 0,
    count: u32::MAX,
};

/// An ordinary user with subordinate ids.
fn alice() -> Caller {
    let range = IdRange {
        start: 100_000,
        count: 65536,
    };
    Caller {
        uid: 1000,
        gid: 100,
        name: Some("alice".into()),
        capabilities: CapabilitySet::empty(),
        no_new_privileges: false,
        own_uids: vec![EVERYTHING],
        own_gids: vec![EVERYTHING],
        subuids: vec![range],
        subgids: vec![range],
    }
}

fn root() -> Caller {
    Caller {
        uid: 0,
        gid: 0,
        name: Some("root".into()),
        capabilities: CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP,
        subuids: vec![],
        subgids: vec![],
        ..alice()
    }
}

fn lines(map: &[Mapping]) -> Vec<(u32, u32, u32)> {
    map.iter().map(|line| (line.inside, line.outside, line.count)).collect()
}

#[test]
fn a_user_gets_the_subordinate_ids_through_the_helpers() {
    let map = plan(&alice()).unwrap();
    assert_eq!(lines(&map.uids), [(0, 1000, 1), (1, 100_000, 65536)]);
    assert_eq!(lines(&map.gids), [(0, 100, 1), (1, 100_000, 65536)]);
    assert_eq!(map.writer, Writer::Helpers);
    assert_eq!(count(&map.uids), 65537);
}

#[test]
fn several_ranges_follow_each_other() {
    let mut caller = alice();
    caller.subuids.push(IdRange { start: 500, count: 10 });
    let map = plan(&caller).unwrap();
    assert_eq!(lines(&map.uids), [(0, 1000, 1), (1, 100_000, 65536), (65537, 500, 10)]);
}

#[test]
fn root_keeps_its_ids_and_needs_no_helper() {
    let map = plan(&root()).unwrap();
    assert_eq!(lines(&map.uids), [(0, 0, u32::MAX)]);
    assert_eq!(map.writer, Writer::Direct);
}

#[test]
fn root_of_a_pod_keeps_the_ids_of_the_pod() {
    let mut caller = root();
    let pod = Mapping {
        inside: 0,
        outside: 1_879_048_192,
        count: 65536,
    };
    (caller.own_uids, caller.own_gids) = (vec![pod], vec![pod]);
    assert_eq!(lines(&plan(&caller).unwrap().uids), [(0, 0, 65536)]);
}

#[test]
fn root_with_one_id_is_told_so() {
    let mut caller = root();
    caller.own_uids[0].count = 1;
    assert!(matches!(
        plan(&caller),
        Err(EnterError::SingleId { kind: IdKind::User })
    ));
}

#[test]
fn root_without_setfcap_is_told_so() {
    let mut caller = root();
    caller.capabilities -= CapabilitySet::SETFCAP;
    assert!(matches!(plan(&caller), Err(EnterError::NoSetfcap)));
}

#[test]
fn root_without_capabilities_is_an_ordinary_user() {
    let mut caller = root();
    caller.capabilities = CapabilitySet::empty();
    assert!(matches!(plan(&caller), Err(EnterError::NoSubordinateIds { .. })));
}

#[test]
fn a_user_without_subordinate_groups_is_told_so() {
    let mut caller = alice();
    caller.subgids.clear();
    let error = plan(&caller).unwrap_err();
    assert!(matches!(&error, EnterError::NoSubordinateIds { kind: IdKind::Group, user } if user == "alice"));
}

#[test]
fn no_new_privileges_is_named_before_missing_ids() {
    let mut caller = alice();
    caller.no_new_privileges = true;
    caller.subuids.clear();
    assert!(matches!(plan(&caller), Err(EnterError::NoNewPrivileges)));
}

#[test]
fn subordinate_ids_that_the_pod_does_not_have_are_left_out() {
    let mut caller = alice();
    let pod = Mapping {
        inside: 0,
        outside: 1_879_048_192,
        count: 65536,
    };
    caller.own_uids = vec![pod];
    let error = plan(&caller).unwrap_err();
    assert!(matches!(
        error,
        EnterError::SubordinateIdsUnmapped { start: 100_000, .. }
    ));

    caller.subuids.push(IdRange {
        start: 2000,
        count: 60000,
    });
    assert_eq!(lines(&plan(&caller).unwrap().uids), [(0, 1000, 1), (1, 2000, 60000)]);
}

#[test]
fn a_user_with_capabilities_writes_the_map_itself() {
    let mut caller = alice();
    caller.capabilities = CapabilitySet::SETUID | CapabilitySet::SETGID;
    caller.no_new_privileges = true;
    assert_eq!(plan(&caller).unwrap().writer, Writer::Direct);
}

#[test]
fn the_kernels_map_is_read() {
    let text = "         0       1000          1\n         1     100000      65536\n";
    assert_eq!(lines(&Mapping::parse(text)), [(0, 1000, 1), (1, 100_000, 65536)]);
}
