//! Who may do what in a group.

use folkmoot_conversation::{
    context::Attribute,
    permissions::{Policy, PolicySet, Preset, Who},
};

use super::super::value::{Value, object};

/// The policies of a group: which preset they are, and each of them.
pub(crate) fn permissions(set: &PolicySet) -> Value {
    let kind: u32 = match set.preset() {
        Some(Preset::AllMembers) => 0,
        Some(Preset::AdminsOnly) => 1,
        _ => 2,
    };
    let metadata = |attribute: Attribute| {
        set.update_metadata
            .get(attribute.key())
            .map_or(DOES_NOT_EXIST, policy)
    };
    object! {
        "policyType" => kind,
        "policySet" => object! {
            "addMemberPolicy" => policy(&set.add_member),
            "removeMemberPolicy" => policy(&set.remove_member),
            "addAdminPolicy" => policy(&set.add_admin),
            "removeAdminPolicy" => policy(&set.remove_admin),
            "updateGroupNamePolicy" => metadata(Attribute::GroupName),
            "updateGroupDescriptionPolicy" => metadata(Attribute::Description),
            "updateGroupImageUrlSquarePolicy" => metadata(Attribute::ImageUrl),
            "updateMessageDisappearingPolicy" => metadata(Attribute::DisappearInNs),
            "updateAppDataPolicy" => metadata(Attribute::AppData),
        },
    }
}

const DOES_NOT_EXIST: u32 = 4;
const OTHER: u32 = 5;

/// The number of a policy.
pub(crate) fn policy<Base: Copy + Into<Who>>(policy: &Policy<Base>) -> u32 {
    match policy {
        Policy::Base(base) => match (*base).into() {
            Who::Everyone => 0,
            Who::Nobody => 1,
            Who::Admins => 2,
            Who::SuperAdmins => 3,
        },
        Policy::All(_) | Policy::Any(_) => OTHER,
    }
}
