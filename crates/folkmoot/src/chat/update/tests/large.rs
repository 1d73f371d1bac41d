//! Much of everything: long histories, many conversations.

use super::*;

/// Message `number` of many, one a minute.
fn line(number: u64) -> crate::chat::model::Entry {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    crate::chat::model::Entry {
        id: MessageId::from_bytes(id),
        sent_ns: NOW_NS - (10_000 - number) * MINUTE,
        ..entry(0, 0, person(1), &format!("line {number}"))
    }
}

/// Answers what was asked as a database with ten thousand messages would.
fn answer(model: &mut Model, effects: Vec<Effect>) {
    for effect in effects {
        let before = |ns: Option<u64>| {
            let all = (0..10_000).map(line);
            all.take_while(move |line| ns.is_none_or(|ns| line.sent_ns < ns))
        };
        let more = match effect {
            Effect::Load { key, window, .. } => {
                let mut entries: Vec<_> = before(window.before_ns).collect();
                let from = entries.len().saturating_sub(window.limit);
                let entries = entries.split_off(from);
                let more = from > 0;
                let read_ns = NOW_NS;
                let seen = [].into();
                let history = History {
                    key,
                    window,
                    entries,
                    more,
                    read_ns,
                    seen,
                };
                update(model, Event::History(Box::new(history)))
            }
            Effect::Turn {
                key,
                newest_ns,
                limit,
                to,
                ..
            } => {
                let (from, step) = match to {
                    Edge::First => (0, limit),
                    Edge::Last => (newest_ns, PAGE),
                };
                let mut rest = before(None).filter(|line| line.sent_ns > from).skip(step);
                let before_ns = rest.next().map(|line| line.sent_ns);
                update(model, Event::Window(key, Window { before_ns, limit }))
            }
            _ => Vec::new(),
        };
        answer(model, more);
    }
}

#[test]
fn ten_thousand_messages_are_walked_through_with_a_few_hundred_at_hand() {
    let mut model = with_open();
    let effects = load(&mut model);
    answer(&mut model, effects);
    let shown = |model: &Model| {
        let open = model.open.as_ref().unwrap();
        assert!(
            open.entries.len() <= MOST_MESSAGES,
            "{}",
            open.entries.len()
        );
        let area = Areas::of(model).history;
        let rows = layout::rows_in(model, open, area);
        let (first, end) = layout::visible(&rows, open, usize::from(area.height));
        let numbers = rows[first..end].iter().filter(|row| row.own);
        let numbers = numbers.map(|row| match &open.entries[row.entry].body {
            crate::chat::model::Body::Text(text) => text[5..].parse::<u64>().unwrap(),
            other => panic!("{other:?}"),
        });
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(shown(&model).last(), Some(&9_999));
    let mut seen = shown(&model)[0];
    for _ in 0..80 {
        let effects = press(&mut model, KeyCode::PageUp);
        answer(&mut model, effects);
        let now = shown(&model);
        assert!(
            now[0] < seen && now.contains(&(seen - 1)),
            "no gap: {now:?}, {seen}"
        );
        seen = now[0];
    }
    assert!(seen < 9_000, "{seen}");
    for _ in 0..100 {
        let effects = press(&mut model, KeyCode::PageDown);
        answer(&mut model, effects);
    }
    assert_eq!(shown(&model).last(), Some(&9_999));
    press(&mut model, KeyCode::Up);
    let effects = press(&mut model, KeyCode::Home);
    answer(&mut model, effects);
    assert_eq!(shown(&model).first(), Some(&0));
    for step in [1, 1, 1, -1, 1] {
        let code = if step > 0 { KeyCode::Down } else { KeyCode::Up };
        let effects = press(&mut model, code);
        answer(&mut model, effects);
    }
    assert!(shown(&model).contains(&3));
    let effects = press(&mut model, KeyCode::End);
    answer(&mut model, effects);
    assert_eq!(shown(&model).last(), Some(&9_999));
}

#[test]
fn one_of_five_hundred_conversations_is_found_by_a_part_of_its_name() {
    let mut model = model();
    let chats = (0..500_u64).map(|number| Chat {
        key: ChatKey(number.to_string()),
        name: Some(format!("Room {number}")),
        unread: u64::from(number == 250),
        ..chat(1, number, person(1), "x")
    });
    update(&mut model, Event::Chats(chats.collect()));
    // The one with something new is offered first, and the key for that alone goes there too.
    press_with(&mut model, CONTROL, KeyCode::Char('k'));
    press(&mut model, KeyCode::Enter);
    let open = |model: &Model| model.open.as_ref().map(|open| open.key.0.clone());
    assert_eq!(open(&model).as_deref(), Some("250"));
    model.focus = Focus::List;
    model.chats[7].unread = 1;
    write(&mut model, "u");
    assert_eq!(open(&model).as_deref(), Some("7"));
    press_with(&mut model, CONTROL, KeyCode::Char('k'));
    write(&mut model, "room 42");
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Enter);
    assert_eq!(open(&model).as_deref(), Some("420"));
    press_with(&mut model, CONTROL, KeyCode::Char('k'));
    write(&mut model, "nowhere");
    assert!(press(&mut model, KeyCode::Enter).is_empty());
    assert!(model.dialog.is_some(), "there is time to correct it");
}
