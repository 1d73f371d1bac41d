//! The way back for an installation that lost a group: it asks the super admins, and one of them
//! removes it and adds it again.
//!
//! What is to be asked and to be answered is stored, and worked off until it is done: by each sync
//! of all conversations, and in the background.

use std::{collections::BTreeSet, sync::Arc};

use folkmoot_conversation::{
    ConsentEntity, ConsentState, Leaf,
    context::{Attribute, Context, NewConversation, OneshotMessage},
    readd,
};
use folkmoot_wire::{COMMIT_ORIGINATOR, GroupId, InstallationKey};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    ConversationError,
    core::Core,
    intent::Wish,
    rows::{self, CursorKind, group_id, strange, time},
    state::State,
};
use crate::{Error, consent};

/// When something that failed is tried again, first: 10 s, then twice as long each time.
const RETRY_NS: u64 = 10 * 1_000_000_000;
/// When a request that nobody has answered is made again, first; then after twice as long.
const ASK_AGAIN_NS: u64 = 3600 * 1_000_000_000;
/// At most a day apart.
const LONGEST_NS: u64 = 24 * 3600 * 1_000_000_000;
/// How often something is tried.
const ATTEMPTS: u32 = 12;
/// An installation is added again at most this often: each time takes its keys away.
const REST_NS: u64 = 600 * 1_000_000_000;

/// An installation that is to be added again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Readd {
    group_id: GroupId,
    installation: InstallationKey,
    /// The newest commit that who asks knew of.
    after: u64,
    due_ns: Option<u64>,
    done_ns: u64,
    attempts: u32,
}

impl Readd {
    /// This installation lost a group and wants to be added again.
    pub(crate) fn want(
        db: &Connection,
        group: &GroupId,
        me: InstallationKey,
        now_ns: u64,
    ) -> rusqlite::Result<()> {
        db.prepare_cached(
            "INSERT INTO readd VALUES (?1, ?2, 0, ?3, 0, 0)
             ON CONFLICT DO UPDATE SET due_ns = excluded.due_ns, attempts = 0",
        )?
        .execute(params![
            group.as_bytes(),
            me.as_bytes(),
            now_ns.cast_signed()
        ])?;
        Ok(())
    }

    /// Another installation asks to be added again. It need not be asked for twice.
    fn asked(
        db: &Connection,
        group: &GroupId,
        installation: InstallationKey,
        after: u64,
        now_ns: u64,
    ) -> rusqlite::Result<()> {
        db.prepare_cached(
            "INSERT INTO readd VALUES (?1, ?2, ?3, ?4, 0, 0)
             ON CONFLICT DO UPDATE SET after = max(after, excluded.after), attempts = 0,
                 due_ns = coalesce(due_ns, max(excluded.due_ns, done_ns + ?5))",
        )?
        .execute(params![
            group.as_bytes(),
            installation.as_bytes(),
            after.cast_signed(),
            now_ns.cast_signed(),
            REST_NS.cast_signed(),
        ])?;
        Ok(())
    }

    /// The commit with this sequence id added an installation again.
    pub(crate) fn came(
        db: &Connection,
        group: &GroupId,
        installation: InstallationKey,
        sequence: u64,
        now_ns: u64,
    ) -> rusqlite::Result<()> {
        db.prepare_cached(
            "INSERT INTO readd VALUES (?1, ?2, 0, NULL, ?3, 0)
             ON CONFLICT DO UPDATE SET done_ns = excluded.done_ns,
                 due_ns = CASE WHEN after < ?4 THEN NULL ELSE due_ns END",
        )?
        .execute(params![
            group.as_bytes(),
            installation.as_bytes(),
            now_ns.cast_signed(),
            sequence.cast_signed(),
        ])?;
        Ok(())
    }

    /// Whatever was wanted or asked of a group is over.
    pub(crate) fn forget(db: &Connection, group: &GroupId) -> rusqlite::Result<()> {
        db.prepare_cached("DELETE FROM readd WHERE group_id = ?1")?
            .execute([group.as_bytes()])?;
        Ok(())
    }

    fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached("INSERT OR REPLACE INTO readd VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                self.group_id.as_bytes(),
                self.installation.as_bytes(),
                self.after.cast_signed(),
                self.due_ns.map(u64::cast_signed),
                self.done_ns.cast_signed(),
                self.attempts,
            ])?;
        Ok(())
    }

    /// Those whose time has come.
    fn due(db: &Connection, now_ns: u64) -> rusqlite::Result<Vec<Self>> {
        db.prepare_cached(
            "SELECT group_id, installation, after, due_ns, done_ns, attempts FROM readd
             WHERE due_ns <= ?1",
        )?
        .query_map([now_ns.cast_signed()], Self::read)?
        .collect()
    }

    /// The installations of a group that are still to be added again.
    pub(super) fn open(
        db: &Connection,
        group: &GroupId,
    ) -> rusqlite::Result<BTreeSet<InstallationKey>> {
        db.prepare_cached(
            "SELECT installation FROM readd WHERE group_id = ?1 AND due_ns IS NOT NULL",
        )?
        .query_map([group.as_bytes()], |row| {
            let installation = row.get_ref(0)?.as_blob()?;
            InstallationKey::try_from(installation).map_err(|_| strange(0))
        })?
        .collect()
    }

    /// What is known about an installation in a group.
    fn load(
        db: &Connection,
        group: &GroupId,
        installation: InstallationKey,
    ) -> rusqlite::Result<Option<Self>> {
        db.prepare_cached(
            "SELECT group_id, installation, after, due_ns, done_ns, attempts FROM readd
             WHERE group_id = ?1 AND installation = ?2",
        )?
        .query_row(
            params![group.as_bytes(), installation.as_bytes()],
            Self::read,
        )
        .optional()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let installation = row.get_ref(1)?.as_blob()?;
        Ok(Self {
            group_id: group_id(row, 0)?,
            installation: InstallationKey::try_from(installation).map_err(|_| strange(1))?,
            after: time(row, 2)?,
            due_ns: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
            done_ns: time(row, 4)?,
            attempts: row.get(5)?,
        })
    }
}

impl Core {
    /// Works off what is due soon, while others go on.
    pub(crate) fn work_off_readds_soon(self: &Arc<Self>) {
        let core = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(cause) = core.work_off_readds().await {
                tracing::warn!(%cause, "installations that lost a group are not added again yet");
            }
        });
    }

    /// Asks to be added again to groups that this installation lost, and adds others again that
    /// asked. What fails is tried again later.
    pub(crate) async fn work_off_readds(self: &Arc<Self>) -> Result<(), Error> {
        let _turn = self.readding.lock().await;
        let now_ns = self.now_ns();
        let due = self.db.read(move |db| Ok(Readd::due(db, now_ns)?)).await?;
        let mut result = Ok(());
        for mut one in due {
            let (id, installation) = (one.group_id.clone(), one.installation);
            let own = installation == self.me.key();
            let worked = match own {
                true => self.request_readd(&id).await,
                false => {
                    self.run(&id, move |state, core| {
                        Box::pin(state.answer_readd(core, installation))
                    })
                    .await
                }
            };
            // Others may have done it meanwhile, or we are in again.
            let stored = self
                .db
                .read(move |db| Ok(Readd::load(db, &id, installation)?));
            match stored.await? {
                Some(stored) if stored.due_ns.is_some() => one = stored,
                _ => continue,
            }
            let wait = match (&worked, own) {
                (Ok(()), true) => Some(ASK_AGAIN_NS),
                (Ok(()), false) => None,
                (Err(_), _) => Some(RETRY_NS),
            };
            let wait = wait.filter(|_| one.attempts < ATTEMPTS);
            one.due_ns = wait.map(|wait| now_ns + (wait << one.attempts).min(LONGEST_NS));
            one.attempts += 1;
            self.db.write(move |db| Ok(one.write(db)?)).await?;
            result = result.and(worked);
        }
        result
    }

    /// Somebody lost the state of a group and asks to be added again: super admins do that.
    pub(super) async fn take_oneshot(
        self: &Arc<Self>,
        sender: Leaf,
        message: OneshotMessage,
    ) -> Result<(), Error> {
        let OneshotMessage::Readd(request) = message else {
            return Ok(());
        };
        let Some(id) = request.group_id() else {
            return Ok(());
        };
        let wanted = id.clone();
        let (row, consent) = self
            .db
            .read(move |db| {
                let entity = ConsentEntity::Conversation(wanted.clone());
                Ok((
                    rows::conversation(db, &wanted)?,
                    consent::load(db, &entity)?,
                ))
            })
            .await?;
        let allowed = consent.is_some_and(|one| one.state == ConsentState::Allowed);
        let Some(row) = row.filter(|row| row.active && allowed) else {
            return Ok(());
        };
        let context = Context::read(&row.context);
        let me = self.me.inbox_id();
        let can_answer = context.is_ok_and(|context| readd::can_answer(&context, me));
        if can_answer && sender.installation != self.me.key() {
            let now_ns = self.now_ns();
            let after = request.latest_commit_sequence_id;
            self.db
                .write(move |db| Ok(Readd::asked(db, &id, sender.installation, after, now_ns)?))
                .await?;
            self.work_off_readds_soon();
        }
        Ok(())
    }

    /// Asks those who can to remove this installation from a group and add it again: by a group
    /// whose welcome carries the request, which everybody throws away.
    pub(crate) async fn request_readd(self: &Arc<Self>, id: &GroupId) -> Result<(), Error> {
        let wanted = id.clone();
        let (row, cursor) = self
            .db
            .read(move |db| {
                let cursor = rows::cursor(db, wanted.as_bytes(), CursorKind::Group)?;
                Ok((rows::conversation(db, &wanted)?, cursor))
            })
            .await?;
        let row = row.ok_or_else(|| ConversationError::NotFound(id.clone()))?;
        let context = Context::read(&row.context).map_err(ConversationError::Context)?;
        let me = self.me.inbox_id();
        let newest = cursor.last_seen(COMMIT_ORIGINATOR);
        let (message, recipients) = readd::request(id, newest, &context, me);
        let new = NewConversation::oneshot(me, message, rand::random());
        let oneshot = self.create(&new.extensions(), None).await?;
        let wish = Wish::Membership {
            add: recipients.into_iter().collect(),
            remove: Vec::new(),
        };
        let sent = self
            .run(&oneshot, move |state, core| {
                Box::pin(state.commit(core, wish))
            })
            .await;
        self.forget(&oneshot).await?;
        sent
    }
}

impl State {
    /// Removes an installation that lost its state and adds it again, after making sure that
    /// everybody understands such a commit. Nothing happens when somebody else was quicker.
    async fn answer_readd(
        &mut self,
        core: &Arc<Core>,
        requester: InstallationKey,
    ) -> Result<(), Error> {
        if !self.load(core).await?.follows() {
            return Ok(());
        }
        self.receive(core).await?;
        if !self.is_readd_open(core, requester).await? {
            return Ok(());
        }
        let context = self.load(core).await?.context()?;
        let version = readd::version_to_set_first(&context);
        if let Some(version) =
            version.map_err(|cause| ConversationError::Engine(cause.to_string()))?
        {
            let key = Attribute::MinimumVersion.key().to_owned();
            let raise = Wish::Metadata([(key, Some(version.to_string()))].into());
            self.commit(core, raise).await?;
            // Whoever raised it first may have gone on meanwhile.
            if !self.is_readd_open(core, requester).await? {
                return Ok(());
            }
        }
        self.commit(core, Wish::Readd(vec![requester])).await
    }

    /// Whether it is time to add an installation again, and it may be. Another request that comes right after it was
    /// added again waits for a while.
    async fn is_readd_open(
        &mut self,
        core: &Arc<Core>,
        requester: InstallationKey,
    ) -> Result<bool, Error> {
        let id = self.id.clone();
        let asked = core.db.read(move |db| Ok(Readd::load(db, &id, requester)?));
        let now_ns = core.now_ns();
        let open = asked
            .await?
            .is_some_and(|asked| asked.due_ns.is_some_and(|due_ns| due_ns <= now_ns));
        let members = self.load(core).await?.members();
        Ok(open && readd::is_acceptable(true, &members, requester))
    }
}
