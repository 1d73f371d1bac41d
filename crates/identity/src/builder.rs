//! Writing updates: actions first, then a signature from everybody who has to sign.

use std::collections::HashMap;

use folkmoot_wire::InboxId;

use crate::{
    Identifier, IdentityUpdate, InstallationSecret, InvalidAddress, MemberIdentifier, Signature,
    Signer, WalletSecret,
    action::{Action, RevokedMember},
    derive_inbox_id,
    text::signature_text,
};

/// An update that waits for signatures. All sign the same text, once each, however many
/// actions they sign for; so all actions come before the first signature.
///
/// ```
/// # use folkmoot_identity::{InstallationSecret, UpdateBuilder, WalletSecret, derive_inbox_id};
/// # let wallet = WalletSecret::from_bytes(&[1; 32])?;
/// # let phone = InstallationSecret::from_seed(&[2; 32]);
/// # let now_ns = 1_700_000_000_000_000_000;
/// let inbox = derive_inbox_id(&wallet.identifier(), 0)?;
/// let update = UpdateBuilder::new(inbox, now_ns)
///     .create_inbox(wallet.identifier(), 0)
///     .add(phone.key(), wallet.identifier())
///     .sign(&wallet)
///     .sign(&phone)
///     .finish()?;
/// assert_eq!(update.inbox_id(), inbox.to_string());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct UpdateBuilder {
    inbox_id: String,
    client_timestamp_ns: u64,
    /// With who has to sign in the place of each signature.
    actions: Vec<Action<MemberIdentifier>>,
    signatures: HashMap<MemberIdentifier, Signature>,
}

impl UpdateBuilder {
    /// An update of `inbox` without actions, made at `client_timestamp_ns` (Unix time).
    #[must_use]
    pub fn new(inbox: InboxId, client_timestamp_ns: u64) -> Self {
        Self {
            inbox_id: inbox.to_string(),
            client_timestamp_ns,
            actions: Vec::new(),
            signatures: HashMap::new(),
        }
    }

    /// The update that opens the inbox of `wallet` and `nonce` with its first installation,
    /// signed by both.
    #[must_use]
    pub fn register(
        wallet: &WalletSecret,
        nonce: u64,
        installation: &InstallationSecret,
        client_timestamp_ns: u64,
    ) -> IdentityUpdate {
        let account = wallet.identifier();
        let inbox = derive_inbox_id(&account, nonce).expect("a wallet's address is one");
        Self::new(inbox, client_timestamp_ns)
            .create_inbox(account.clone(), nonce)
            .add(installation.key(), account)
            .sign(wallet)
            .sign(installation)
            .finish()
            .expect("both signed")
    }

    /// Opens the inbox; `identifier` signs. The inbox is the one that [`derive_inbox_id`] names.
    #[must_use]
    pub fn create_inbox(self, identifier: Identifier, nonce: u64) -> Self {
        self.with(Action::CreateInbox {
            signature: identifier.clone().into(),
            identifier,
            nonce,
        })
    }

    /// Makes `member` a member; it signs, and so does `existing`, a member or the recovery
    /// identifier.
    #[must_use]
    pub fn add(
        self,
        member: impl Into<MemberIdentifier>,
        existing: impl Into<MemberIdentifier>,
    ) -> Self {
        let member = member.into();
        self.with(Action::Add {
            new: member.clone(),
            member,
            existing: existing.into(),
        })
    }

    /// Ends the membership of `member`; the recovery identifier signs.
    #[must_use]
    pub fn revoke(self, member: impl Into<MemberIdentifier>, recovery: Identifier) -> Self {
        self.with(Action::Revoke {
            member: RevokedMember::Member(member.into()),
            recovery: recovery.into(),
        })
    }

    /// Makes `new` the recovery identifier; the current one signs.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] when `new` is an Ethereum identifier that nobody could ever sign for.
    /// Such an update would be valid, and nobody could recover the inbox again.
    pub fn change_recovery(
        self,
        new: Identifier,
        current: Identifier,
    ) -> Result<Self, InvalidAddress> {
        if let Identifier::Ethereum(address) = &new
            && Identifier::ethereum(address)? != new
        {
            return Err(InvalidAddress);
        }
        Ok(self.with(Action::ChangeRecovery {
            identifier: new,
            recovery: current.into(),
        }))
    }

    /// The text to sign.
    #[must_use]
    pub fn signature_text(&self) -> String {
        signature_text(&self.inbox_id, self.client_timestamp_ns, &self.actions)
    }

    /// Has `signer` sign.
    #[must_use]
    pub fn sign(self, signer: &impl Signer) -> Self {
        let signature = signer.sign(&self.signature_text());
        self.signature(signer.member(), signature)
    }

    /// Takes the signature of somebody who signs elsewhere. It is not verified here.
    #[must_use]
    pub fn signature(mut self, signer: MemberIdentifier, signature: Signature) -> Self {
        self.signatures.insert(signer, signature);
        self
    }

    /// The finished update.
    ///
    /// # Errors
    ///
    /// [`MissingSignature`], with the first who still has to sign.
    pub fn finish(self) -> Result<IdentityUpdate, MissingSignature> {
        let signature = |_: &str, signer: &MemberIdentifier| {
            let signature = self.signatures.get(signer).cloned();
            signature.ok_or_else(|| MissingSignature(signer.clone()))
        };
        let actions = self.actions.iter();
        Ok(IdentityUpdate {
            actions: actions
                .map(|action| action.try_map(signature))
                .collect::<Result<_, _>>()?,
            client_timestamp_ns: self.client_timestamp_ns,
            inbox_id: self.inbox_id,
        })
    }

    fn with(mut self, action: Action<MemberIdentifier>) -> Self {
        self.actions.push(action);
        self
    }
}

/// Somebody has to sign an update and has not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature of {0} is missing")]
pub struct MissingSignature(pub MemberIdentifier);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_not_finished_before_all_signed() {
        let wallet = WalletSecret::from_bytes(&[1; 32]).unwrap();
        let phone = InstallationSecret::from_seed(&[2; 32]);
        let inbox = derive_inbox_id(&wallet.identifier(), 0).unwrap();
        let update = UpdateBuilder::new(inbox, 0)
            .add(phone.key(), wallet.identifier())
            .sign(&phone);
        assert_eq!(
            update.clone().finish(),
            Err(MissingSignature(wallet.identifier().into()))
        );
        assert!(update.sign(&wallet).finish().is_ok());
    }

    #[test]
    fn recovery_is_not_handed_to_nobody() {
        let inbox = InboxId::from_bytes([0; 32]);
        let update = UpdateBuilder::new(inbox, 0);
        let me = WalletSecret::from_bytes(&[1; 32]).unwrap().identifier();
        let upper = Identifier::Ethereum(me.to_string().to_uppercase().replace("0X", "0x"));
        for bad in [Identifier::Ethereum("garbage".to_owned()), upper] {
            assert!(update.clone().change_recovery(bad, me.clone()).is_err());
        }
        assert!(update.change_recovery(me.clone(), me).is_ok());
    }
}
