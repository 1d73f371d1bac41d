//! Archives: a person's history in one encrypted file, in the format of official clients (XIP-71).
//!
//! What comes from an archive is history that nobody vouches for: conversations come back readable
//! and silent ([`MembershipState::Restored`](crate::MembershipState)) until a member adds this
//! installation.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
};

use folkmoot_conversation::{
    ArchiveError, ArchiveKey, ConsentRecord, ContextExtensions,
    archive::{
        ArchiveMetadata, ArchiveOptions, ArchiveReader, ArchiveSelection, ArchiveWriter,
        ArchivedConversation, ArchivedMessage, ConversationKind as ArchivedKind,
        DeliveryStatus as ArchivedDelivery, Element, MembershipState as ArchivedMembership,
        MessageKind as ArchivedMessageKind,
    },
    content::{ContentTypeId, EncodedContent},
    context::{ConversationKind, Extension, MutableMetadata, NewConversation},
    permissions::PolicySet,
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId};
use rusqlite::{Connection, params};

use crate::{
    Client, Error,
    clock::{from_sql, to_sql},
    consent,
    conversation::{
        MembershipState,
        changes::Change,
        content,
        core::Core,
        rows::{self, Batch, ConversationRow, DeliveryStatus, MessageKind, MessageRow},
    },
    db::{DbError, Transaction},
};

/// What an archive brought.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ImportSummary {
    /// Conversations that were not here.
    pub conversations: usize,
    /// Messages that were not here.
    pub messages: usize,
    /// Consents that were not here, or were older.
    pub consents: usize,
    /// Elements that are of no use, with the reason of the first ones.
    pub skipped: usize,
    /// Why, for at most ten of them.
    pub reasons: Vec<String>,
}

impl Client {
    /// Writes an archive to `to`. What is written is as secret as the messages in it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] when `to` cannot be written; what the database says. What was written until
    /// then is no archive.
    pub async fn create_archive<W: Write + Send + 'static>(
        &self,
        to: W,
        key: ArchiveKey,
        options: ArchiveOptions,
    ) -> Result<ArchiveMetadata, Error> {
        self.0.conversations.export(to, key, options).await
    }

    /// Writes an archive to a new file, which only its owner can read. An old file of that name is
    /// replaced when the new one is whole.
    ///
    /// # Errors
    ///
    /// As of [`Client::create_archive`].
    pub async fn create_archive_file(
        &self,
        path: &Path,
        key: ArchiveKey,
        options: ArchiveOptions,
    ) -> Result<ArchiveMetadata, Error> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        let file = new_file(Path::new(&partial)).map_err(ArchiveError::Io)?;
        let written = self
            .create_archive(BufWriter::new(file), key, options)
            .await;
        let moved = written.and_then(|metadata| {
            fs::rename(&partial, path).map_err(ArchiveError::Io)?;
            Ok(metadata)
        });
        if moved.is_err() {
            // The first error says more than one about tidying up.
            let _ = fs::remove_file(&partial);
        }
        moved
    }

    /// Takes in an archive. What is here already stays as it is; consents count if they are newer.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] when the key is wrong or the archive is broken. What came before the broken
    /// place is kept.
    pub async fn import_archive<R: Read + Send + 'static>(
        &self,
        from: R,
        key: ArchiveKey,
    ) -> Result<ImportSummary, Error> {
        self.0.conversations.import(from, key).await
    }

    /// Takes in an archive from a file.
    ///
    /// # Errors
    ///
    /// As of [`Client::import_archive`].
    pub async fn import_archive_file(
        &self,
        path: &Path,
        key: ArchiveKey,
    ) -> Result<ImportSummary, Error> {
        let file = fs::File::open(path).map_err(ArchiveError::Io)?;
        self.import_archive(BufReader::new(file), key).await
    }
}

/// What an archive says about itself. Reads only its beginning.
///
/// # Errors
///
/// [`ArchiveError`] when the key is wrong or this is no archive.
pub fn archive_metadata(from: impl Read, key: &ArchiveKey) -> Result<ArchiveMetadata, Error> {
    Ok(ArchiveReader::open(from, key)?.metadata().clone())
}

impl Core {
    /// Writes an archive of what the database holds at this moment.
    pub(crate) async fn export<W: Write + Send + 'static>(
        &self,
        to: W,
        key: ArchiveKey,
        options: ArchiveOptions,
    ) -> Result<ArchiveMetadata, Error> {
        // What is over goes into no archive either.
        self.remove_expired().await?;
        let metadata = options.metadata(to_sql(self.now_ns()));
        let written = metadata.clone();
        // One at a time: each holds a snapshot for as long as whoever takes it needs.
        let _turn = self.exporting.lock().await;
        let result = self
            .db
            .read_apart(move |db| Ok(export(db, to, &key, &options, &written)));
        result.await??;
        Ok(metadata)
    }

    /// Takes in an archive, a few hundred elements at a time.
    pub(crate) async fn import<R: Read + Send + 'static>(
        &self,
        from: R,
        key: ArchiveKey,
    ) -> Result<ImportSummary, Error> {
        let (sender, mut batches) = tokio::sync::mpsc::channel(1);
        let reading = tokio::task::spawn_blocking(move || read_batches(from, &key, &sender));
        let mut summary = ImportSummary::default();
        let now_ns = self.now_ns();
        let me = self.me.inbox_id();
        while let Some(batch) = batches.recv().await {
            summary.note(batch.skipped);
            let elements = batch.elements;
            let took = self
                .db
                .write(move |db| {
                    let mut took = Took::default();
                    for element in elements {
                        take(db, element, me, now_ns, &mut took)?;
                    }
                    Ok(took)
                })
                .await?;
            summary.messages += took.messages;
            summary.conversations += took.conversations.len();
            summary.consents += took.consents.len();
            summary.note(took.skipped);
            for id in took.conversations {
                self.changes.tell(Change::ConversationAdded(id));
            }
            for consent in took.consents {
                self.changes.tell(Change::Consent(consent));
            }
        }
        let read = reading.await.map_err(|_| DbError::Closed)?;
        read?;
        Ok(summary)
    }
}

impl ImportSummary {
    fn note(&mut self, reasons: Vec<String>) {
        self.skipped += reasons.len();
        let room = MOST_REASONS.saturating_sub(self.reasons.len());
        self.reasons.extend(reasons.into_iter().take(room));
    }
}

/// Elements on their way from the file to the database.
#[derive(Default)]
struct ReadBatch {
    elements: Vec<Element>,
    bytes: usize,
    skipped: Vec<String>,
}

fn read_batches(
    from: impl Read,
    key: &ArchiveKey,
    to: &tokio::sync::mpsc::Sender<ReadBatch>,
) -> Result<(), ArchiveError> {
    let mut batch = ReadBatch::default();
    for element in ArchiveReader::open(from, key)? {
        match element {
            Ok(element) => {
                if let Element::Message(message) = &element {
                    batch.bytes += message.content.len();
                }
                batch.elements.push(element);
            }
            Err(cause) if cause.is_skippable() => batch.skipped.push(cause.to_string()),
            Err(cause) => {
                // Whoever waits for it is told of the error instead.
                let _ = to.blocking_send(batch);
                return Err(cause);
            }
        }
        let full = batch.elements.len() >= ELEMENTS_AT_ONCE || batch.bytes >= BYTES_AT_ONCE;
        if (full || batch.skipped.len() >= ELEMENTS_AT_ONCE)
            && to.blocking_send(std::mem::take(&mut batch)).is_err()
        {
            return Ok(());
        }
    }
    let _ = to.blocking_send(batch);
    Ok(())
}

/// What one batch changed.
#[derive(Default)]
struct Took {
    conversations: Vec<GroupId>,
    messages: usize,
    consents: Vec<ConsentRecord>,
    skipped: Vec<String>,
}

fn take(
    db: &Transaction<'_>,
    element: Element,
    me: InboxId,
    now_ns: u64,
    took: &mut Took,
) -> Result<(), DbError> {
    match element {
        Element::Conversation(archived) => {
            if matches!(archived.kind, ArchivedKind::Sync) {
                return Ok(());
            }
            let id = archived.id.clone();
            if let Some(row) = rows::conversation(db, &id)? {
                raise_last_message(db, &row.id, archived.last_message_ns)?;
                return Ok(());
            }
            match restored(&archived, me) {
                Ok(row) => {
                    let batch = Batch {
                        row: Some(row),
                        now_ns,
                        ..Batch::default()
                    };
                    batch.write(db, &id)?;
                    took.conversations.push(id);
                }
                Err(cause) => took.skipped.push(format!("conversation {id}: {cause}")),
            }
        }
        Element::Message(archived) => {
            let group = archived.group_id.clone();
            let Some(row) = rows::conversation(db, &group)? else {
                let id = archived.id;
                took.skipped.push(format!(
                    "message {id}: its conversation {group} is not here"
                ));
                return Ok(());
            };
            let mut message = message_row(archived, now_ns);
            message.expire_ns = expiry(&row, &message, now_ns);
            if rows::insert_message(db, &group, &message, None)? {
                took.messages += 1;
            }
        }
        Element::Consent(record) => {
            if consent::merge(db, &record)? {
                took.consents.push(record);
            }
        }
    }
    Ok(())
}

fn raise_last_message(
    db: &Connection,
    id: &GroupId,
    last_message_ns: Option<i64>,
) -> Result<(), DbError> {
    let sql = "UPDATE conversation SET last_message_ns = ?2
         WHERE id = ?1 AND coalesce(last_message_ns, 0) < ?2";
    db.prepare_cached(sql)?
        .execute(params![id.as_bytes(), last_message_ns.unwrap_or(0)])?;
    Ok(())
}

/// A conversation that can be read, and not written to.
fn restored(archived: &ArchivedConversation, me: InboxId) -> Result<ConversationRow, String> {
    let creator = archived.creator.parse();
    let creator: InboxId = creator.map_err(|_| "its creator is no inbox id".to_owned())?;
    let kind = match archived.kind {
        ArchivedKind::Dm => ConversationKind::Dm,
        ArchivedKind::Group | ArchivedKind::Sync => ConversationKind::Group,
    };
    let dm_id = match kind {
        ConversationKind::Dm => Some(archived.dm_id.clone().ok_or("it has no dm_id")?),
        _ => None,
    };
    Ok(ConversationRow {
        id: archived.id.clone(),
        kind,
        context: context(archived, creator, me, dm_id.as_deref())?,
        dm_id,
        creator,
        added_by: archived.added_by.parse().unwrap_or(creator),
        created_ns: from_sql(archived.created_at_ns),
        membership: MembershipState::Restored,
        active: false,
        epoch: 0,
        rotated_ns: from_sql(archived.rotated_at_ns),
        checked_ns: from_sql(archived.installations_last_checked_ns),
        last_message_ns: archived.last_message_ns.map(from_sql),
        paused_for: archived.paused_for_version.clone(),
        trouble: None,
        welcome_id: archived.welcome_id.map(from_sql),
    })
}

/// The extensions that the group would have if it were new: its name and the like are read from
/// them as from any other's.
fn context(
    archived: &ArchivedConversation,
    creator: InboxId,
    me: InboxId,
    dm_id: Option<&str>,
) -> Result<ContextExtensions, String> {
    let nobody = [0; 32];
    let new = match dm_id {
        Some(dm_id) => {
            let other = other_of(dm_id, me).ok_or("its dm_id does not name us and one other")?;
            if creator == me {
                NewConversation::dm(me, other, nobody)
            } else {
                NewConversation::dm(creator, me, nobody)
            }
        }
        None => NewConversation::group(creator, PolicySet::all_members(), nobody),
    };
    let mut attributes: BTreeMap<_, _> = archived.attributes.clone();
    let settings = [
        ("message_disappear_from_ns", archived.disappear_from_ns),
        ("message_disappear_in_ns", archived.disappear_in_ns),
    ];
    for (name, value) in settings {
        if let Some(value) = value {
            attributes
                .entry(name.to_owned())
                .or_insert_with(|| value.to_string());
        }
    }
    attributes.retain(|name, _| !name.starts_with('_'));
    let mutable = MutableMetadata {
        attributes,
        admins: archived.admins.clone(),
        super_admins: archived.super_admins.clone(),
    };
    let mut extensions = new.extensions();
    extensions
        .0
        .insert(Extension::MutableMetadata.number(), mutable.encode());
    Ok(extensions)
}

fn other_of(dm_id: &str, me: InboxId) -> Option<InboxId> {
    let (one, two) = dm_id.strip_prefix("dm:")?.split_once(':')?;
    let (one, two): (InboxId, InboxId) = (one.parse().ok()?, two.parse().ok()?);
    match (one == me, two == me) {
        (true, _) => Some(two),
        (false, true) => Some(one),
        (false, false) => None,
    }
}

/// When a message that is taken in now disappears: as if it had arrived now, if it was sent since
/// messages of its conversation disappear. Archives do not say when it was to.
fn expiry(row: &ConversationRow, message: &MessageRow, now_ns: u64) -> Option<u64> {
    let settings = row.context.mutable_metadata().ok()?.disappearing()?;
    let is_newer = to_sql(message.sent_ns) >= settings.from_ns;
    if message.kind != MessageKind::Application || !is_newer {
        return None;
    }
    settings.expiry_ns(to_sql(now_ns)).map(from_sql)
}

fn message_row(archived: ArchivedMessage, now_ns: u64) -> MessageRow {
    let encoded = EncodedContent::decode(archived.content.clone()).ok();
    let unknown = || ContentTypeId::new("", "unknown", 0, 0);
    let id = encoded
        .as_ref()
        .and_then(EncodedContent::content_type)
        .cloned();
    let id = id.unwrap_or_else(unknown);
    let installation = InstallationKey::try_from(&archived.sender_installation_id[..]);
    let place = archived.originator_id.zip(archived.sequence_id);
    let place = place.and_then(|(originator, sequence)| {
        Some((
            u32::try_from(originator).ok()?,
            u64::try_from(sequence).ok()?,
        ))
    });
    MessageRow {
        id: archived.id,
        sent_ns: from_sql(archived.sent_at_ns),
        inserted_ns: now_ns,
        kind: match archived.kind {
            ArchivedMessageKind::Application => MessageKind::Application,
            ArchivedMessageKind::MembershipChange => MessageKind::MembershipChange,
        },
        sender: archived.sender,
        installation: installation.unwrap_or(InstallationKey::from_bytes([0; 32])),
        delivery: match archived.delivery_status {
            ArchivedDelivery::Published => DeliveryStatus::Published,
            // Nobody here is going to send it.
            ArchivedDelivery::Unpublished | ArchivedDelivery::Failed => DeliveryStatus::Failed,
        },
        authority: id.authority_id.into_owned(),
        type_id: id.type_id.into_owned(),
        major: id.version_major,
        minor: id.version_minor,
        reference: encoded.as_ref().and_then(content::reference),
        content: archived.content,
        place,
        expire_ns: None,
        by_super_admin: false,
    }
}

/// Writes everything that `options` ask for, in the order in which readers want it.
fn export(
    db: &Connection,
    to: impl Write,
    key: &ArchiveKey,
    options: &ArchiveOptions,
    metadata: &ArchiveMetadata,
) -> Result<(), Error> {
    let mut writer = ArchiveWriter::create(to, key, metadata, &mut rand::rng())?;
    for selection in &options.elements {
        match selection {
            ArchiveSelection::Messages => {
                for row in rows::conversations(db)? {
                    if row.kind.is_visible() && options.covers(to_sql(row.created_ns)) {
                        writer.write(&Element::Conversation(archived_conversation(row)?))?;
                    }
                }
                export_messages(db, &mut writer, options)?;
            }
            ArchiveSelection::Consent => {
                for consent in consent::all(db)? {
                    writer.write(&Element::Consent(consent))?;
                }
            }
        }
    }
    writer.finish()?.flush().map_err(ArchiveError::Io)?;
    Ok(())
}

fn export_messages(
    db: &Connection,
    writer: &mut ArchiveWriter<impl Write>,
    options: &ArchiveOptions,
) -> Result<(), Error> {
    // Only messages of conversations that are in the archive too.
    let sql = "SELECT message.id, group_id, content, sent_ns, message.kind, installation, sender,
             delivery, reference, sequence, originator FROM message
         JOIN conversation ON conversation.id = group_id AND conversation.kind IN (1, 2)
         WHERE sent_ns BETWEEN ?1 AND ?2 AND created_ns BETWEEN ?1 AND ?2
             AND NOT (?3 AND expire_ns IS NOT NULL)
         ORDER BY message.local";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![
        options.start_ns.unwrap_or(i64::MIN),
        options.end_ns.unwrap_or(i64::MAX),
        options.exclude_disappearing_messages,
    ])?;
    while let Some(row) = rows.next()? {
        let kind = MessageKind::from_code(row.get(4)?).ok_or_else(|| rows::strange(4))?;
        let delivery = DeliveryStatus::from_code(row.get(7)?).ok_or_else(|| rows::strange(7))?;
        let message = ArchivedMessage {
            id: MessageId::from_bytes(row.get(0)?),
            group_id: rows::group_id(row, 1)?,
            content: row.get::<_, Vec<u8>>(2)?.into(),
            sent_at_ns: row.get(3)?,
            kind: match kind {
                MessageKind::Application => ArchivedMessageKind::Application,
                MessageKind::MembershipChange => ArchivedMessageKind::MembershipChange,
            },
            sender_installation_id: row.get::<_, Vec<u8>>(5)?.into(),
            sender: rows::inbox_id(row, 6)?,
            delivery_status: match delivery {
                DeliveryStatus::Unpublished => ArchivedDelivery::Unpublished,
                DeliveryStatus::Published => ArchivedDelivery::Published,
                DeliveryStatus::Failed => ArchivedDelivery::Failed,
            },
            reference_id: row.get::<_, Option<Vec<u8>>>(8)?.map(Into::into),
            sequence_id: row.get(9)?,
            originator_id: row.get(10)?,
        };
        writer.write(&Element::Message(message))?;
    }
    Ok(())
}

fn archived_conversation(row: ConversationRow) -> Result<ArchivedConversation, Error> {
    let mutable = row.context.parts().mutable_metadata().unwrap_or_default();
    let number = |name: &str| {
        mutable
            .attributes
            .get(name)
            .and_then(|text| text.parse().ok())
    };
    Ok(ArchivedConversation {
        id: row.id,
        created_at_ns: to_sql(row.created_ns),
        membership_state: match row.membership {
            MembershipState::Allowed => ArchivedMembership::Allowed,
            MembershipState::Rejected => ArchivedMembership::Rejected,
            MembershipState::Pending => ArchivedMembership::Pending,
            MembershipState::Restored => ArchivedMembership::Restored,
            MembershipState::PendingRemove => ArchivedMembership::PendingRemove,
        },
        installations_last_checked_ns: to_sql(row.checked_ns),
        added_by: row.added_by.to_string(),
        welcome_id: row.welcome_id.map(to_sql),
        rotated_at_ns: to_sql(row.rotated_ns),
        kind: match row.kind {
            ConversationKind::Dm => ArchivedKind::Dm,
            _ => ArchivedKind::Group,
        },
        dm_id: row.dm_id,
        last_message_ns: row.last_message_ns.map(to_sql),
        disappear_from_ns: number("message_disappear_from_ns"),
        disappear_in_ns: number("message_disappear_in_ns"),
        creator: row.creator.to_string(),
        attributes: mutable.attributes,
        admins: mutable.admins,
        super_admins: mutable.super_admins,
        paused_for_version: row.paused_for,
    })
}

/// A file that only its owner can read. What an earlier try left there goes; a link is not
/// followed.
fn new_file(path: &Path) -> std::io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

const MOST_REASONS: usize = 10;
const ELEMENTS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 4 << 20;
