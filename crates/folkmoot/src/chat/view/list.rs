//! The list of conversations.

use ratatui::style::Style;

use super::{
    super::{
        layout::{Areas, ListRow, list, list_step},
        model::{Chat, ChatKind, Focus, Last, Model, Section},
        text::{self, fill, shorten},
        words,
    },
    Canvas, cells,
};

/// Draws the list and the line beside it.
pub(super) fn draw(model: &Model, areas: Areas, canvas: &mut Canvas<'_, '_>) {
    let area = areas.list;
    for row in 0..areas.line.height {
        let dim = canvas.theme.dim();
        canvas.write(areas.line, row, "│", dim);
    }
    if area.is_empty() {
        return;
    }
    if model.listed().is_empty() {
        empty(model, areas, canvas);
        return;
    }
    let (rows, first) = list(model, area);
    let listed = model.listed();
    let single = list_step(model, area) == 1;
    for (at, row) in rows
        .iter()
        .skip(first)
        .take(usize::from(area.height))
        .enumerate()
    {
        let at = cells(at);
        match row {
            ListRow::Blank => {}
            ListRow::Heading(section, count) => {
                let (words, style) = match section {
                    Section::Requests => (format!(" Requests ({count})"), canvas.theme.accent()),
                    Section::Chats => (" Conversations".to_owned(), canvas.theme.strong()),
                    Section::Blocked => (format!(" Blocked ({count})"), canvas.theme.dim()),
                };
                canvas.write(area, at, &words, style);
            }
            ListRow::Chat(index, 0) => {
                if let Some(chat) = listed.get(*index) {
                    first_row(model, areas, at, chat, single, canvas);
                }
            }
            ListRow::Chat(index, _) => {
                if let Some(chat) = listed.get(*index) {
                    second_row(model, areas, at, chat, canvas);
                }
            }
        }
    }
}

fn empty(model: &Model, areas: Areas, canvas: &mut Canvas<'_, '_>) {
    let area = areas.list;
    let words: &[&str] = match model.loaded {
        false => &["", " …"],
        true => &[
            "",
            " Nobody to talk to yet.",
            "",
            " n  new conversation",
            " g  new group",
            " ?  all keys",
            "",
            " Others find you under",
            " the address that",
            " `folkmoot whoami` tells.",
        ],
    };
    let dim = canvas.theme.dim();
    for (row, line) in words.iter().enumerate() {
        canvas.write(
            area,
            cells(row),
            &shorten(line, usize::from(area.width)),
            dim,
        );
    }
}

/// Whether keys of the list are about this conversation; whether it is the one that is shown.
fn marks(model: &Model, chat: &Chat) -> (bool, bool) {
    let chosen = model.cursor.as_ref() == Some(&chat.key);
    let shown = model.open.as_ref().is_some_and(|open| open.key == chat.key);
    (chosen && model.focus == Focus::List, shown)
}

fn first_row(
    model: &Model,
    areas: Areas,
    row: u16,
    chat: &Chat,
    single: bool,
    canvas: &mut Canvas<'_, '_>,
) {
    let area = areas.list;
    let (chosen, shown) = marks(model, chat);
    let time = model.clock.short(chat.last_ns);
    let badge = badge(chat, single);
    let right = text::width(&time) + 1 + badge.as_ref().map_or(0, |badge| badge.len() + 1);
    let room = usize::from(area.width).saturating_sub(right + 3).max(1);
    let title = match chat.kind {
        ChatKind::Dm(_) => model.title(chat),
        ChatKind::Group { .. } => format!("# {}", model.title(chat)),
    };
    let gutter = if shown { "▌" } else { " " };
    let style = match chat.unread > 0 || shown {
        true => canvas.theme.strong(),
        false => Style::new(),
    };
    let accent = canvas.theme.accent();
    canvas.write(area, row, gutter, accent);
    canvas.write_at(area, 1, row, &fill(&title, room), style);
    let dim = canvas.theme.dim();
    canvas.write_right(area, row, &format!("{time} "), dim);
    if let Some(badge) = badge {
        let column = usize::from(area.width).saturating_sub(right);
        canvas.write_at(area, cells(column), row, &badge, accent);
    }
    if chosen {
        canvas.style(area, row, canvas.theme.chosen());
    }
}

fn second_row(model: &Model, areas: Areas, row: u16, chat: &Chat, canvas: &mut Canvas<'_, '_>) {
    let area = areas.list;
    let (chosen, shown) = marks(model, chat);
    let badge = badge(chat, true);
    let right = badge.as_ref().map_or(0, |badge| badge.len() + 1);
    let room = usize::from(area.width).saturating_sub(right + 4).max(1);
    let gutter = if shown { "▌" } else { " " };
    let (accent, dim) = (canvas.theme.accent(), canvas.theme.dim());
    canvas.write(area, row, gutter, accent);
    canvas.write_at(area, 3, row, &shorten(&preview(model, chat), room), dim);
    if let Some(badge) = badge {
        canvas.write_right(area, row, &format!("{badge} "), accent);
    }
    if chosen {
        canvas.style(area, row, canvas.theme.chosen());
    }
}

fn badge(chat: &Chat, here: bool) -> Option<String> {
    let number = match chat.unread {
        0 => return None,
        1..=99 => chat.unread.to_string(),
        _ => "99+".to_owned(),
    };
    here.then_some(number)
}

/// The last thing that was said, on one line.
fn preview(model: &Model, chat: &Chat) -> String {
    if let Some(draft) = model.drafts.get(&chat.key) {
        let words = text::clean(draft.editor.text(), text::Lines::One);
        return format!("draft: {words}");
    }
    if let Some(words) = words::typing(model, &chat.key) {
        return words;
    }
    let Some(Last { sender, body }) = &chat.last else {
        return String::new();
    };
    let words = words::line(model, &chat.kind, *sender, body);
    let is_sentence = matches!(
        body,
        super::super::model::Body::Update(_) | super::super::model::Body::Act(_)
    );
    match chat.kind {
        _ if is_sentence => words,
        _ if *sender == model.me => format!("You: {words}"),
        ChatKind::Dm(_) => words,
        ChatKind::Group { .. } => format!("{}: {words}", model.name(*sender)),
    }
}
