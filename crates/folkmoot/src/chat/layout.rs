//! Where things stand on the screen, and the rows of the history.
//!
//! Both the view and the keys that scroll need to know, and neither decides it.

use folkmoot_wire::InboxId;
use ratatui::layout::Rect;

use super::{
    keys,
    model::{Anchor, Body, ChatKind, Delivery, Entry, Focus, Model, Open, Purpose, Section},
    text::{self, Lines, clean, width, wrap},
    words,
};

/// The parts of the screen. Those without room are empty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Areas {
    /// The conversations.
    pub(crate) list: Rect,
    /// The line between list and conversation.
    pub(crate) line: Rect,
    /// The name of the conversation.
    pub(crate) head: Rect,
    /// The messages.
    pub(crate) history: Rect,
    /// What is being written.
    pub(crate) compose: Rect,
    /// The last line.
    pub(crate) status: Rect,
}

/// From this many columns on the list stands beside the conversation.
const BOTH: u16 = 64;
/// Rows of text that are written at most, of the screen.
const MOST_COMPOSED: u16 = 8;

impl Areas {
    /// The parts of the screen for this state.
    pub(crate) fn of(model: &Model) -> Self {
        let (columns, rows) = (model.size.columns, model.size.rows);
        let mut areas = Self::default();
        let mut rest = Rect::new(0, 0, columns, rows);
        if rows >= 4 {
            areas.status = Rect::new(0, rows - 1, columns, 1);
            rest.height -= 1;
        }
        if columns < BOTH {
            if model.focus == Focus::List || model.open.is_none() {
                areas.list = rest;
                return areas;
            }
        } else {
            let list = (columns / 3).clamp(24, 34);
            areas.list = Rect {
                width: list,
                ..rest
            };
            areas.line = Rect {
                x: list,
                width: 1,
                ..rest
            };
            rest.x += list + 1;
            rest.width -= list + 1;
        }
        if rest.height >= 6 {
            areas.head = Rect { height: 2, ..rest };
            rest.y += 2;
            rest.height -= 2;
        }
        if let Some(open) = &model.open
            && rest.height > 1
        {
            let most = MOST_COMPOSED.min(rest.height / 2).max(1);
            let (lines, _) = open
                .draft
                .editor
                .lines(usize::from(rest.width).saturating_sub(2));
            let lines = u16::try_from(lines.len()).unwrap_or(u16::MAX);
            let label = u16::from(rest.height >= 4);
            let height = match model.shut() {
                Some(_) => 1 + label,
                None => lines.saturating_add(label).min(most.max(1 + label)),
            };
            rest.height -= height;
            areas.compose = Rect {
                y: rest.y + rest.height,
                height,
                ..rest
            };
        }
        areas.history = rest;
        areas
    }
}

/// A row of the history.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Which message it belongs to, by its place among those that are loaded.
    pub(crate) entry: usize,
    /// Whether it is part of what the message says, and not a line before it.
    pub(crate) own: bool,
    /// What stands there, from the left.
    pub(crate) pieces: Vec<Piece>,
    /// What stands at the right end.
    pub(crate) right: Option<Piece>,
}

/// Some text that looks the same throughout.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    /// The text.
    pub(crate) text: String,
    /// What it is.
    pub(crate) role: Role,
}

/// What a piece of text is; the theme knows how that looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// What somebody says.
    Plain,
    /// What matters less.
    Dim,
    /// The name of somebody.
    Name(InboxId),
    /// Our own name, or something that we did.
    Own,
    /// What should be seen.
    Strong,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
}

impl Piece {
    /// A piece.
    pub(crate) fn new(text: impl Into<String>, role: Role) -> Self {
        Self {
            text: text.into(),
            role,
        }
    }
}

/// Messages of one person that are so near to each other share a heading: 5 minutes.
const NEAR_NS: u64 = 5 * 60 * 1_000_000_000;
/// What stands in the gutter of something that happened, and of what a message answers.
const EVENT: &str = "·";
const QUOTE: &str = "┃";
/// Lines of a long message that are shown until the person wants all of it.
const FOLD: usize = 20;
/// Columns before what is said, and after it.
const GUTTER: usize = 2;
const MARKS: usize = 4;

/// The rows of the history for `columns` columns, oldest first.
pub(crate) fn rows(model: &Model, open: &Open, columns: usize) -> Vec<Row> {
    let Some(chat) = model.chat(&open.key) else {
        return Vec::new();
    };
    let mut painter = Painter {
        model,
        kind: &chat.kind,
        open,
        columns,
        rows: Vec::new(),
    };
    let unread = first_unread(model, open);
    for index in 0..open.entries.len() {
        painter.entry(index, unread == Some(index));
    }
    painter.rows
}

/// The rows of the history for the place that it has on the screen.
pub(crate) fn rows_in(model: &Model, open: &Open, area: Rect) -> Vec<Row> {
    // A column parts them from what stands at the left.
    rows(model, open, usize::from(area.width).saturating_sub(1))
}

/// The first message that the person had not read when the conversation was opened.
pub(crate) fn first_unread(model: &Model, open: &Open) -> Option<usize> {
    let read_ns = open.read_ns.filter(|read_ns| *read_ns > 0)?;
    let mut entries = open.entries.iter();
    let first = entries.position(|entry| entry.sent_ns > read_ns && entry.sender != model.me)?;
    // With nothing before it the line would part it from nothing.
    (first > 0 || open.more).then_some(first)
}

struct Painter<'a> {
    model: &'a Model,
    kind: &'a ChatKind,
    open: &'a Open,
    columns: usize,
    rows: Vec<Row>,
}

impl Painter<'_> {
    fn push(&mut self, entry: usize, own: bool, pieces: Vec<Piece>) {
        self.rows.push(Row {
            entry,
            own,
            pieces,
            right: None,
        });
    }

    /// A line with words in its middle.
    fn rule(&mut self, entry: usize, words: &str, role: Role) {
        let words = text::shorten(words, self.columns.saturating_sub(8).max(1));
        let room = self.columns.saturating_sub(width(&words) + 2);
        let left = "─".repeat(room / 2);
        let right = "─".repeat(room - room / 2);
        let dim = |text| Piece::new(text, Role::Dim);
        let middle = Piece::new(format!(" {words} "), role);
        self.push(entry, false, vec![dim(left), middle, dim(right)]);
    }

    fn blank(&mut self, entry: usize) {
        if !self.rows.is_empty() {
            self.push(entry, false, Vec::new());
        }
    }

    fn entry(&mut self, index: usize, first_unread: bool) {
        let entry = &self.open.entries[index];
        let before = index.checked_sub(1).map(|index| &self.open.entries[index]);
        let clock = &self.model.clock;
        let new_day = before.is_none_or(|one| clock.day(one.sent_ns) != clock.day(entry.sent_ns));
        let event = |one: &Entry| matches!(one.body, Body::Update(_) | Body::Act(_));
        let alone = before.is_none_or(|one| {
            new_day
                || first_unread
                || event(one)
                || one.sender != entry.sender
                || entry.sent_ns.saturating_sub(one.sent_ns) > NEAR_NS
        });
        if new_day {
            self.blank(index);
            self.rule(index, &clock.day_in_words(entry.sent_ns), Role::Dim);
        }
        if first_unread {
            if !new_day {
                self.blank(index);
            }
            self.rule(index, "new", Role::Strong);
        }
        if event(entry) {
            if before.is_some_and(|one| !event(one)) && !new_day && !first_unread {
                self.blank(index);
            }
            self.event(index);
            return;
        }
        if alone {
            if !new_day && !first_unread {
                self.blank(index);
            }
            let role = match entry.sender == self.model.me {
                true => Role::Own,
                false => Role::Name(entry.sender),
            };
            let time = clock.minute(entry.sent_ns);
            let room = self.columns.saturating_sub(time.len() + 2).max(1);
            let name = text::shorten(&self.model.name(entry.sender), room);
            let time = Piece::new(format!("  {time}"), Role::Dim);
            self.push(index, false, vec![Piece::new(name, role), time]);
        }
        self.said(index);
    }

    /// What happened, in a sentence.
    fn event(&mut self, index: usize) {
        let entry = &self.open.entries[index];
        let words = words::line(self.model, self.kind, entry.sender, &entry.body);
        let time = self.model.clock.minute(entry.sent_ns);
        let words = format!("{words} · {time}");
        for line in wrap(&words, self.columns.saturating_sub(GUTTER + 1)) {
            self.signed(index, EVENT, line);
        }
    }

    /// A row of what a message says, behind the gutter.
    fn own(&mut self, index: usize, pieces: Vec<Piece>) {
        self.behind_gutter(index, " ", Role::Plain, pieces);
    }

    /// A row that nobody said. Its sign stands in the gutter, where what people write cannot be:
    /// nobody imitates it.
    fn signed(&mut self, index: usize, sign: &str, words: String) {
        let words = Piece::new(format!(" {words}"), Role::Dim);
        self.behind_gutter(index, sign, Role::Dim, vec![words]);
    }

    fn behind_gutter(&mut self, index: usize, sign: &str, role: Role, mut pieces: Vec<Piece>) {
        let chosen = self.open.selected == Some(self.open.entries[index].id);
        let chosen = match chosen && self.model.focus == Focus::History {
            true => Piece::new("▌", Role::Strong),
            false => Piece::new(" ", Role::Plain),
        };
        pieces.splice(0..0, [chosen, Piece::new(sign, role)]);
        self.push(index, true, pieces);
    }

    fn said(&mut self, index: usize) {
        let entry = &self.open.entries[index];
        let room = self.columns.saturating_sub(GUTTER + MARKS).max(1);
        if let Some(quote) = &entry.quote {
            let quoted = match &quote.said {
                Some((sender, body)) => format!(
                    "{}: {}",
                    self.model.name(*sender),
                    words::line(self.model, self.kind, *sender, body)
                ),
                None => "a message that is not here".to_owned(),
            };
            self.signed(index, QUOTE, text::shorten(&quoted, room.saturating_sub(1)));
        }
        let first = self.rows.len();
        match &entry.body {
            Body::Text(said) => {
                let (lines, left) = match self.open.unfolded.contains(&entry.id) {
                    true => (wrap(said, room), 0),
                    false => text::fold(said, room, FOLD),
                };
                let mut lines: Vec<_> = lines
                    .into_iter()
                    .map(|line| vec![Piece::new(line, Role::Plain)])
                    .collect();
                if left > 0 {
                    let words = format!("… {} more: Space shows all", text::size(left));
                    lines.push(vec![Piece::new(text::shorten(&words, room), Role::Strong)]);
                }
                if entry.edited {
                    const EDITED: &str = " (edited)";
                    let last = lines.last().and_then(|pieces| pieces.first());
                    let used = last.map_or(0, |last| width(&last.text));
                    let (words, own) = match used > 0 && used + EDITED.len() <= room {
                        true => (EDITED, false),
                        false => (EDITED.trim_start(), true),
                    };
                    let words = Piece::new(words, Role::Dim);
                    match lines.last_mut().filter(|_| !own) {
                        Some(line) => line.push(words),
                        None => lines.push(vec![words]),
                    }
                }
                for line in lines {
                    self.own(index, line);
                }
            }
            Body::Files(files) => {
                for file in files {
                    let words = text::shorten(&format!("[{}]", words::file(file)), room);
                    self.own(index, vec![Piece::new(words, Role::Strong)]);
                }
            }
            Body::Deleted(by) => {
                let words = text::shorten(&words::deleted(self.model, *by), room);
                self.own(index, vec![Piece::new(words, Role::Dim)]);
            }
            Body::Update(_) | Body::Act(_) => {}
        }
        if let Some(last) = self.rows[first..].last_mut() {
            last.right = mark(self.model, self.open, entry);
        }
        self.reactions(index, room);
        self.unsent(index, room);
    }

    fn reactions(&mut self, index: usize, room: usize) {
        let entry = &self.open.entries[index];
        let mut pieces: Vec<Piece> = Vec::new();
        let mut used = 0;
        for (emoji, people) in &entry.reactions {
            let who = match &people[..] {
                people if people.len() <= 2 => {
                    let names: Vec<_> = people.iter().map(|one| self.model.name(*one)).collect();
                    names.join(", ")
                }
                people => people.len().to_string(),
            };
            let words = text::shorten(&format!("{} {who}", text::shorten(emoji, 12)), room);
            if used > 0 && used + 3 + width(&words) > room {
                self.own(index, std::mem::take(&mut pieces));
                used = 0;
            }
            if used > 0 {
                pieces.push(Piece::new("   ", Role::Plain));
                used += 3;
            }
            used += width(&words);
            let role = match people.contains(&self.model.me) {
                true => Role::Own,
                false => Role::Dim,
            };
            pieces.push(Piece::new(words, role));
        }
        if !pieces.is_empty() {
            self.own(index, pieces);
        }
    }

    fn unsent(&mut self, index: usize, room: usize) {
        let entry = &self.open.entries[index];
        let why = match (self.model.unsent.get(&entry.id), entry.delivery) {
            (Some(why), Delivery::Sending) => why.as_str(),
            (_, Delivery::Failed) => "it could not be sent",
            _ => return,
        };
        let why = clean(why, Lines::One);
        for line in wrap(&format!("not sent: {why}. R tries again"), room) {
            self.own(index, vec![Piece::new(line, Role::Bad)]);
        }
    }
}

/// How far a message of our own has come.
fn mark(model: &Model, open: &Open, entry: &Entry) -> Option<Piece> {
    if entry.sender != model.me || matches!(entry.body, Body::Deleted(_)) {
        return None;
    }
    let seen = || {
        open.seen
            .iter()
            .any(|(who, ns)| *who != model.me && *ns >= entry.sent_ns)
    };
    Some(match entry.delivery {
        Delivery::Sending if model.unsent.contains_key(&entry.id) => Piece::new("✗", Role::Bad),
        Delivery::Sending => Piece::new("…", Role::Dim),
        Delivery::Failed => Piece::new("✗", Role::Bad),
        Delivery::Sent if seen() => Piece::new("✓✓", Role::Good),
        Delivery::Sent => Piece::new("✓", Role::Dim),
    })
}

/// The first row that is shown, and the one after the last.
pub(crate) fn visible(rows: &[Row], open: &Open, height: usize) -> (usize, usize) {
    let end = match open.anchor {
        None => rows.len(),
        Some(anchor) => match place(rows, open, anchor) {
            Some(at) => (at + 1).max(height.min(rows.len())),
            None => rows.len(),
        },
    };
    (end.saturating_sub(height), end)
}

fn place(rows: &[Row], open: &Open, anchor: Anchor) -> Option<usize> {
    let entry = open
        .entries
        .iter()
        .position(|one| one.id == anchor.message)?;
    let first = rows.iter().position(|row| row.entry == entry)?;
    Some((first + anchor.row).min(rows.len() - 1))
}

/// The anchor that puts `row` at the bottom. `None` for the last one of all.
pub(crate) fn anchor(rows: &[Row], open: &Open, row: usize) -> Option<Anchor> {
    if rows.is_empty() || (row + 1 >= rows.len() && open.window.before_ns.is_none()) {
        return None;
    }
    let entry = rows[row].entry;
    let first = rows.iter().position(|one| one.entry == entry)?;
    Some(Anchor {
        message: open.entries[entry].id,
        row: row - first,
    })
}

/// Rows that a conversation takes in the list: two where there is room.
pub(crate) fn list_step(model: &Model, area: Rect) -> u16 {
    let sections = model.sections();
    let chats: usize = sections.iter().map(|(_, chats)| chats.len()).sum();
    let needed = (2 * (chats + sections.len())).saturating_sub(1);
    match area.height >= 12 || usize::from(area.height) >= needed {
        true => 2,
        false => 1,
    }
}

/// A row of the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ListRow {
    /// The name of a part.
    Heading(Section, usize),
    /// A conversation, by its place; the first or the second of its rows.
    Chat(usize, usize),
    /// Nothing.
    Blank,
}

/// The rows of the list, all of them, and the first that is to be shown in an area of this height.
pub(crate) fn list(model: &Model, area: Rect) -> (Vec<ListRow>, usize) {
    let step = usize::from(list_step(model, area));
    let mut rows = Vec::new();
    let mut index = 0;
    let mut cursor = None;
    let sections = model.sections();
    let headings = step == 2 || sections.len() > 1;
    for (section, chats) in sections {
        if !rows.is_empty() && step == 2 {
            rows.push(ListRow::Blank);
        }
        if headings {
            rows.push(ListRow::Heading(section, chats.len()));
        }
        for chat in chats {
            if model.cursor.as_ref() == Some(&chat.key) {
                cursor = Some(rows.len());
            }
            rows.extend((0..step).map(|part| ListRow::Chat(index, part)));
            index += 1;
        }
    }
    let height = usize::from(area.height);
    let first = match cursor {
        // Its heading is shown with the first one.
        Some(cursor) if cursor + step > height => {
            let first = (cursor + step + 2).min(rows.len()) - height;
            first.min(cursor)
        }
        _ => 0,
    };
    (rows, first)
}

/// From this many columns on the two halves of the page of help stand beside each other.
pub(crate) const WIDE_HELP: u16 = 76;

/// How many rows the page of help has.
pub(crate) fn help_rows(model: &Model) -> usize {
    let (left, right) = keys::help();
    match model.size.columns >= WIDE_HELP {
        true => left.len().max(right.len()),
        false => left.len() + 1 + right.len(),
    }
}

/// What the line above the text that is written says.
pub(crate) fn purpose(model: &Model) -> Option<String> {
    let open = model.open.as_ref()?;
    let chat = model.open_chat()?;
    let quoted = |id| {
        let entry = open.entry(&id)?;
        let words = words::line(model, &chat.kind, entry.sender, &entry.body);
        Some((entry.sender, words))
    };
    match open.draft.purpose {
        Purpose::Say => None,
        Purpose::Reply(id) => Some(match quoted(id) {
            Some((sender, words)) => format!("reply to {}: {words}", words::object(model, sender)),
            None => "reply".to_owned(),
        }),
        Purpose::Edit(id) => Some(match quoted(id) {
            Some((_, words)) => format!("edit: {words}"),
            None => "edit".to_owned(),
        }),
    }
}
