//! The text that is being written.

use super::{
    super::{
        layout::{Areas, purpose},
        model::{ChatKind, Focus, Model, Shut},
        text::{shorten, width},
        words,
    },
    Canvas, cells,
};

/// Draws the text, or the question about a request.
pub(super) fn draw(model: &Model, areas: Areas, canvas: &mut Canvas<'_, '_>) {
    let (Some(open), area) = (&model.open, areas.compose) else {
        return;
    };
    if area.is_empty() {
        return;
    }
    let columns = usize::from(area.width);
    let (dim, accent, strong) = (
        canvas.theme.dim(),
        canvas.theme.accent(),
        canvas.theme.strong(),
    );
    let (lines, (line, column)) = open.draft.editor.lines(columns.saturating_sub(2));
    let shut = model.shut();
    let needed = if shut.is_some() { 1 } else { lines.len() };
    let label = usize::from(area.height) > 1 && (usize::from(area.height) > needed || needed > 1);
    let label = u16::from(label);
    if label == 1 {
        canvas.write(area, 0, &"─".repeat(columns), dim);
        let typing = words::typing(model, &open.key);
        let (words, style) = match (purpose(model), typing) {
            (Some(words), _) => (words, accent),
            (None, Some(words)) => (words, dim),
            (None, None) => (String::new(), dim),
        };
        if !words.is_empty() {
            let words = format!(" {} ", shorten(&words, columns.saturating_sub(6)));
            canvas.write_at(area, 1, 0, &words, style);
        }
    }
    if let (Some(shut), Some(chat)) = (shut, model.open_chat()) {
        let title = model.title(chat);
        let group = matches!(chat.kind, ChatKind::Group { .. });
        let (words, keys) = match (shut, group) {
            (Shut::Request, true) => (format!("You were added to {title}. "), "a accept  b block"),
            (Shut::Request, false) => (format!("{title} wants to talk. "), "a accept  b block"),
            (Shut::Blocked, _) => (format!("You blocked {title}. "), "a accept again"),
            (Shut::Gone, _) => ("You are not in this group any more.".to_owned(), ""),
        };
        let room = columns.saturating_sub(width(keys) + 4);
        let words = match width(&words) <= room || keys.is_empty() {
            true => shorten(&words, columns.saturating_sub(2)),
            false => String::new(),
        };
        canvas.write_at(area, 1, label, &words, strong);
        canvas.write_at(area, 1 + cells(width(&words)), label, keys, accent);
        return;
    }
    let focused = model.focus == Focus::Compose;
    let prompt = if focused { accent } else { dim };
    let height = usize::from(area.height - label);
    let first = (line + 1).saturating_sub(height);
    for (at, text) in lines.iter().skip(first).take(height).enumerate() {
        let row = cells(at) + label;
        let sign = if first + at == 0 { "›" } else { " " };
        canvas.write(area, row, sign, prompt);
        canvas.write_at(area, 2, row, text, ratatui::style::Style::new());
    }
    if open.draft.editor.is_empty() {
        let words = "Write a message";
        canvas.write_at(
            area,
            2,
            label,
            &shorten(words, columns.saturating_sub(2)),
            dim,
        );
    }
    if focused && model.dialog.is_none() {
        canvas.cursor(area, column + 2, line - first + usize::from(label));
    }
}
