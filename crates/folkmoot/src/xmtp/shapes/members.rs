//! Members of conversations, and what we think of people.

use folkmoot_client::{Member, MemberRole};
use folkmoot_conversation::ConsentState;

use super::{
    super::value::{Value, object},
    people::identifier,
};

/// Which fields of members are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MemberShape {
    /// What a new conversation shows.
    Short,
    /// Everything.
    Full,
}

/// Members of a conversation.
pub(crate) fn members(members: &[Member], shape: MemberShape) -> Value {
    Value::list(members.iter().map(|member| {
        let fields = object! {
            "inboxId" => member.inbox_id.to_string(),
            "accountIdentifiers" => Value::list(member.identifiers.iter().map(identifier)),
        };
        if shape == MemberShape::Short {
            return fields.with("permissionLevel", role(member.role));
        }
        let installations = member.installations.iter().map(ToString::to_string);
        fields
            .with("installationIds", Value::list(installations))
            .with("permissionLevel", role(member.role))
            .with("consentState", consent(member.consent))
    }))
}

/// The number of a role.
pub(crate) const fn role(role: MemberRole) -> u32 {
    match role {
        MemberRole::Member => 0,
        MemberRole::Admin => 1,
        MemberRole::SuperAdmin => 2,
    }
}

/// The number of a consent.
pub(crate) const fn consent(state: ConsentState) -> u32 {
    match state {
        ConsentState::Unknown => 0,
        ConsentState::Allowed => 1,
        ConsentState::Denied => 2,
    }
}

/// The word for a consent.
pub(crate) const fn consent_name(state: ConsentState) -> &'static str {
    match state {
        ConsentState::Unknown => "unknown",
        ConsentState::Allowed => "allowed",
        ConsentState::Denied => "denied",
    }
}
