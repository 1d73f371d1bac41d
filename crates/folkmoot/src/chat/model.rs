//! What the chat knows: the state that [`super::update`] changes and [`super::view`] draws.
//!
//! Texts of strangers are cleaned (see [`super::text`]) when they come in, so nothing here can
//! harm a terminal.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_client::MemberRole;
use folkmoot_conversation::{ConsentState, content::GroupUpdated};
use folkmoot_wire::{GroupId, InboxId, MessageId};

use super::{
    dialog::{Dialog, Pane},
    editor::Editor,
    when::Clock,
};

/// Everything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    /// Who sits at the terminal.
    pub(crate) me: InboxId,
    /// What time it is.
    pub(crate) clock: Clock,
    /// How large the terminal is.
    pub(crate) size: Size,
    /// How the network is connected.
    pub(crate) link: Link,
    /// All conversations, the newest first.
    pub(crate) chats: Vec<Chat>,
    /// Whether the conversations were read from the database yet.
    pub(crate) loaded: bool,
    /// What people are called.
    pub(crate) names: BTreeMap<InboxId, String>,
    /// Which part of the screen gets the keys.
    pub(crate) focus: Focus,
    /// Where the cursor of the list is.
    pub(crate) cursor: Option<ChatKey>,
    /// Whether blocked conversations are listed.
    pub(crate) show_blocked: bool,
    /// The conversation that is shown.
    pub(crate) open: Option<Open>,
    /// What was being written in others.
    pub(crate) drafts: BTreeMap<ChatKey, Draft>,
    /// What lies over the rest.
    pub(crate) dialog: Option<Dialog>,
    /// The page from which a dialog was opened, and to which it leads back.
    pub(crate) behind: Option<Box<Pane>>,
    /// What the last line says for a while.
    pub(crate) notice: Option<Notice>,
    /// Messages that could not be sent, with the reason.
    pub(crate) unsent: BTreeMap<MessageId, String>,
    /// Work that was begun and is not done.
    pub(crate) busy: usize,
    /// Files on their way, the oldest first.
    pub(crate) transfers: Vec<Transfer>,
    /// Who is writing, where, and until when that is believed: Unix time in nanoseconds.
    pub(crate) typing: BTreeMap<(ChatKey, InboxId), u64>,
    /// What others are told by themselves.
    pub(crate) tells: Tells,
}

/// What others are told without a key being pressed for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tells {
    /// What was read.
    pub(crate) reading: bool,
    /// That something is being written.
    pub(crate) typing: bool,
}

/// A file on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Transfer {
    /// Which one.
    pub(crate) number: TransferId,
    /// The file's name.
    pub(crate) name: String,
    /// Whether it goes out, and does not come in.
    pub(crate) up: bool,
    /// Bytes that have gone.
    pub(crate) done: u64,
    /// Bytes in all, if known.
    pub(crate) total: Option<u64>,
}

/// Tells files on their way from each other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct TransferId(pub(crate) u64);

/// The size of the terminal in cells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Size {
    /// Cells from left to right.
    pub(crate) columns: u16,
    /// Cells from top to bottom.
    pub(crate) rows: u16,
}

/// How the network is connected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Link {
    /// Not yet.
    Connecting,
    /// Connected; what came before is being read.
    CatchingUp,
    /// Connected and up to date.
    Live,
    /// Cut; it is tried again by itself.
    Interrupted {
        /// Why, in words.
        reason: String,
        /// When it is tried again: Unix time in nanoseconds.
        retry_ns: u64,
    },
}

/// What all copies of a conversation have in common.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ChatKey(pub(crate) String);

/// A conversation in the list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chat {
    /// What tells it from others.
    pub(crate) key: ChatKey,
    /// Its group, or one of its groups.
    pub(crate) id: GroupId,
    /// Its name, if it has one.
    pub(crate) name: Option<String>,
    /// Group or DM.
    pub(crate) kind: ChatKind,
    /// Whether the person wants it.
    pub(crate) consent: ConsentState,
    /// When something was last said: Unix time in nanoseconds.
    pub(crate) last_ns: u64,
    /// What was said last.
    pub(crate) last: Option<Last>,
    /// What others said since the person looked.
    pub(crate) unread: u64,
    /// Why it does not go on, in words.
    pub(crate) trouble: Option<String>,
    /// After how many seconds messages disappear, if they do.
    pub(crate) vanish: Option<u64>,
    /// What the person is there.
    pub(crate) role: MemberRole,
    /// Whether the person asked to leave, and a super admin's app will see to it.
    pub(crate) leaving: bool,
    /// Whether the person is no member any more.
    pub(crate) gone: bool,
}

/// Group or DM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ChatKind {
    /// With one other person.
    Dm(InboxId),
    /// With several.
    Group {
        /// How many members it has.
        members: usize,
        /// Some of the others.
        others: Vec<InboxId>,
    },
}

/// What was said last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Last {
    /// By whom.
    pub(crate) sender: InboxId,
    /// What.
    pub(crate) body: Body,
}

/// Which part of the screen gets the keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Focus {
    /// The conversations.
    List,
    /// The messages.
    History,
    /// The text that is being written.
    Compose,
}

/// The conversation that is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Open {
    /// Which it is.
    pub(crate) key: ChatKey,
    /// Its messages, oldest first.
    pub(crate) entries: Vec<Entry>,
    /// Which of its messages are shown.
    pub(crate) window: Window,
    /// Whether there are older ones.
    pub(crate) more: bool,
    /// Whether messages were asked for and are not here yet.
    pub(crate) loading: bool,
    /// Where to go when the messages that were asked for are here.
    pub(crate) heading: Option<Edge>,
    /// Long messages that are shown as a whole.
    pub(crate) unfolded: BTreeSet<MessageId>,
    /// The row at the bottom; `None`: the last one, whatever comes.
    pub(crate) anchor: Option<Anchor>,
    /// The message that keys are about.
    pub(crate) selected: Option<MessageId>,
    /// Up to when the person had read when it was opened: Unix time in nanoseconds.
    pub(crate) read_ns: Option<u64>,
    /// Up to when the others have read, as far as they say.
    pub(crate) seen: BTreeMap<InboxId, u64>,
    /// What is being written.
    pub(crate) draft: Draft,
    /// When the others were last told that something is: Unix time in nanoseconds.
    pub(crate) told_ns: u64,
}

/// Which messages of a conversation are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    /// Those before this time; `None`: the newest.
    pub(crate) before_ns: Option<u64>,
    /// At most so many, the newest of those.
    pub(crate) limit: usize,
}

impl Window {
    /// The newest messages, as many as are loaded at first.
    pub(crate) const NEWEST: Self = Self {
        before_ns: None,
        limit: PAGE,
    };
}

/// An end of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Edge {
    /// Its first message.
    First,
    /// Its last one.
    Last,
}

/// A row of the history: counted from the first row of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Anchor {
    /// The message.
    pub(crate) message: MessageId,
    /// The row.
    pub(crate) row: usize,
}

/// What is being written, and to what.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Draft {
    /// The text.
    pub(crate) editor: Editor,
    /// What it is to be.
    pub(crate) purpose: Purpose,
    /// What was being written before an edit began.
    pub(crate) aside: Editor,
}

/// What a text is to be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// A message.
    #[default]
    Say,
    /// An answer to this message.
    Reply(MessageId),
    /// This message, in place of what it says.
    Edit(MessageId),
}

/// A message in the history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Which it is.
    pub(crate) id: MessageId,
    /// Who sent it.
    pub(crate) sender: InboxId,
    /// When: Unix time in nanoseconds.
    pub(crate) sent_ns: u64,
    /// What it says.
    pub(crate) body: Body,
    /// What it answers.
    pub(crate) quote: Option<Quote>,
    /// Reactions and who made them, in the order in which they came.
    pub(crate) reactions: Vec<(String, Vec<InboxId>)>,
    /// Whether the author changed it since.
    pub(crate) edited: bool,
    /// How far it has come.
    pub(crate) delivery: Delivery,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// Words.
    Text(String),
    /// Files, by name and size.
    Files(Vec<File>),
    /// What changed in the group.
    Update(GroupUpdated),
    /// A sentence about the sender, who is its subject.
    Act(String),
    /// It was taken back: by its author, or by this super admin.
    Deleted(Option<InboxId>),
}

/// A file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct File {
    /// Its name, as its sender says.
    pub(crate) name: String,
    /// How large it is, in bytes, as far as known.
    pub(crate) bytes: Option<u64>,
}

/// What a message answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quote {
    /// The message.
    pub(crate) id: MessageId,
    /// Who sent it, and what it says, if it is here.
    pub(crate) said: Option<(InboxId, Body)>,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// It is on its way to the node.
    Sending,
    /// The node has it.
    Sent,
    /// It could not be sent at all.
    Failed,
}

/// What the last line says for a while.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Notice {
    /// Good or bad news.
    pub(crate) tone: Tone,
    /// What happened.
    pub(crate) text: String,
    /// When it goes: Unix time in nanoseconds.
    pub(crate) until_ns: u64,
}

/// Good or bad news.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tone {
    /// Something was done.
    Good,
    /// Something went wrong.
    Bad,
}

/// Messages that are loaded at first, and more each time.
pub(crate) const PAGE: usize = 100;
/// Messages that are kept, at most: beyond that the oldest or the newest go.
pub(crate) const MOST_MESSAGES: usize = 500;

impl Model {
    /// A chat that knows nothing yet.
    pub(crate) fn new(me: InboxId, clock: Clock, size: Size) -> Self {
        Self {
            me,
            clock,
            size,
            link: Link::Connecting,
            chats: Vec::new(),
            loaded: false,
            names: BTreeMap::from([(me, "me".to_owned())]),
            focus: Focus::List,
            cursor: None,
            show_blocked: false,
            open: None,
            drafts: BTreeMap::new(),
            dialog: None,
            behind: None,
            notice: None,
            unsent: BTreeMap::new(),
            busy: 0,
            transfers: Vec::new(),
            typing: BTreeMap::new(),
            tells: Tells::default(),
        }
    }

    /// What somebody is called.
    pub(crate) fn name(&self, inbox: InboxId) -> String {
        match self.names.get(&inbox) {
            Some(name) => name.clone(),
            None => {
                let id = inbox.to_string();
                format!("{}…{}", &id[..6], &id[id.len() - 4..])
            }
        }
    }

    /// What a conversation is called: its name, else that of the others in it.
    pub(crate) fn title(&self, chat: &Chat) -> String {
        match (&chat.name, &chat.kind) {
            (Some(name), _) => name.clone(),
            (None, ChatKind::Dm(peer)) => self.name(*peer),
            (None, ChatKind::Group { others, members }) => {
                let names: Vec<_> = others.iter().map(|one| self.name(*one)).collect();
                match names.len() {
                    0 => "Only you".to_owned(),
                    shown if shown + 1 < *members => format!("{}, …", names.join(", ")),
                    _ => names.join(", "),
                }
            }
        }
    }

    /// A conversation of the list.
    pub(crate) fn chat(&self, key: &ChatKey) -> Option<&Chat> {
        self.chats.iter().find(|chat| chat.key == *key)
    }

    /// The conversation that is shown, as it stands in the list.
    pub(crate) fn open_chat(&self) -> Option<&Chat> {
        self.chat(&self.open.as_ref()?.key)
    }

    /// The conversations in the order of the list, by section.
    pub(crate) fn sections(&self) -> Vec<(Section, Vec<&Chat>)> {
        let of = |section: Section| {
            let chats = self.chats.iter();
            let chats: Vec<_> = chats.filter(|chat| Section::of(chat) == section).collect();
            (section, chats)
        };
        let mut sections = vec![of(Section::Requests), of(Section::Chats)];
        if self.show_blocked {
            sections.push(of(Section::Blocked));
        }
        sections.retain(|(_, chats)| !chats.is_empty());
        sections
    }

    /// The conversations as the list shows them, one after the other.
    pub(crate) fn listed(&self) -> Vec<&Chat> {
        let sections = self.sections().into_iter();
        sections.flat_map(|(_, chats)| chats).collect()
    }

    /// Why nothing can be written in the conversation that is shown, if so.
    pub(crate) fn shut(&self) -> Option<Shut> {
        let chat = self.open_chat()?;
        match Section::of(chat) {
            Section::Requests => Some(Shut::Request),
            Section::Blocked => Some(Shut::Blocked),
            Section::Chats if chat.gone => Some(Shut::Gone),
            Section::Chats => None,
        }
    }

    /// Who is writing in a conversation just now.
    pub(crate) fn typing(&self, key: &ChatKey) -> impl Iterator<Item = InboxId> {
        let now_ns = self.clock.now_ns;
        self.typing
            .iter()
            .filter(move |((chat, _), until_ns)| chat == key && **until_ns > now_ns)
            .map(|((_, inbox), _)| *inbox)
    }

    /// What others said in the conversations that the person wants since the person looked.
    pub(crate) fn unread(&self) -> u64 {
        let wanted = |chat: &&Chat| Section::of(chat) == Section::Chats;
        self.chats
            .iter()
            .filter(wanted)
            .map(|chat| chat.unread)
            .sum()
    }
}

/// Why nothing can be written in a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shut {
    /// The person was not asked yet whether they want it.
    Request,
    /// The person does not want it.
    Blocked,
    /// The person is no member any more.
    Gone,
}

/// A part of the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Section {
    /// From strangers.
    Requests,
    /// What the person wants.
    Chats,
    /// What the person does not want.
    Blocked,
}

impl Section {
    /// The part in which a conversation is listed.
    pub(crate) const fn of(chat: &Chat) -> Self {
        match chat.consent {
            ConsentState::Unknown => Self::Requests,
            ConsentState::Allowed => Self::Chats,
            ConsentState::Denied => Self::Blocked,
        }
    }
}

impl Open {
    /// A conversation of which nothing is loaded yet.
    pub(crate) const fn new(key: ChatKey, draft: Draft) -> Self {
        Self {
            key,
            entries: Vec::new(),
            window: Window::NEWEST,
            more: false,
            loading: true,
            heading: None,
            unfolded: BTreeSet::new(),
            anchor: None,
            selected: None,
            read_ns: None,
            seen: BTreeMap::new(),
            draft,
            told_ns: 0,
        }
    }

    /// A message, if it is loaded.
    pub(crate) fn entry(&self, id: &MessageId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == *id)
    }

    /// Whether no message is chosen, or one of the last `count`.
    pub(crate) fn is_near_end(&self, count: usize) -> bool {
        let mut last = self.entries.iter().rev().take(count);
        self.selected
            .is_none_or(|id| last.any(|entry| entry.id == id))
    }

    /// The message that keys are about.
    pub(crate) fn selected(&self) -> Option<&Entry> {
        self.entry(self.selected.as_ref()?)
    }
}
