//! What a bot remembers across runs: how far it came, and which commands were done.
//!
//! Both are in the client's own database, which is encrypted, crash safe, and used by one process
//! at a time.

use folkmoot_client::{
    Client,
    db::{Database, DbError, rusqlite::OptionalExtension as _},
};
use folkmoot_wire::MessageId;

/// Commands with an id that are remembered. The oldest are forgotten first.
const MOST_COMMANDS: i64 = 100_000;

/// The memory of one database.
#[derive(Clone, Debug)]
pub(super) struct Memory(Database);

/// What is known about a command's id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// Nothing: it is noted now.
    New,
    /// The command was begun, and nobody knows how it ended.
    Begun,
    /// A command that said something else was begun under this id, which would have made this
    /// message. If it did not, the id is free.
    BegunOtherwise(Option<MessageId>),
    /// The command was done; it made this message, if any.
    Done(Option<MessageId>),
    /// The id belongs to a command that said something else, and was done.
    Another,
}

impl Memory {
    /// Opens the memory in the client's database.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn open(client: &Client) -> Result<Self, DbError> {
        let database = client.database().clone();
        database
            .write(|db| {
                Ok(db.execute_batch(
                    "CREATE TABLE IF NOT EXISTS bot_position (
                         one      INTEGER PRIMARY KEY CHECK (one = 1),
                         position INTEGER NOT NULL  -- place in the stream; all before is done with
                     ) STRICT;
                     CREATE TABLE IF NOT EXISTS bot_command (
                         number  INTEGER PRIMARY KEY AUTOINCREMENT,
                         id      TEXT    NOT NULL UNIQUE, -- what the bot calls it
                         digest  BLOB    NOT NULL,        -- of what it says
                         done    INTEGER NOT NULL,
                         message BLOB                     -- the id of what it sends, or sent
                     ) STRICT;",
                )?)
            })
            .await?;
        Ok(Self(database))
    }

    /// How far the bot came: everything up to this place in the stream is done with.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn position(&self) -> Result<Option<u64>, DbError> {
        let read = self.0.read(|db| {
            let position: Option<i64> = db
                .query_row("SELECT position FROM bot_position", [], |row| row.get(0))
                .optional()?;
            Ok(position.map(i64::cast_unsigned))
        });
        read.await
    }

    /// Notes how far the bot came. It never goes back.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn advance(&self, position: u64) -> Result<(), DbError> {
        let written = self.0.write(move |db| {
            db.prepare_cached(
                "INSERT INTO bot_position VALUES (1, ?1)
                 ON CONFLICT DO UPDATE SET position = max(position, excluded.position)",
            )?
            .execute([position.cast_signed()])?;
            Ok(())
        });
        written.await
    }

    /// Looks for a command's id, and notes it if it is new, with the id of the message that it is
    /// about to make.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn begin(
        &self,
        id: &str,
        digest: [u8; 32],
        message: MessageId,
    ) -> Result<Known, DbError> {
        let id = id.to_owned();
        let written = self.0.write(move |db| {
            let known = db
                .prepare_cached("SELECT digest, done, message FROM bot_command WHERE id = ?1")?
                .query_row([&id], |row| {
                    let message: Option<[u8; 32]> = row.get(2)?;
                    Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, bool>(1)?, message))
                })
                .optional()?;
            if let Some((of, done, message)) = known {
                let message = message.map(MessageId::from_bytes);
                return Ok(match (done, of == digest) {
                    (true, true) => Known::Done(message),
                    (true, false) => Known::Another,
                    (false, true) => Known::Begun,
                    (false, false) => Known::BegunOtherwise(message),
                });
            }
            let sql = "INSERT INTO bot_command (id, digest, done, message) VALUES (?1, ?2, 0, ?3)";
            let number = db
                .prepare_cached(sql)?
                .insert((&id, digest, message.as_bytes()))?;
            db.prepare_cached("DELETE FROM bot_command WHERE number <= ?1")?
                .execute([number - MOST_COMMANDS])?;
            Ok(Known::New)
        });
        written.await
    }

    /// Notes that an id, of which nothing came, is now of a command that says this.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn begin_again(
        &self,
        id: &str,
        digest: [u8; 32],
        message: MessageId,
    ) -> Result<(), DbError> {
        let id = id.to_owned();
        let written = self.0.write(move |db| {
            let sql = "UPDATE bot_command SET digest = ?2, done = 0, message = ?3 WHERE id = ?1";
            db.prepare_cached(sql)?
                .execute((id, digest, message.as_bytes()))?;
            Ok(())
        });
        written.await
    }

    /// Notes that a command was done.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn done(&self, id: &str, message: Option<MessageId>) -> Result<(), DbError> {
        let id = id.to_owned();
        let written = self.0.write(move |db| {
            db.prepare_cached("UPDATE bot_command SET done = 1, message = ?2 WHERE id = ?1")?
                .execute((id, message.as_ref().map(MessageId::as_bytes)))?;
            Ok(())
        });
        written.await
    }

    /// Forgets a command of which nothing happened.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn forget(&self, id: &str) -> Result<(), DbError> {
        let id = id.to_owned();
        let written = self.0.write(move |db| {
            db.prepare_cached("DELETE FROM bot_command WHERE id = ?1 AND done = 0")?
                .execute([id])?;
            Ok(())
        });
        written.await
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_identity::WalletSecret;
    use folkmoot_testkit::TestNode;

    use super::*;

    async fn memory(node: &TestNode) -> Memory {
        let wallet = WalletSecret::from_bytes(&[7; 32]).unwrap();
        let client = Client::builder().node(node.url.clone()).create(&wallet);
        Memory::open(&client.await.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn the_place_never_goes_back() {
        let node = TestNode::start().await;
        let memory = memory(&node).await;
        assert_eq!(memory.position().await.unwrap(), None);
        memory.advance(7).await.unwrap();
        memory.advance(5).await.unwrap();
        assert_eq!(memory.position().await.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn a_command_is_known_by_its_id_and_what_it_says() {
        let node = TestNode::start().await;
        let memory = memory(&node).await;
        let message = MessageId::from_bytes([9; 32]);
        let begin = async |id: &str, digest| {
            let known = memory.begin(id, [digest; 32], message).await;
            known.unwrap()
        };
        assert_eq!(begin("a", 1).await, Known::New);
        assert_eq!(begin("a", 1).await, Known::Begun);
        let otherwise = Known::BegunOtherwise(Some(message));
        assert_eq!(begin("a", 2).await, otherwise);
        let other = MessageId::from_bytes([8; 32]);
        memory.begin_again("a", [2; 32], other).await.unwrap();
        assert_eq!(begin("a", 2).await, Known::Begun);
        assert_eq!(begin("a", 1).await, Known::BegunOtherwise(Some(other)));
        memory.done("a", Some(message)).await.unwrap();
        memory.forget("a").await.unwrap();
        assert_eq!(begin("a", 2).await, Known::Done(Some(message)));
        assert_eq!(begin("a", 1).await, Known::Another);
        begin("b", 1).await;
        memory.forget("b").await.unwrap();
        assert_eq!(begin("b", 2).await, Known::New);
    }
}
