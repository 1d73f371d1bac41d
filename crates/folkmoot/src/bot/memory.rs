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
    /// The command was done; it made this message, if any.
    Done(Option<MessageId>),
    /// The id belongs to a command that says something else.
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
                         message BLOB                     -- the id of what it sent
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

    /// Looks for a command's id, and notes it if it is new.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn begin(&self, id: &str, digest: [u8; 32]) -> Result<Known, DbError> {
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
                return Ok(match done {
                    _ if of != digest => Known::Another,
                    true => Known::Done(message.map(MessageId::from_bytes)),
                    false => Known::Begun,
                });
            }
            let number = db
                .prepare_cached("INSERT INTO bot_command (id, digest, done) VALUES (?1, ?2, 0)")?
                .insert((&id, digest))?;
            db.prepare_cached("DELETE FROM bot_command WHERE number <= ?1")?
                .execute([number - MOST_COMMANDS])?;
            Ok(Known::New)
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
        assert_eq!(memory.begin("a", [1; 32]).await.unwrap(), Known::New);
        assert_eq!(memory.begin("a", [1; 32]).await.unwrap(), Known::Begun);
        assert_eq!(memory.begin("a", [2; 32]).await.unwrap(), Known::Another);
        memory.done("a", Some(message)).await.unwrap();
        memory.forget("a").await.unwrap();
        let known = memory.begin("a", [1; 32]).await.unwrap();
        assert_eq!(known, Known::Done(Some(message)));
        memory.begin("b", [1; 32]).await.unwrap();
        memory.forget("b").await.unwrap();
        assert_eq!(memory.begin("b", [2; 32]).await.unwrap(), Known::New);
    }
}
