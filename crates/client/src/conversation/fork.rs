//! Whether we still see what others see: the commit log.
//!
//! Super admins, and both people of a DM, publish for each commit which epoch it led them to,
//! signed with a key that the group's attributes hold. Comparing that with our own record shows
//! whether this installation has parted from the group.
//!
//! Anybody who knows a group's id can write to its log. Only entries under the key among the
//! attributes count, which members alone know; without one nothing is compared. Official clients go
//! by the key of the first entry, whoever wrote it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use folkmoot_conversation::{
    ConsentState,
    commit_log::{
        CommitLogEntry as Entry, CommitResult, ForkState, RemoteTip, Seen, SignedEntry, follow,
        fork_state, public_key,
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
    Error, consent,
    network::{self, NetworkError, OutgoingCommitLogEntry},
};

/// How often logs are shared and compared.
const TICK: Duration = Duration::from_secs(300);
/// Entries that the network takes at once.
const AT_ONCE: usize = 10;
/// Entries that the network gives at once.
const PAGE: usize = 100;
/// Pages of others' entries that are read in one go; the next time goes on behind them.
const MOST_PAGES: usize = 50;
/// Entries of others that are remembered to compare with.
const REMEMBERED: usize = 256;
/// The commit logs have one series of numbers.
const ORIGINATOR: u32 = 0;

/// Shares and compares commit logs every five minutes, as long as the client lives.
pub(crate) async fn watch(core: Weak<Core>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(core) = core.upgrade() else { return };
        if let Err(cause) = core.look_for_overruns().await {
            tracing::debug!(%cause, "places in the logs could not be compared; they will be later");
        }
        if let Err(cause) = core.look_for_forks().await {
            tracing::debug!(%cause, "commit logs could not be compared; they will be later");
        }
    }
}

/// How far the log of others was read, and what they saw.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Our newest commit when we were last seen to be in step.
    in_step: Option<u64>,
    /// Whose entries count.
    key: [u8; 32],
    /// The last entry that was read.
    after: u64,
    /// The last one that counted.
    tip: Option<RemoteTip>,
    /// What others saw, oldest first.
    seen: VecDeque<Seen>,
}

impl Compared {
    /// After which entry to go on reading. With another key everything counts anew.
    fn after(&mut self, key: [u8; 32]) -> u64 {
        if self.key != key {
            *self = Self {
                key,
                ..Self::default()
            };
        }
        self.after
    }

    /// Takes in the entries after `after`, unless somebody else did meanwhile.
    fn take(&mut self, id: &GroupId, after: u64, page: Vec<network::CommitLogEntry>) {
        if self.after != after {
            return;
        }
        for entry in page {
            self.after = self.after.max(entry.sequence);
            let signed = SignedEntry {
                serialized: entry.entry,
                signature: entry.signature,
                public_key: entry.public_key,
            };
            if let Ok(entry) = follow(id, &self.key, self.tip.as_ref(), &signed) {
                self.tip = Some(RemoteTip::from(&entry));
                self.seen.push_back(Seen {
                    commit_sequence_id: entry.commit_sequence_id,
                    applied_epoch_authenticator: entry.applied_epoch_authenticator,
                });
            }
        }
        let over = self.seen.len().saturating_sub(REMEMBERED);
        self.seen.drain(..over);
    }
}

impl Core {
    /// Shares and compares the commit logs of the conversations that we consent to. Says which have
    /// parted.
    pub(crate) async fn look_for_forks(self: &Arc<Self>) -> Result<Vec<GroupId>, Error> {
        let (rows, newest, consents) = self
            .db
            .read(|db| {
                let consents = consent::of_conversations(db)?;
                Ok((
                    rows::conversations(db)?,
                    rows::newest_commits(db)?,
                    consents,
                ))
            })
            .await?;
        let mut forked = Vec::new();
        for row in rows {
            let newest = newest.get(&row.id).copied().unwrap_or(0);
            // Without news of our own there is nothing to compare.
            let in_step = |compared: &Compared| compared.in_step;
            let known = self.compared.lock().get(&row.id).and_then(in_step) == Some(newest);
            let allowed = consents.get(&row.id) == Some(&ConsentState::Allowed);
            if !row.active || !row.kind.is_visible() || !allowed || newest == 0 || known {
                continue;
            }
            match self.compare(&row).await {
                Ok(ForkState::Forked) => forked.push(row.id),
                Ok(ForkState::InStep) => {
                    let mut compared = self.compared.lock();
                    compared.entry(row.id).or_default().in_step = Some(newest);
                }
                Ok(ForkState::Unknown) => {}
                // d14n has no commit logs.
                Err(Error::Network(NetworkError::Unsupported { .. })) => break,
                Err(cause) if cause.is_retryable() => return Err(cause),
                Err(cause) => {
                    tracing::warn!(group = %row.id, %cause, "its commit log cannot be compared");
                }
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
        let context = Context::read(&row.context).map_err(ConversationError::Context)?;
        let Some(secret) = context.mutable.commit_log_signer() else {
            return Ok(ForkState::Unknown);
        };
        let theirs = self.read_log(&row.id, public_key(&secret)).await?;
        let id = row.id.clone();
        let (ours, written) = self
            .db
            .read(move |db| {
                let written = rows::cursor(db, id.as_bytes(), CursorKind::CommitLogWritten)?;
                Ok((rows::commit_log(db, &id)?, written.last_seen(ORIGINATOR)))
            })
            .await?;
        let responsible =
            row.kind == ConversationKind::Dm || context.mutable.is_super_admin(self.me.inbox_id());
        if responsible {
            self.share(row, &secret, &ours, written).await?;
        }
        let state = fork_state(&seen(&ours), &theirs);
        let forked = matches!(row.trouble, Some((Trouble::Forked, _)));
        if (state == ForkState::Forked) != forked && state != ForkState::Unknown {
            self.note_fork(row, state).await?;
        }
        Ok(state)
    }

    /// The authenticators to which the newest commits led others, by the commits' sequence ids.
    pub(crate) async fn seen_by_others(
        &self,
        row: &ConversationRow,
    ) -> Result<BTreeMap<u64, Vec<u8>>, Error> {
        let context = Context::read(&row.context).map_err(ConversationError::Context)?;
        let Some(secret) = context.mutable.commit_log_signer() else {
            return Ok(BTreeMap::new());
        };
        let theirs = self.read_log(&row.id, public_key(&secret)).await?;
        let pairs = theirs.into_iter().map(|seen| {
            (
                seen.commit_sequence_id,
                seen.applied_epoch_authenticator.to_vec(),
            )
        });
        Ok(pairs.collect())
    }

    /// What others saw of a group, as far as their entries go on from one another; newest first.
    async fn read_log(&self, id: &GroupId, key: [u8; 32]) -> Result<Vec<Seen>, Error> {
        for _ in 0..MOST_PAGES {
            let after = {
                let mut compared = self.compared.lock();
                compared.entry(id.clone()).or_default().after(key)
            };
            let page = self
                .network
                .commit_log(&[(id.clone(), after)], PAGE)
                .await?;
            let page = page.into_iter().next().unwrap_or_default();
            let full = page.len() >= PAGE;
            let mut compared = self.compared.lock();
            let compared = compared.entry(id.clone()).or_default();
            compared.take(id, after, page);
            if !full || compared.after == after {
                break;
            }
        }
        let compared = self.compared.lock();
        let seen = compared.get(id).into_iter().flat_map(|one| &one.seen);
        Ok(seen.rev().cloned().collect())
    }

    /// Publishes what we saw since the last time.
    async fn share(
        &self,
        row: &ConversationRow,
        secret: &[u8; 32],
        ours: &[CommitLogEntry],
        written: u64,
    ) -> Result<(), Error> {
        let new: Vec<_> = ours
            .iter()
            .filter(|entry| entry.sequence > written)
            .collect();
        for some in new.chunks(AT_ONCE) {
            let entries = some.iter().map(|entry| {
                let signed = as_entry(&row.id, entry).sign(secret);
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
                    (_, lost @ Some((Trouble::LockedOut | Trouble::Relinked, _))) => lost,
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

/// What we saw since we made or last joined the group, newest first. What we saw in an earlier life
/// says nothing about this one.
fn seen(ours: &[CommitLogEntry]) -> Vec<Seen> {
    let known = ours.iter().rev().take_while(|entry| entry.sequence > 0);
    known
        .map(|entry| Seen {
            commit_sequence_id: entry.sequence,
            applied_epoch_authenticator: Bytes::copy_from_slice(&entry.authenticator),
        })
        .collect()
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
