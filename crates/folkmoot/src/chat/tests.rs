//! What the tests of the core have in common: some people, and a chat with a few conversations.

use folkmoot_client::MemberRole;
use folkmoot_conversation::{
    ConsentState,
    content::GroupUpdated,
    context::Attribute,
    permissions::{PolicyKind, Preset, Who},
};
use folkmoot_wire::{GroupId, InboxId, MessageId};
use jiff::tz::TimeZone;
use ratatui::crossterm::event::{Event as Terminal, KeyCode, KeyEvent, KeyModifiers};

use super::{
    event::{Details, Effect, Event, History, Person},
    model::{
        Body, Chat, ChatKey, ChatKind, Delivery, Entry, File, Last, Link, Model, Quote, Size,
        Window,
    },
    update::update,
    when::Clock,
};

/// The wall clock of the tests: 2026-01-31 12:34 in UTC.
pub(crate) const NOW_NS: u64 = 1_769_862_840_000_000_000;
/// A minute.
pub(crate) const MINUTE: u64 = 60_000_000_000;
/// A day.
const DAY: u64 = 24 * 60 * MINUTE;

/// Somebody; number 0 sits at the terminal.
pub(crate) fn person(number: u8) -> InboxId {
    InboxId::from_bytes([number + 1; 32])
}

/// A group's id.
pub(crate) fn group(number: u8) -> GroupId {
    GroupId::try_from(vec![number; 16]).unwrap()
}

/// A message's id.
pub(crate) fn message(number: u8) -> MessageId {
    MessageId::from_bytes([number; 32])
}

/// A conversation's key.
pub(crate) fn key(number: u8) -> ChatKey {
    ChatKey(number.to_string())
}

/// A chat that knows some names and nothing else.
pub(crate) fn model() -> Model {
    let clock = Clock {
        now_ns: NOW_NS,
        zone: TimeZone::UTC,
    };
    let size = Size {
        columns: 80,
        rows: 24,
    };
    let mut model = Model::new(person(0), clock, size);
    model.names.insert(person(1), "bob".to_owned());
    model.names.insert(person(2), "carol".to_owned());
    model
}

/// A conversation in which `sender` said something some minutes ago.
pub(crate) fn chat(number: u8, minutes: u64, sender: InboxId, text: &str) -> Chat {
    Chat {
        key: key(number),
        id: group(number),
        name: None,
        kind: ChatKind::Dm(person(1)),
        consent: ConsentState::Allowed,
        last_ns: NOW_NS - minutes * MINUTE,
        last: Some(Last {
            sender,
            body: Body::Text(text.to_owned()),
        }),
        unread: 0,
        trouble: None,
        vanish: None,
        role: MemberRole::Member,
        leaving: false,
        gone: false,
    }
}

/// A message of some minutes ago.
pub(crate) fn entry(number: u8, minutes: u64, sender: InboxId, text: &str) -> Entry {
    Entry {
        id: message(number),
        sender,
        sent_ns: NOW_NS - minutes * MINUTE,
        body: Body::Text(text.to_owned()),
        quote: None,
        reactions: Vec::new(),
        edited: false,
        delivery: Delivery::Sent,
    }
}

/// A DM with bob, a group with two more people, and a request of a stranger.
pub(crate) fn chats() -> Vec<Chat> {
    let dm = chat(1, 4, person(1), "see you there");
    let picnic = Chat {
        name: Some("Picnic".to_owned()),
        kind: ChatKind::Group {
            members: 3,
            others: vec![person(1), person(2)],
        },
        unread: 2,
        ..chat(
            2,
            90,
            person(2),
            "who brings the salt? I have none left at home",
        )
    };
    let request = Chat {
        kind: ChatKind::Dm(person(9)),
        consent: ConsentState::Unknown,
        unread: 1,
        ..chat(3, 3 * 24 * 60, person(9), "hi, we met at the lake")
    };
    vec![dm, picnic, request]
}

/// What bob and we said.
pub(crate) fn entries() -> Vec<Entry> {
    let (me, bob) = (person(0), person(1));
    let mut joined = GroupUpdated::by(bob);
    joined.added_inboxes = vec![me];
    vec![
        Entry {
            body: Body::Update(joined),
            sent_ns: NOW_NS - DAY - MINUTE,
            ..entry(1, 0, bob, "")
        },
        Entry {
            sent_ns: NOW_NS - DAY,
            ..entry(
                2,
                0,
                bob,
                "Are we still on for tomorrow? The forecast says rain until ten, and after that it should clear up.",
            )
        },
        Entry {
            quote: Some(Quote {
                id: message(2),
                said: Some((bob, Body::Text("Are we still on for tomorrow?".to_owned()))),
            }),
            reactions: vec![
                ("👍".to_owned(), vec![bob]),
                ("🎉".to_owned(), vec![me, bob, person(2)]),
            ],
            ..entry(3, 30, me, "Yes, at noon.\nI bring bread.")
        },
        Entry {
            edited: true,
            ..entry(4, 29, me, "And cheese")
        },
        Entry {
            body: Body::Files(vec![File {
                name: "map.png".to_owned(),
                bytes: Some(48_200),
            }]),
            ..entry(5, 10, bob, "")
        },
        Entry {
            body: Body::Deleted(None),
            ..entry(6, 9, bob, "")
        },
        Entry {
            delivery: Delivery::Sending,
            ..entry(7, 5, me, "日本語 too? ❤")
        },
        entry(8, 4, bob, "see you there"),
    ]
}

/// A chat with these conversations.
pub(crate) fn with_chats() -> Model {
    let mut model = model();
    update(&mut model, Event::Chats(chats()));
    update(&mut model, Event::Link(Link::Live));
    model
}

/// The messages of a conversation.
pub(crate) fn history(number: u8, entries: Vec<Entry>) -> Event {
    Event::History(Box::new(History {
        key: key(number),
        window: Window {
            before_ns: None,
            limit: super::model::PAGE,
        },
        entries,
        more: false,
        read_ns: NOW_NS - 20 * MINUTE,
        seen: [(person(1), NOW_NS - 8 * MINUTE)].into(),
    }))
}

/// What is known about a group in which we are this, bob an admin, and carol a member.
pub(crate) fn details(number: u8, role: MemberRole) -> Event {
    let member = |number, role| Person {
        inbox: person(number),
        address: format!("0x{}", "0a".repeat(20)),
        role,
    };
    let mut people = vec![
        member(0, role),
        member(1, MemberRole::Admin),
        member(2, MemberRole::Member),
    ];
    people.sort_by_key(|person| std::cmp::Reverse(person.role));
    let anybody = |attribute| (PolicyKind::UpdateMetadata(attribute), Some(Who::Everyone));
    let details = Details {
        description: "Every first Sunday of the month, by the lake.".to_owned(),
        picture: String::new(),
        people,
        rules: vec![
            (PolicyKind::AddMember, Some(Who::Everyone)),
            (PolicyKind::RemoveMember, Some(Who::Admins)),
            (PolicyKind::AddAdmin, Some(Who::SuperAdmins)),
            (PolicyKind::RemoveAdmin, Some(Who::SuperAdmins)),
            anybody(Attribute::GroupName),
            anybody(Attribute::Description),
            anybody(Attribute::ImageUrl),
            (
                PolicyKind::UpdateMetadata(Attribute::DisappearInNs),
                Some(Who::Admins),
            ),
        ],
        preset: Some(Preset::AllMembers),
        id: group(number).to_string(),
    };
    Event::Group(group(number), Box::new(details))
}

/// A chat in which the DM with bob is open.
pub(crate) fn with_open() -> Model {
    let mut model = with_chats();
    super::update::open_chat(&mut model, &key(1));
    update(&mut model, history(1, entries()));
    model
}

/// Presses a key.
pub(crate) fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    press_with(model, KeyModifiers::NONE, code)
}

/// Presses a key with others.
pub(crate) fn press_with(model: &mut Model, with: KeyModifiers, code: KeyCode) -> Vec<Effect> {
    let key = Terminal::Key(KeyEvent::new(code, with));
    update(model, Event::Terminal(key))
}

/// Types a text.
pub(crate) fn write(model: &mut Model, text: &str) -> Vec<Effect> {
    let keys = text.chars().map(KeyCode::Char);
    keys.flat_map(|key| press(model, key)).collect()
}
