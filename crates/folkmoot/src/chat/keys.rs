//! Keys: what each does, in which part of the screen. [`help`] says so on a page.

use folkmoot_conversation::ConsentState;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    dialog::{Ask, Dialog, Find, Pane, Search, plain},
    editor::{Editor, Move},
    event::Effect,
    model::{Chat, ChatKind, Focus, Model, Purpose, Section, Window},
    update::{close, load, open_chat, say_bad, scroll, select},
};

mod help;
mod history;

pub(crate) use self::help::{Help, help};
use self::history::in_history;

/// What a key does to a text. `true`: the text is another one now.
pub(crate) fn edit(editor: &mut Editor, key: KeyEvent) -> bool {
    let before = editor.text().len();
    let word = key
        .modifiers
        .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Char('w') if key.modifiers == KeyModifiers::CONTROL => editor.delete_word(),
        KeyCode::Char('u') if key.modifiers == KeyModifiers::CONTROL => editor.delete_line(),
        KeyCode::Char('a') if key.modifiers == KeyModifiers::CONTROL => {
            editor.go(Move::Home);
        }
        KeyCode::Char('e') if key.modifiers == KeyModifiers::CONTROL => {
            editor.go(Move::End);
        }
        KeyCode::Char(letter) if plain(key) => editor.insert(letter.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace if word => editor.delete_word(),
        KeyCode::Backspace => editor.backspace(),
        KeyCode::Delete => editor.delete(),
        KeyCode::Left => {
            editor.go(if word { Move::WordLeft } else { Move::Left });
        }
        KeyCode::Right => {
            editor.go(if word { Move::WordRight } else { Move::Right });
        }
        KeyCode::Home => {
            editor.go(Move::Home);
        }
        KeyCode::End => {
            editor.go(Move::End);
        }
        _ => {}
    }
    editor.text().len() != before
}

/// What a key does.
pub(crate) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers == KeyModifiers::CONTROL;
    if let (KeyModifiers::ALT, KeyCode::Char(_)) = (key.modifiers, key.code) {
        // Nothing here is on Alt and a letter. Escape and then a letter look the same to us when
        // the line is slow.
        let mut effects = press(model, KeyCode::Esc.into());
        effects.extend(press(model, key.code.into()));
        return effects;
    }
    match key.code {
        KeyCode::Char('c' | 'q') if control => return quit(model),
        KeyCode::Char('z') if control => return vec![Effect::Suspend],
        KeyCode::Char('l') if control => return vec![Effect::Redraw],
        _ => {}
    }
    if let (Some(Dialog::Find(find)), KeyCode::Enter) = (&model.dialog, key.code) {
        let found = find.found(model);
        let chat = found.get(find.chosen).map(|chat| chat.key.clone());
        return chat.map_or_else(Vec::new, |chat| {
            model.dialog = None;
            open_chat(model, &chat)
        });
    }
    if let Some(dialog) = model.dialog.take() {
        let pane = match &dialog {
            Dialog::Details(pane) => Some(pane.clone()),
            _ => None,
        };
        let (next, effects) = dialog.key(model, key);
        model.dialog = match (pane, next) {
            // What was asked from a page leads back to it.
            (None, None) => model.behind.take().map(Dialog::Details),
            (Some(pane), Some(next)) if !matches!(next, Dialog::Details(_)) => {
                model.behind = Some(pane);
                Some(next)
            }
            (_, next) => next,
        };
        return effects;
    }
    model.notice = None;
    match key.code {
        KeyCode::F(1) => model.dialog = Some(Dialog::Help(0)),
        KeyCode::Char('n') if control => new_dm(model),
        KeyCode::Char('g') if control => new_group(model),
        KeyCode::Char('f') if control => model.dialog = Some(Dialog::Search(Search::default())),
        KeyCode::Char('t') if control => return about(model),
        KeyCode::Char('o') if control => send_file(model),
        KeyCode::Char('k') if control => find(model),
        KeyCode::Char('x') if control => return cancel(model),
        KeyCode::PageUp => return scroll(model, -page(model)),
        KeyCode::PageDown => return scroll(model, page(model)),
        KeyCode::Up if key.modifiers == KeyModifiers::ALT => return neighbour(model, -1),
        KeyCode::Down if key.modifiers == KeyModifiers::ALT => return neighbour(model, 1),
        KeyCode::Tab => turn(model, 1),
        KeyCode::BackTab => turn(model, 2),
        _ => {
            return match model.focus {
                Focus::List => in_list(model, key),
                Focus::History => in_history(model, key),
                Focus::Compose => in_compose(model, key),
            };
        }
    }
    Vec::new()
}

/// Ends, or asks first when words or files would be lost.
fn quit(model: &mut Model) -> Vec<Effect> {
    let asked =
        matches!(&model.dialog, Some(Dialog::Confirm { then, .. }) if **then == Effect::Quit);
    let open = model.open.as_ref().map(|open| &open.draft);
    let mut drafts = model.drafts.values().chain(open);
    let words = drafts.any(|draft| {
        let written = [&draft.editor, &draft.aside];
        written.iter().any(|one| !one.text().trim().is_empty())
    });
    let question = match (words, model.transfers.first()) {
        _ if asked => return vec![Effect::Quit],
        (true, _) => "Quit, and lose what is written but not sent?".to_owned(),
        (false, Some(file)) => format!("Quit, while {} is on its way?", file.name),
        (false, None) => return vec![Effect::Quit],
    };
    model.dialog = Some(Dialog::Confirm {
        question,
        then: Box::new(Effect::Quit),
    });
    Vec::new()
}

fn page(model: &Model) -> isize {
    let height = super::layout::Areas::of(model).history.height;
    isize::from(i16::try_from(height.saturating_sub(2).max(1)).unwrap_or(1))
}

/// Gives the keys to another part: the next, or the one before as the next but one.
fn turn(model: &mut Model, steps: usize) {
    let mut parts = vec![Focus::List];
    if model.open.is_some() {
        parts.push(Focus::History);
        if model.shut().is_none() {
            parts.push(Focus::Compose);
        }
    }
    let at = parts
        .iter()
        .position(|part| *part == model.focus)
        .unwrap_or(0);
    let steps = if steps == 2 { parts.len() - 1 } else { steps };
    focus(model, parts[(at + steps) % parts.len()]);
}

/// Gives the keys to a part.
pub(crate) fn focus(model: &mut Model, focus: Focus) {
    model.focus = focus;
    let last = model
        .open
        .as_ref()
        .and_then(|open| Some(open.entries.last()?.id));
    match (focus, &mut model.open) {
        (Focus::History, Some(open)) if open.selected().is_none() => open.selected = last,
        (Focus::Compose, Some(open)) => open.selected = None,
        _ => {}
    }
}

fn new_dm(model: &mut Model) {
    model.dialog = Some(Dialog::ask(Ask::NewDm, ""));
}

fn new_group(model: &mut Model) {
    model.dialog = Some(Dialog::NewGroup {
        name: Editor::default(),
        members: Editor::default(),
        second: false,
    });
}

/// Lets the person choose a conversation by its name; those with something new come first.
fn find(model: &mut Model) {
    model.dialog = Some(Dialog::Find(Find::default()));
}

/// Lets go of the file that was begun last.
fn cancel(model: &Model) -> Vec<Effect> {
    let last = model.transfers.last();
    last.map_or_else(Vec::new, |file| vec![Effect::Cancel(file.number)])
}

/// Opens the next conversation in which something is new.
fn next_unread(model: &mut Model) -> Vec<Effect> {
    let shown = model.open.as_ref().map(|open| &open.key);
    let listed = model.listed();
    let at = listed.iter().position(|chat| Some(&chat.key) == shown);
    let (before, after) = listed.split_at(at.map_or(0, |at| at + 1));
    let mut round = after.iter().chain(before);
    let next = round.find(|chat| chat.unread > 0 && Some(&chat.key) != shown);
    match next.map(|chat| chat.key.clone()) {
        Some(key) => open_chat(model, &key),
        None => {
            say_bad(model, "nothing new anywhere");
            Vec::new()
        }
    }
}

pub(crate) fn about(model: &mut Model) -> Vec<Effect> {
    let chat = match model.focus {
        Focus::List => model.cursor.as_ref().and_then(|key| model.chat(key)),
        _ => model.open_chat(),
    };
    let Some(chat) = chat else {
        return Vec::new();
    };
    let id = chat.id.clone();
    model.dialog = Some(Dialog::Details(Box::new(Pane {
        id: id.clone(),
        details: None,
        chosen: 0,
        rules: false,
    })));
    vec![Effect::Look(id)]
}

fn send_file(model: &mut Model) {
    if let Some(chat) = model.open_chat()
        && model.shut().is_none()
    {
        model.dialog = Some(Dialog::ask(Ask::SendFile(chat.id.clone()), ""));
    }
}

/// Opens the conversation before or after the one that is shown.
fn neighbour(model: &mut Model, step: isize) -> Vec<Effect> {
    let shown = model.open.as_ref().map(|open| &open.key);
    let listed = model.listed();
    let at = listed.iter().position(|chat| Some(&chat.key) == shown);
    let next = match at {
        Some(at) => at.checked_add_signed(step),
        None => Some(0),
    };
    let key = next
        .and_then(|next| listed.get(next))
        .map(|chat| chat.key.clone());
    key.map_or_else(Vec::new, |key| open_chat(model, &key))
}

/// Keys of the list.
fn in_list(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if !plain(key) {
        return Vec::new();
    }
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => move_cursor(model, -1),
        KeyCode::Down | KeyCode::Char('j') => move_cursor(model, 1),
        KeyCode::Home => move_cursor(model, isize::MIN),
        KeyCode::End => move_cursor(model, isize::MAX),
        KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => {
            let key = model.cursor.clone();
            return key.map_or_else(Vec::new, |key| open_chat(model, &key));
        }
        KeyCode::Esc if model.open.is_some() && model.shut().is_none() => {
            focus(model, Focus::Compose);
        }
        KeyCode::Char('?') => model.dialog = Some(Dialog::Help(0)),
        KeyCode::Char('q') => return quit(model),
        KeyCode::Char('n') => new_dm(model),
        KeyCode::Char('g') => new_group(model),
        KeyCode::Char('/') => model.dialog = Some(Dialog::Search(Search::default())),
        KeyCode::Char('f') => find(model),
        KeyCode::Char('u') => return next_unread(model),
        KeyCode::Char('i') => return about(model),
        KeyCode::Char('B') => model.show_blocked = !model.show_blocked,
        KeyCode::Char('a') => return judge(model, ConsentState::Allowed),
        KeyCode::Char('b') => return judge(model, ConsentState::Denied),
        _ => {}
    }
    Vec::new()
}

/// Moves the cursor of the list by so many conversations.
pub(crate) fn move_cursor(model: &mut Model, by: isize) {
    let listed = model.listed();
    let at = listed
        .iter()
        .position(|chat| Some(&chat.key) == model.cursor.as_ref());
    let to = at.unwrap_or(0).saturating_add_signed(by);
    let to = to.min(listed.len().saturating_sub(1));
    let key = listed.get(to).map(|chat| chat.key.clone());
    model.cursor = key;
}

/// Says what the person thinks of the conversation that the keys are about.
fn judge(model: &mut Model, verdict: ConsentState) -> Vec<Effect> {
    let chat = match model.focus {
        Focus::List => model.cursor.as_ref().and_then(|key| model.chat(key)),
        _ => model.open_chat(),
    };
    let Some(chat) = chat.filter(|chat| chat.consent != verdict) else {
        return Vec::new();
    };
    let effect = Effect::Consent(chat.id.clone(), verdict);
    if verdict == ConsentState::Denied && Section::of(chat) == Section::Chats {
        model.dialog = Some(Dialog::Confirm {
            question: block_question(model, chat),
            then: Box::new(effect),
        });
        return Vec::new();
    }
    let (key, shown) = (chat.key.clone(), model.open_chat() == Some(chat));
    if let Some(chat) = model.chats.iter_mut().find(|chat| chat.key == key) {
        chat.consent = verdict;
    }
    let mut effects = vec![effect];
    match verdict {
        ConsentState::Allowed => effects.extend(open_chat(model, &key)),
        _ if shown => close(model),
        _ => {}
    }
    effects
}

/// What is asked before a conversation is blocked that was wanted once.
pub(crate) fn block_question(model: &Model, chat: &Chat) -> String {
    let title = model.title(chat);
    match chat.kind {
        ChatKind::Dm(_) => format!("Block {title}? They are not told."),
        ChatKind::Group { .. } => format!("Block {title}? You stay a member, and see nothing."),
    }
}

/// Begins a text of this purpose.
fn write(model: &mut Model, purpose: Purpose, words: Option<String>) {
    if let Some(open) = &mut model.open {
        let draft = &mut open.draft;
        let before = std::mem::replace(&mut draft.purpose, purpose);
        if let Some(words) = words {
            let written = std::mem::replace(&mut draft.editor, Editor::new(words));
            // What was being written waits until the other message is done.
            if !matches!(before, Purpose::Edit(_)) {
                draft.aside = written;
            }
        } else if matches!(before, Purpose::Edit(_)) {
            draft.editor = std::mem::take(&mut draft.aside);
        }
    }
    focus(model, Focus::Compose);
}

/// Keys of the text.
fn in_compose(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let newline = match key.code {
        KeyCode::Enter => !key.modifiers.is_empty(),
        KeyCode::Char('j') => key.modifiers == KeyModifiers::CONTROL,
        _ => false,
    };
    if model.shut().is_some() {
        // It was shut while something was written.
        focus(model, Focus::History);
        return Vec::new();
    }
    let now_ns = model.clock.now_ns;
    let tells = model.tells.typing;
    let id = model.open_chat().map(|chat| chat.id.clone());
    let Some(open) = &mut model.open else {
        focus(model, Focus::List);
        return Vec::new();
    };
    let editor = &mut open.draft.editor;
    match key.code {
        _ if newline => editor.insert("\n"),
        KeyCode::Enter => return send(model),
        KeyCode::Up => {
            if !editor.go(Move::Up) {
                focus(model, Focus::History);
                return select(model, 0);
            }
        }
        KeyCode::Down => {
            editor.go(Move::Down);
        }
        KeyCode::Esc => {
            if open.draft.purpose == Purpose::Say {
                focus(model, Focus::List);
            } else {
                let draft = &mut open.draft;
                if let Purpose::Edit(_) = draft.purpose {
                    draft.editor = std::mem::take(&mut draft.aside);
                }
                draft.purpose = Purpose::Say;
            }
        }
        _ => {
            let changed = edit(editor, key);
            if let Some(id) = id
                && tells
                && changed
                && !editor.is_empty()
                && now_ns.saturating_sub(open.told_ns) > TELL_NS
            {
                open.told_ns = now_ns;
                return vec![Effect::Typing(id)];
            }
        }
    }
    Vec::new()
}

/// How often others are told that something is being written.
const TELL_NS: u64 = 5 * 1_000_000_000;

/// Sends what was written.
fn send(model: &mut Model) -> Vec<Effect> {
    let Some(id) = model.open_chat().map(|chat| chat.id.clone()) else {
        return Vec::new();
    };
    let Some(open) = &mut model.open else {
        return Vec::new();
    };
    let text = open.draft.editor.text().trim_end().to_owned();
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut draft = std::mem::take(&mut open.draft);
    open.draft.editor = std::mem::take(&mut draft.aside);
    let effect = match draft.purpose {
        Purpose::Say => Effect::Say {
            id,
            text,
            reply: None,
        },
        Purpose::Reply(message) => Effect::Say {
            id,
            text,
            reply: open.entry(&message).map(|entry| (message, entry.sender)),
        },
        Purpose::Edit(message) => Effect::Edit { id, message, text },
    };
    // What is said now stands at the end; from here on nothing is new.
    let mut effects = vec![effect];
    open.anchor = None;
    open.read_ns = Some(u64::MAX);
    open.told_ns = 0;
    if open.window.before_ns.is_some() {
        open.window = Window::NEWEST;
        effects.extend(load(model));
    }
    effects
}
