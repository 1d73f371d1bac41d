//! The state as a frame: one file for each part of the screen.

mod compose;
mod dialog;
mod history;
mod list;
mod status;
mod theme;

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};

pub(crate) use self::theme::Theme;
use super::{
    layout::{Areas, Piece},
    model::Model,
    text,
};

/// Draws everything.
pub(crate) fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) {
    let areas = Areas::of(model);
    let mut canvas = Canvas { frame, theme };
    list::draw(model, areas, &mut canvas);
    history::draw(model, areas, &mut canvas);
    compose::draw(model, areas, &mut canvas);
    status::draw(model, areas, &mut canvas);
    dialog::draw(model, areas, &mut canvas);
}

/// Where parts are drawn.
struct Canvas<'a, 'b> {
    frame: &'a mut Frame<'b>,
    theme: Theme,
}

impl Canvas<'_, '_> {
    /// Writes text into a row of `area`, from its left end on.
    fn write(&mut self, area: Rect, row: u16, text: &str, style: Style) {
        self.write_at(area, 0, row, text, style);
    }

    /// Writes text into a row of `area`, from a column on.
    fn write_at(&mut self, area: Rect, column: u16, row: u16, text: &str, style: Style) {
        if row >= area.height || column >= area.width {
            return;
        }
        let room = usize::from(area.width - column);
        let buffer = self.frame.buffer_mut();
        buffer.set_stringn(area.x + column, area.y + row, text, room, style);
    }

    /// Writes text that ends at the right end of a row.
    fn write_right(&mut self, area: Rect, row: u16, text: &str, style: Style) {
        let column = usize::from(area.width).saturating_sub(text::width(text));
        let column = u16::try_from(column).unwrap_or(0);
        self.write_at(area, column, row, text, style);
    }

    /// Writes pieces into a row.
    fn pieces(&mut self, area: Rect, row: u16, pieces: &[Piece]) {
        if row >= area.height {
            return;
        }
        let theme = self.theme;
        let spans = pieces.iter();
        let spans = spans.map(|piece| Span::styled(&*piece.text, theme.role(piece.role)));
        let line = Line::from_iter(spans);
        let buffer = self.frame.buffer_mut();
        buffer.set_line(area.x, area.y + row, &line, area.width);
    }

    /// Changes how a row looks.
    fn style(&mut self, area: Rect, row: u16, style: Style) {
        if row < area.height {
            let row = Rect {
                y: area.y + row,
                height: 1,
                ..area
            };
            self.frame.buffer_mut().set_style(row, style);
        }
    }

    /// Shows the terminal's cursor.
    fn cursor(&mut self, area: Rect, column: usize, row: usize) {
        let column = u16::try_from(column).unwrap_or(u16::MAX);
        let row = u16::try_from(row).unwrap_or(u16::MAX);
        if row < area.height {
            let column = column.min(area.width.saturating_sub(1));
            let at = Position::new(area.x + column, area.y + row);
            self.frame.set_cursor_position(at);
        }
    }
}

/// A number of rows or columns as cells. What is larger than any screen is cut.
fn cells(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
