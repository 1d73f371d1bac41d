//! The mouse, where the person asked for it: clicks choose, the wheel scrolls what it is over.

use ratatui::{
    crossterm::event::{KeyCode, MouseEvent, MouseEventKind},
    layout::Position,
};

use super::{
    super::{
        event::Effect,
        keys,
        layout::{self, Areas},
        model::{Focus, Model},
    },
    open_chat, scroll,
};

/// What the mouse does.
pub(super) fn at(model: &mut Model, mouse: MouseEvent) -> Vec<Effect> {
    let by = match mouse.kind {
        MouseEventKind::ScrollUp => -WHEEL,
        MouseEventKind::ScrollDown => WHEEL,
        MouseEventKind::Down(_) if model.dialog.is_none() => return click(model, mouse),
        _ => return Vec::new(),
    };
    let areas = Areas::of(model);
    let at = Position::new(mouse.column, mouse.row);
    let code = if by < 0 { KeyCode::Up } else { KeyCode::Down };
    if model.dialog.is_some() {
        return keys::press(model, code.into());
    }
    if areas.list.contains(at) {
        keys::move_cursor(model, by);
        return Vec::new();
    }
    scroll(model, by)
}

fn click(model: &mut Model, mouse: MouseEvent) -> Vec<Effect> {
    let areas = Areas::of(model);
    let at = Position::new(mouse.column, mouse.row);
    if areas.list.contains(at) {
        let (rows, first) = layout::list(model, areas.list);
        let row = rows.get(first + usize::from(mouse.row - areas.list.y));
        let listed = model.listed();
        let chat = match row {
            Some(layout::ListRow::Chat(index, _)) => listed.get(*index),
            _ => None,
        };
        let key = chat.map(|chat| chat.key.clone());
        return key.map_or_else(Vec::new, |key| open_chat(model, &key));
    }
    if areas.compose.contains(at) && model.shut().is_none() {
        keys::focus(model, Focus::Compose);
    } else if areas.history.contains(at) {
        let row = usize::from(mouse.row - areas.history.y);
        if let Some(open) = &model.open {
            let rows = layout::rows_in(model, open, areas.history);
            let height = usize::from(areas.history.height);
            let (first, end) = layout::visible(&rows, open, height);
            // A short history stands at the bottom.
            let row = (first + row).checked_sub(height - (end - first));
            let row = row.and_then(|row| rows.get(row)).filter(|row| row.own);
            let chosen = row.map(|row| open.entries[row.entry].id);
            if let (Some(chosen), Some(open)) = (chosen, &mut model.open) {
                open.selected = Some(chosen);
                keys::focus(model, Focus::History);
            }
        }
    } else if areas.head.contains(at) {
        keys::focus(model, Focus::History);
        return keys::about(model);
    }
    Vec::new()
}

/// Rows that the wheel of a mouse scrolls.
const WHEEL: isize = 3;
