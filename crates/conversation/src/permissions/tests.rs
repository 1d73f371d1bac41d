use super::*;
use crate::context::{ContextError, Extension};

const MEMBER: Role = Role {
    is_admin: false,
    is_super_admin: false,
};
const ADMIN: Role = Role {
    is_admin: true,
    is_super_admin: false,
};
const SUPER_ADMIN: Role = Role {
    is_admin: false,
    is_super_admin: true,
};

fn lets_in(policy: &Policy<Who>) -> [bool; 3] {
    [MEMBER, ADMIN, SUPER_ADMIN].map(|role| policy.allows(role))
}

#[test]
fn admins_are_admins_and_super_admins() {
    assert_eq!(lets_in(&Policy::Base(Who::Everyone)), [true; 3]);
    assert_eq!(lets_in(&Policy::Base(Who::Nobody)), [false; 3]);
    assert_eq!(lets_in(&Policy::Base(Who::Admins)), [false, true, true]);
    assert_eq!(
        lets_in(&Policy::Base(Who::SuperAdmins)),
        [false, false, true]
    );
}

#[test]
fn conditions_nest() {
    let base = |who| Policy::Base(who);
    let all = Policy::All(vec![base(Who::Everyone), base(Who::Admins)]);
    let any = Policy::Any(vec![base(Who::Nobody), base(Who::SuperAdmins)]);
    assert_eq!(lets_in(&all), [false, true, true]);
    assert_eq!(lets_in(&any), [false, false, true]);
    let nested = Policy::Any(vec![any, Policy::All(vec![all, base(Who::Nobody)])]);
    assert_eq!(lets_in(&nested), [false, false, true]);

    let mut set = PolicySet::all_members();
    set.add_member = nested;
    assert_eq!(PolicySet::decode(&set.encode()), Ok(set.clone()));
    assert_eq!(set.preset(), None);
}

#[test]
fn a_condition_over_nothing_is_invalid() {
    for policy in [Policy::All(vec![]), Policy::Any(vec![])] {
        let mut set = PolicySet::all_members();
        set.add_member = policy;
        let invalid = Extension::Permissions.invalid_field("add_member_policy");
        assert_eq!(PolicySet::decode(&set.encode()), Err(invalid));
    }
}

#[test]
fn all_six_policies_are_needed_and_known() {
    // Field 1 with nothing in it, and one policy whose number is unknown.
    assert!(matches!(
        PolicySet::decode(&[0x0a, 0]),
        Err(ContextError::MissingField {
            field: "add_member_policy",
            ..
        })
    ));
    assert!(matches!(
        PolicySet::decode(&[]),
        Err(ContextError::MissingField {
            field: "policies",
            ..
        })
    ));
    assert!(matches!(
        PolicySet::decode(&[0x0a, 4, 0x0a, 2, 8, 5]),
        Err(ContextError::InvalidField {
            field: "add_member_policy",
            ..
        })
    ));
    let whole = PolicySet::dm().encode();
    // The last policy of a DM is the last pair of tag and length with `08 01` in it.
    let mut unknown = whole.to_vec();
    *unknown.last_mut().unwrap() = 4;
    let invalid = Extension::Permissions.invalid_field("update_permissions_policy");
    assert_eq!(PolicySet::decode(&unknown), Err(invalid));
}

#[test]
fn presets_are_recognised_by_what_they_say_about_the_attributes_that_they_name() {
    for preset in [Preset::AllMembers, Preset::AdminsOnly, Preset::Dm] {
        let policies = preset.policies();
        assert_eq!(policies.preset(), Some(preset));
        for key in policies.update_metadata.keys() {
            let mut fewer = policies.clone();
            fewer.update_metadata.remove(key);
            assert_eq!(fewer.preset(), Some(preset), "{key}");
        }
    }
    let mut custom = PolicySet::all_members();
    custom
        .set(
            PolicyKind::UpdateMetadata(Attribute::GroupName),
            Who::Admins,
        )
        .unwrap();
    assert_eq!(custom.preset(), None);
    let mut newer = PolicySet::all_members();
    newer
        .update_metadata
        .insert("colour".to_owned(), Policy::Base(Who::Everyone));
    assert_eq!(newer.preset(), Some(Preset::AllMembers));
}

#[test]
fn roles_are_not_everyones_to_give() {
    let mut set = PolicySet::all_members();
    let refused = set.set(PolicyKind::AddAdmin, Who::Everyone);
    assert_eq!(refused, Err(EveryoneNotTrusted));
    assert_eq!(set, PolicySet::all_members());
    set.set(PolicyKind::AddAdmin, Who::Admins).unwrap();
    assert_eq!(set.add_admin, Policy::Base(Trusted::Admins));
}

#[test]
fn attributes_without_a_policy_are_for_admins_and_hidden_ones_for_super_admins() {
    let policies = PolicySet::all_members();
    assert_eq!(
        policies.metadata_policy("group_name"),
        Policy::Base(Who::Everyone)
    );
    assert_eq!(
        policies.metadata_policy("colour"),
        Policy::Base(Who::Admins)
    );
    assert_eq!(
        policies.metadata_policy("_commit_log_signer"),
        Policy::Base(Who::SuperAdmins)
    );
}
