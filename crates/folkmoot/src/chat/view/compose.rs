//! The text that is being written.

use super::{
    super::{
        layout::{Areas, purpose},
        model::{ChatKind, Focus, Model},
        text::{shorten, width},
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
    let request = model.is_request();
    let needed = if request { 1 } else { lines.len() };
    let label = usize::from(area.height) > 1 && (usize::from(area.height) > needed || needed > 1);
    let label = u16::from(label);
    if label == 1 {
        canvas.write(area, 0, &"─".repeat(columns), dim);
        if let Some(words) = purpose(model) {
            let words = format!(" {} ", shorten(&words, columns.saturating_sub(6)));
            canvas.write_at(area, 1, 0, &words, accent);
        }
    }
    if request {
        let Some(chat) = model.open_chat() else {
            return;
        };
        let title = model.title(chat);
        let group = matches!(chat.kind, ChatKind::Group { .. });
        let keys = "a accept  b block";
        let room = columns.saturating_sub(width(keys) + 4);
        let words = match group {
            true => format!("You were added to {title}. "),
            false => format!("{title} wants to talk. "),
        };
        let words = if width(&words) <= room {
            words
        } else {
            String::new()
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
