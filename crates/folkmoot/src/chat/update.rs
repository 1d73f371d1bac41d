//! The core: what happens changes the state, and asks for things to be done.
//!
//! Nothing here does I/O or reads a clock. [`super::shell`] brings the events and does what the
//! effects say.

use folkmoot_wire::{GroupId, MessageId};
use ratatui::crossterm::event as terminal;

use super::{
    dialog::Dialog,
    event::{Effect, Event, History},
    keys,
    layout::{self, Areas},
    model::{
        Chat, ChatKey, Edge, Focus, Link, MOST_MESSAGES, Model, Notice, Open, PAGE, Section, Size,
        Tone, Window,
    },
};

/// How long the last line says something.
const NOTICE_NS: u64 = 8 * 1_000_000_000;
/// How long somebody who writes is believed to go on.
const TYPING_NS: u64 = 10 * 1_000_000_000;
/// People who write at the same time and are remembered.
const MOST_TYPING: usize = 1_000;

/// What `event` does to the state. Returns what is to be done now.
pub(crate) fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Terminal(event) => return at_terminal(model, event),
        Event::Time(now_ns) => {
            model.clock.now_ns = now_ns;
            model.typing.retain(|_, until_ns| *until_ns > now_ns);
            model.notice.take_if(|notice| notice.until_ns <= now_ns);
        }
        Event::Link(link) => {
            let back = link == Link::Live && model.link != Link::Live;
            model.link = link;
            if back {
                let waiting = model.unsent.keys().copied().collect();
                return vec![Effect::Flush(waiting)];
            }
        }
        Event::Chats(chats) => {
            model.chats = chats;
            model.loaded = true;
            sort(model);
        }
        Event::Chat(chat) => {
            let shown = model.open.as_ref().is_some_and(|open| open.key == chat.key);
            if let Some(last) = &chat.last {
                model.typing.remove(&(chat.key.clone(), last.sender));
            }
            put(model, *chat);
            if shown {
                return load_again(model);
            }
        }
        Event::Changed => return load_again(model),
        Event::Window(key, window) => {
            if let Some(open) = &mut model.open
                && open.key == key
            {
                open.window = window;
                return load(model);
            }
        }
        Event::Typing {
            key,
            inbox,
            started,
        } => {
            model.typing.remove(&(key.clone(), inbox));
            if started && model.typing.len() < MOST_TYPING {
                let until_ns = model.clock.now_ns.saturating_add(TYPING_NS);
                model.typing.insert((key, inbox), until_ns);
            }
        }
        Event::Transfer(news) => {
            let mut transfers = model.transfers.iter_mut();
            match transfers.find(|one| one.number == news.number) {
                Some(known) => *known = news,
                None => model.transfers.push(news),
            }
        }
        Event::Transferred(number) => model.transfers.retain(|one| one.number != number),
        Event::Names(names) => model.names.extend(names),
        Event::History(history) => return take_in(model, *history),
        Event::Show { chat, target } => {
            let key = chat.key.clone();
            put(model, *chat);
            let mut effects = open_chat(model, &key);
            if let (Some((message, window)), Some(open)) = (target, &mut model.open) {
                open.selected = Some(message);
                open.window = window;
                model.focus = Focus::History;
                effects.extend(load(model));
                settle(model);
            }
            return effects;
        }
        Event::Group(id, details) => {
            if let Some(Dialog::Details(pane)) = &mut model.dialog
                && pane.id == id
            {
                pane.chosen = pane.chosen.min(details.people.len().saturating_sub(1));
                pane.details = Some(*details);
            }
        }
        Event::Found { query, hits } => {
            if let Some(Dialog::Search(search)) = &mut model.dialog
                && search.editor.text() == query
            {
                search.hits = hits;
                search.answered = Some(query);
                search.chosen = 0;
            }
        }
        Event::Begun => model.busy += 1,
        Event::Done(said) => {
            model.busy = model.busy.saturating_sub(1);
            if let Some(text) = said {
                say(model, Tone::Good, text);
            }
        }
        Event::Failed { what, remedy } => {
            model.busy = model.busy.saturating_sub(1);
            let text = match remedy {
                Some(remedy) => format!("{what}: {remedy}"),
                None => what,
            };
            say(model, Tone::Bad, text);
        }
        Event::Unsent(message, why) => {
            model.unsent.insert(message, why);
        }
        Event::Flushed(sent) => {
            for message in sent {
                model.unsent.remove(&message);
            }
        }
        Event::Resumed => return vec![Effect::Redraw],
        Event::Terminate => return vec![Effect::Quit],
    }
    Vec::new()
}

fn at_terminal(model: &mut Model, event: terminal::Event) -> Vec<Effect> {
    match event {
        terminal::Event::Key(key) if key.kind != terminal::KeyEventKind::Release => {
            let effects = keys::press(model, key);
            settle(model);
            effects
        }
        terminal::Event::Paste(text) => {
            paste(model, &text);
            Vec::new()
        }
        terminal::Event::Resize(columns, rows) => {
            model.size = Size { columns, rows };
            settle(model);
            Vec::new()
        }
        terminal::Event::Mouse(mouse) => mouse::at(model, mouse),
        _ => Vec::new(),
    }
}

/// Pasted text goes where text is written, as it is: nothing in it sends anything.
fn paste(model: &mut Model, text: &str) {
    if let Some(dialog) = &mut model.dialog {
        dialog.paste(text);
        return;
    }
    if model.shut().is_none()
        && let Some(open) = &mut model.open
    {
        open.draft.editor.insert(text);
        keys::focus(model, Focus::Compose);
    }
}

/// Says something on the last line.
fn say(model: &mut Model, tone: Tone, text: String) {
    model.notice = Some(Notice {
        tone,
        text: super::text::clean(&text, super::text::Lines::One),
        until_ns: model.clock.now_ns.saturating_add(NOTICE_NS),
    });
}

/// Says on the last line why something does not work.
pub(crate) fn say_bad(model: &mut Model, text: &str) {
    say(model, Tone::Bad, text.to_owned());
}

fn sort(model: &mut Model) {
    model
        .chats
        .sort_by_key(|chat| std::cmp::Reverse(chat.last_ns));
    let listed = model.listed();
    let there = |key: &ChatKey| listed.iter().any(|chat| chat.key == *key);
    if !model.cursor.as_ref().is_some_and(there) {
        model.cursor = listed.first().map(|chat| chat.key.clone());
    }
}

/// Puts a conversation in the place of what was known about it.
fn put(model: &mut Model, chat: Chat) {
    model.chats.retain(|one| one.key != chat.key);
    model.chats.push(chat);
    sort(model);
}

/// Shows a conversation.
pub(crate) fn open_chat(model: &mut Model, key: &ChatKey) -> Vec<Effect> {
    if model.chat(key).is_none() {
        return Vec::new();
    }
    model.cursor = Some(key.clone());
    if model.open.as_ref().is_none_or(|open| open.key != *key) {
        close(model);
        let draft = model.drafts.remove(key).unwrap_or_default();
        model.open = Some(Open::new(key.clone(), draft));
    }
    keys::focus(
        model,
        match model.shut() {
            Some(_) => Focus::History,
            None => Focus::Compose,
        },
    );
    load(model)
}

/// Stops showing the conversation; what was being written stays.
pub(crate) fn close(model: &mut Model) {
    if let Some(open) = model.open.take()
        && !open.draft.editor.is_empty()
    {
        model.drafts.insert(open.key, open.draft);
    }
    model.focus = Focus::List;
}

/// Asks for the messages of the window again, as something about them changed. Where the person
/// looks at the newest ones no more of them are wanted than at first.
fn load_again(model: &mut Model) -> Vec<Effect> {
    if let Some(open) = &mut model.open
        && open.anchor.is_none()
        && open.window.before_ns.is_none()
        && (model.focus != Focus::History || open.is_near_end(PAGE / 2))
    {
        open.window.limit = PAGE;
    }
    load(model)
}

/// Asks for the messages of the window.
pub(crate) fn load(model: &mut Model) -> Vec<Effect> {
    let Some(id) = model.open_chat().map(|chat| chat.id.clone()) else {
        return Vec::new();
    };
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    open.loading = true;
    vec![Effect::Load {
        key: open.key.clone(),
        id,
        window: open.window,
    }]
}

/// Takes loaded messages in.
fn take_in(model: &mut Model, history: History) -> Vec<Effect> {
    let Some(chat) = model.open_chat() else {
        return Vec::new();
    };
    let (id, unread, wanted) = (chat.id.clone(), chat.unread, Section::of(chat));
    let receipts = model.tells.reading && wanted == Section::Chats;
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    if open.key != history.key || open.window != history.window {
        return Vec::new();
    }
    open.loading = false;
    if open.read_ns.is_none() {
        let mut new = history.entries.iter();
        let new = new.any(|one| one.sent_ns > history.read_ns && one.sender != model.me);
        // What comes while the person looks on is not marked as new.
        open.read_ns = Some(if new { history.read_ns } else { u64::MAX });
    }
    open.entries = history.entries;
    open.more = history.more;
    open.seen = history.seen;
    let (first, last) = (open.entries.first(), open.entries.last());
    let edge = match open.heading.take() {
        Some(Edge::First) => first.map(|entry| entry.id),
        Some(Edge::Last) => last.map(|entry| entry.id),
        // What was chosen may have gone.
        None if model.focus == Focus::History && open.selected().is_none() => {
            last.map(|entry| entry.id)
        }
        None => None,
    };
    open.selected = edge.or(open.selected);
    for entry in &open.entries {
        if entry.delivery == super::model::Delivery::Sent {
            model.unsent.remove(&entry.id);
        }
    }
    let newest = open.entries.last().map_or(0, |entry| entry.sent_ns);
    let at_end = open.anchor.is_none() && open.window.before_ns.is_none();
    let key = open.key.clone();
    settle(model);
    let mut effects = Vec::new();
    if at_end && newest > history.read_ns && wanted != Section::Requests {
        let others = model.open.as_ref().is_some_and(|open| {
            let new = open.entries.iter().rev();
            let mut new = new.take_while(|entry| entry.sent_ns > history.read_ns);
            new.any(|entry| entry.sender != model.me)
        });
        if let Some(chat) = model.chats.iter_mut().find(|chat| chat.key == key) {
            chat.unread = 0;
        }
        if others || unread > 0 {
            effects.push(Effect::MarkRead {
                key,
                id,
                read_ns: newest,
                receipt: receipts && others,
            });
        }
    }
    effects
}

/// Keeps the chosen message on the screen.
fn settle(model: &mut Model) {
    let Some(open) = &model.open else { return };
    if model.focus != Focus::History {
        return;
    }
    let Some(selected) = open.selected else {
        return;
    };
    let area = Areas::of(model).history;
    let rows = layout::rows_in(model, open, area);
    let height = usize::from(area.height);
    let Some(index) = open.entries.iter().position(|entry| entry.id == selected) else {
        return;
    };
    let own = |row: &layout::Row| row.entry == index && row.own;
    let (Some(first), Some(last)) = (rows.iter().position(own), rows.iter().rposition(own)) else {
        return;
    };
    // The heading belongs to it, where there is room.
    let first = rows
        .iter()
        .position(|row| row.entry == index)
        .unwrap_or(first);
    let (top, end) = layout::visible(&rows, open, height);
    let bottom = if last >= end {
        last
    } else if first < top {
        (first + height).saturating_sub(1).max(last)
    } else {
        return;
    };
    let anchor = layout::anchor(&rows, open, bottom.min(rows.len() - 1));
    if let Some(open) = &mut model.open {
        open.anchor = anchor;
    }
}

/// Scrolls the messages by so many rows.
pub(crate) fn scroll(model: &mut Model, by: isize) -> Vec<Effect> {
    let Some(open) = &model.open else {
        return Vec::new();
    };
    let area = Areas::of(model).history;
    let height = usize::from(area.height);
    let rows = layout::rows_in(model, open, area);
    let (top, end) = layout::visible(&rows, open, height);
    let lowest = height.min(rows.len());
    let end = end.saturating_add_signed(by).clamp(lowest, rows.len());
    let anchor = match end {
        0 => None,
        end => layout::anchor(&rows, open, end - 1),
    };
    let near_top = top.saturating_add_signed(by) < height;
    let at_end = end == rows.len() && by > 0;
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    open.anchor = anchor;
    if model.focus == Focus::History {
        // The chosen message would pull the view back.
        let (top, end) = layout::visible(&rows, open, height);
        let shown = rows[top..end].iter().filter(|row| row.own);
        let ids: Vec<_> = shown.map(|row| open.entries[row.entry].id).collect();
        if !open.selected.is_some_and(|id| ids.contains(&id)) {
            open.selected = if by < 0 { ids.last() } else { ids.first() }.copied();
        }
    }
    match (by < 0 && near_top, at_end) {
        (true, _) => older(model),
        (false, true) => newer(model),
        (false, false) => Vec::new(),
    }
}

/// Asks for older messages, if there are any.
fn older(model: &mut Model) -> Vec<Effect> {
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    if open.loading || !open.more {
        return Vec::new();
    }
    if open.window.limit < MOST_MESSAGES {
        open.window.limit += PAGE;
    } else {
        // The newest make room.
        let from = open.entries.len().saturating_sub(PAGE);
        open.window.before_ns = open.entries.get(from).map(|entry| entry.sent_ns);
    }
    load(model)
}

/// Asks for newer messages, if there are any; else says that all was seen.
fn newer(model: &mut Model) -> Vec<Effect> {
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    if open.window.before_ns.is_none() {
        // What came while the view was elsewhere counts as read now.
        return match model.open_chat().is_some_and(|chat| chat.unread > 0) {
            true => load(model),
            false => Vec::new(),
        };
    }
    match open.loading {
        true => Vec::new(),
        false => turn(model, Edge::Last),
    }
}

/// Asks which messages to load towards an end.
fn turn(model: &mut Model, to: Edge) -> Vec<Effect> {
    let Some(id) = model.open_chat().map(|chat| chat.id.clone()) else {
        return Vec::new();
    };
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    open.loading = true;
    vec![Effect::Turn {
        key: open.key.clone(),
        id,
        newest_ns: open.entries.last().map_or(0, |entry| entry.sent_ns),
        limit: MOST_MESSAGES,
        to,
    }]
}

/// Goes to the very first message, or the very last one.
pub(crate) fn go_to_edge(model: &mut Model, edge: Edge) -> Vec<Effect> {
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    let there = match edge {
        Edge::First => !open.more,
        Edge::Last => open.window.before_ns.is_none(),
    };
    if there {
        return select(
            model,
            match edge {
                Edge::First => isize::MIN,
                Edge::Last => isize::MAX,
            },
        );
    }
    open.heading = Some(edge);
    match edge {
        Edge::First => turn(model, edge),
        Edge::Last => {
            open.window = Window::NEWEST;
            open.anchor = None;
            load(model)
        }
    }
}

/// Goes to the first message that the person had not read when the conversation was opened.
pub(crate) fn go_to_new(model: &mut Model) -> Vec<Effect> {
    let first = model.open.as_ref().and_then(|open| {
        let first = layout::first_unread(model, open)?;
        Some(open.entries[first].id)
    });
    match (&mut model.open, first) {
        (Some(open), Some(first)) => {
            open.selected = Some(first);
            keys::focus(model, Focus::History);
        }
        _ => say(model, Tone::Good, "nothing new here".to_owned()),
    }
    Vec::new()
}

/// Chooses the message so many after the chosen one.
pub(crate) fn select(model: &mut Model, by: isize) -> Vec<Effect> {
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    let Some(last) = open.entries.len().checked_sub(1) else {
        return Vec::new();
    };
    let at = open
        .entries
        .iter()
        .position(|entry| Some(entry.id) == open.selected);
    let at = at.unwrap_or(last);
    let to = at.saturating_add_signed(by).min(last);
    open.selected = Some(open.entries[to].id);
    if to == last && open.window.before_ns.is_none() {
        open.anchor = None;
    }
    if to < PAGE / 10 && by < 0 {
        return older(model);
    }
    if at == last && by > 0 && open.window.before_ns.is_some() {
        return newer(model);
    }
    Vec::new()
}

/// Goes to a message of this conversation.
pub(crate) fn go_to(model: &mut Model, id: GroupId, message: MessageId) -> Vec<Effect> {
    if let Some(open) = &mut model.open
        && open.entry(&message).is_some()
    {
        open.selected = Some(message);
        return Vec::new();
    }
    vec![Effect::Jump { id, message }]
}

mod mouse;

#[cfg(test)]
mod tests;
