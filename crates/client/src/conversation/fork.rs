//! Whether we still see what others see: the commit log.
//!
//! Super admins, and both people of a DM, publish for each commit which epoch it led them to,
//! signed with a key that the group's attributes hold. Comparing that with our own record shows
//! whether this installation has parted from the group.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use folkmoot_conversation::{
    commit_log::{
        CommitLogEntry as Entry, CommitResult, ForkState, RemoteTip, Seen, SignedEntry,
        consensus_key, follow, fork_state, signing_key,
    },
    context::{Context, ConversationKind},
};
use folkmoot_wire::GroupId;

use super::{
    ConversationError,
    changes::Change,
    core::Core,
    rows::{self, CommitLogEntry, ConversationRow, CursorKind, Trouble},
};
use crate::{
    Error,
    network::{NetworkError, OutgoingCommitLogEntry},
};

/// How often logs are shared and compared.
const TICK: Duration = Duration::from_secs(300);
/// Entries that the network takes at once.
const AT_ONCE: usize = 10;
/// Entries of others that are looked at, at most.
const MOST: usize = 1000;
/// Entries that the network gives at once.
const PAGE: usize = 100;
/// The commit logs have one series of numbers.
const ORIGINATOR: u32 = 0;

/// Shares and compares commit logs every five minutes, as long as the client lives.
pub(crate) async fn watch(core: Weak<Core>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(core) = core.upgrade() else { return };
        if let Err(cause) = core.look_for_forks().await {
            tracing::debug!(%cause, "commit logs could not be compared; they will be later");
        }
    }
}

impl Core {
    /// Shares and compares the commit logs of all conversations. Says which have parted.
    pub(crate) async fn look_for_forks(self: &Arc<Self>) -> Result<Vec<GroupId>, Error> {
        let (rows, newest) = self
            .db
            .read(|db| Ok((rows::conversations(db)?, rows::newest_commits(db)?)))
            .await?;
        let mut forked = Vec::new();
        for row in rows {
            let newest = newest.get(&row.id).copied().unwrap_or(0);
            // Without news of our own there is nothing to compare.
            let known = self.compared.lock().get(&row.id) == Some(&newest);
            if !row.active || !row.kind.is_visible() || newest == 0 || known {
                continue;
            }
            match self.compare(&row).await {
                Ok(ForkState::Forked) => forked.push(row.id),
                Ok(ForkState::InStep) => {
                    self.compared.lock().insert(row.id, newest);
                }
                Ok(ForkState::Unknown) => {}
                // d14n has no commit logs.
                Err(Error::Network(NetworkError::Unsupported { .. })) => break,
                Err(cause) => return Err(cause),
            }
        }
        Ok(forked)
    }

    /// Whether this installation sees what the others see of one conversation. What we saw is
    /// shared if that is for us to do.
    pub(crate) async fn compare(
        self: &Arc<Self>,
        row: &ConversationRow,
    ) -> Result<ForkState, Error> {
        let theirs = self.entries(&row.id).await?;
        let key = consensus_key(&theirs);
        let id = row.id.clone();
        let (ours, written) = self
            .db
            .read(move |db| {
                let written = rows::cursor(db, id.as_bytes(), CursorKind::CommitLogWritten)?;
                Ok((rows::commit_log(db, &id)?, written.last_seen(ORIGINATOR)))
            })
            .await?;
        self.share(row, key.as_deref(), &ours, written).await?;
        let Some(key) = key else {
            return Ok(ForkState::Unknown);
        };
        let state = fork_state(&seen(&ours), &followed(&row.id, &key, &theirs));
        let forked = matches!(row.trouble, Some((Trouble::Forked, _)));
        if (state == ForkState::Forked) != forked && state != ForkState::Unknown {
            self.note_fork(row, state).await?;
        }
        Ok(state)
    }

    /// The authenticators to which commits led others, by the commits' sequence ids.
    pub(crate) async fn seen_by_others(
        &self,
        id: &GroupId,
    ) -> Result<BTreeMap<u64, Vec<u8>>, Error> {
        let theirs = self.entries(id).await?;
        let Some(key) = consensus_key(&theirs) else {
            return Ok(BTreeMap::new());
        };
        let followed = followed(id, &key, &theirs).into_iter();
        let pairs = followed.map(|seen| {
            (
                seen.commit_sequence_id,
                seen.applied_epoch_authenticator.to_vec(),
            )
        });
        Ok(pairs.collect())
    }

    /// All entries of others about a group, oldest first.
    async fn entries(&self, id: &GroupId) -> Result<Vec<SignedEntry>, Error> {
        let mut entries = Vec::new();
        let mut after = 0;
        loop {
            let wanted = [(id.clone(), after)];
            let page = self.network.commit_log(&wanted, PAGE).await?;
            let page = page.into_iter().next().unwrap_or_default();
            let full = page.len() >= PAGE;
            after = page.last().map_or(after, |entry| entry.sequence);
            entries.extend(page.into_iter().map(|entry| SignedEntry {
                serialized: entry.entry,
                signature: entry.signature,
                public_key: entry.public_key,
            }));
            if !full || entries.len() >= MOST {
                return Ok(entries);
            }
        }
    }

    /// Publishes what we saw since the last time, if we are among those who do.
    async fn share(
        &self,
        row: &ConversationRow,
        consensus: Option<&[u8]>,
        ours: &[CommitLogEntry],
        written: u64,
    ) -> Result<(), Error> {
        let context = Context::read(&row.context).map_err(ConversationError::Context)?;
        let responsible =
            row.kind == ConversationKind::Dm || context.mutable.is_super_admin(self.me.inbox_id());
        let attribute = context.mutable.commit_log_signer();
        let Some(secret) = signing_key(consensus, None, attribute).filter(|_| responsible) else {
            return Ok(());
        };
        let new: Vec<_> = ours
            .iter()
            .filter(|entry| entry.sequence > written)
            .collect();
        for some in new.chunks(AT_ONCE) {
            let entries = some.iter().map(|entry| {
                let signed = as_entry(&row.id, entry).sign(&secret);
                OutgoingCommitLogEntry {
                    group_id: row.id.clone(),
                    entry: signed.serialized,
                    signature: signed.signature,
                    public_key: signed.public_key,
                }
            });
            self.network.publish_commit_log(entries.collect()).await?;
            let last = some.last().map_or(0, |entry| entry.sequence);
            let id = row.id.clone();
            self.db
                .write(move |db| {
                    let kind = CursorKind::CommitLogWritten;
                    rows::advance_cursor(db, id.as_bytes(), kind, ORIGINATOR, last)?;
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    /// Notes that we have parted from a group, or are with it again.
    async fn note_fork(
        self: &Arc<Self>,
        row: &ConversationRow,
        state: ForkState,
    ) -> Result<(), Error> {
        let id = row.id.clone();
        self.run(&id, move |conversation, core| {
            Box::pin(async move {
                let loaded = conversation.load(core).await?;
                let at = loaded.cursor.last_seen(folkmoot_wire::COMMIT_ORIGINATOR);
                loaded.row.trouble = match (state, loaded.row.trouble) {
                    (_, Some((Trouble::LockedOut, at))) => Some((Trouble::LockedOut, at)),
                    (ForkState::Forked, _) => Some((Trouble::Forked, at)),
                    (ForkState::InStep | ForkState::Unknown, _) => None,
                };
                let mut batch = loaded.batch(core);
                batch.row = Some(loaded.row.clone());
                conversation.write(core, batch).await?;
                Ok(())
            })
        })
        .await?;
        self.changes.tell(Change::ConversationUpdated(id));
        Ok(())
    }
}

/// What we saw, newest first.
fn seen(ours: &[CommitLogEntry]) -> Vec<Seen> {
    let known = ours.iter().rev().filter(|entry| entry.sequence > 0);
    known
        .map(|entry| Seen {
            commit_sequence_id: entry.sequence,
            applied_epoch_authenticator: Bytes::copy_from_slice(&entry.authenticator),
        })
        .collect()
}

/// What others saw, as far as their entries go on from one another; newest first.
fn followed(id: &GroupId, key: &[u8], theirs: &[SignedEntry]) -> Vec<Seen> {
    let mut tip: Option<RemoteTip> = None;
    let mut seen = Vec::new();
    for signed in theirs {
        if let Ok(entry) = follow(id, key, tip.as_ref(), signed) {
            tip = Some(RemoteTip::from(&entry));
            seen.push(Seen {
                commit_sequence_id: entry.commit_sequence_id,
                applied_epoch_authenticator: entry.applied_epoch_authenticator,
            });
        }
    }
    seen.reverse();
    seen
}

/// A row of ours as it is shared.
fn as_entry(id: &GroupId, row: &CommitLogEntry) -> Entry {
    Entry {
        group_id: Bytes::copy_from_slice(id.as_bytes()),
        commit_sequence_id: row.sequence,
        last_epoch_authenticator: Bytes::copy_from_slice(&row.last_authenticator),
        result: match row.result {
            1 => CommitResult::Applied,
            2 => CommitResult::WrongEpoch,
            3 => CommitResult::Undecryptable,
            _ => CommitResult::Invalid,
        },
        applied_epoch: row.epoch,
        applied_epoch_authenticator: Bytes::copy_from_slice(&row.authenticator),
    }
}
