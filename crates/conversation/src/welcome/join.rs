//! From an opened welcome into the group.

use std::fmt;

use openmls::prelude as mls;
use tls_codec::Deserialize as _;

use folkmoot_wire::GroupId;

use super::OpenedWelcome;
use crate::{
    Group, JoinError, KeyPackageSecrets, WelcomeFacts,
    engine::{
        leaf_of, members,
        memory::Memory,
        profile,
        provider::Provider,
        rows::{Label, RowError},
    },
};

/// A group that we are invited into and have not joined.
pub struct StagedJoin {
    facts: WelcomeFacts,
    staged: mls::StagedWelcome,
    provider: Provider,
}

impl StagedJoin {
    /// Decrypts a welcome and checks the group that it describes by the rules of MLS. The
    /// lifetimes of the members' key packages do not matter: members keep theirs until they
    /// commit.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; none of its causes goes away by trying again.
    pub fn stage(welcome: &OpenedWelcome, secrets: &KeyPackageSecrets) -> Result<Self, JoinError> {
        let malformed = |cause: &dyn fmt::Display| JoinError::Malformed(cause.to_string());
        let message = mls::MlsMessageIn::tls_deserialize_exact(&welcome.message)
            .map_err(|cause| malformed(&cause))?;
        let mls::MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
            return Err(malformed(&"another kind of MLS message"));
        };
        let provider = Provider::default();
        secrets
            .lay_out(&provider.rows)
            .map_err(|_| JoinError::KeyPackage)?;
        let config = profile::join_config();
        let processed = mls::ProcessedWelcome::new_from_welcome(&provider, &config, welcome)
            .map_err(join_error)?;
        if !processed.psks().is_empty() {
            return Err(JoinError::PreSharedKey);
        }
        let staged = mls::JoinBuilder::new(&provider, processed)
            .replace_old_group()
            .skip_lifetime_validation()
            .build()
            .map_err(join_error)?;
        let context = staged.group_context();
        let sender = staged
            .welcome_sender()
            .map_err(|cause| JoinError::Invalid(cause.to_string()))?;
        let facts = WelcomeFacts {
            group_id: GroupId::try_from(context.group_id().as_slice())?,
            epoch: context.epoch().as_u64(),
            sender: leaf_of(staged.welcome_sender_index().u32(), sender)?,
            context: profile::context_out(context.extensions()),
            members: members(staged.members())?,
            wants_psk: false,
        };
        Ok(Self {
            facts,
            staged,
            provider,
        })
    }

    /// What the group is and who invites us, to be judged before joining.
    #[must_use]
    pub const fn facts(&self) -> &WelcomeFacts {
        &self.facts
    }

    /// Joins. The group has all its rows to give out; rows of an earlier time in the same group
    /// are to be deleted first.
    ///
    /// # Errors
    ///
    /// [`JoinError::Invalid`] when the keys that the welcome brings do not fit the tree.
    pub fn finish(self) -> Result<Group, JoinError> {
        let Self {
            facts,
            staged,
            provider,
        } = self;
        let mls = staged.into_group(&provider).map_err(join_error)?;
        provider.rows.delete_all(Label::KeyPackage);
        Memory::since(facts.epoch)
            .store(&provider.rows)
            .map_err(|cause| JoinError::Invalid(cause.to_string()))?;
        Ok(Group::new(facts.group_id, mls, provider))
    }
}

impl fmt::Debug for StagedJoin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("StagedJoin")
            .field(&self.facts)
            .finish()
    }
}

fn join_error(cause: mls::WelcomeError<RowError>) -> JoinError {
    use mls::WelcomeError as Welcome;
    match cause {
        Welcome::NoMatchingKeyPackage | Welcome::JoinerSecretNotFound => JoinError::OtherKeyPackage,
        Welcome::Psk(_) => JoinError::PreSharedKey,
        cause => JoinError::Invalid(cause.to_string()),
    }
}
