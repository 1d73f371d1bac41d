//! Keys of the messages: moving among them, and what can be done about one.

use folkmoot_client::MemberRole;
use folkmoot_conversation::ConsentState;
use folkmoot_wire::MessageId;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        dialog::{Ask, Dialog, Search, plain},
        editor::Editor,
        event::Effect,
        model::{Body, Edge, Entry, Focus, Model, Open, Purpose},
        update::{go_to, go_to_edge, go_to_new, say_bad, select},
    },
    about, focus, judge, quit, write,
};

/// Keys of the messages.
pub(super) fn in_history(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if !plain(key) {
        return Vec::new();
    }
    let shut = model.shut();
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => return select(model, -1),
        KeyCode::Down | KeyCode::Char('j') => {
            let before = model.open.as_ref().and_then(|open| open.selected);
            let effects = select(model, 1);
            let after = model.open.as_ref().and_then(|open| open.selected);
            // Below the last message of all stands the text.
            let newest = |open: &Open| open.window.before_ns.is_none();
            let last = before == after && model.open.as_ref().is_some_and(newest);
            if last && key.code == KeyCode::Down && shut.is_none() && effects.is_empty() {
                focus(model, Focus::Compose);
            }
            return effects;
        }
        KeyCode::Home | KeyCode::Char('g') => return go_to_edge(model, Edge::First),
        KeyCode::End | KeyCode::Char('G') => return go_to_edge(model, Edge::Last),
        KeyCode::Esc if shut.is_none() => focus(model, Focus::Compose),
        KeyCode::Esc | KeyCode::Left => focus(model, Focus::List),
        KeyCode::Char('?') => model.dialog = Some(Dialog::Help(0)),
        KeyCode::Char('q') => return quit(model),
        KeyCode::Char('/') => model.dialog = Some(Dialog::Search(Search::default())),
        KeyCode::Char('i') => return about(model),
        KeyCode::Char('u') => return go_to_new(model),
        KeyCode::Char('a') => return judge(model, ConsentState::Allowed),
        KeyCode::Char('b') => return judge(model, ConsentState::Denied),
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
        // These tell nobody anything.
        KeyCode::Char('y') => {
            return match words {
                Some(words) => vec![Effect::Copy(words)],
                None => {
                    say_bad(model, "only words can be copied; s saves a file");
                    Vec::new()
                }
            };
        }
        KeyCode::Char('s') => save(model, &entry.clone()),
        KeyCode::Char(' ') => unfold(model, message),
        KeyCode::Enter => match entry.quote.as_ref().map(|quote| quote.id) {
            Some(quoted) => return go_to(model, id, quoted),
            None => unfold(model, message),
        },
        _ if model.shut().is_some() => {}
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
        KeyCode::Char('d') if !mine && chat.role != MemberRole::SuperAdmin => {
            say_bad(model, "only your own messages can be deleted");
        }
        KeyCode::Char('d') => {
            model.dialog = Some(Dialog::Confirm {
                question: "Delete this message for everybody?".to_owned(),
                then: Box::new(Effect::Delete { id, message }),
            });
        }
        KeyCode::Char('R') => return vec![Effect::Retry(id, message)],
        _ => {}
    }
    Vec::new()
}

/// Shows a long message as a whole, or its beginning again.
fn unfold(model: &mut Model, message: MessageId) {
    if let Some(open) = &mut model.open
        && !open.unfolded.remove(&message)
    {
        open.unfolded.insert(message);
    }
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
