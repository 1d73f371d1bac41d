//! What lies over the rest.

use ratatui::{
    layout::Rect,
    style::Style,
    widgets::{Block, Clear},
};

use super::{
    super::{
        dialog::{Dialog, Find, REACTIONS, Search},
        editor::Editor,
        keys::{self, Help},
        layout::{Areas, WIDE_HELP, help_rows},
        model::{ChatKind, Model},
        text::{self, fill, shorten, wrap},
        words,
    },
    Canvas, cells,
};

mod pane;

/// Draws the dialog, if there is one.
pub(super) fn draw(model: &Model, _areas: Areas, canvas: &mut Canvas<'_, '_>) {
    match &model.dialog {
        None => {}
        Some(Dialog::Help(first)) => help(*first, model, canvas),
        Some(Dialog::Prompt(prompt)) => {
            let (title, hint) = prompt.ask.words();
            let area = frame(canvas, title, 56, 2);
            field(canvas, area, 0, "", &prompt.editor, true);
            hints(canvas, area, 1, hint);
        }
        Some(Dialog::NewGroup {
            name,
            members,
            second,
        }) => {
            let area = frame(canvas, "New group", 56, 4);
            field(canvas, area, 0, "Name     ", name, !*second);
            field(canvas, area, 1, "Members  ", members, *second);
            hints(canvas, area, 3, "contacts or addresses, with spaces");
        }
        Some(Dialog::Search(search)) => found(model, search, canvas),
        Some(Dialog::React { editor, chosen, .. }) => react(editor, *chosen, canvas),
        Some(Dialog::Confirm { question, .. }) => {
            let columns = usize::from(canvas.frame.area().width).clamp(8, 56) - 4;
            let lines = wrap(question, columns);
            let area = frame(canvas, "", 56, cells(lines.len()) + 1);
            for (row, line) in lines.iter().enumerate() {
                canvas.write(area, cells(row), line, Style::new());
            }
            hints(canvas, area, cells(lines.len()), "y yes  n no");
        }
        Some(Dialog::Details(pane)) => pane::draw(model, pane, canvas),
        Some(Dialog::Find(one)) => find(model, one, canvas),
    }
}

/// A box in the middle of the screen; returns the room inside.
fn frame(canvas: &mut Canvas<'_, '_>, title: &str, columns: u16, rows: u16) -> Rect {
    let screen = canvas.frame.area();
    let size = (
        columns.min(screen.width),
        (rows.saturating_add(2)).min(screen.height),
    );
    let area = Rect {
        x: (screen.width - size.0) / 2,
        y: (screen.height - size.1) / 2,
        width: size.0,
        height: size.1,
    };
    let room = usize::from(area.width).saturating_sub(6);
    let title = match title {
        "" => String::new(),
        title => format!(" {} ", shorten(title, room)),
    };
    let block = Block::bordered()
        .border_style(canvas.theme.dim())
        .title(title)
        .title_style(canvas.theme.strong());
    // Where the screen is tiny the frame gives way to what is in it.
    let inner = match area.height >= 4 && area.width >= 12 {
        true => block.inner(area),
        false => area,
    };
    canvas.frame.render_widget(Clear, area);
    if inner != area {
        canvas.frame.render_widget(block, area);
        let narrow = inner.width.saturating_sub(2);
        return Rect {
            x: inner.x + 1,
            width: narrow,
            ..inner
        };
    }
    inner
}

fn hints(canvas: &mut Canvas<'_, '_>, area: Rect, row: u16, words: &str) {
    let dim = canvas.theme.dim();
    canvas.write(area, row, &shorten(words, usize::from(area.width)), dim);
}

/// A line that is being written; the part with the cursor is shown.
fn field(
    canvas: &mut Canvas<'_, '_>,
    area: Rect,
    row: u16,
    label: &str,
    editor: &Editor,
    focused: bool,
) {
    let (accent, dim) = (canvas.theme.accent(), canvas.theme.dim());
    let style = if focused { accent } else { dim };
    canvas.write(area, row, &format!("{label}› "), style);
    let before = text::width(label) + 2;
    let room = usize::from(area.width).saturating_sub(before).max(2);
    let (lines, (line, column)) = editor.lines(room);
    let shown = lines.get(line).map_or("", |line| line);
    canvas.write_at(area, cells(before), row, shown, Style::new());
    if focused {
        canvas.cursor(area, before + column, usize::from(row));
    }
}

fn help(first: usize, model: &Model, canvas: &mut Canvas<'_, '_>) {
    let (left, right) = keys::help();
    let count = help_rows(model);
    let wide = model.size.columns >= WIDE_HELP;
    let area = frame(canvas, "Keys", if wide { 78 } else { 44 }, cells(count));
    let (strong, accent) = (canvas.theme.strong(), canvas.theme.accent());
    let mut half = |rows: &mut dyn Iterator<Item = &Help>, column: u16| {
        let shown = rows.skip(first).take(usize::from(area.height));
        for (row, help) in shown.enumerate() {
            let row = cells(row);
            match help {
                Help::Blank => {}
                Help::Heading(words) => canvas.write_at(area, column, row, words, strong),
                Help::Key(key, does) => {
                    canvas.write_at(area, column, row, key, accent);
                    canvas.write_at(area, column + HELP_KEYS, row, does, Style::new());
                }
            }
        }
    };
    if wide {
        half(&mut left.iter(), 0);
        half(&mut right.iter(), area.width / 2 + 1);
    } else {
        half(&mut left.iter().chain(&[Help::Blank]).chain(right), 0);
    }
    let below = count.saturating_sub(first + usize::from(area.height));
    if below > 0 && area.height > 0 {
        let chosen = canvas.theme.chosen();
        let words = format!(" Down: {below} more ");
        canvas.write_right(area, area.height - 1, &words, chosen);
    }
}

/// Columns that the names of keys have.
const HELP_KEYS: u16 = 18;

/// The conversations with a name.
fn find(model: &Model, find: &Find, canvas: &mut Canvas<'_, '_>) {
    let screen = canvas.frame.area();
    let rows = screen.height.saturating_sub(4).clamp(3, 12);
    let area = frame(canvas, "Go to", 56, rows);
    field(canvas, area, 0, "", &find.editor, true);
    let found = find.found(model);
    if found.is_empty() {
        hints(canvas, area, 2, "no conversation has that in its name");
        return;
    }
    let list = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    let room = usize::from(list.height).max(1);
    let first = (find.chosen + 1).saturating_sub(room);
    for (at, chat) in found.iter().enumerate().skip(first).take(room) {
        let row = cells(at - first);
        let right = match chat.unread {
            0 => model.clock.short(chat.last_ns),
            new => format!("{new} new"),
        };
        let left = usize::from(list.width).saturating_sub(text::width(&right) + 1);
        let title = match chat.kind {
            ChatKind::Dm(_) => model.title(chat),
            ChatKind::Group { .. } => format!("# {}", model.title(chat)),
        };
        let style = match chat.unread {
            0 => Style::new(),
            _ => canvas.theme.strong(),
        };
        canvas.write(list, row, &fill(&title, left), style);
        let style = match chat.unread {
            0 => canvas.theme.dim(),
            _ => canvas.theme.accent(),
        };
        canvas.write_right(list, row, &right, style);
        if at == find.chosen {
            canvas.style(list, row, canvas.theme.chosen());
        }
    }
}

fn react(editor: &Editor, chosen: usize, canvas: &mut Canvas<'_, '_>) {
    let area = frame(canvas, "React", 40, 3);
    for (index, emoji) in REACTIONS.iter().enumerate() {
        let column = cells(index * 6);
        let style = match index == chosen && editor.is_empty() {
            true => canvas.theme.chosen(),
            false => Style::new(),
        };
        canvas.write_at(area, column, 0, &format!("{} {emoji}", index + 1), style);
    }
    field(canvas, area, 1, "", editor, true);
    hints(canvas, area, 2, "a number, or write your own");
}

fn found(model: &Model, search: &Search, canvas: &mut Canvas<'_, '_>) {
    let screen = canvas.frame.area();
    let area = frame(
        canvas,
        "Search",
        76,
        screen.height.saturating_sub(4).clamp(3, 15),
    );
    field(canvas, area, 0, "", &search.editor, true);
    if search.hits.is_empty() {
        let words = match &search.answered {
            Some(query) if !query.trim().is_empty() => "nothing found",
            _ => "words, or their beginnings; Enter goes to the message",
        };
        hints(canvas, area, 2, words);
        return;
    }
    let list = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    let step = if list.height >= 6 { 2 } else { 1 };
    let room = usize::from(list.height / step).max(1);
    let first = (search.chosen + 1).saturating_sub(room);
    let columns = usize::from(list.width);
    for (at, hit) in search.hits.iter().skip(first).take(room).enumerate() {
        let row = cells(at) * step;
        let time = model.clock.short(hit.sent_ns);
        let left = columns.saturating_sub(text::width(&time) + 1);
        let Some(chat) = model.chat(&hit.key) else {
            continue;
        };
        let title = model.title(chat);
        let head = format!("{} in {title}", words::subject(model, hit.sender));
        let said = words::line(model, &chat.kind, hit.sender, &hit.body);
        let (strong, dim) = (canvas.theme.strong(), canvas.theme.dim());
        if step == 2 {
            canvas.write(list, row, &fill(&head, left), strong);
            canvas.write_right(list, row, &time, dim);
            canvas.write_at(
                list,
                2,
                row + 1,
                &shorten(&said, columns.saturating_sub(2)),
                Style::new(),
            );
        } else {
            canvas.write(
                list,
                row,
                &fill(&format!("{head}: {said}"), columns),
                Style::new(),
            );
        }
        if first + at == search.chosen {
            for row in row..row + step {
                canvas.style(list, row, canvas.theme.chosen());
            }
        }
    }
}
