//! Changing an inbox: its accounts, its recovery account, its installations.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_identity::{
    AssociationState, ContractCheck, Identifier, IdentityUpdate, InstallationSecret,
    MemberIdentifier, Rules, Signature, UpdateBuilder,
};
use folkmoot_wire::{InboxId, InstallationKey};
use sha3::{Digest, Keccak256};

use super::{Directory, IdentityError, InboxState, UPDATE_LIMIT};
use crate::{
    Error,
    network::Network,
    signer::{Signed, Signer, SignerError},
};

/// Whether an account that belongs to an inbox may be linked to another one, which moves it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reassign {
    /// It may.
    Allow,
    /// It may not.
    #[default]
    Refuse,
}

/// Who loses membership.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Revocation {
    /// These installations.
    Installations(Vec<InstallationKey>),
    /// All installations but this one.
    AllInstallationsBut(InstallationKey),
    /// This account, with the installations that it added.
    Account(Identifier),
}

/// Takes rights away from installations of an inbox without having a client of that inbox: for
/// somebody who lost their devices. `recovery` is the inbox's recovery account.
///
/// # Errors
///
/// [`IdentityError`], what the network says, or what the signer says.
pub async fn revoke_installations(
    network: Arc<dyn Network>,
    inbox: InboxId,
    installations: Vec<InstallationKey>,
    recovery: &dyn Signer,
) -> Result<InboxState, Error> {
    let directory = Directory::in_memory(network)?;
    let whom = Revocation::Installations(installations);
    revoke(&directory, inbox, whom, recovery).await
}

/// Ends memberships.
pub(crate) async fn revoke(
    directory: &Directory,
    inbox: InboxId,
    whom: Revocation,
    recovery: &dyn Signer,
) -> Result<InboxState, Error> {
    let state = changeable(directory, inbox).await?;
    require_recovery(&state, recovery)?;
    if let Revocation::Account(identifier) = &whom
        && state.identifiers() == [identifier.clone()]
    {
        return Err(IdentityError::LastAccount(identifier.clone()).into());
    }
    let members: Vec<MemberIdentifier> = match whom {
        Revocation::Installations(keys) => keys.into_iter().map(Into::into).collect(),
        Revocation::AllInstallationsBut(kept) => {
            let all = state.installations().into_iter();
            all.filter(|key| *key != kept).map(Into::into).collect()
        }
        Revocation::Account(identifier) => vec![identifier.into()],
    };
    let members: Vec<_> = members
        .into_iter()
        .filter(|member| state.association.is_member(member))
        .collect();
    if members.is_empty() {
        return Ok(state);
    }
    let account = recovery.identifier();
    let update = members.into_iter().fold(
        UpdateBuilder::new(inbox, directory.now_ns()),
        |update, member| update.revoke(member, account.clone()),
    );
    publish(directory, Some(&state), update, &[recovery], None).await
}

/// Links an account; an installation of the inbox vouches for it.
pub(crate) async fn add(
    directory: &Directory,
    inbox: InboxId,
    by: &InstallationSecret,
    account: &dyn Signer,
    reassign: Reassign,
) -> Result<InboxState, Error> {
    let identifier = account.identifier();
    let found = directory.inbox_id(&identifier).await?;
    if let Some(other) = found.filter(|found| *found != inbox)
        && reassign == Reassign::Refuse
    {
        return Err(IdentityError::Linked {
            identifier,
            inbox: other,
        }
        .into());
    }
    let state = changeable(directory, inbox).await?;
    if state.association.is_member(&identifier.clone().into()) {
        // Linked before, perhaps by a call whose answer was lost.
        return Ok(state);
    }
    let update = UpdateBuilder::new(inbox, directory.now_ns()).add(identifier, by.key());
    publish(directory, Some(&state), update, &[account], Some(by)).await
}

/// Hands the recovery of an inbox to another account.
pub(crate) async fn change_recovery(
    directory: &Directory,
    inbox: InboxId,
    new: Identifier,
    current: &dyn Signer,
) -> Result<InboxState, Error> {
    let state = changeable(directory, inbox).await?;
    if *state.recovery_identifier() == new {
        return Ok(state);
    }
    require_recovery(&state, current)?;
    let update = UpdateBuilder::new(inbox, directory.now_ns())
        .change_recovery(new, current.identifier())
        .map_err(IdentityError::from)?;
    publish(directory, Some(&state), update, &[current], None).await
}

/// The newest state of an inbox that can take one more update.
async fn changeable(directory: &Directory, inbox: InboxId) -> Result<InboxState, Error> {
    let state = directory.refresh(&[inbox]).await?.into_iter().next();
    let state = state.flatten().ok_or(IdentityError::UnknownInbox(inbox))?;
    require_room(&state)?;
    Ok(state)
}

/// Whether one more update fits.
pub(super) fn require_room(state: &InboxState) -> Result<(), IdentityError> {
    if state.updates >= UPDATE_LIMIT {
        return Err(IdentityError::LogFull(state.inbox_id));
    }
    Ok(())
}

pub(super) fn require_recovery(
    state: &InboxState,
    signer: &dyn Signer,
) -> Result<(), IdentityError> {
    let needed = state.recovery_identifier();
    if *needed == signer.identifier() {
        return Ok(());
    }
    Err(IdentityError::NotRecovery {
        signer: signer.identifier(),
        needed: needed.clone(),
    })
}

/// Has everybody sign, checks the outcome as the node will, publishes it and waits to see it.
async fn publish(
    directory: &Directory,
    state: Option<&InboxState>,
    update: UpdateBuilder,
    signers: &[&dyn Signer],
    installation: Option<&InstallationSecret>,
) -> Result<InboxState, Error> {
    let update = sign(directory, update, signers, installation).await?;
    check(directory, state, &update).await?;
    send(directory, state, &update).await
}

/// Has everybody sign the same text, once each.
pub(super) async fn sign(
    directory: &Directory,
    mut update: UpdateBuilder,
    signers: &[&dyn Signer],
    installation: Option<&InstallationSecret>,
) -> Result<IdentityUpdate, Error> {
    if let Some(installation) = installation {
        update = update.sign(installation);
    }
    let text = update.signature_text();
    for signer in signers {
        let signed = signer.sign(&text).await?;
        let signature = signature(directory, &signer.identifier(), &text, signed).await?;
        update = update.signature(signer.identifier().into(), signature);
    }
    let finished = update.finish();
    Ok(finished.map_err(|missing| SignerError::Failed(missing.to_string()))?)
}

/// Verifies an update of ours and applies it, so that a mistake is found here and not at the node.
pub(super) async fn check(
    directory: &Directory,
    state: Option<&InboxState>,
    update: &IdentityUpdate,
) -> Result<(), Error> {
    let verdicts = directory.verdicts(update.contract_checks()).await?;
    let verified = update.verify(&verdicts).map_err(IdentityError::from)?;
    let state = state.map(|state| &*state.association);
    AssociationState::apply(state, &verified, Rules::Libxmtp).map_err(IdentityError::from)?;
    Ok(())
}

/// Publishes an update and waits until the network shows it.
pub(super) async fn send(
    directory: &Directory,
    state: Option<&InboxState>,
    update: &IdentityUpdate,
) -> Result<InboxState, Error> {
    let inbox: InboxId = update.inbox_id().parse().map_err(|_| {
        IdentityError::Association(folkmoot_identity::AssociationError::WrongInboxId)
    })?;
    let encoded = Bytes::from(update.encode());
    let network = directory.network();
    let published = network.publish_identity_update(&inbox, encoded.clone());
    if let Err(cause) = published.await {
        // Perhaps only the answer was lost: the log knows.
        let newest = directory.refresh(&[inbox]).await.ok();
        let newest = newest.and_then(|states| states.into_iter().next().flatten());
        return match newest {
            Some(state) if directory.has(inbox, encoded).await? => Ok(state),
            _ => Err(cause.into()),
        };
    }
    let before = state.map_or(0, |state| state.sequence);
    let mut pauses = VISIBLE_WITHIN.iter();
    loop {
        let state = directory
            .refresh(&[inbox])
            .await?
            .into_iter()
            .next()
            .flatten();
        if let Some(state) = state.filter(|state| state.sequence > before) {
            return Ok(state);
        }
        // A node may lag behind the gateway that took the update.
        match pauses.next() {
            Some(pause) => tokio::time::sleep(std::time::Duration::from_millis(*pause)).await,
            None => return Err(IdentityError::NotVisible(inbox).into()),
        }
    }
}

/// Pauses between looks for an update that was taken, in milliseconds.
const VISIBLE_WITHIN: [u64; 8] = [20, 50, 100, 300, 500, 1000, 2000, 4000];

/// The signature as updates carry it.
async fn signature(
    directory: &Directory,
    identifier: &Identifier,
    text: &str,
    signed: Signed,
) -> Result<Signature, Error> {
    match (signed, identifier) {
        (Signed::Wallet(bytes), Identifier::Ethereum(_)) => Ok(Signature::erc_191(bytes)),
        (
            Signed::Contract {
                chain_id,
                block,
                signature,
            },
            Identifier::Ethereum(address),
        ) => {
            let account = format!("eip155:{chain_id}:{address}");
            let block = match block {
                Some(block) => block,
                None => newest_block(directory, &account, text, &signature).await?,
            };
            Signature::contract(&account, block, signature)
                .map_err(|cause| SignerError::Failed(cause.to_string()).into())
        }
        (
            Signed::Passkey {
                public_key,
                signature,
                authenticator_data,
                client_data_json,
            },
            Identifier::Passkey(_),
        ) => Ok(Signature::passkey(
            public_key,
            signature,
            authenticator_data,
            client_data_json,
        )),
        _ => Err(SignerError::WrongKind(identifier.clone()).into()),
    }
}

/// The block at which a contract accepts a signature now, which has to be written down: later
/// readers ask at that block.
async fn newest_block(
    directory: &Directory,
    account: &str,
    text: &str,
    signature: &[u8],
) -> Result<u64, Error> {
    let hash = Keccak256::new()
        .chain_update(format!("\x19Ethereum Signed Message:\n{}", text.len()))
        .chain_update(text)
        .finalize();
    let check = ContractCheck::parse(account, &hash, signature, None)
        .map_err(|cause| SignerError::Failed(cause.to_string()))?;
    let network = directory.network();
    let answers = network.verify_contract_signatures(&[check]).await?;
    let answer = answers.into_iter().next();
    match answer.map(|answer| (answer.verdict, answer.block)) {
        Some((Ok(true), Some(block))) => Ok(block),
        Some((Ok(true), None)) | None => {
            Err(IdentityError::Verifier("the node does not say at which block".into()).into())
        }
        Some((Ok(false), _)) => {
            Err(SignerError::Failed("the contract does not accept the signature".into()).into())
        }
        Some((Err(cause), _)) => Err(IdentityError::Verifier(cause).into()),
    }
}
