//! What happens to the chat, and what it wants to be done.

use std::{collections::BTreeMap, path::PathBuf};

use folkmoot_client::MemberRole;
use folkmoot_conversation::{
    ConsentState,
    context::{AdminChange, Attribute},
    permissions::{PolicyKind, Preset, Who},
};
use folkmoot_wire::{GroupId, InboxId, MessageId};
use ratatui::crossterm::event;

use super::model::{Body, Chat, ChatKey, Edge, Entry, Link, Transfer, TransferId, Window};

/// Something happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// At the terminal.
    Terminal(event::Event),
    /// Time went on: Unix time in nanoseconds.
    Time(u64),
    /// The connection changed.
    Link(Link),
    /// These are all conversations.
    Chats(Vec<Chat>),
    /// A conversation is new, or something about it is.
    Chat(Box<Chat>),
    /// Messages of the conversation that is shown may be others now.
    Changed,
    /// Somebody's name was learned.
    Names(Vec<(InboxId, String)>),
    /// Messages were loaded.
    History(Box<History>),
    /// Show this conversation.
    Show {
        /// The conversation.
        chat: Box<Chat>,
        /// The message to go to, and which messages are to be loaded for that.
        target: Option<(MessageId, Window)>,
    },
    /// These messages of the conversation are to be loaded next.
    Window(ChatKey, Window),
    /// Somebody writes in a conversation, or stopped.
    Typing {
        /// Where.
        key: ChatKey,
        /// Who.
        inbox: InboxId,
        /// Whether they still do.
        started: bool,
    },
    /// A file is on its way, or somewhat farther.
    Transfer(Transfer),
    /// A file has come, or will not.
    Transferred(TransferId),
    /// A group was looked at.
    Group(GroupId, Box<Details>),
    /// What a search found.
    Found {
        /// What was asked.
        query: String,
        /// The messages, the newest first.
        hits: Vec<Hit>,
    },
    /// Work begins.
    Begun,
    /// Work ended well; what to say about it.
    Done(Option<String>),
    /// Work failed: what happened, and what to do.
    Failed {
        /// What happened.
        what: String,
        /// What to do, where that is known.
        remedy: Option<String>,
    },
    /// A message is stored here and could not be sent.
    Unsent(MessageId, String),
    /// Messages that had waited were sent.
    Flushed(Vec<MessageId>),
    /// The program goes on after it was stopped.
    Resumed,
    /// The program is asked to end.
    Terminate,
}

/// Messages of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct History {
    /// Of which one.
    pub(crate) key: ChatKey,
    /// Which of its messages.
    pub(crate) window: Window,
    /// They, oldest first.
    pub(crate) entries: Vec<Entry>,
    /// Whether there are older ones.
    pub(crate) more: bool,
    /// Up to when the person has read: Unix time in nanoseconds.
    pub(crate) read_ns: u64,
    /// Up to when others have read, as far as they say.
    pub(crate) seen: BTreeMap<InboxId, u64>,
}

/// What is known about a group or a DM.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Details {
    /// What it is about.
    pub(crate) description: String,
    /// Where its picture is.
    pub(crate) picture: String,
    /// Who is in it: those who may most first.
    pub(crate) people: Vec<Person>,
    /// Who may do what; `None`: a rule made of several.
    pub(crate) rules: Vec<(PolicyKind, Option<Who>)>,
    /// The name of those rules, if they have one.
    pub(crate) preset: Option<Preset>,
    /// The network's name for it.
    pub(crate) id: String,
}

/// A member.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Person {
    /// The inbox.
    pub(crate) inbox: InboxId,
    /// The account's address, if known.
    pub(crate) address: String,
    /// What they may do.
    pub(crate) role: MemberRole,
}

/// A message that a search found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hit {
    /// In which conversation.
    pub(crate) id: GroupId,
    /// What all copies of the conversation have in common.
    pub(crate) key: ChatKey,
    /// The message.
    pub(crate) message: MessageId,
    /// Who sent it.
    pub(crate) sender: InboxId,
    /// When: Unix time in nanoseconds.
    pub(crate) sent_ns: u64,
    /// What it says.
    pub(crate) body: Body,
}

/// Something to be done. What comes of it is told by an [`Event`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Load messages.
    Load {
        /// The conversation.
        key: ChatKey,
        /// Its group.
        id: GroupId,
        /// Which messages.
        window: Window,
    },
    /// Load what is around a message, and show it.
    Jump {
        /// The group.
        id: GroupId,
        /// The message.
        message: MessageId,
    },
    /// Find out which messages come after those that are shown, or which are the first of all.
    Turn {
        /// The conversation.
        key: ChatKey,
        /// Its group.
        id: GroupId,
        /// The newest message that is shown: Unix time in nanoseconds.
        newest_ns: u64,
        /// How many messages are wanted.
        limit: usize,
        /// Where to: the very beginning, or some farther towards the end.
        to: Edge,
    },
    /// Remember up to when the person has read.
    MarkRead {
        /// The conversation.
        key: ChatKey,
        /// Its group.
        id: GroupId,
        /// Up to when: Unix time in nanoseconds.
        read_ns: u64,
        /// Tell the others too.
        receipt: bool,
    },
    /// Send words.
    Say {
        /// Where.
        id: GroupId,
        /// What.
        text: String,
        /// The message that they answer, and its sender.
        reply: Option<(MessageId, InboxId)>,
    },
    /// Put other words in place of a message.
    Edit {
        /// Where.
        id: GroupId,
        /// The message.
        message: MessageId,
        /// The words.
        text: String,
    },
    /// React to a message, or take that back.
    React {
        /// Where.
        id: GroupId,
        /// The message.
        message: MessageId,
        /// Its sender.
        sender: InboxId,
        /// With what.
        emoji: String,
        /// Whether to take it back.
        remove: bool,
    },
    /// Take a message back.
    Delete {
        /// Where.
        id: GroupId,
        /// The message.
        message: MessageId,
    },
    /// Send again what could not be sent.
    Retry(GroupId, MessageId),
    /// The connection is there again: send what waits, these messages among it, and fetch what
    /// does not come by itself.
    Flush(Vec<MessageId>),
    /// Send a file.
    SendFile {
        /// Where.
        id: GroupId,
        /// The file.
        path: PathBuf,
    },
    /// Write the files of a message to the disk.
    Save {
        /// The message.
        message: MessageId,
        /// The names of its files.
        names: Vec<String>,
        /// Where to: the file, or the folder if there are several.
        path: PathBuf,
    },
    /// Open the DM with somebody.
    NewDm(String),
    /// Make a group.
    NewGroup {
        /// Its name.
        name: String,
        /// Who is to be in it.
        members: Vec<String>,
    },
    /// Say what we think of a conversation.
    Consent(GroupId, ConsentState),
    /// Look at a group.
    Look(GroupId),
    /// Add people.
    Add(GroupId, Vec<String>),
    /// Remove somebody.
    Remove(GroupId, InboxId),
    /// Call somebody by this name from now on.
    Name {
        /// Whom.
        inbox: InboxId,
        /// The address or inbox that the contact stands for.
        whom: String,
        /// The name.
        name: String,
    },
    /// Give or take a role.
    Role(GroupId, AdminChange, InboxId),
    /// Change an attribute.
    Set(GroupId, Attribute, String),
    /// Change who may do something.
    Allow(GroupId, PolicyKind, Who),
    /// Change all rules to those with this name.
    Preset(GroupId, Preset),
    /// Let messages disappear after so many seconds, or stay.
    Vanish(GroupId, Option<u64>),
    /// Ask to be removed.
    Leave(GroupId),
    /// Tell the others that something is being written.
    Typing(GroupId),
    /// Let go of a file that is on its way.
    Cancel(TransferId),
    /// Put a text where other programs paste it from.
    Copy(String),
    /// Search.
    Search(String),
    /// Stop the program until the shell lets it go on.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// End.
    Quit,
}
