//! What lies over the rest.

use folkmoot_client::MemberRole;
use folkmoot_conversation::{
    context::Attribute,
    permissions::{PolicyKind, Who},
};
use ratatui::{
    layout::Rect,
    style::Style,
    widgets::{Block, Clear},
};

use super::{
    super::{
        dialog::{Dialog, Pane, REACTIONS, Search},
        editor::Editor,
        keys,
        layout::{Areas, Piece, Role},
        model::{ChatKind, Model},
        text::{self, fill, shorten, wrap},
        words,
    },
    Canvas, cells,
};

/// Draws the dialog, if there is one.
pub(super) fn draw(model: &Model, _areas: Areas, canvas: &mut Canvas<'_, '_>) {
    match &model.dialog {
        None => {}
        Some(Dialog::Help(first)) => help(*first, canvas),
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
        Some(Dialog::Details(pane)) => details(model, pane, canvas),
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

fn help(first: usize, canvas: &mut Canvas<'_, '_>) {
    let count = keys::help().count();
    let area = frame(canvas, "Keys", 72, cells(count));
    let (strong, accent) = (canvas.theme.strong(), canvas.theme.accent());
    let shown = keys::help().skip(first).take(usize::from(area.height));
    for (row, (key, does)) in shown.enumerate() {
        let row = cells(row);
        if key.is_empty() {
            canvas.write(area, row, does, strong);
        } else {
            canvas.write_at(area, 2, row, key, accent);
            canvas.write_at(area, 21, row, does, Style::new());
        }
    }
    let below = count.saturating_sub(first + usize::from(area.height));
    if below > 0 && area.height > 0 {
        let chosen = canvas.theme.chosen();
        canvas.write_right(
            area,
            area.height - 1,
            &format!(" Down: {below} more "),
            chosen,
        );
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

fn details(model: &Model, pane: &Pane, canvas: &mut Canvas<'_, '_>) {
    let Some(chat) = model.chats.iter().find(|chat| chat.id == pane.id) else {
        return;
    };
    let group = matches!(chat.kind, ChatKind::Group { .. });
    let Some(details) = &pane.details else {
        let area = frame(canvas, &model.title(chat), 76, 3);
        hints(canvas, area, 1, "…");
        return;
    };
    let columns = usize::from(canvas.frame.area().width).clamp(8, 76) - 4;
    let mut head = Vec::new();
    if !details.description.is_empty() {
        let lines = wrap(
            &text::clean(&details.description, text::Lines::Many),
            columns,
        );
        head.extend(
            lines
                .into_iter()
                .take(4)
                .map(|line| Piece::new(line, Role::Plain)),
        );
    }
    let vanish = match chat.vanish {
        Some(seconds) => format!(
            "messages disappear after {}",
            super::super::when::span(seconds)
        ),
        None => "messages stay".to_owned(),
    };
    head.push(Piece::new(format!("id {}", details.id), Role::Dim));
    head.push(Piece::new(vanish, Role::Dim));
    let rows: Vec<(String, String)> = match pane.rules {
        true => details
            .rules
            .iter()
            .map(|(kind, who)| rule(*kind, *who))
            .collect(),
        false => {
            let people = details.people.iter();
            let row = |person: &super::super::event::Person| {
                let name = model.name(person.inbox);
                let name = match person.address.is_empty() {
                    true => name,
                    false => format!("{name}  {}", person.address),
                };
                let role = match person.role {
                    MemberRole::Member => "",
                    MemberRole::Admin => "admin",
                    MemberRole::SuperAdmin => "super admin",
                };
                (name, role.to_owned())
            };
            people.map(row).collect()
        }
    };
    let keys = match (group, pane.rules) {
        (false, _) => "t disappearing  Esc close",
        (true, false) => {
            "a add  x remove  p promote  d demote  m rules  n name  e description  t disappearing  l leave"
        }
        (true, true) => "Left Right change  m members  Esc close",
    };
    // A line is broken between two keys, not inside of what one does.
    let keys: Vec<_> = keys
        .split("  ")
        .map(|key| key.replace(' ', "\u{a0}"))
        .collect();
    let keys = wrap(&keys.join("  "), columns);
    let fixed = head.len() + keys.len() + 2;
    let area = frame(canvas, &model.title(chat), 76, cells(fixed + rows.len()));
    let mut row = 0;
    for piece in &head {
        canvas.pieces(area, row, std::slice::from_ref(piece));
        row += 1;
    }
    row += 1;
    let room = usize::from(area.height).saturating_sub(fixed).max(1);
    let first = (pane.chosen + 1).saturating_sub(room);
    for (at, (left, right)) in rows.iter().enumerate().skip(first).take(room) {
        let width = columns.saturating_sub(text::width(right) + 1);
        canvas.write(area, row, &fill(left, width), Style::new());
        let dim = canvas.theme.dim();
        canvas.write_right(area, row, right, dim);
        if at == pane.chosen && group {
            canvas.style(area, row, canvas.theme.chosen());
        }
        row += 1;
    }
    let bottom = usize::from(area.height).saturating_sub(keys.len());
    for (at, line) in keys.iter().enumerate() {
        let line = line.replace('\u{a0}', " ");
        hints(canvas, area, cells(bottom + at), line.trim_end());
    }
}

/// A rule in words: what, and who may.
fn rule(kind: PolicyKind, who: Option<Who>) -> (String, String) {
    let what = match kind {
        PolicyKind::AddMember => "add members",
        PolicyKind::RemoveMember => "remove members",
        PolicyKind::AddAdmin => "make admins",
        PolicyKind::RemoveAdmin => "take the role of admin away",
        PolicyKind::UpdateMetadata(attribute) => match attribute {
            Attribute::GroupName => "change the name",
            Attribute::Description => "change the description",
            Attribute::ImageUrl => "change the picture",
            Attribute::AppData => "change what apps keep here",
            Attribute::DisappearFromNs | Attribute::DisappearInNs => "let messages disappear",
            _ => "change other settings",
        },
    };
    let who = match who {
        Some(Who::Everyone) => "everybody",
        Some(Who::Admins) => "admins",
        Some(Who::SuperAdmins) => "super admins",
        Some(Who::Nobody) => "nobody",
        None => "several conditions",
    };
    (what.to_owned(), who.to_owned())
}
