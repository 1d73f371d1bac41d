use folkmoot_client::MemberRole;
use folkmoot_conversation::ConsentState;
use ratatui::crossterm::event::{Event as Terminal, KeyCode, KeyModifiers};

use super::*;
use crate::chat::{
    model::{Delivery, Purpose},
    tests::{
        MINUTE, NOW_NS, chat, details, entries, entry, group, history, key, message, model, person,
        press, press_with, with_chats, with_open, write,
    },
};

mod groups;
mod large;
mod mouse;
mod writing;

const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

#[test]
fn the_newest_conversation_stands_first_and_requests_apart() {
    let model = with_chats();
    let sections = model.sections();
    let keys = |at: usize| -> Vec<_> { sections[at].1.iter().map(|chat| &chat.key.0).collect() };
    assert_eq!(sections[0].0, Section::Requests);
    assert_eq!(keys(0), ["3"]);
    assert_eq!(keys(1), ["1", "2"]);
}

#[test]
fn enter_opens_a_conversation_and_another_enter_sends() {
    let mut model = with_chats();
    press(&mut model, KeyCode::Down);
    let effects = press(&mut model, KeyCode::Enter);
    let [
        Effect::Load {
            key: loaded, id, ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!((loaded, id), (&key(1), &group(1)));
    write(&mut model, "at noon");
    press_with(&mut model, KeyModifiers::ALT, KeyCode::Enter);
    write(&mut model, "by the lake ");
    let effects = press(&mut model, KeyCode::Enter);
    let said = Effect::Say {
        id: group(1),
        text: "at noon\nby the lake".to_owned(),
        reply: None,
    };
    assert_eq!(effects, [said]);
    assert!(
        press(&mut model, KeyCode::Enter).is_empty(),
        "nothing is left to say"
    );
}

#[test]
fn pasted_lines_are_not_sent_one_by_one() {
    let mut model = with_open();
    let pasted = Terminal::Paste("one\ntwo\n".to_owned());
    assert!(update(&mut model, Event::Terminal(pasted)).is_empty());
    let open = model.open.as_ref().unwrap();
    assert_eq!(open.draft.editor.text(), "one\ntwo\n");
}

#[test]
fn opening_a_conversation_marks_it_read_up_to_the_newest_message() {
    let mut model = with_chats();
    model.chats[0].unread = 3;
    open_chat(&mut model, &key(1));
    let effects = update(&mut model, history(1, entries()));
    let read = Effect::MarkRead {
        key: key(1),
        id: group(1),
        read_ns: NOW_NS - 4 * MINUTE,
        receipt: false,
    };
    assert_eq!(effects, [read]);
    assert_eq!(model.chats[0].unread, 0);
}

#[test]
fn a_request_is_shown_without_telling_and_answered_with_a_key() {
    let mut model = with_chats();
    model.tells.reading = true;
    open_chat(&mut model, &key(3));
    let said = entry(1, 10, person(9), "hi");
    assert!(update(&mut model, history(3, vec![said])).is_empty());
    assert_eq!(model.focus, Focus::History);
    // Nothing can be written before the answer.
    assert!(write(&mut model, "x").is_empty());
    let effects = write(&mut model, "a");
    assert_eq!(effects[0], Effect::Consent(group(3), ConsentState::Allowed));
    assert_eq!(model.focus, Focus::Compose);
    assert_eq!(model.shut(), None);
}

#[test]
fn a_blocked_conversation_leaves_the_list_until_it_is_asked_for() {
    let mut model = with_chats();
    model.cursor = Some(key(3));
    let effects = write(&mut model, "b");
    assert_eq!(effects, [Effect::Consent(group(3), ConsentState::Denied)]);
    assert_eq!(model.listed().len(), 2);
    write(&mut model, "B");
    assert_eq!(model.listed().len(), 3);
    // What was wanted once is not blocked by a slip.
    model.cursor = Some(key(1));
    assert!(write(&mut model, "b").is_empty());
    assert!(!write(&mut model, "y").is_empty());
}

#[test]
fn a_reply_an_edit_and_a_deletion_are_about_the_chosen_message() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    write(&mut model, "r");
    write(&mut model, "fine");
    let effects = press(&mut model, KeyCode::Enter);
    let reply = Effect::Say {
        id: group(1),
        text: "fine".to_owned(),
        reply: Some((message(8), person(1))),
    };
    assert_eq!(effects, [reply]);

    press(&mut model, KeyCode::Up);
    write(&mut model, "e");
    assert!(model.notice.is_some(), "this message is bob's");
    press(&mut model, KeyCode::Up);
    write(&mut model, "e");
    let draft = &model.open.as_ref().unwrap().draft;
    assert_eq!(draft.purpose, Purpose::Edit(message(7)));
    assert_eq!(draft.editor.text(), "日本語 too? ❤");
    write(&mut model, "!");
    let effects = press(&mut model, KeyCode::Enter);
    let edit = Effect::Edit {
        id: group(1),
        message: message(7),
        text: "日本語 too? ❤!".to_owned(),
    };
    assert_eq!(effects, [edit]);

    press(&mut model, KeyCode::Up);
    press(&mut model, KeyCode::Up);
    assert!(write(&mut model, "d").is_empty(), "it asks first");
    let delete = Effect::Delete {
        id: group(1),
        message: message(7),
    };
    assert_eq!(write(&mut model, "y"), [delete]);
    // A message that is deleted cannot be answered.
    press(&mut model, KeyCode::Up);
    write(&mut model, "r");
    assert_eq!(model.focus, Focus::History);
}

#[test]
fn escape_leaves_an_edit_and_keeps_the_words_of_a_reply() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    write(&mut model, "r");
    write(&mut model, "fine");
    press(&mut model, KeyCode::Esc);
    let draft = &model.open.as_ref().unwrap().draft;
    assert_eq!((draft.purpose, draft.editor.text()), (Purpose::Say, "fine"));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.focus, Focus::List);
}

#[test]
fn the_same_reaction_twice_takes_it_back() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    write(&mut model, "+");
    let effects = write(&mut model, "1");
    let react = |message, sender, emoji: &str, remove| Effect::React {
        id: group(1),
        message,
        sender,
        emoji: emoji.to_owned(),
        remove,
    };
    assert_eq!(effects, [react(message(8), person(1), "👍", false)]);
    model.open.as_mut().unwrap().selected = Some(message(3));
    write(&mut model, "+");
    write(&mut model, "🎉");
    let effects = press(&mut model, KeyCode::Enter);
    assert_eq!(effects, [react(message(3), person(0), "🎉", true)]);
}

#[test]
fn what_is_being_written_stays_when_another_conversation_is_opened() {
    let mut model = with_open();
    write(&mut model, "half a");
    press_with(&mut model, KeyModifiers::ALT, KeyCode::Down);
    assert_eq!(model.open.as_ref().unwrap().key, key(2));
    assert!(model.open.as_ref().unwrap().draft.editor.is_empty());
    press_with(&mut model, KeyModifiers::ALT, KeyCode::Up);
    assert_eq!(model.open.as_ref().unwrap().draft.editor.text(), "half a");
    // And is not lost without a question.
    assert!(press_with(&mut model, CONTROL, KeyCode::Char('c')).is_empty());
    assert_eq!(
        press_with(&mut model, CONTROL, KeyCode::Char('c')),
        [Effect::Quit]
    );
}

#[test]
fn the_view_stays_where_it_is_while_messages_come() {
    let mut model = with_open();
    let many = |count: u8| (0..count).map(|at| entry(at, u64::from(200 - at), person(1), "x"));
    update(&mut model, history(1, many(100).collect()));
    press(&mut model, KeyCode::PageUp);
    let anchor = model.open.as_ref().unwrap().anchor;
    assert!(anchor.is_some());
    // Nothing is read that is not seen.
    assert!(update(&mut model, history(1, many(120).collect())).is_empty());
    assert_eq!(model.open.as_ref().unwrap().anchor, anchor);
    for _ in 0..20 {
        press(&mut model, KeyCode::PageDown);
    }
    assert_eq!(model.open.as_ref().unwrap().anchor, None);
}

#[test]
fn scrolling_up_asks_for_older_messages_once() {
    let mut model = with_open();
    let some: Vec<_> = (0..100)
        .map(|at| entry(at, u64::from(200 - at), person(1), "x"))
        .collect();
    update(&mut model, history(1, some));
    model.open.as_mut().unwrap().more = true;
    let mut asked = Vec::new();
    for _ in 0..30 {
        asked.extend(press(&mut model, KeyCode::PageUp));
    }
    let [Effect::Load { window, .. }] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(window.limit, 2 * PAGE);
    // An answer to another question is not taken in.
    update(&mut model, history(1, Vec::new()));
    assert_eq!(model.open.as_ref().unwrap().entries.len(), 100);
}

#[test]
fn the_chosen_message_is_always_on_the_screen() {
    let mut model = with_open();
    let some =
        (0..100).map(|at| entry(at, u64::from(200 - at), person(u8::from(at % 2 == 0)), "x"));
    update(&mut model, history(1, some.collect()));
    press(&mut model, KeyCode::Up);
    for code in [KeyCode::Up; 60]
        .into_iter()
        .chain([KeyCode::Down; 30])
        .chain([KeyCode::Home])
    {
        press(&mut model, code);
        let open = model.open.as_ref().unwrap();
        let area = Areas::of(&model).history;
        let rows = layout::rows_in(&model, open, area);
        let (first, end) = layout::visible(&rows, open, usize::from(area.height));
        let shown = rows[first..end].iter().filter(|row| row.own);
        let mut shown = shown.map(|row| open.entries[row.entry].id);
        assert!(
            shown.any(|id| Some(id) == open.selected),
            "{:?}",
            open.selected
        );
    }
}

#[test]
fn what_could_not_be_sent_is_sent_when_the_connection_is_back() {
    let mut model = with_open();
    let cut = Link::Interrupted {
        reason: "connection refused".to_owned(),
        retry_ns: NOW_NS,
    };
    update(&mut model, Event::Link(cut));
    update(&mut model, Event::Unsent(message(7), "no route".to_owned()));
    assert!(update(&mut model, Event::Link(Link::CatchingUp)).is_empty());
    let effects = update(&mut model, Event::Link(Link::Live));
    assert_eq!(effects, [Effect::Flush(vec![message(7)])]);
    let mut sent = entries();
    sent[6].delivery = Delivery::Sent;
    update(&mut model, history(1, sent));
    assert!(model.unsent.is_empty());
}

#[test]
fn a_search_shows_the_answer_to_its_last_question() {
    let mut model = with_open();
    press_with(&mut model, CONTROL, KeyCode::Char('f'));
    let effects = write(&mut model, "sa");
    let asked = |words: &str| Effect::Search(words.to_owned());
    assert_eq!(effects, [asked("s"), asked("sa")]);
    let hit = crate::chat::event::Hit {
        id: group(2),
        key: key(2),
        message: message(40),
        sender: person(2),
        sent_ns: NOW_NS,
        body: crate::chat::model::Body::Text("salt".to_owned()),
    };
    let found = |query: &str| Event::Found {
        query: query.to_owned(),
        hits: vec![hit.clone()],
    };
    update(&mut model, found("s"));
    assert!(press(&mut model, KeyCode::Enter).is_empty());
    update(&mut model, found("sa"));
    let jump = Effect::Jump {
        id: group(2),
        message: message(40),
    };
    assert_eq!(press(&mut model, KeyCode::Enter), [jump]);
    assert_eq!(model.dialog, None);
}

#[test]
fn a_message_far_back_is_shown_and_the_end_brings_the_newest_back() {
    let mut model = with_open();
    let window = Window {
        before_ns: Some(NOW_NS - 100 * MINUTE),
        limit: PAGE,
    };
    let effects = update(
        &mut model,
        Event::Show {
            chat: Box::new(chat(1, 4, person(1), "see you there")),
            target: Some((message(50), window)),
        },
    );
    assert!(
        matches!(effects.last(), Some(Effect::Load { window: wanted, .. }) if *wanted == window)
    );
    let some: Vec<_> = (40..60)
        .map(|at| entry(at, 200 - u64::from(at), person(1), "x"))
        .collect();
    let Event::History(mut found) = history(1, some) else {
        unreachable!("it is one");
    };
    found.window = window;
    assert!(
        update(&mut model, Event::History(found)).is_empty(),
        "old ones mark nothing read"
    );
    assert_eq!(model.open.as_ref().unwrap().selected, Some(message(50)));
    let mut effects = Vec::new();
    for _ in 0..30 {
        effects.extend(press(&mut model, KeyCode::Down));
    }
    // One message after the other leads towards the newest, and End there at once.
    let turn = Effect::Turn {
        key: key(1),
        id: group(1),
        newest_ns: NOW_NS - 141 * MINUTE,
        limit: MOST_MESSAGES,
        to: Edge::Last,
    };
    assert_eq!(effects, [turn], "it is asked once");
    let effects = press(&mut model, KeyCode::End);
    let window = Window::NEWEST;
    assert!(matches!(effects[..], [Effect::Load { window: asked, .. }] if asked == window));
    update(&mut model, history(1, entries()));
    assert_eq!(model.open.as_ref().unwrap().selected, Some(message(8)));
}

#[test]
fn a_question_of_the_group_page_leads_back_to_it() {
    let mut model = with_chats();
    model.cursor = Some(key(2));
    let effects = write(&mut model, "i");
    assert_eq!(effects, [Effect::Look(group(2))]);
    update(&mut model, details(2, MemberRole::SuperAdmin));
    write(&mut model, "n");
    write(&mut model, "!");
    let effects = press(&mut model, KeyCode::Enter);
    let name = folkmoot_conversation::context::Attribute::GroupName;
    assert_eq!(effects, [Effect::Set(group(2), name, "Picnic!".to_owned())]);
    assert!(matches!(model.dialog, Some(Dialog::Details(_))));
    write(&mut model, "t");
    assert!(matches!(model.dialog, Some(Dialog::Prompt(_))));
    press(&mut model, KeyCode::Esc);
    assert!(matches!(model.dialog, Some(Dialog::Details(_))));
    press(&mut model, KeyCode::Esc);
    assert_eq!((model.dialog, model.behind), (None, None));
}

#[test]
fn no_size_and_no_key_make_it_stumble() {
    let codes = [
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::F(1),
    ];
    let letters = "abcdefghijklmnopqrstuvwxyzBGR+/?1"
        .chars()
        .map(KeyCode::Char);
    let codes: Vec<_> = codes.into_iter().chain(letters).collect();
    for (columns, rows) in [(0, 0), (1, 1), (20, 5), (40, 12), (80, 24)] {
        for mut model in [model(), with_chats(), with_open()] {
            update(&mut model, Event::Terminal(Terminal::Resize(columns, rows)));
            // Every pair of keys in some order, and with Control too.
            for step in [1, 3, 7, 11] {
                for at in 0..codes.len() {
                    let code = codes[(at * step) % codes.len()];
                    press(&mut model, code);
                    if at % 5 == 0 {
                        press_with(&mut model, CONTROL, code);
                    }
                    crate::chat::view::tests::picture(&model);
                }
            }
        }
    }
}
