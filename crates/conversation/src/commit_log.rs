//! The commit log: what super admins saw of a group's commits, so that members notice when they see
//! something else.
//!
//! Super admins, and both people of a DM, publish a signed [`CommitLogEntry`] for each commit. The
//! first key that validly signed an entry is the group's; [`follow`] takes entries of that key
//! as long as they continue one another. [`fork_state`] compares them with what we have seen.

use bytes::Bytes;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use folkmoot_wire::{
    GroupId,
    proto::xmtp::{
        identity::associations::RecoverableEd25519Signature, mls::message_contents as proto,
    },
};
use prost::Message;

/// What became of a commit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CommitResult {
    /// Merged.
    Applied,
    /// For another epoch than the group was in.
    WrongEpoch,
    /// It could not be decrypted.
    Undecryptable,
    /// It broke a rule.
    Invalid,
    /// Nobody said.
    Unspecified,
}

/// What somebody saw of one commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitLogEntry {
    /// The group, as the writer names it.
    pub group_id: Bytes,
    /// The node's id of the commit; 0 for a group that was made or joined, which is not published.
    pub commit_sequence_id: u64,
    /// The epoch authenticator before the commit.
    pub last_epoch_authenticator: Bytes,
    /// What became of it.
    pub result: CommitResult,
    /// The epoch afterwards.
    pub applied_epoch: u64,
    /// The epoch authenticator afterwards.
    pub applied_epoch_authenticator: Bytes,
}

/// An entry as it travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedEntry {
    /// The entry's bytes.
    pub serialized: Bytes,
    /// Ed25519 over these bytes, without a context.
    pub signature: Bytes,
    /// Whose.
    pub public_key: Bytes,
}

/// Where the log of others stands: the last entry that was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteTip {
    /// The node's id of the commit.
    pub commit_sequence_id: u64,
    /// The epoch afterwards.
    pub applied_epoch: u64,
    /// The epoch authenticator afterwards.
    pub applied_epoch_authenticator: Bytes,
}

/// Why an entry of others is passed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Skip {
    /// The bytes are no entry.
    #[error("the entry cannot be read")]
    Malformed,
    /// It is about another group.
    #[error("the entry is about another group")]
    OtherGroup,
    /// It names no commit.
    #[error("the entry names no commit")]
    NoCommit,
    /// The group's key did not sign it.
    #[error("the entry is not signed by the group's key")]
    BadSignature,
    /// Its commit does not come after that of the last entry.
    #[error("the entry does not come after the last one")]
    NotLater,
    /// A merged commit that does not go on from the last entry.
    #[error("the entry does not continue the last one")]
    NotContinuing,
    /// A commit that was not merged, and yet the epoch is another one.
    #[error("the entry changes the epoch without a merged commit")]
    EpochChanged,
}

/// Whether we see what others see.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ForkState {
    /// Others have not said yet what they saw of our newest commits.
    Unknown,
    /// The newest commit led us all to the same epoch.
    InStep,
    /// We went another way.
    Forked,
}

impl CommitLogEntry {
    /// The entry's bytes, which are what is signed.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let message = proto::PlaintextCommitLogEntry {
            group_id: self.group_id.clone(),
            commit_sequence_id: self.commit_sequence_id,
            last_epoch_authenticator: self.last_epoch_authenticator.clone(),
            commit_result: self.result.to_proto().into(),
            applied_epoch_number: self.applied_epoch,
            applied_epoch_authenticator: self.applied_epoch_authenticator.clone(),
        };
        message.encode_to_vec().into()
    }

    /// Reads an entry. Who wrote it is not checked.
    ///
    /// # Errors
    ///
    /// [`Skip::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Skip> {
        let message = proto::PlaintextCommitLogEntry::decode(bytes).map_err(|_| Skip::Malformed)?;
        Ok(Self {
            result: CommitResult::from_proto(message.commit_result()),
            group_id: message.group_id,
            commit_sequence_id: message.commit_sequence_id,
            last_epoch_authenticator: message.last_epoch_authenticator,
            applied_epoch: message.applied_epoch_number,
            applied_epoch_authenticator: message.applied_epoch_authenticator,
        })
    }

    /// Signs the entry with the group's key, 32 secret bytes.
    #[must_use]
    pub fn sign(&self, secret: &[u8; 32]) -> SignedEntry {
        let key = SigningKey::from_bytes(secret);
        let serialized = self.encode();
        SignedEntry {
            signature: key.sign(&serialized).to_bytes().to_vec().into(),
            public_key: key.verifying_key().to_bytes().to_vec().into(),
            serialized,
        }
    }
}

impl SignedEntry {
    /// Whether this key signed the entry.
    #[must_use]
    pub fn is_signed_by(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key && self.holds()
    }

    /// The signature message.
    #[must_use]
    pub fn signature_message(&self) -> RecoverableEd25519Signature {
        RecoverableEd25519Signature {
            bytes: self.signature.clone(),
            public_key: self.public_key.clone(),
        }
    }

    /// An entry as the node answers it.
    #[must_use]
    pub fn from_proto(entry: proto::CommitLogEntry) -> Self {
        let signature = entry.signature.unwrap_or_default();
        Self {
            serialized: entry.serialized_commit_log_entry,
            signature: signature.bytes,
            public_key: signature.public_key,
        }
    }

    fn holds(&self) -> bool {
        let key = <&[u8; 32]>::try_from(&self.public_key[..])
            .ok()
            .and_then(|key| VerifyingKey::from_bytes(key).ok());
        let signature = Signature::from_slice(&self.signature).ok();
        key.zip(signature)
            .is_some_and(|(key, signature)| key.verify_strict(&self.serialized, &signature).is_ok())
    }
}

/// The key of a group's log: that of the first entry on the node with a signature that holds.
#[must_use]
pub fn consensus_key<'a>(entries: impl IntoIterator<Item = &'a SignedEntry>) -> Option<Bytes> {
    entries
        .into_iter()
        .find(|entry| entry.holds())
        .map(|entry| entry.public_key.clone())
}

/// The public half of a secret key.
#[must_use]
pub fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(secret).verifying_key().to_bytes()
}

/// The secret with which to sign: the one that was kept (`stored`), or else the one among the
/// group's attributes, if it is that of the group's log. `None` without either: as long as the
/// log has no key either, the caller draws 32 random bytes and keeps them; else it cannot sign.
#[must_use]
pub fn signing_key(
    consensus: Option<&[u8]>,
    stored: Option<[u8; 32]>,
    attribute: Option<[u8; 32]>,
) -> Option<[u8; 32]> {
    let fits = |secret: &[u8; 32]| consensus.is_none_or(|key| key == public_key(secret));
    [stored, attribute].into_iter().flatten().find(fits)
}

/// Whether a super admin should put the secret that it keeps among the group's attributes: it is
/// that of the log, and the attribute is not. Not to be done in DMs.
#[must_use]
pub fn should_share(consensus: &[u8], stored: &[u8; 32], attribute: Option<[u8; 32]>) -> bool {
    consensus == public_key(stored)
        && attribute.is_none_or(|attribute| consensus != public_key(&attribute))
}

/// Takes the next entry of others about a group, whose log has this key and stood at `tip`.
///
/// # Errors
///
/// [`Skip`]: go on with the next entry.
pub fn follow(
    group_id: &GroupId,
    key: &[u8],
    tip: Option<&RemoteTip>,
    signed: &SignedEntry,
) -> Result<CommitLogEntry, Skip> {
    let entry = CommitLogEntry::decode(&signed.serialized)?;
    if entry.group_id != group_id.as_bytes() {
        return Err(Skip::OtherGroup);
    }
    if entry.commit_sequence_id == 0 {
        return Err(Skip::NoCommit);
    }
    if !signed.is_signed_by(key) {
        return Err(Skip::BadSignature);
    }
    let Some(tip) = tip else {
        return Ok(entry);
    };
    if entry.commit_sequence_id <= tip.commit_sequence_id {
        return Err(Skip::NotLater);
    }
    if entry.result == CommitResult::Applied {
        let continues = tip.applied_epoch_authenticator.is_empty()
            || entry.last_epoch_authenticator == tip.applied_epoch_authenticator;
        if !continues || tip.applied_epoch.checked_add(1) != Some(entry.applied_epoch) {
            return Err(Skip::NotContinuing);
        }
    } else if entry.applied_epoch_authenticator != tip.applied_epoch_authenticator
        || entry.applied_epoch != tip.applied_epoch
    {
        return Err(Skip::EpochChanged);
    }
    Ok(entry)
}

impl From<&CommitLogEntry> for RemoteTip {
    fn from(entry: &CommitLogEntry) -> Self {
        Self {
            commit_sequence_id: entry.commit_sequence_id,
            applied_epoch: entry.applied_epoch,
            applied_epoch_authenticator: entry.applied_epoch_authenticator.clone(),
        }
    }
}

/// A commit with the epoch authenticator that it led to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    /// The node's id of the commit.
    pub commit_sequence_id: u64,
    /// The epoch authenticator afterwards.
    pub applied_epoch_authenticator: Bytes,
}

/// Compares what we saw with what others saw, both from the newest commit on, as far back as was
/// not compared before. The newest commit that is in both decides. Without news of our own the
/// answer is that of the last time, which the caller keeps.
#[must_use]
pub fn fork_state(ours: &[Seen], theirs: &[Seen]) -> ForkState {
    let both = ours.iter().enumerate().find_map(|(age, our)| {
        let their = theirs
            .iter()
            .find(|their| their.commit_sequence_id == our.commit_sequence_id)?;
        Some((age, our, their))
    });
    match both {
        Some((_, our, their))
            if our.applied_epoch_authenticator != their.applied_epoch_authenticator =>
        {
            ForkState::Forked
        }
        Some((0, ..)) => ForkState::InStep,
        _ => ForkState::Unknown,
    }
}

impl CommitResult {
    const fn to_proto(self) -> proto::CommitResult {
        match self {
            Self::Applied => proto::CommitResult::Applied,
            Self::WrongEpoch => proto::CommitResult::WrongEpoch,
            Self::Undecryptable => proto::CommitResult::Undecryptable,
            Self::Invalid => proto::CommitResult::Invalid,
            Self::Unspecified => proto::CommitResult::Unspecified,
        }
    }

    const fn from_proto(result: proto::CommitResult) -> Self {
        match result {
            proto::CommitResult::Applied => Self::Applied,
            proto::CommitResult::WrongEpoch => Self::WrongEpoch,
            proto::CommitResult::Undecryptable => Self::Undecryptable,
            proto::CommitResult::Invalid => Self::Invalid,
            proto::CommitResult::Unspecified => Self::Unspecified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [3; 32];

    fn group() -> GroupId {
        GroupId::try_from(&[7; 16][..]).unwrap()
    }

    fn authenticator(epoch: u64) -> Bytes {
        vec![u8::try_from(epoch).unwrap(); 32].into()
    }

    fn applied(commit_sequence_id: u64, epoch: u64) -> CommitLogEntry {
        CommitLogEntry {
            group_id: group().as_bytes().to_vec().into(),
            commit_sequence_id,
            last_epoch_authenticator: authenticator(epoch - 1),
            result: CommitResult::Applied,
            applied_epoch: epoch,
            applied_epoch_authenticator: authenticator(epoch),
        }
    }

    fn after(tip: &CommitLogEntry, entry: &CommitLogEntry) -> Result<CommitLogEntry, Skip> {
        let key = public_key(&SECRET);
        follow(&group(), &key, Some(&tip.into()), &entry.sign(&SECRET))
    }

    #[test]
    fn an_entry_reads_as_it_was_written() {
        for result in [
            CommitResult::Applied,
            CommitResult::WrongEpoch,
            CommitResult::Undecryptable,
            CommitResult::Invalid,
            CommitResult::Unspecified,
        ] {
            let entry = CommitLogEntry {
                result,
                ..applied(5, 1)
            };
            assert_eq!(CommitLogEntry::decode(&entry.encode()), Ok(entry));
        }
        assert_eq!(CommitLogEntry::decode(&[0xff]), Err(Skip::Malformed));
    }

    #[test]
    fn the_first_key_that_signed_something_is_the_groups() {
        let mut broken = applied(5, 1).sign(&[4; 32]);
        broken.serialized = applied(6, 1).encode();
        let good = applied(5, 1).sign(&SECRET);
        let other = applied(5, 1).sign(&[5; 32]);
        let key = consensus_key([&broken, &good, &other]).unwrap();
        assert_eq!(key, public_key(&SECRET)[..]);
        assert!(good.is_signed_by(&key) && !other.is_signed_by(&key));
        assert_eq!(consensus_key([&broken]), None);
    }

    #[test]
    fn entries_of_others_are_taken_as_long_as_they_continue_one_another() {
        let tip = applied(10, 4);
        assert_eq!(after(&tip, &applied(11, 5)), Ok(applied(11, 5)));
        assert_eq!(after(&tip, &applied(10, 5)), Err(Skip::NotLater));
        assert_eq!(after(&tip, &applied(11, 6)), Err(Skip::NotContinuing));
        let elsewhere = CommitLogEntry {
            last_epoch_authenticator: authenticator(9),
            ..applied(11, 5)
        };
        assert_eq!(after(&tip, &elsewhere), Err(Skip::NotContinuing));
        let failed = CommitLogEntry {
            commit_sequence_id: 11,
            result: CommitResult::WrongEpoch,
            ..tip.clone()
        };
        assert_eq!(after(&tip, &failed), Ok(failed.clone()));
        let moved = CommitLogEntry {
            applied_epoch: 5,
            ..failed
        };
        assert_eq!(after(&tip, &moved), Err(Skip::EpochChanged));
        let no_commit = CommitLogEntry {
            commit_sequence_id: 0,
            ..tip.clone()
        };
        assert_eq!(after(&tip, &no_commit), Err(Skip::NoCommit));
        let foreign = CommitLogEntry {
            group_id: Bytes::from_static(b"another"),
            ..applied(11, 5)
        };
        assert_eq!(after(&tip, &foreign), Err(Skip::OtherGroup));
        let signed_by_another = applied(11, 5).sign(&[5; 32]);
        let refused = follow(&group(), &public_key(&SECRET), None, &signed_by_another);
        assert_eq!(refused, Err(Skip::BadSignature));
    }

    #[test]
    fn who_has_the_logs_key_signs_and_shares_it() {
        let (mine, attribute) = ([1; 32], [2; 32]);
        assert_eq!(signing_key(None, Some(mine), Some(attribute)), Some(mine));
        assert_eq!(signing_key(None, None, Some(attribute)), Some(attribute));
        let consensus = public_key(&attribute);
        let found = signing_key(Some(&consensus), Some(mine), Some(attribute));
        assert_eq!(found, Some(attribute));
        assert_eq!(signing_key(Some(&consensus), Some(mine), None), None);
        assert!(should_share(&public_key(&mine), &mine, Some(attribute)));
        assert!(!should_share(&consensus, &mine, Some(attribute)));
        assert!(!should_share(&consensus, &attribute, Some(attribute)));
    }

    #[test]
    fn the_newest_commit_in_both_logs_shows_a_fork() {
        let seen = |commits: &[(u64, u64)]| -> Vec<Seen> {
            let commits = commits.iter();
            commits
                .map(|(commit_sequence_id, epoch)| Seen {
                    commit_sequence_id: *commit_sequence_id,
                    applied_epoch_authenticator: authenticator(*epoch),
                })
                .collect()
        };
        let ours = seen(&[(3, 3), (2, 2), (1, 1)]);
        assert_eq!(fork_state(&ours, &seen(&[(3, 3)])), ForkState::InStep);
        assert_eq!(fork_state(&ours, &seen(&[(3, 9)])), ForkState::Forked);
        assert_eq!(fork_state(&ours, &seen(&[(2, 2)])), ForkState::Unknown);
        assert_eq!(fork_state(&ours, &seen(&[(2, 9)])), ForkState::Forked);
        assert_eq!(fork_state(&ours, &seen(&[(9, 9)])), ForkState::Unknown);
        assert_eq!(fork_state(&ours, &[]), ForkState::Unknown);
    }
}
