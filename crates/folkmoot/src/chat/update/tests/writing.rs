//! What is being written, and what others learn of it.

use super::*;
use crate::chat::model::{Transfer, TransferId};

#[test]
fn an_edit_puts_aside_what_was_being_written() {
    let mut model = with_open();
    write(&mut model, "half a thought");
    let mine = |model: &mut Model| {
        press(model, KeyCode::Up);
        press(model, KeyCode::Up);
        write(model, "e");
    };
    mine(&mut model);
    let text = |model: &Model| model.open.as_ref().unwrap().draft.editor.text().to_owned();
    assert_eq!(text(&model), "日本語 too? ❤");
    press(&mut model, KeyCode::Esc);
    assert_eq!(text(&model), "half a thought");
    mine(&mut model);
    let effects = press(&mut model, KeyCode::Enter);
    assert!(matches!(effects[..], [Effect::Edit { .. }]));
    assert_eq!(text(&model), "half a thought");
    assert_eq!(model.open.as_ref().unwrap().draft.purpose, Purpose::Say);
}

#[test]
fn a_message_is_copied_as_it_was_written() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    let effects = write(&mut model, "y");
    assert_eq!(effects, [Effect::Copy("see you there".to_owned())]);
}

#[test]
fn others_hear_that_something_is_written_only_if_the_person_wants_that() {
    let mut model = with_open();
    assert!(write(&mut model, "hi").is_empty());
    model.tells.typing = true;
    assert_eq!(write(&mut model, " bob"), [Effect::Typing(group(1))]);
    update(&mut model, Event::Time(NOW_NS + 6_000_000_000));
    assert_eq!(write(&mut model, "!!"), [Effect::Typing(group(1))]);
}

#[test]
fn somebody_writes_until_the_message_is_there_or_nothing_comes() {
    let mut model = with_open();
    let typing = |number: u8, started| Event::Typing {
        key: key(number),
        inbox: person(1),
        started,
    };
    let who = |model: &Model| model.typing(&key(1)).collect::<Vec<_>>();
    update(&mut model, typing(1, true));
    assert_eq!(who(&model), [person(1)]);
    update(
        &mut model,
        Event::Chat(Box::new(chat(1, 0, person(1), "here"))),
    );
    assert!(who(&model).is_empty());
    update(&mut model, typing(1, true));
    update(&mut model, typing(1, false));
    assert!(who(&model).is_empty());
    update(&mut model, typing(1, true));
    update(&mut model, Event::Time(NOW_NS + 60_000_000_000));
    assert!(who(&model).is_empty());
    assert!(model.typing.is_empty(), "it is forgotten");
}

#[test]
fn a_file_on_its_way_is_let_go_of_by_a_key_and_not_lost_by_a_slip() {
    let mut model = with_open();
    let film = |done| Transfer {
        number: TransferId(3),
        name: "film.mp4".to_owned(),
        up: true,
        done,
        total: Some(10),
    };
    update(&mut model, Event::Transfer(film(1)));
    update(&mut model, Event::Transfer(film(5)));
    assert_eq!(model.transfers.len(), 1);
    assert!(press_with(&mut model, CONTROL, KeyCode::Char('c')).is_empty());
    press(&mut model, KeyCode::Esc);
    let effects = press_with(&mut model, CONTROL, KeyCode::Char('x'));
    assert_eq!(effects, [Effect::Cancel(TransferId(3))]);
    update(&mut model, Event::Transferred(TransferId(3)));
    let effects = press_with(&mut model, CONTROL, KeyCode::Char('c'));
    assert_eq!(effects, [Effect::Quit]);
}

#[test]
fn the_first_new_message_is_a_key_away() {
    let mut model = with_open();
    press(&mut model, KeyCode::Up);
    write(&mut model, "u");
    assert_eq!(model.open.as_ref().unwrap().selected, Some(message(5)));
}
