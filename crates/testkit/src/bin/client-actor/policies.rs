//! Permissions as the scripts write them: a word for each policy.

use folkmoot_conversation::{
    context::Attribute,
    permissions::{Policy, PolicyKind, PolicySet, Preset, Who},
};
use serde_json::{Map, Value};

use crate::Failure;

/// The policies by name.
const KINDS: [(&str, PolicyKind); 9] = [
    ("addMember", PolicyKind::AddMember),
    ("removeMember", PolicyKind::RemoveMember),
    ("addAdmin", PolicyKind::AddAdmin),
    ("removeAdmin", PolicyKind::RemoveAdmin),
    ("name", PolicyKind::UpdateMetadata(Attribute::GroupName)),
    (
        "description",
        PolicyKind::UpdateMetadata(Attribute::Description),
    ),
    ("imageUrl", PolicyKind::UpdateMetadata(Attribute::ImageUrl)),
    ("appData", PolicyKind::UpdateMetadata(Attribute::AppData)),
    (
        "disappearing",
        PolicyKind::UpdateMetadata(Attribute::DisappearInNs),
    ),
];

/// Words for whom a policy lets in.
const WHO: [(&str, Who); 4] = [
    ("everyone", Who::Everyone),
    ("nobody", Who::Nobody),
    ("admins", Who::Admins),
    ("superAdmins", Who::SuperAdmins),
];

/// The policies that `what` names: disappearing messages have two.
pub(crate) fn kinds(what: &str) -> Result<Vec<PolicyKind>, Failure> {
    let found = KINDS.iter().find(|(name, _)| *name == what);
    let (_, kind) = found.ok_or_else(|| format!("no policy is called {what}"))?;
    let mut kinds = vec![*kind];
    if *kind == PolicyKind::UpdateMetadata(Attribute::DisappearInNs) {
        kinds.push(PolicyKind::UpdateMetadata(Attribute::DisappearFromNs));
    }
    Ok(kinds)
}

/// Whom a word means.
pub(crate) fn who(word: &str) -> Result<Who, Failure> {
    let found = WHO.iter().find(|(name, _)| *name == word);
    let (_, who) = found.ok_or_else(|| format!("nobody is called {word}"))?;
    Ok(*who)
}

/// A preset's word, or an object of policies of which those that are not named are as usual.
pub(crate) fn parse(value: &Value) -> Result<PolicySet, Failure> {
    match value {
        Value::String(word) if word == "everyone" => Ok(PolicySet::all_members()),
        Value::String(word) if word == "admins" => Ok(PolicySet::admins_only()),
        Value::Object(policies) => {
            let mut set = PolicySet::all_members();
            for (what, word) in policies {
                let who = who(word.as_str().unwrap_or_default())?;
                for kind in kinds(what)? {
                    set.set(kind, who)?;
                }
            }
            Ok(set)
        }
        other => Err(format!("no permissions: {other}").into()),
    }
}

/// `{ preset, policies }`.
pub(crate) fn show(set: &PolicySet) -> Value {
    let preset = match set.preset() {
        Some(Preset::AllMembers) => "everyone",
        Some(Preset::AdminsOnly) => "admins",
        Some(_) | None => "custom",
    };
    let mut policies = Map::new();
    for (name, kind) in KINDS {
        let word = match kind {
            PolicyKind::AddMember => word(&set.add_member),
            PolicyKind::RemoveMember => word(&set.remove_member),
            PolicyKind::AddAdmin => word(&set.add_admin),
            PolicyKind::RemoveAdmin => word(&set.remove_admin),
            PolicyKind::UpdateMetadata(attribute) => word(&set.metadata_policy(attribute.key())),
        };
        policies.insert(name.to_owned(), word.into());
    }
    serde_json::json!({ "preset": preset, "policies": policies })
}

fn word<Base: Copy + Into<Who>>(policy: &Policy<Base>) -> &'static str {
    let Policy::Base(base) = policy else {
        return "other";
    };
    let who: Who = (*base).into();
    let found = WHO.iter().find(|(_, one)| *one == who);
    found.map_or("other", |(name, _)| *name)
}
