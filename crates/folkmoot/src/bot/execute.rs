//! Does what commands say, each at most once if it has an id.
//!
//! The id of a command becomes the message's idempotency key, from which the message's own id
//! follows. So even a command that was cut off by the end of the program is found again: either its
//! message is in the database, and goes out by itself, or nothing happened.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use folkmoot_client::{
    Client, ConsentEntity, ConsentState, Conversation, ConversationError, DeliveryStatus, Error,
    GroupOptions, ListOptions, SendOptions,
};
use folkmoot_conversation::{
    content::{
        Attachment, Content, EncodedContent, MAX_ENCODED_BYTES, Markdown, Reaction, ReactionAction,
        ReadReceipt, Reply,
    },
    message_id,
};
use folkmoot_wire::{GroupId, MessageId};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use super::{
    backoff::Backoff,
    command::{Action, Change, Command, Consent, File, Place, Said, Source},
    event::{Code, Event, Trouble},
    guard::Guard,
    memory::{Known, Memory},
};
use crate::{
    failure::{Exit, Failure},
    xmtp::{
        run::explained,
        value::{Value, object},
        who,
    },
};

/// How long sending is tried again by itself while the network does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What a command costs that the loop guard stops, so that a bot that does not listen to errors
/// does not spin.
const GUARD_PAUSE: Duration = Duration::from_millis(250);

/// Does what commands say.
#[derive(Debug)]
pub(super) struct Executor {
    client: Client,
    memory: Memory,
    guard: Mutex<Guard>,
    files: Files,
}

/// Whether commands may name files of this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Files {
    /// A program on this machine could read them itself.
    Allowed,
    /// A web server could not.
    Refused,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    message: Option<MessageId>,
    conversation: Option<GroupId>,
    /// It was done before, under the same id.
    repeated: bool,
    /// The network does not have it yet; it goes out by itself.
    queued: bool,
}

impl Sent {
    const fn in_conversation(message: Option<MessageId>, conversation: GroupId) -> Self {
        Self {
            message,
            conversation: Some(conversation),
            repeated: false,
            queued: false,
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It waits for the network.
    Queued,
    Sent,
    /// It will not be sent.
    Failed,
    /// It is not here: it was never made, or was taken away since.
    Unknown,
}

/// Why a command was not done.
enum Refusal {
    /// In the bot's words already.
    Told(Trouble),
    /// By the client library, or by what looks people up.
    Failed(anyhow::Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<folkmoot_client::db::DbError> for Refusal {
    fn from(error: folkmoot_client::db::DbError) -> Self {
        Error::from(error).into()
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Told(trouble)
    }
}

impl Refusal {
    fn told(self) -> Trouble {
        let error = match self {
            Self::Told(trouble) => return trouble,
            Self::Failed(error) => explained(error),
        };
        let failure = error.downcast_ref::<Failure>();
        let code = match failure.map(Failure::exit) {
            Some(Exit::Usage) => Code::BadLine,
            Some(Exit::Network) => Code::Network,
            Some(Exit::NotFound) => Code::NotFound,
            Some(Exit::Refused) => Code::Refused,
            Some(Exit::Failed) | None => Code::Failed,
        };
        let remedy = failure.map_or("again later", Failure::remedy);
        Trouble::new(code, format!("{error:#}"), remedy)
    }
}

impl Executor {
    /// Acts as `client`; lets `limit` messages a minute into each conversation (0: any number).
    pub(super) fn new(client: Client, memory: Memory, limit: usize, files: Files) -> Self {
        Self {
            client,
            memory,
            guard: Mutex::new(Guard::new(limit)),
            files,
        }
    }

    /// Does it, and says what became of it.
    pub(super) async fn run(&self, command: Command, line: Option<u64>) -> Event {
        let id = command.id.clone();
        let word = command.action.word();
        match self.act(command).await {
            Ok(sent) => Event::new(object! {
                "type" => "sent",
                "id" => id,
                "command" => word,
                "messageId" => sent.message.map(|id| id.to_string()),
                "conversationId" => sent.conversation.map(|id| id.to_string()),
                "repeated" => sent.repeated.then_some(true).map_or(Value::Absent, Value::from),
                "queued" => sent.queued.then_some(true).map_or(Value::Absent, Value::from),
            }),
            Err(refusal) => Event::error(refusal.told(), id, line),
        }
    }

    async fn act(&self, command: Command) -> Result<Sent, Refusal> {
        let Command { id, action } = command;
        match action {
            Action::Send { place, said } => {
                let content = said.content();
                self.say(id, &self.find(&place).await?, &content).await
            }
            Action::Reply { to, said } => {
                let message = self.client.conversations().message(&to).await?;
                let mut reply = Reply::new(to, &said.content()).map_err(Error::Content)?;
                reply.reference_inbox_id = Some(message.sender.to_string());
                let conversation = self.conversation(&message.conversation_id).await?;
                self.say(id, &conversation, &reply.into()).await
            }
            Action::React { to, emoji, change } => {
                let message = self.client.conversations().message(&to).await?;
                let mut reaction = Reaction::emoji(to, emoji);
                reaction.reference_inbox_id = Some(message.sender.to_string());
                reaction.action = match change {
                    Change::Added => ReactionAction::Added,
                    Change::Removed => ReactionAction::Removed,
                };
                let conversation = self.conversation(&message.conversation_id).await?;
                self.say(id, &conversation, &reaction.into()).await
            }
            Action::Attach { place, file } => {
                let content = self.load(file).await?.into();
                self.say(id, &self.find(&place).await?, &content).await
            }
            Action::AttachRemote { place, remote } => {
                self.say(id, &self.find(&place).await?, &remote.into())
                    .await
            }
            Action::Edit { message, said } => {
                let conversation = self.find(&Place::Of(message)).await?;
                self.pass(conversation.id())?;
                let edit = conversation.edit_message(&message, &said.content()).await?;
                let here = conversation.id().clone();
                Ok(Sent::in_conversation(Some(edit), here))
            }
            Action::Delete(message) => {
                let conversation = self.find(&Place::Of(message)).await?;
                self.pass(conversation.id())?;
                let deletion = conversation.delete_message(&message).await?;
                let here = conversation.id().clone();
                Ok(Sent::in_conversation(Some(deletion), here))
            }
            Action::Typing { place, typing } => {
                let conversation = self.find(&place).await?;
                self.pass(conversation.id())?;
                let said = conversation.send_typing(typing).await?;
                let here = conversation.id().clone();
                Ok(Sent::in_conversation(Some(said), here))
            }
            Action::Group {
                members,
                name,
                description,
            } => self.found(id, members, name, description).await,
            Action::Consent { whom, state } => self.consent(whom, state).await,
            Action::Read(place) => {
                let content = Content::ReadReceipt(ReadReceipt);
                self.say(id, &self.find(&place).await?, &content).await
            }
            Action::Leave(place) => {
                let mut conversation = self.find(&place).await?;
                conversation.leave().await?;
                Ok(Sent::in_conversation(None, conversation.id().clone()))
            }
            // Whoever reads the lines ends the program.
            Action::Stop => Ok(Sent {
                message: None,
                conversation: None,
                repeated: false,
                queued: false,
            }),
        }
    }

    /// Makes a group, once if the command has an id.
    async fn found(
        &self,
        id: Option<String>,
        members: Vec<String>,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<Sent, Refusal> {
        let mut digest = Sha256::new().chain_update(b"group");
        for part in members.iter().chain(&name).chain(&description) {
            digest = digest.chain_update(b"\t").chain_update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        if let Some(id) = &id {
            let known = self.memory.begin(id, digest, MessageId::from_bytes(digest));
            match known.await? {
                Known::New | Known::Begun => {}
                Known::Done(_) => {
                    return Ok(Sent {
                        message: None,
                        conversation: None,
                        repeated: true,
                        queued: false,
                    });
                }
                Known::BegunOtherwise(_) | Known::Another => return Err(another(id).into()),
            }
        }
        let making = async {
            let mut inboxes = BTreeSet::new();
            for member in &members {
                inboxes.insert(who::inbox(&self.client, member).await?);
            }
            let options = GroupOptions {
                name,
                description,
                ..GroupOptions::default()
            };
            let conversations = self.client.conversations();
            let group = conversations.new_group(inboxes, options).await?;
            Ok(Sent::in_conversation(None, group.id().clone()))
        };
        let made: Result<Sent, Refusal> = making.await;
        if let Some(id) = &id {
            match &made {
                Ok(_) => self.memory.done(id, None).await?,
                Err(_) => self.memory.forget(id).await?,
            }
        }
        made
    }

    /// Notes what the bot thinks of a conversation or a person.
    async fn consent(&self, whom: Place, state: Consent) -> Result<Sent, Refusal> {
        let state = match state {
            Consent::Allowed => ConsentState::Allowed,
            Consent::Denied => ConsentState::Denied,
            Consent::Unknown => ConsentState::Unknown,
        };
        let (entity, conversation) = match whom {
            Place::Person(name) => {
                let inbox = who::inbox(&self.client, &name).await?;
                (ConsentEntity::Inbox(inbox), None)
            }
            place => {
                let conversation = self.find(&place).await?;
                // In all copies of a DM.
                conversation.set_consent(state).await?;
                let id = conversation.id().clone();
                (ConsentEntity::Conversation(id.clone()), Some(id))
            }
        };
        if conversation.is_none() {
            let conversations = self.client.conversations();
            conversations.set_consent([(entity, state)]).await?;
        }
        Ok(Sent {
            message: None,
            conversation,
            repeated: false,
            queued: false,
        })
    }

    async fn find(&self, place: &Place) -> Result<Conversation, Refusal> {
        match place {
            Place::Conversation(id) => self.conversation(id).await,
            Place::Of(id) => {
                let message = self.client.conversations().message(id).await?;
                self.conversation(&message.conversation_id).await
            }
            Place::Person(name) => {
                let inbox = who::inbox(&self.client, name).await?;
                Ok(self.client.conversations().new_dm(inbox).await?)
            }
        }
    }

    async fn conversation(&self, id: &GroupId) -> Result<Conversation, Refusal> {
        Ok(self.client.conversations().get(id).await?)
    }

    async fn load(&self, file: File) -> Result<Attachment, Refusal> {
        let path = match &file.source {
            Source::Path(path) => Some(path.clone()),
            Source::Bytes(_) => None,
        };
        if path.is_some() && self.files == Files::Refused {
            let message = "a web server may not name files of this machine";
            return Err(
                Trouble::new(Code::Refused, message, "\"data\": the file in base64").into(),
            );
        }
        let name = path.as_deref().and_then(Path::file_name);
        let filename = file.filename.or_else(|| Some(name?.to_str()?.to_owned()));
        let mime_type = file.mime_type.unwrap_or_else(|| {
            let name = filename.as_deref().unwrap_or_default();
            crate::xmtp::mime_type(Path::new(name)).to_owned()
        });
        let data = match file.source {
            Source::Bytes(bytes) => bytes.into(),
            Source::Path(path) => read(&path).await?,
        };
        Ok(Attachment {
            filename,
            mime_type,
            data,
        })
    }

    /// Sends a content, at most once if it has an id.
    async fn say(
        &self,
        id: Option<String>,
        conversation: &Conversation,
        content: &Content,
    ) -> Result<Sent, Refusal> {
        let encoded = content.encode().map_err(Error::Content)?;
        let here = conversation.id().clone();
        let sent = Sent::in_conversation(None, here.clone());
        let Some(id) = id else {
            self.pass(&here)?;
            let key = format!("folkmoot-bot:{}", hex::encode(rand::random::<[u8; 16]>()));
            return self.send(conversation, &encoded, &key).await;
        };
        // Another bot with the same ids must not make messages with the same ids.
        let key = format!("folkmoot-bot:{}:{id}", self.client.inbox_id());
        let digest = Sha256::new()
            .chain_update(conversation.dm_id().unwrap_or(&here.to_string()))
            .chain_update(b"\t")
            .chain_update(encoded.as_bytes());
        let digest = digest.finalize().into();
        let planned = message_id(&here, &key, encoded.as_bytes());
        let repeated = |message, queued| Sent {
            message,
            repeated: true,
            queued,
            ..sent
        };
        match self.memory.begin(&id, digest, planned).await? {
            Known::New => {}
            Known::Done(message) => {
                let fate = match message {
                    Some(message) => self.fate(&message).await?,
                    None => Fate::Unknown,
                };
                match fate {
                    // It was queued, and nobody got it.
                    Fate::Failed => self.memory.begin_again(&id, digest, planned).await?,
                    fate => return Ok(repeated(message, fate == Fate::Queued)),
                }
            }
            Known::Begun => {
                if let Some((message, queued)) = self.stored(conversation, &encoded, &key).await? {
                    self.memory.done(&id, Some(message)).await?;
                    return Ok(repeated(Some(message), queued));
                }
            }
            // A bot may find other words for the same event.
            Known::BegunOtherwise(message) => {
                let fate = match message {
                    Some(message) => self.fate(&message).await?,
                    None => Fate::Unknown,
                };
                match fate {
                    Fate::Failed | Fate::Unknown => {
                        self.memory.begin_again(&id, digest, planned).await?;
                    }
                    fate => {
                        self.memory.done(&id, message).await?;
                        return Ok(repeated(message, fate == Fate::Queued));
                    }
                }
            }
            Known::Another => {
                return Err(another(&id).into());
            }
        }
        let sending = async {
            self.pass(&here)?;
            self.send(conversation, &encoded, &key).await
        };
        match sending.await {
            Ok(sent) => {
                self.memory.done(&id, sent.message).await?;
                Ok(sent)
            }
            Err(refusal) => {
                self.memory.forget(&id).await?;
                Err(refusal)
            }
        }
    }

    /// Asks the loop guard.
    fn pass(&self, conversation: &GroupId) -> Result<(), Refusal> {
        let passed = self.guard.lock().pass(conversation, Instant::now());
        passed.map_err(|wait| {
            let seconds = wait.as_secs_f64().ceil();
            Trouble::new(
                Code::LoopGuard,
                "this conversation has had as many messages in a minute as the bot may send",
                format!("again in {seconds} s; --max-per-minute raises the limit"),
            )
            .into()
        })
    }

    /// Sends, and tries again for a while when the network does not answer.
    async fn send(
        &self,
        conversation: &Conversation,
        encoded: &EncodedContent,
        key: &str,
    ) -> Result<Sent, Refusal> {
        let began = Instant::now();
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let here = conversation.id().clone();
        loop {
            let options = SendOptions {
                should_push: None,
                idempotency_key: Some(key.to_owned()),
                ..SendOptions::default()
            };
            let error = match conversation.send_encoded(encoded, options).await {
                Ok(message) => return Ok(Sent::in_conversation(Some(message), here)),
                Err(error) => error,
            };
            if let Some((message, queued)) = self.stored(conversation, encoded, key).await? {
                return Ok(Sent {
                    queued,
                    ..Sent::in_conversation(Some(message), here)
                });
            }
            if !error.is_retryable() || began.elapsed() > PATIENCE {
                return Err(error.into());
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// What became of a message of our own.
    async fn fate(&self, id: &MessageId) -> Result<Fate, Refusal> {
        match self.client.conversations().message(id).await {
            Ok(message) => Ok(match message.delivery {
                DeliveryStatus::Unpublished => Fate::Queued,
                DeliveryStatus::Published => Fate::Sent,
                DeliveryStatus::Failed => Fate::Failed,
            }),
            Err(Error::Conversation(ConversationError::MessageNotFound(_))) => Ok(Fate::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    /// The message that was made with this key, if it got as far as the database, and whether it
    /// still waits there.
    async fn stored(
        &self,
        conversation: &Conversation,
        encoded: &EncodedContent,
        key: &str,
    ) -> Result<Option<(MessageId, bool)>, Refusal> {
        let conversations = self.client.conversations();
        let mut groups = vec![conversation.id().clone()];
        if let Some(dm_id) = conversation.dm_id() {
            let every = ListOptions {
                include_duplicate_dms: true,
                ..ListOptions::default()
            };
            let copies = conversations.list(&every).await?.into_iter();
            let copies = copies.filter(|copy| copy.dm_id() == Some(dm_id));
            groups.extend(copies.map(|copy| copy.id().clone()));
        }
        for group in groups {
            let id = message_id(&group, key, encoded.as_bytes());
            match conversations.message(&id).await {
                Ok(message) if message.delivery == DeliveryStatus::Failed => {}
                Ok(message) => {
                    let queued = message.delivery == DeliveryStatus::Unpublished;
                    return Ok(Some((id, queued)));
                }
                Err(Error::Conversation(ConversationError::MessageNotFound(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

fn another(id: &str) -> Trouble {
    Trouble::new(
        Code::Refused,
        format!("the id {id:?} belongs to a command that said something else"),
        "a new id for each command; the same only for the same command",
    )
}

/// How long to wait before the next command, after this outcome.
pub(super) fn pause_after(outcome: &Event) -> Option<Duration> {
    outcome.is_of_guard().then_some(GUARD_PAUSE)
}

impl Said {
    fn content(self) -> Content {
        match self {
            Self::Text(text) => Content::text(text),
            Self::Markdown(text) => Content::Markdown(Markdown(text)),
            Self::Actions(actions) => Content::Actions(actions),
        }
    }
}

/// The bytes of a file, but never more than a message can have.
async fn read(path: &Path) -> Result<Bytes, Trouble> {
    let failed = |cause: std::io::Error| {
        let code = match cause.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Failed,
        };
        let message = format!("{} cannot be read: {cause}", path.display());
        Trouble::new(
            code,
            message,
            "the path of a file, from where the program was started",
        )
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let limit = u64::try_from(MAX_ENCODED_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(failed)?;
    if bytes.len() > MAX_ENCODED_BYTES {
        let megabytes = MAX_ENCODED_BYTES >> 20;
        let message = format!("{} has more than {megabytes} MiB", path.display());
        return Err(Trouble::new(Code::Refused, message, "a smaller file"));
    }
    Ok(bytes.into())
}
