//! Affiliations and roles, and who may change whose (XEP-0045 §5).

use crate::stanza::{Condition, ErrorType, StanzaError};

/// What somebody is to a room, for good.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Affiliation {
    /// Banned.
    Outcast,
    /// Nothing.
    #[default]
    None,
    /// Belongs to the room.
    Member,
    /// Runs it.
    Admin,
    /// Owns it.
    Owner,
}

impl Affiliation {
    /// The attribute's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::None => "none",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The affiliation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Outcast,
            Self::None,
            Self::Member,
            Self::Admin,
            Self::Owner,
        ]
        .into_iter()
        .find(|affiliation| affiliation.name() == name)
    }
}

/// What an occupant may do while it is in the room.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Not in the room.
    None,
    /// May listen.
    Visitor,
    /// May speak.
    #[default]
    Participant,
    /// May give voice, take it, and kick.
    Moderator,
}

impl Role {
    /// The attribute's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Visitor => "visitor",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::None,
            Self::Visitor,
            Self::Participant,
            Self::Moderator,
        ]
        .into_iter()
        .find(|role| role.name() == name)
    }

    /// What somebody of that affiliation enters with (§5.1.2).
    #[must_use]
    pub fn on_entry(affiliation: Affiliation, moderated: bool, members_only: bool) -> Self {
        match affiliation {
            Affiliation::Owner | Affiliation::Admin => Self::Moderator,
            Affiliation::Member => Self::Participant,
            Affiliation::None if members_only => Self::None,
            Affiliation::None if moderated => Self::Visitor,
            Affiliation::None => Self::Participant,
            Affiliation::Outcast => Self::None,
        }
    }
}

/// Somebody whose privileges count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// For good.
    pub affiliation: Affiliation,
    /// For now.
    pub role: Role,
}

/// Whether `actor` may give `target` the role `new` (§5.1.3, §8).
///
/// # Errors
///
/// `forbidden` for who is no moderator (or for the role of moderator: no admin), `not-allowed` for a target that
/// stands too high.
pub fn may_set_role(actor: Standing, target: Standing, new: Role) -> Result<(), StanzaError> {
    if actor.role < Role::Moderator {
        return Err(Condition::Forbidden.into());
    }
    let about_moderators = new == Role::Moderator || target.role == Role::Moderator;
    let runs_room = actor.affiliation >= Affiliation::Admin;
    if about_moderators && !runs_room && new != Role::None {
        return Err(Condition::Forbidden.into());
    }
    let stands_higher = target.affiliation > actor.affiliation;
    let is_safe = target.affiliation >= Affiliation::Admin && new != Role::Moderator;
    let peer_kick = target.affiliation >= actor.affiliation && is_safe;
    let other_moderator = new == Role::None && target.role == Role::Moderator && !runs_room;
    if stands_higher || peer_kick || other_moderator {
        return Err(StanzaError::new(Condition::NotAllowed).of_type(ErrorType::Cancel));
    }
    Ok(())
}

/// Whether `actor` may change somebody's affiliation from `old` to `new` (§5.2.2, §9, §10).
///
/// # Errors
///
/// `forbidden` for who is no admin, or no owner where an owner is needed; `not-allowed` for banning an equal or higher.
pub fn may_set_affiliation(
    actor: Affiliation,
    old: Affiliation,
    new: Affiliation,
) -> Result<(), StanzaError> {
    if actor < Affiliation::Admin {
        return Err(Condition::Forbidden.into());
    }
    if new == Affiliation::Outcast && old >= actor && old >= Affiliation::Admin {
        return Err(StanzaError::new(Condition::NotAllowed).of_type(ErrorType::Cancel));
    }
    let needs_owner = new >= Affiliation::Admin || old >= Affiliation::Admin;
    if needs_owner && actor < Affiliation::Owner {
        let condition = if old >= Affiliation::Admin {
            Condition::NotAllowed
        } else {
            Condition::Forbidden
        };
        return Err(condition.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Affiliation, Role, Standing, may_set_affiliation, may_set_role};

    const ALL: [Affiliation; 5] = [
        Affiliation::Outcast,
        Affiliation::None,
        Affiliation::Member,
        Affiliation::Admin,
        Affiliation::Owner,
    ];

    fn standing(affiliation: Affiliation, role: Role) -> Standing {
        Standing { affiliation, role }
    }

    #[test]
    fn names_and_order() {
        for affiliation in ALL {
            assert_eq!(
                Affiliation::from_name(affiliation.name()),
                Some(affiliation)
            );
        }
        assert!(
            Affiliation::Owner > Affiliation::Admin && Affiliation::Outcast < Affiliation::None
        );
        assert_eq!(Role::from_name("visitor"), Some(Role::Visitor));
        assert_eq!(Role::from_name("king"), None);
    }

    #[test]
    fn entering_gives_a_role() {
        for (affiliation, moderated, members, role) in [
            (Affiliation::None, false, false, Role::Participant),
            (Affiliation::None, true, false, Role::Visitor),
            (Affiliation::None, false, true, Role::None),
            (Affiliation::Member, true, true, Role::Participant),
            (Affiliation::Admin, true, true, Role::Moderator),
            (Affiliation::Outcast, false, false, Role::None),
        ] {
            assert_eq!(Role::on_entry(affiliation, moderated, members), role);
        }
    }

    #[test]
    fn only_owners_make_admins() {
        for new in [Affiliation::Admin, Affiliation::Owner] {
            assert!(may_set_affiliation(Affiliation::Owner, Affiliation::None, new).is_ok());
            assert!(may_set_affiliation(Affiliation::Admin, Affiliation::None, new).is_err());
        }
        for actor in [Affiliation::None, Affiliation::Member] {
            assert!(may_set_affiliation(actor, Affiliation::None, Affiliation::Member).is_err());
        }
        assert!(
            may_set_affiliation(
                Affiliation::Admin,
                Affiliation::Member,
                Affiliation::Outcast
            )
            .is_ok()
        );
        for high in [Affiliation::Admin, Affiliation::Owner] {
            assert!(may_set_affiliation(Affiliation::Admin, high, Affiliation::Outcast).is_err());
            assert!(may_set_affiliation(Affiliation::Admin, high, Affiliation::None).is_err());
        }
    }

    #[test]
    fn moderators_rule_those_below_them() {
        let moderator = standing(Affiliation::None, Role::Moderator);
        let admin = standing(Affiliation::Admin, Role::Moderator);
        let owner = standing(Affiliation::Owner, Role::Moderator);
        let visitor = standing(Affiliation::None, Role::Visitor);
        let member = standing(Affiliation::Member, Role::Participant);
        assert!(may_set_role(moderator, visitor, Role::Participant).is_ok());
        assert!(may_set_role(moderator, visitor, Role::None).is_ok());
        assert!(
            may_set_role(moderator, member, Role::None).is_err(),
            "a member stands higher"
        );
        assert!(may_set_role(moderator, visitor, Role::Moderator).is_err());
        assert!(may_set_role(visitor, visitor, Role::None).is_err());
        assert!(may_set_role(admin, member, Role::Moderator).is_ok());
        assert!(may_set_role(admin, admin, Role::None).is_err());
        assert!(may_set_role(admin, owner, Role::Visitor).is_err());
        assert!(may_set_role(owner, admin, Role::None).is_ok());
        assert!(may_set_role(owner, owner, Role::None).is_err());
    }
}
