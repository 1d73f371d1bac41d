//! Keys: what each does, in which part of the screen, and the page of help that says so.

use folkmoot_conversation::ConsentState;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    dialog::{Ask, Dialog, Pane, Search, plain},
    editor::{Editor, Move},
    event::Effect,
    model::{Body, Draft, Entry, Focus, Model, Purpose, Section},
    update::{close, go_to, load, open_chat, say_bad, scroll, select},
};

/// The page of help: headings without a key, then keys and what they do.
const HELP: &[(&str, &str)] = &[
    ("", "Everywhere"),
    ("Tab", "next part: list, messages, text"),
    ("Esc", "back"),
    ("Ctrl-N  Ctrl-G", "new conversation, new group"),
    ("Ctrl-F", "search all messages"),
    ("Ctrl-T", "about this conversation: members, rules, leave"),
    ("Ctrl-O", "send a file"),
    ("Alt-Up  Alt-Down", "previous, next conversation"),
    ("PgUp  PgDn", "scroll the messages"),
    ("F1", "this page; ? too, outside of the text"),
    ("Ctrl-C", "quit"),
    ("", "Conversations"),
    ("Up Down  Enter", "choose, open"),
    ("a  b", "accept, block"),
    ("B", "show or hide blocked ones"),
    ("n  g  /  i", "new, new group, search, about"),
    ("", "Messages"),
    ("Up Down  Home End", "choose one"),
    ("r  +", "reply, react"),
    ("e  d", "edit, delete"),
    ("s", "save a file"),
    ("R", "send again what was not sent"),
    ("Enter", "go to the message that is answered"),
    ("", "Text"),
    ("Enter", "send"),
    ("Alt-Enter  Ctrl-J", "new line"),
    ("Up", "choose a message"),
    ("Ctrl-W  Ctrl-U", "delete word, line"),
];

/// The rows of the page of help.
pub(crate) fn help() -> impl Iterator<Item = (&'static str, &'static str)> {
    HELP.iter().copied()
}

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

/// Ends, or asks first when words would be lost.
fn quit(model: &mut Model) -> Vec<Effect> {
    let asked =
        matches!(&model.dialog, Some(Dialog::Confirm { then, .. }) if **then == Effect::Quit);
    let open = model.open.as_ref().map(|open| &open.draft);
    let mut drafts = model.drafts.values().chain(open);
    let lost = drafts.any(|draft| !draft.editor.text().trim().is_empty());
    if !lost || asked {
        return vec![Effect::Quit];
    }
    model.dialog = Some(Dialog::Confirm {
        question: "Quit, and lose what is written but not sent?".to_owned(),
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
        if !model.is_request() {
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

fn about(model: &mut Model) -> Vec<Effect> {
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
        && Section::of(chat) != Section::Requests
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
    let listed: Vec<_> = model.listed().iter().map(|chat| chat.key.clone()).collect();
    let at = listed
        .iter()
        .position(|key| Some(key) == model.cursor.as_ref());
    let last = listed.len().saturating_sub(1);
    let mut go = |to: usize| model.cursor = listed.get(to).cloned();
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => go(at.unwrap_or(0).saturating_sub(1)),
        KeyCode::Down | KeyCode::Char('j') => go(at.map_or(0, |at| (at + 1).min(last))),
        KeyCode::Home => go(0),
        KeyCode::End => go(last),
        KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => {
            let key = model.cursor.clone();
            return key.map_or_else(Vec::new, |key| open_chat(model, &key));
        }
        KeyCode::Esc | KeyCode::Left if model.open.is_some() && !model.is_request() => {
            focus(model, Focus::Compose);
        }
        KeyCode::Char('?') => model.dialog = Some(Dialog::Help(0)),
        KeyCode::Char('q') => return quit(model),
        KeyCode::Char('n') => new_dm(model),
        KeyCode::Char('g') => new_group(model),
        KeyCode::Char('/') => model.dialog = Some(Dialog::Search(Search::default())),
        KeyCode::Char('i') => return about(model),
        KeyCode::Char('B') => model.show_blocked = !model.show_blocked,
        KeyCode::Char('a') => return judge(model, ConsentState::Allowed),
        KeyCode::Char('b') => return judge(model, ConsentState::Denied),
        _ => {}
    }
    Vec::new()
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
            question: format!("Block {}?", model.title(chat)),
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

/// Keys of the messages.
fn in_history(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if !plain(key) {
        return Vec::new();
    }
    let request = model.is_request();
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => return select(model, -1),
        KeyCode::Down | KeyCode::Char('j') => {
            let before = model.open.as_ref().and_then(|open| open.selected);
            let effects = select(model, 1);
            let after = model.open.as_ref().and_then(|open| open.selected);
            // Below the last message stands the text.
            if before == after && key.code == KeyCode::Down && !request && effects.is_empty() {
                focus(model, Focus::Compose);
            }
            return effects;
        }
        KeyCode::Home | KeyCode::Char('g') => return select(model, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => return select(model, isize::MAX),
        KeyCode::Esc | KeyCode::Left if request => focus(model, Focus::List),
        KeyCode::Esc => focus(model, Focus::Compose),
        KeyCode::Left => focus(model, Focus::List),
        KeyCode::Char('?') => model.dialog = Some(Dialog::Help(0)),
        KeyCode::Char('q') => return quit(model),
        KeyCode::Char('/') => model.dialog = Some(Dialog::Search(Search::default())),
        KeyCode::Char('i') => return about(model),
        KeyCode::Char('a') if request => return judge(model, ConsentState::Allowed),
        KeyCode::Char('b') if request => return judge(model, ConsentState::Denied),
        _ if request => {}
        _ => return on_message(model, key.code),
    }
    Vec::new()
}

/// Keys that are about the chosen message.
fn on_message(model: &mut Model, key: KeyCode) -> Vec<Effect> {
    let (Some(chat), Some(open)) = (model.open_chat(), &model.open) else {
        return Vec::new();
    };
    let Some(entry) = open.selected() else {
        return Vec::new();
    };
    let id = chat.id.clone();
    let mine = entry.sender == model.me;
    let words = match &entry.body {
        Body::Text(text) => Some(text.clone()),
        Body::Files(_) => None,
        // Nothing can be done about these.
        Body::Update(_) | Body::Act(_) | Body::Deleted(_) => return Vec::new(),
    };
    let message = entry.id;
    match key {
        KeyCode::Char('r') => write(model, Purpose::Reply(message), None),
        KeyCode::Char('+') => {
            model.dialog = Some(Dialog::React {
                message,
                editor: Editor::default(),
                chosen: 0,
            });
        }
        KeyCode::Char('e') => match (mine, words) {
            (true, Some(words)) => write(model, Purpose::Edit(message), Some(words)),
            (true, None) => say_bad(model, "only words can be edited"),
            (false, _) => say_bad(model, "only your own messages can be edited"),
        },
        KeyCode::Char('d') => {
            model.dialog = Some(Dialog::Confirm {
                question: "Delete this message for everybody?".to_owned(),
                then: Box::new(Effect::Delete { id, message }),
            });
        }
        KeyCode::Char('s') => save(model, &entry.clone()),
        KeyCode::Char('R') => return vec![Effect::Retry(id, message)],
        KeyCode::Enter => {
            let quote = entry.quote.as_ref().map(|quote| quote.id);
            return quote.map_or_else(Vec::new, |quoted| go_to(model, id, quoted));
        }
        _ => {}
    }
    Vec::new()
}

fn save(model: &mut Model, entry: &Entry) {
    let Body::Files(files) = &entry.body else {
        return say_bad(model, "this message has no file");
    };
    let names: Vec<_> = files.iter().map(|file| file.name.clone()).collect();
    let suggested = match &names[..] {
        [one] => one.clone(),
        _ => ".".to_owned(),
    };
    model.dialog = Some(Dialog::ask(Ask::Save(entry.id, names), suggested));
}

/// Begins a text of this purpose.
fn write(model: &mut Model, purpose: Purpose, words: Option<String>) {
    if let Some(open) = &mut model.open {
        open.draft.purpose = purpose;
        if let Some(words) = words {
            open.draft.editor = Editor::new(words);
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
                open.draft = match open.draft.purpose {
                    Purpose::Edit(_) => Draft::default(),
                    _ => Draft {
                        purpose: Purpose::Say,
                        ..std::mem::take(&mut open.draft)
                    },
                };
            }
        }
        _ => {
            edit(editor, key);
        }
    }
    Vec::new()
}

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
    let draft = std::mem::take(&mut open.draft);
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
    if open.window.before_ns.is_some() {
        open.window.before_ns = None;
        effects.extend(load(model));
    }
    effects
}
