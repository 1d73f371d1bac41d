//! Clicks and the wheel.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;

fn mouse(model: &mut Model, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    let event = MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    };
    update(model, Event::Terminal(Terminal::Mouse(event)))
}

const CLICK: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

#[test]
fn a_click_opens_a_conversation_chooses_a_message_and_gives_the_text_the_keys() {
    let mut model = with_open();
    mouse(&mut model, CLICK, 5, 8);
    assert_eq!(model.open.as_ref().unwrap().key, key(2));
    mouse(&mut model, CLICK, 5, 5);
    assert_eq!(model.open.as_ref().unwrap().key, key(1));
    update(&mut model, history(1, entries()));
    mouse(&mut model, CLICK, 40, 20);
    let open = model.open.as_ref().unwrap();
    assert_eq!(
        (open.selected, model.focus),
        (Some(message(8)), Focus::History)
    );
    mouse(&mut model, CLICK, 40, 22);
    assert_eq!(model.focus, Focus::Compose);
    let effects = mouse(&mut model, CLICK, 40, 0);
    assert_eq!(effects, [Effect::Look(group(1))]);
}

#[test]
fn the_wheel_scrolls_what_it_is_over() {
    let mut model = with_open();
    let many = (0..100).map(|at| entry(at, u64::from(200 - at), person(1), "x"));
    update(&mut model, history(1, many.collect()));
    mouse(&mut model, MouseEventKind::ScrollUp, 40, 10);
    assert!(model.open.as_ref().unwrap().anchor.is_some());
    mouse(&mut model, MouseEventKind::ScrollDown, 40, 10);
    assert_eq!(model.open.as_ref().unwrap().anchor, None);
    mouse(&mut model, MouseEventKind::ScrollDown, 5, 10);
    assert_eq!(model.cursor, Some(key(2)));
    // Over a page it moves what is chosen there.
    press_with(&mut model, CONTROL, KeyCode::Char('k'));
    mouse(&mut model, MouseEventKind::ScrollDown, 5, 10);
    assert!(matches!(&model.dialog, Some(Dialog::Find(find)) if find.chosen == 1));
}
