//! Search: full text over what messages say.
//!
//! The index is brought up to date when somebody searches, and not while messages arrive; whoever
//! never searches pays nothing. Messages that are deleted or disappear leave it at once.

use folkmoot_conversation::content::{Codec as _, Content, EncodedContent, Text};
use folkmoot_wire::{GroupId, MessageId};
use rusqlite::{Connection, params};

use crate::{
    Client, Error,
    db::{DbError, Transaction},
    message::{self, Message},
};

/// What to search for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SearchOptions {
    /// Only in this conversation, with the copies of a DM.
    pub conversation: Option<GroupId>,
    /// At most this many. Default: 50.
    pub limit: Option<usize>,
    /// Leave out so many of the best, to show the next page.
    pub offset: usize,
}

impl Client {
    /// The messages that hold all words of `query`, or words that begin with them, the newest
    /// first, those left out that were deleted. Letter case and accents do not matter; `"in quotes"` means words in this order.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn search(&self, query: &str, options: SearchOptions) -> Result<Vec<Message>, Error> {
        let Some(question) = question(query) else {
            return Ok(Vec::new());
        };
        while self.database().write(index_more).await? {}
        let found = self
            .database()
            .read(move |db| find(db, &question, &options))
            .await?;
        Ok(found)
    }
}

/// What people can read in a content.
pub(crate) fn text_of(content: &Content) -> Option<String> {
    match content {
        Content::Text(text) => Some(text.0.clone()),
        Content::Markdown(markdown) => Some(markdown.0.clone()),
        Content::Reply(reply) => text_of(&reply.content()),
        Content::Attachment(file) => file.filename.clone(),
        Content::RemoteAttachment(file) => file.filename.clone(),
        Content::MultiRemoteAttachment(files) => {
            let names = files.attachments.iter();
            let names: Vec<_> = names.filter_map(|file| file.filename.as_deref()).collect();
            (!names.is_empty()).then(|| names.join(" "))
        }
        Content::Actions(actions) => {
            let labels = actions.actions.iter().map(|action| action.label.as_str());
            let all: Vec<_> = [actions.description.as_str()]
                .into_iter()
                .chain(labels)
                .collect();
            Some(all.join(" "))
        }
        Content::EditMessage(edit) => Text::decode(&edit.edited).ok().map(|text| text.0),
        Content::Custom(encoded) => encoded.fallback().map(str::to_owned),
        _ => None,
    }
}

/// Indexes some of the messages that came since the last time. `true`: there may be more.
fn index_more(db: &Transaction<'_>) -> Result<bool, DbError> {
    let from: i64 = db
        .prepare_cached("SELECT value FROM counter WHERE name = 'search'")?
        .query_row([], |row| row.get(0))?;
    let sql = "SELECT message.local, message.content FROM message
         JOIN conversation ON conversation.id = message.group_id AND conversation.kind IN (1, 2)
         WHERE message.local > ?1 AND message.kind = 1 ORDER BY message.local LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![from, AT_ONCE])?;
    let mut insert =
        db.prepare_cached("INSERT OR REPLACE INTO message_text (rowid, text) VALUES (?1, ?2)")?;
    let (mut last, mut count, mut bytes) = (None, 0, 0);
    while bytes < message::READ_AT_ONCE
        && let Some(row) = rows.next()?
    {
        let local: i64 = row.get(0)?;
        let content: Vec<u8> = row.get(1)?;
        bytes += content.len();
        let encoded = EncodedContent::decode(content.into()).ok();
        let text = encoded.and_then(|encoded| text_of(&Content::decode(&encoded)));
        if let Some(text) = text {
            insert.execute(params![local, text])?;
        }
        (last, count) = (Some(local), count + 1);
    }
    if let Some(last) = last {
        db.prepare_cached("UPDATE counter SET value = ?1 WHERE name = 'search'")?
            .execute([last])?;
    }
    Ok(count == AT_ONCE || bytes >= message::READ_AT_ONCE)
}

fn find(db: &Connection, question: &str, options: &SearchOptions) -> Result<Vec<Message>, DbError> {
    let sql = "SELECT message.id, EXISTS (SELECT 1 FROM message AS deletion
             WHERE deletion.reference = message.id AND deletion.type = 'deleteMessage')
         FROM message_text JOIN message ON message.local = message_text.rowid
         WHERE message_text MATCH ?1 AND (?2 IS NULL OR message.group_id IN (
             SELECT copy.id FROM conversation AS asked
             JOIN conversation AS copy ON copy.id = asked.id OR copy.dm_id = asked.dm_id
             WHERE asked.id = ?2
         ))
         ORDER BY message.sent_ns DESC, message.local DESC";
    let group = options.conversation.as_ref().map(GroupId::as_bytes);
    let limit = options.limit.unwrap_or(DEFAULT_LIMIT);
    let mut left_out = options.offset;
    let mut found = Vec::new();
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![question, group])?;
    while let Some(row) = rows.next()?
        && found.len() < limit
    {
        let id = MessageId::from_bytes(row.get(0)?);
        let Some(message) = message::message(db, &id)? else {
            continue;
        };
        // What somebody took back is not to be shown, although it is here.
        if row.get(1)? && message::is_deleted(db, message.clone())? {
            continue;
        }
        match left_out.checked_sub(1) {
            Some(fewer) => left_out = fewer,
            None => found.push(message),
        }
    }
    Ok(found)
}

/// What a person types, as a question to FTS5: every word in quotes, so that nothing in it has a
/// meaning there, and every word outside of quotes may go on. `None`: no words.
fn question(query: &str) -> Option<String> {
    let mut terms = Vec::new();
    for (at, part) in query.split('"').enumerate() {
        let quoted = at % 2 == 1;
        let has_words = |text: &str| text.chars().any(char::is_alphanumeric);
        if quoted && has_words(part) {
            terms.push(format!("\"{part}\""));
        } else if !quoted {
            let words = part.split_whitespace().filter(|word| has_words(word));
            terms.extend(words.map(|word| format!("\"{word}\"*")));
        }
    }
    terms.truncate(MOST_TERMS);
    (!terms.is_empty()).then(|| terms.join(" "))
}

/// Messages indexed in one transaction, so that sending does not wait for long.
const AT_ONCE: i64 = 2_000;
const DEFAULT_LIMIT: usize = 50;
const MOST_TERMS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_has_no_meaning_but_its_words() {
        assert_eq!(
            question("lake noon").as_deref(),
            Some("\"lake\"* \"noon\"*")
        );
        assert_eq!(
            question("\"at noon\" oak").as_deref(),
            Some("\"at noon\" \"oak\"*")
        );
        assert_eq!(
            question("a OR b*").as_deref(),
            Some("\"a\"* \"OR\"* \"b*\"*")
        );
        assert_eq!(question(" - \" \" ( "), None);
        assert_eq!(question(""), None);
    }
}
