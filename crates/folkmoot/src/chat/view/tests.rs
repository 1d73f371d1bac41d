use std::{cell::RefCell, io, rc::Rc};

use folkmoot_client::MemberRole;
use insta::assert_snapshot;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{Event as Key, KeyCode, KeyModifiers},
};

use super::*;
use crate::chat::{
    event::{Event, Hit},
    model::{Body, Entry, Link, Transfer, TransferId},
    tests::{
        NOW_NS, details, entry, group, history, key, message, model, person, press, press_with,
        with_chats, with_open, write,
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
    let said = entry(1, 10, person(9), "hi, we met at the lake");
    update(&mut model, history(3, vec![said]));
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
    let mut model = with_chats();
    model.cursor = Some(key(2));
    write(&mut model, "i");
    update(&mut model, details(2, MemberRole::SuperAdmin));
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

#[test]
fn a_member_is_offered_what_a_member_may_do() {
    let mut model = with_chats();
    model.cursor = Some(key(2));
    write(&mut model, "i");
    update(&mut model, details(2, MemberRole::Member));
    press(&mut model, KeyCode::Down);
    let members = picture(&model);
    write(&mut model, "m");
    assert_snapshot!(format!(
        "{members}\n{}\n{}",
        "=".repeat(80),
        picture(&model)
    ));
}

#[test]
fn a_conversation_is_found_by_its_name() {
    let mut model = with_open();
    press_with(&mut model, KeyModifiers::CONTROL, KeyCode::Char('k'));
    assert_snapshot!(picture(&model));
}

#[test]
fn the_keys_have_one_column_where_the_screen_is_narrow() {
    let mut model = sized(with_open(), 50, 16);
    press(&mut model, KeyCode::F(1));
    assert_snapshot!(picture(&model));
}

#[test]
fn a_long_message_is_folded_until_it_is_wanted() {
    let mut model = with_open();
    let long = "All work and no play makes Jack a dull boy. ".repeat(100);
    let long = Entry {
        edited: true,
        ..entry(9, 2, person(1), &long)
    };
    update(&mut model, history(1, vec![long]));
    press(&mut model, KeyCode::Up);
    let folded = picture(&model);
    write(&mut model, " ");
    press(&mut model, KeyCode::PageDown);
    assert_snapshot!(format!("{folded}\n{}\n{}", "=".repeat(80), picture(&model)));
}

#[test]
fn letters_of_every_width_stay_in_their_place() {
    let mut model = with_open();
    let said = |number: u8, text: &str| {
        let text = text::clean(text, text::Lines::Many);
        entry(number, u64::from(20 - number), person(1), &text)
    };
    let entries = vec![
        said(
            1,
            "wide: 日本語テキストは二つの列を取るので、この行は途中で折り返されなければならない",
        ),
        said(
            2,
            "pictures: 👩\u{200d}👩\u{200d}👧 👍🏽 ❤\u{fe0f} 🇩🇪 1\u{fe0f}\u{20e3} 🏳\u{fe0f}\u{200d}🌈",
        ),
        said(3, "שלום, from the right: مرحبا بالعالم"),
        said(
            4,
            "Z\u{335}\u{321}\u{322}\u{327}\u{328}\u{302}\u{303}algo e\u{301} \u{202e}gnp.exe",
        ),
        said(5, "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m a\tb\rc\u{0}"),
        said(
            6,
            "https://example.org/a/path/that/is/far/too/long/for/one/line/of/this/window",
        ),
    ];
    update(&mut model, history(1, entries));
    assert_snapshot!(picture(&model));
}

#[test]
fn who_was_blocked_cannot_be_written_to() {
    let mut model = with_chats();
    model.chats[0].consent = folkmoot_conversation::ConsentState::Denied;
    crate::chat::update::open_chat(&mut model, &key(1));
    update(&mut model, history(1, vec![entry(1, 3, person(1), "hey!")]));
    let blocked = picture(&model);
    model.chats[0].consent = folkmoot_conversation::ConsentState::Allowed;
    model.chats[1].gone = true;
    crate::chat::update::open_chat(&mut model, &key(2));
    update(&mut model, history(2, vec![entry(1, 3, person(1), "hey!")]));
    assert_snapshot!(format!(
        "{blocked}\n{}\n{}",
        "=".repeat(80),
        picture(&model)
    ));
}

#[test]
fn files_on_their_way_and_people_who_write_are_told() {
    let mut model = with_open();
    let transfer = |number, name: &str, up, total| Transfer {
        number: TransferId(number),
        name: name.to_owned(),
        up,
        done: 1_200_000,
        total,
    };
    let film = transfer(
        0,
        "film of the picnic by the lake.mp4",
        true,
        Some(12_000_000),
    );
    update(&mut model, Event::Transfer(film));
    let map = transfer(1, "map.png", false, None);
    update(&mut model, Event::Transfer(map));
    for number in [1, 2] {
        let (key, inbox) = (key(number), person(number));
        let started = true;
        update(
            &mut model,
            Event::Typing {
                key,
                inbox,
                started,
            },
        );
    }
    assert_snapshot!(picture(&model));
}

#[test]
fn a_key_costs_a_slow_line_a_few_bytes() {
    use ratatui::{TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
    /// What was sent to the terminal.
    #[derive(Clone, Default)]
    struct Line(Rc<RefCell<Vec<u8>>>);
    impl io::Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut model = with_open();
    let options = TerminalOptions {
        viewport: Viewport::Fixed(Rect::new(0, 0, 80, 24)),
    };
    let line = Line::default();
    let backend = CrosstermBackend::new(line.clone());
    let mut terminal = Terminal::with_options(backend, options).unwrap();
    let mut sent = Vec::new();
    for letter in ["", "h", "e"] {
        write(&mut model, letter);
        line.0.borrow_mut().clear();
        let theme = Theme { colours: true };
        terminal.draw(|frame| draw(&model, theme, frame)).unwrap();
        sent.push(line.0.borrow().len());
    }
    assert!(sent[0] < 8_000 && sent[2] < 120, "{sent:?}");
}
