//! The last line: the connection, what just happened, and the keys that help here.

use ratatui::style::Color;

use super::{
    super::{
        layout::Areas,
        model::{Focus, Link, Model, Shut, Tone},
        text::{shorten, size, width},
    },
    Canvas, cells,
};

/// Draws the last line.
pub(super) fn draw(model: &Model, areas: Areas, canvas: &mut Canvas<'_, '_>) {
    let area = areas.status;
    if area.is_empty() {
        return;
    }
    let columns = usize::from(area.width);
    let (dim, bad) = (canvas.theme.dim(), canvas.theme.bad());
    let (sign, words, style) = match &model.link {
        Link::Connecting => ("○", "connecting".to_owned(), dim),
        Link::CatchingUp => ("◐", "catching up".to_owned(), dim),
        Link::Live => ("●", String::new(), canvas.theme.colour(Color::Green)),
        Link::Interrupted { reason, retry_ns } => {
            let left = retry_ns
                .saturating_sub(model.clock.now_ns)
                .div_ceil(1_000_000_000);
            let words = match left {
                0 => format!("offline, connecting: {reason}"),
                left => format!("offline, again in {left} s: {reason}"),
            };
            ("○", words, bad)
        }
    };
    canvas.write_at(area, 1, 0, sign, style);
    let mut used = 3;
    if let Some(notice) = &model.notice {
        let style = match notice.tone {
            Tone::Good => canvas.theme.strong(),
            Tone::Bad => bad,
        };
        canvas.write_at(
            area,
            3,
            0,
            &shorten(&notice.text, columns.saturating_sub(4)),
            style,
        );
        return;
    }
    if !words.is_empty() {
        let words = shorten(&words, columns.saturating_sub(4));
        canvas.write_at(area, 3, 0, &words, style);
        used += width(&words) + 2;
    }
    if let Some(words) = transfers(model) {
        let words = shorten(&words, columns.saturating_sub(used + 1));
        canvas.write_at(area, cells(used), 0, &words, canvas.theme.accent());
        used += width(&words) + 2;
    } else if model.busy > 0 {
        canvas.write_at(area, cells(used), 0, "working…", dim);
        used += 10;
    }
    let keys = match (model.focus, model.shut()) {
        (Focus::List, _) => "Enter open  n new  u unread  f find  ? keys  q quit",
        (Focus::History, Some(Shut::Request)) => "a accept  b block  Esc back  ? keys",
        (Focus::History, Some(Shut::Blocked)) => "a accept again  Esc back  ? keys",
        (Focus::History, Some(Shut::Gone)) => "y copy  s save  Esc back  ? keys",
        (Focus::History, None) => "r reply  + react  e edit  d delete  ? keys",
        (Focus::Compose, _) => "Enter send  Up messages  Esc list  F1 keys",
    };
    // What does not fit is left out from the left: the way to the help comes last.
    let room = columns.saturating_sub(used + 1);
    let mut shown = keys;
    while width(shown) > room {
        match shown.split_once("  ") {
            Some((_, rest)) => shown = rest,
            None => return,
        }
    }
    canvas.write_right(area, 0, &format!("{shown} "), dim);
}

/// Files on their way: how far the oldest one is.
fn transfers(model: &Model) -> Option<String> {
    let first = model.transfers.first()?;
    let arrow = if first.up { '↑' } else { '↓' };
    let far = match first.total {
        Some(total @ 1..) => format!("{} % of {}", first.done * 100 / total, size(total)),
        _ => size(first.done),
    };
    let more = match model.transfers.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let name = shorten(&first.name, 20);
    Some(format!("{arrow} {name} {far}{more}, Ctrl-X cancels"))
}
