//! Policies as protobuf messages.

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::message_contents::{
    self as proto, membership_policy, metadata_policy, permissions_update_policy,
};
use prost::Message;

use super::{Policy, PolicySet, Trusted, Who};
use crate::context::{ContextError, Extension};

impl PolicySet {
    /// Reads the extension's data.
    ///
    /// # Errors
    ///
    /// [`ContextError`] for bytes that are no such message, when one of the six policies is absent,
    /// and for a policy that lets in nobody that is known, or is a condition over nothing.
    pub fn decode(data: &[u8]) -> Result<Self, ContextError> {
        let message = proto::GroupMutablePermissionsV1::decode(data)
            .map_err(|error| Extension::Permissions.malformed(error))?;
        let policies = message
            .policies
            .ok_or_else(|| Extension::Permissions.missing_field("policies"))?;
        Self::from_proto(policies)
    }

    fn from_proto(policies: proto::PolicySet) -> Result<Self, ContextError> {
        Ok(Self {
            add_member: required(policies.add_member_policy, "add_member_policy")?,
            remove_member: required(policies.remove_member_policy, "remove_member_policy")?,
            add_admin: required(policies.add_admin_policy, "add_admin_policy")?,
            remove_admin: required(policies.remove_admin_policy, "remove_admin_policy")?,
            update_permissions: required(
                policies.update_permissions_policy,
                "update_permissions_policy",
            )?,
            update_metadata: policies
                .update_metadata_policy
                .into_iter()
                .map(|(key, policy)| {
                    let policy = Policy::from_proto(policy, "update_metadata_policy")?;
                    Ok((key, policy))
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// The extension's data.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let metadata = self.update_metadata.iter();
        let policies = proto::PolicySet {
            add_member_policy: Some(self.add_member.to_proto()),
            remove_member_policy: Some(self.remove_member.to_proto()),
            update_metadata_policy: metadata
                .map(|(key, policy)| (key.clone(), policy.to_proto()))
                .collect(),
            add_admin_policy: Some(self.add_admin.to_proto()),
            remove_admin_policy: Some(self.remove_admin.to_proto()),
            update_permissions_policy: Some(self.update_permissions.to_proto()),
        };
        let message = proto::GroupMutablePermissionsV1 {
            policies: Some(policies),
        };
        message.encode_to_vec().into()
    }
}

fn required<Base, Proto: PolicyMessage<Base>>(
    policy: Option<Proto>,
    field: &'static str,
) -> Result<Policy<Base>, ContextError> {
    let policy = policy.ok_or_else(|| Extension::Permissions.missing_field(field))?;
    Policy::from_proto(policy, field)
}

impl<Base> Policy<Base> {
    pub(crate) fn from_proto<Proto: PolicyMessage<Base>>(
        policy: Proto,
        field: &'static str,
    ) -> Result<Self, ContextError> {
        let invalid = || Extension::Permissions.invalid_field(field);
        let several = |policies: Vec<Proto>| {
            if policies.is_empty() {
                return Err(invalid());
            }
            let policies = policies.into_iter();
            policies
                .map(|policy| Self::from_proto(policy, field))
                .collect::<Result<Vec<_>, _>>()
        };
        match policy.kind().ok_or_else(invalid)? {
            Kind::Base(number) => Proto::base(number).map(Self::Base).ok_or_else(invalid),
            Kind::All(policies) => several(policies).map(Self::All),
            Kind::Any(policies) => several(policies).map(Self::Any),
        }
    }

    pub(crate) fn to_proto<Proto: PolicyMessage<Base>>(&self) -> Proto {
        let several = |policies: &[Self]| policies.iter().map(Self::to_proto).collect();
        Proto::new(match self {
            Self::Base(base) => Kind::Base(Proto::number(base)),
            Self::All(policies) => Kind::All(several(policies)),
            Self::Any(policies) => Kind::Any(several(policies)),
        })
    }
}

/// One of the three kinds of policy messages. They look alike, but their numbers differ.
pub(crate) trait PolicyMessage<Base>: Sized {
    fn kind(self) -> Option<Kind<Self>>;
    fn new(kind: Kind<Self>) -> Self;
    fn base(number: i32) -> Option<Base>;
    fn number(base: &Base) -> i32;
}

pub(crate) enum Kind<Proto> {
    Base(i32),
    All(Vec<Proto>),
    Any(Vec<Proto>),
}

macro_rules! policy_message {
    ($message:ident, $module:ident, $base:ident { $($number:literal => $variant:ident),+ }) => {
        impl PolicyMessage<$base> for proto::$message {
            fn kind(self) -> Option<Kind<Self>> {
                Some(match self.kind? {
                    $module::Kind::Base(number) => Kind::Base(number),
                    $module::Kind::AndCondition(condition) => Kind::All(condition.policies),
                    $module::Kind::AnyCondition(condition) => Kind::Any(condition.policies),
                })
            }

            fn new(kind: Kind<Self>) -> Self {
                let kind = match kind {
                    Kind::Base(number) => $module::Kind::Base(number),
                    Kind::All(policies) => {
                        $module::Kind::AndCondition($module::AndCondition { policies })
                    }
                    Kind::Any(policies) => {
                        $module::Kind::AnyCondition($module::AnyCondition { policies })
                    }
                };
                Self { kind: Some(kind) }
            }

            fn base(number: i32) -> Option<$base> {
                match number {
                    $($number => Some($base::$variant),)+
                    _ => None,
                }
            }

            fn number(base: &$base) -> i32 {
                match base {
                    $($base::$variant => $number,)+
                }
            }
        }
    };
}

policy_message!(MembershipPolicy, membership_policy, Who {
    1 => Everyone, 2 => Nobody, 3 => Admins, 4 => SuperAdmins
});
policy_message!(MetadataPolicy, metadata_policy, Who {
    1 => Everyone, 2 => Nobody, 3 => Admins, 4 => SuperAdmins
});
policy_message!(PermissionsUpdatePolicy, permissions_update_policy, Trusted {
    1 => Nobody, 2 => Admins, 3 => SuperAdmins
});
