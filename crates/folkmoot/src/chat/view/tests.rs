use insta::assert_snapshot;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{Event as Key, KeyCode, KeyModifiers},
};

use super::*;
use crate::chat::{
    event::{Details, Event, Hit, Person},
    model::{Body, Link},
    tests::{
        NOW_NS, group, key, message, model, person, press, press_with, with_chats, with_open, write,
    },
    update::update,
};

/// What a terminal without colours shows.
pub(crate) fn picture(model: &Model) -> String {
    if model.size.columns == 0 {
        // The backend of the tests cannot tell what nothing looks like.
        return String::new();
    }
    let backend = TestBackend::new(model.size.columns, model.size.rows);
    let mut terminal = Terminal::new(backend).unwrap();
    let theme = Theme { colours: false };
    terminal.draw(|frame| draw(model, theme, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(model.size.columns));
    let rows = rows.map(|row| {
        let mut shown = String::new();
        let mut at = 0;
        while let Some(cell) = row.get(at) {
            shown.push_str(cell.symbol());
            at += text::width(cell.symbol()).max(1);
        }
        shown.trim_end().to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn sized(mut model: Model, columns: u16, rows: u16) -> Model {
    update(&mut model, Event::Terminal(Key::Resize(columns, rows)));
    model
}

#[test]
fn a_conversation_stands_beside_the_list() {
    assert_snapshot!(picture(&with_open()));
}

#[test]
fn a_chosen_message_is_marked_and_the_keys_for_it_are_named() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    press(&mut model, KeyCode::Up);
    assert_snapshot!(picture(&model));
}

#[test]
fn a_narrow_terminal_shows_one_part_at_a_time() {
    let mut model = sized(with_open(), 40, 12);
    let conversation = picture(&model);
    press(&mut model, KeyCode::Esc);
    assert_snapshot!(format!(
        "{conversation}\n{}\n{}",
        "=".repeat(40),
        picture(&model)
    ));
}

#[test]
fn a_tiny_terminal_shows_what_matters_most() {
    let mut model = sized(with_open(), 20, 5);
    let conversation = picture(&model);
    press(&mut model, KeyCode::Esc);
    assert_snapshot!(format!(
        "{conversation}\n{}\n{}",
        "=".repeat(20),
        picture(&model)
    ));
}

#[test]
fn a_request_asks_before_anything_is_told() {
    let mut model = with_chats();
    crate::chat::update::open_chat(&mut model, &key(3));
    let said = crate::chat::tests::entry(1, 10, person(9), "hi, we met at the lake");
    update(&mut model, crate::chat::tests::history(3, vec![said]));
    assert_snapshot!(picture(&model));
}

#[test]
fn a_text_of_several_lines_has_room() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    write(&mut model, "r");
    let pasted = Key::Paste(
        "first\nsecond\n\nfourth, which is so long that it has to be broken into two".to_owned(),
    );
    update(&mut model, Event::Terminal(pasted));
    assert_snapshot!(picture(&model));
}

#[test]
fn somebody_without_conversations_is_told_how_to_begin() {
    let mut model = model();
    update(&mut model, Event::Chats(Vec::new()));
    let cut = Link::Interrupted {
        reason: "127.0.0.1:5556 refuses the connection".to_owned(),
        retry_ns: NOW_NS + 3_000_000_000,
    };
    update(&mut model, Event::Link(cut));
    assert_snapshot!(picture(&model));
}

#[test]
fn all_keys_are_on_one_page() {
    let mut model = with_open();
    press(&mut model, KeyCode::F(1));
    assert_snapshot!(picture(&model));
}

#[test]
fn what_a_search_found_can_be_chosen() {
    let mut model = with_open();
    press_with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('f'));
    write(&mut model, "salt");
    let hit = |number, sender, text: &str| Hit {
        id: group(2),
        key: key(2),
        message: message(number),
        sender,
        sent_ns: NOW_NS - u64::from(number) * 3_600_000_000_000,
        body: Body::Text(text.to_owned()),
    };
    let hits = vec![
        hit(
            1,
            person(2),
            "who brings the salt? I have none left at home, and the shop is closed on Sundays",
        ),
        hit(40, person(0), "salt and pepper"),
    ];
    let query = "salt".to_owned();
    update(&mut model, Event::Found { query, hits });
    assert_snapshot!(picture(&model));
}

#[test]
fn a_group_shows_its_members_and_what_can_be_done() {
    use folkmoot_client::MemberRole;
    use folkmoot_conversation::permissions::{PolicyKind, Who};
    let mut model = with_chats();
    model.cursor = Some(key(2));
    write(&mut model, "i");
    let member = |number, role| Person {
        inbox: person(number),
        address: format!("0x{}", "0a".repeat(20)),
        role,
    };
    let details = Details {
        description: "Every first Sunday of the month, by the lake.".to_owned(),
        people: vec![
            member(0, MemberRole::SuperAdmin),
            member(1, MemberRole::Admin),
            member(2, MemberRole::Member),
        ],
        rules: vec![
            (PolicyKind::AddMember, Some(Who::Everyone)),
            (PolicyKind::RemoveMember, Some(Who::Admins)),
        ],
        id: group(2).to_string(),
    };
    update(&mut model, Event::Group(group(2), Box::new(details)));
    let members = picture(&model);
    write(&mut model, "m");
    assert_snapshot!(format!(
        "{members}\n{}\n{}",
        "=".repeat(80),
        picture(&model)
    ));
}

#[test]
fn questions_lie_over_the_conversation() {
    let mut model = with_open();
    press_with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('g'));
    write(&mut model, "Picnic");
    press(&mut model, KeyCode::Tab);
    write(&mut model, "bob, carol");
    assert_snapshot!(picture(&model));
}
