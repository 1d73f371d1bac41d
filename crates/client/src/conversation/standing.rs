//! How far the installations of a group are, as far as that can be known.
//!
//! Nobody tells others how far they have read. But whoever says something says it in an epoch, and
//! whoever commits reaches the next one: so far they are at least. Of who keeps silent nothing is
//! known but whether they sit in the group at all, could not be added, or ask to be added again.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::{GroupId, InboxId, InstallationKey};
use rusqlite::{Connection, params};

use super::{
    Conversation, ConversationError,
    readd::Readd,
    rows::{strange, time},
};
use crate::{Error, identity::InboxState};

/// How far one installation of a member is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Whose installation.
    pub inbox_id: InboxId,
    /// Which.
    pub installation: InstallationKey,
    /// The newest epoch in which it was heard; `None`: never, or before this was noted.
    pub heard: Option<Heard>,
    /// How it takes part.
    pub place: Place,
    /// Whether it is known to have lost the group, and to want to be added again.
    pub wants_readd: bool,
}

/// When an installation was last heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard {
    /// The newest epoch that it has reached at least.
    pub epoch: u64,
    /// When the network took what it said: Unix time in nanoseconds.
    pub at_ns: u64,
}

/// How an installation of a member takes part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// It is in the group.
    Member,
    /// It could not be added, for want of a key package that can be used, and cannot read.
    Failed,
    /// It is not in the group yet: the next who sends adds it.
    Missing,
}

impl Conversation {
    /// How far each installation of each member is, by inbox. Our own is among them.
    ///
    /// # Errors
    ///
    /// What the database or, for identity logs not seen yet, the network says.
    pub async fn standings(&self) -> Result<Vec<Standing>, Error> {
        let row = self.newest().await?;
        let membership = row.context.membership();
        let membership = membership.map_err(ConversationError::Context)?;
        let inboxes: Vec<_> = membership.inbox_ids().collect();
        let people = self.core.people(&inboxes).await?;
        let id = row.id.clone();
        let (heard, asking) = self
            .core
            .db
            .read(move |db| Ok((heard(db, &id)?, Readd::open(db, &id)?)))
            .await?;
        let leaves = self.leaves().await?;
        let mut all = BTreeSet::new();
        for inbox in inboxes {
            let state = people.get(&inbox).and_then(|state| state.as_ref().ok());
            let installations = state.map(InboxState::installations).unwrap_or_default();
            all.extend(installations.into_iter().map(|one| (inbox, one)));
        }
        all.extend(
            leaves
                .iter()
                .map(|(installation, inbox)| (*inbox, *installation)),
        );
        let standings = all.into_iter().map(|(inbox_id, installation)| Standing {
            inbox_id,
            installation,
            heard: heard.get(&installation).copied(),
            place: if leaves.contains_key(&installation) {
                Place::Member
            } else if membership.has_failed(installation) {
                Place::Failed
            } else {
                Place::Missing
            },
            wants_readd: asking.contains(&installation),
        });
        Ok(standings.collect())
    }

    /// Who sits in the tree; nobody if we do not.
    async fn leaves(&self) -> Result<BTreeMap<InstallationKey, InboxId>, Error> {
        let id = self.row.id.clone();
        self.core
            .run(&id, |state, core| {
                Box::pin(async move {
                    let leaves = state.load(core).await?.members().into_iter();
                    Ok(leaves
                        .map(|leaf| (leaf.installation, leaf.inbox_id))
                        .collect())
                })
            })
            .await
    }
}

/// Notes that an installation was heard in an epoch.
pub(super) fn note(
    db: &Connection,
    group: &GroupId,
    installation: InstallationKey,
    heard: Heard,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO heard VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch),
             heard_ns = max(heard_ns, excluded.heard_ns)",
    )?
    .execute(params![
        group.as_bytes(),
        installation.as_bytes(),
        heard.epoch.cast_signed(),
        heard.at_ns.cast_signed()
    ])?;
    Ok(())
}

fn heard(db: &Connection, group: &GroupId) -> rusqlite::Result<BTreeMap<InstallationKey, Heard>> {
    db.prepare_cached("SELECT installation, epoch, heard_ns FROM heard WHERE group_id = ?1")?
        .query_map([group.as_bytes()], |row| {
            let installation = row.get_ref(0)?.as_blob()?;
            let installation = InstallationKey::try_from(installation).map_err(|_| strange(0))?;
            let (epoch, at_ns) = (time(row, 1)?, time(row, 2)?);
            Ok((installation, Heard { epoch, at_ns }))
        })?
        .collect()
}
