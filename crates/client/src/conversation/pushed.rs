//! Envelopes that a push server brings, before the log shows them.
//!
//! A push server is trusted with nothing: what it says of an envelope's place and time may be
//! wrong, and something may be missing before it. So no cursor moves. A message that can be read by
//! itself is opened, once, and stored; the log later gives it its place and time. Everything else
//! (commits, messages of an epoch that we have not reached) has the log read in its place.

use std::sync::Arc;

use folkmoot_conversation::ContentType;
use folkmoot_wire::{GroupId, MessageId};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::{
    Conversation, ConversationError,
    core::Core,
    receive::{Source, private_header},
    rows::{self, Batch},
    state::State,
};
use crate::{
    Error,
    message::{self, Message},
    network::{GroupEnvelope, WelcomeEnvelope, pushed},
};

impl Conversation {
    /// Reads an envelope of this conversation that came by another way than a sync or a stream, such
    /// as a push notification: an encoded `GroupMessage` or, on d14n, `OriginatorEnvelope`. Gives
    /// what it says, which is then stored like any other message and comes in streams; a text needs
    /// no network for that. A commit has the conversation read from the network, and gives the entry
    /// about it, if there is one. The same envelope again gives the same.
    ///
    /// Nothing is passed over because of it: the next sync reads all that came before, and gives
    /// [`Message::sent_ns`] and [`Message::place`] of a message as the network has them.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Envelope`] for bytes that are none,
    /// [`ConversationError::OtherConversation`]; what the network or the database says.
    pub async fn process_streamed_message(&self, envelope: &[u8]) -> Result<Vec<Message>, Error> {
        let envelope = read(envelope)?;
        if !self.copies().await?.contains(&envelope.group_id) {
            return Err(ConversationError::OtherConversation(envelope.group_id).into());
        }
        self.core.take_pushed(envelope).await
    }
}

/// An envelope from its bytes.
pub(crate) fn read(envelope: &[u8]) -> Result<GroupEnvelope, Error> {
    let envelope = pushed::group_message(envelope);
    Ok(envelope.map_err(|(field, cause)| ConversationError::Envelope { field, cause })?)
}

/// A welcome from its bytes.
pub(crate) fn read_welcome(envelope: &[u8]) -> Result<WelcomeEnvelope, Error> {
    let envelope = pushed::welcome(envelope);
    Ok(envelope.map_err(|(field, cause)| ConversationError::Envelope { field, cause })?)
}

impl Core {
    /// Takes in a message that came by itself. Gives what is stored of it.
    pub(crate) async fn take_pushed(
        self: &Arc<Self>,
        envelope: GroupEnvelope,
    ) -> Result<Vec<Message>, Error> {
        let group = envelope.group_id.clone();
        let place = (envelope.originator, envelope.sequence);
        let opened = self
            .run(&group, move |state, core| {
                Box::pin(async move { state.take_pushed(core, &envelope).await })
            })
            .await?;
        let found = self.db.read(move |db| {
            Ok(match opened {
                Some(id) => message::message(db, &id)?.into_iter().collect(),
                None => message::at_place(db, &group, place)?,
            })
        });
        Ok(found.await?)
    }
}

impl State {
    /// Opens a message, unless that was done, or reads the log. Gives the id of what was in it, if
    /// that is known by its bytes.
    async fn take_pushed(
        &mut self,
        core: &Arc<Core>,
        envelope: &GroupEnvelope,
    ) -> Result<Option<MessageId>, Error> {
        let hash: [u8; 32] = Sha256::digest(&envelope.data).into();
        let loaded = self.load(core).await?;
        if let Some(known) = loaded.pushed.get(&hash) {
            return Ok(Some(*known));
        }
        if envelope.sequence <= loaded.cursor.last_seen(envelope.originator) {
            return Ok(None);
        }
        let header = private_header(&self.id, &envelope.data);
        let loaded = self.load(core).await?;
        let by_itself = header.filter(|header| {
            header.content == ContentType::Application
                && header.epoch <= loaded.row.epoch
                && loaded.follows()
                && loaded.row.paused_for.is_none()
                // The log tells what became of it.
                && !loaded.sent.contains_key(&hash)
        });
        if let Some(header) = by_itself {
            let mut batch = loaded.batch(core);
            let step = loaded.foreign(core, &mut batch, envelope, &header, Source::Push);
            step.await?;
            let opened = batch.messages.first_mut().map(|message| {
                message.place = None;
                message.id
            });
            loaded.keep_keys(&mut batch);
            if let Some(id) = opened {
                loaded.pushed.insert(hash, id);
                batch.pushed.push((hash, id));
            }
            self.write(core, batch).await?;
            if opened.is_some() {
                return Ok(opened);
            }
        }
        self.receive(core).await?;
        Ok(None)
    }
}

impl Batch {
    /// Writes which messages were opened before the log showed them, and which it has shown.
    pub(super) fn write_pushed(&self, db: &Connection, group: &GroupId) -> rusqlite::Result<()> {
        for (hash, message) in &self.pushed {
            db.prepare_cached("INSERT OR IGNORE INTO pushed_message VALUES (?1, ?2, ?3)")?
                .execute(params![group.as_bytes(), hash, message.as_bytes()])?;
        }
        for hash in &self.shown {
            db.prepare_cached("DELETE FROM pushed_message WHERE group_id = ?1 AND hash = ?2")?
                .execute(params![group.as_bytes(), hash])?;
        }
        Ok(())
    }
}

/// What was opened before the log showed it: the hashes of the envelopes, and what was in them.
pub(super) fn opened(
    db: &Connection,
    group: &GroupId,
) -> rusqlite::Result<Vec<([u8; 32], MessageId)>> {
    db.prepare_cached("SELECT hash, message FROM pushed_message WHERE group_id = ?1")?
        .query_map([group.as_bytes()], |row| {
            let hash: Vec<u8> = row.get(0)?;
            let hash = hash.try_into().map_err(|_| rows::strange(0))?;
            Ok((hash, message::message_id(row, 1)?))
        })?
        .collect()
}
