//! The messages of a conversation, and its name above them.

use super::{
    super::{
        layout::{Areas, rows_in, visible},
        model::{ChatKind, Model},
        text::shorten,
        when,
    },
    Canvas, cells,
};

/// Draws name and messages.
pub(super) fn draw(model: &Model, areas: Areas, canvas: &mut Canvas<'_, '_>) {
    let area = areas.history;
    let (dim, strong) = (canvas.theme.dim(), canvas.theme.strong());
    let Some(open) = &model.open else {
        if !area.is_empty() && model.loaded && !model.listed().is_empty() {
            let words = "Enter opens a conversation";
            canvas.write_at(area, 2, area.height / 2, words, dim);
        }
        return;
    };
    if let Some(chat) = model.open_chat()
        && !areas.head.is_empty()
    {
        let head = areas.head;
        let mut facts = Vec::new();
        if let ChatKind::Group { members, .. } = chat.kind {
            facts.push(match members {
                1 => "1 member".to_owned(),
                members => format!("{members} members"),
            });
        }
        if chat.leaving && !chat.gone {
            facts.push("you asked to leave".to_owned());
        }
        if let Some(seconds) = chat.vanish {
            facts.push(format!("messages disappear after {}", when::span(seconds)));
        }
        let facts: String = facts.iter().map(|fact| format!(" · {fact}")).collect();
        let room = usize::from(head.width).saturating_sub(2);
        let title = shorten(&model.title(chat), room);
        let used = cells(super::text::width(&title));
        canvas.write_at(head, 1, 0, &title, strong);
        canvas.write_at(
            head,
            1 + used,
            0,
            &shorten(&facts, room.saturating_sub(usize::from(used))),
            dim,
        );
        canvas.write(head, 1, &"─".repeat(usize::from(head.width)), dim);
        if let Some(trouble) = &chat.trouble {
            let bad = canvas.theme.bad();
            canvas.write_at(head, 1, 1, &shorten(trouble, room), bad);
        }
    }
    if area.is_empty() {
        return;
    }
    if open.entries.is_empty() {
        let words = match open.loading {
            true => "…",
            false => "No messages yet. Say hello!",
        };
        canvas.write_at(area, 2, area.height / 2, words, dim);
        return;
    }
    let rows = rows_in(model, open, area);
    let height = usize::from(area.height);
    let (first, end) = visible(&rows, open, height);
    let inner = ratatui::layout::Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(1),
        ..area
    };
    // A short history stands at the bottom, next to the text that is written.
    let above = height.saturating_sub(end - first);
    for (at, row) in rows[first..end].iter().enumerate() {
        let at = cells(above + at);
        canvas.pieces(inner, at, &row.pieces);
        if let Some(right) = &row.right {
            let style = canvas.theme.role(right.role);
            canvas.write_right(inner, at, &format!("{} ", right.text), style);
        }
    }
    let below = rows.len() - end;
    if below > 0 || open.window.before_ns.is_some() {
        let new = model.open_chat().map_or(0, |chat| chat.unread);
        let words = match (new, open.window.before_ns) {
            (1.., _) => format!(" ↓ {new} new "),
            (0, Some(_)) => " ↓ newer ones below ".to_owned(),
            (0, None) => format!(" ↓ {below} more "),
        };
        let chosen = canvas.theme.chosen();
        canvas.write_right(area, area.height - 1, &words, chosen);
    }
}
