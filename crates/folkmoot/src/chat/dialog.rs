//! What lies over the rest for a moment: a question, a list, help.

use folkmoot_conversation::context::Attribute;
use folkmoot_wire::{GroupId, InboxId, MessageId};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    editor::Editor,
    event::{Effect, Hit},
    keys, layout,
    model::Model,
};

mod find;
mod pane;

pub(crate) use self::{find::Find, pane::Pane};

/// What lies over the rest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Dialog {
    /// The keys; the first row that is shown.
    Help(usize),
    /// Some words are asked for.
    Prompt(Prompt),
    /// Name and members of a new group.
    NewGroup {
        /// The name.
        name: Editor,
        /// The members.
        members: Editor,
        /// Whether the members get the keys.
        second: bool,
    },
    /// Words to be found, and what was found.
    Search(Search),
    /// A reaction is chosen.
    React {
        /// The message.
        message: MessageId,
        /// Something else than what is offered.
        editor: Editor,
        /// Which of what is offered.
        chosen: usize,
    },
    /// Yes or no.
    Confirm {
        /// The question.
        question: String,
        /// What is done after a yes.
        then: Box<Effect>,
    },
    /// A group or DM.
    Details(Box<Pane>),
    /// A conversation is looked for by its name.
    Find(Find),
}

/// Some words are asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prompt {
    /// What for.
    pub(crate) ask: Ask,
    /// What was written.
    pub(crate) editor: Editor,
}

/// What words are asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// With whom to talk.
    NewDm,
    /// The path of a file to send.
    SendFile(GroupId),
    /// Where the files of a message go, of which these are the names.
    Save(MessageId, Vec<String>),
    /// What to call somebody with this address or inbox id.
    Name(InboxId, String),
    /// Who is to be added.
    Add(GroupId),
    /// The name or description of a group.
    Set(GroupId, Attribute),
    /// How long messages stay.
    Vanish(GroupId),
}

/// Words to be found, and what was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Search {
    /// The words.
    pub(crate) editor: Editor,
    /// The words for which there are hits.
    pub(crate) answered: Option<String>,
    /// Messages with them, the newest first.
    pub(crate) hits: Vec<Hit>,
    /// Which of them.
    pub(crate) chosen: usize,
}

/// Reactions that are offered.
pub(crate) const REACTIONS: [&str; 6] = ["👍", "🎉", "😂", "😮", "😢", "🙏"];

/// What became of a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The dialog stays.
    Stay(Vec<Effect>),
    /// The dialog goes.
    Close(Vec<Effect>),
    /// Another one takes its place.
    Replace(Box<Dialog>, Vec<Effect>),
}

impl Outcome {
    fn stay() -> Self {
        Self::Stay(Vec::new())
    }

    fn close() -> Self {
        Self::Close(Vec::new())
    }

    fn replace(dialog: Dialog) -> Self {
        Self::Replace(Box::new(dialog), Vec::new())
    }
}

impl Ask {
    /// What is asked, and what may be answered.
    pub(crate) fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::NewDm => ("New conversation", "contact, address (0x…) or inbox id"),
            Self::SendFile(_) => ("Send a file", "path of the file"),
            Self::Save(_, names) if names.len() > 1 => ("Save the files", "into which folder"),
            Self::Save(..) => ("Save the file", "where to"),
            Self::Name(..) => (
                "Give a name",
                "what you call them: a contact, for you alone",
            ),
            Self::Add(_) => ("Add members", "contacts or addresses, with spaces"),
            Self::Set(_, Attribute::GroupName) => ("Rename the group", "the new name"),
            Self::Set(_, Attribute::ImageUrl) => ("The group's picture", "its address: https://…"),
            Self::Set(..) => ("Describe the group", "what it is about"),
            Self::Vanish(_) => (
                "Disappearing messages",
                "after how long: 30s, 5m, 12h, 7d; or off",
            ),
        }
    }

    fn effect(self, text: &str) -> Option<Effect> {
        let text = text.trim();
        let may_be_empty = matches!(self, Self::Set(..));
        if text.is_empty() && !may_be_empty {
            return None;
        }
        Some(match self {
            Self::NewDm => Effect::NewDm(text.to_owned()),
            Self::SendFile(id) => Effect::SendFile {
                id,
                path: text.into(),
            },
            Self::Save(message, names) => Effect::Save {
                message,
                names,
                path: text.into(),
            },
            Self::Name(inbox, whom) => Effect::Name {
                inbox,
                whom,
                name: text.to_owned(),
            },
            Self::Add(id) => Effect::Add(id, people(text)),
            Self::Set(_, Attribute::ImageUrl) if !is_address(text) => return None,
            Self::Set(id, attribute) => Effect::Set(id, attribute, text.to_owned()),
            Self::Vanish(id) => Effect::Vanish(id, seconds(text)?),
        })
    }
}

/// Nothing, or something that a browser would fetch.
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://");
    text.is_empty() || rest.is_some_and(|rest| rest.contains('.') && !rest.contains(' '))
}

/// Names with commas or spaces between them.
fn people(text: &str) -> Vec<String> {
    let names = text.split([',', ' ', '\n']).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// How long messages stay: `Some(None)` for ever, `None` when nobody understands it.
fn seconds(text: &str) -> Option<Option<u64>> {
    if text == "off" {
        return Some(None);
    }
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].trim_end().parse().ok()?;
    let seconds = number.checked_mul(unit)?;
    // A hundred years: nanoseconds still fit.
    (1..=100 * 365 * 86_400)
        .contains(&seconds)
        .then_some(Some(seconds))
}

impl Dialog {
    /// Asks for words.
    pub(crate) fn ask(ask: Ask, text: impl Into<String>) -> Self {
        Self::Prompt(Prompt {
            ask,
            editor: Editor::new(text),
        })
    }

    /// Takes what was pasted.
    pub(crate) fn paste(&mut self, text: &str) {
        let text = text.replace(['\r', '\n'], " ");
        match self {
            Self::Prompt(prompt) => prompt.editor.insert(&text),
            Self::NewGroup {
                name,
                members,
                second,
            } => match second {
                false => name.insert(&text),
                true => members.insert(&text),
            },
            Self::Search(search) => search.editor.insert(&text),
            Self::Find(find) => find.editor.insert(&text),
            Self::React { editor, .. } => editor.insert(&text),
            Self::Help(_) | Self::Confirm { .. } | Self::Details(_) => {}
        }
    }

    /// Takes a key.
    pub(crate) fn key(self, model: &Model, key: KeyEvent) -> (Option<Self>, Vec<Effect>) {
        let mut dialog = self;
        let outcome = match key.code {
            KeyCode::Esc => Outcome::close(),
            _ => match &mut dialog {
                Self::Help(first) => help(first, model, key),
                Self::Prompt(prompt) => prompt.key(key),
                Self::NewGroup {
                    name,
                    members,
                    second,
                } => new_group(name, members, second, key),
                Self::Search(search) => search.key(key),
                Self::React {
                    message,
                    editor,
                    chosen,
                } => react(model, *message, editor, chosen, key),
                Self::Confirm { then, .. } => confirm(then, key),
                Self::Details(pane) => pane.key(model, key),
                Self::Find(find) => find.key(model, key),
            },
        };
        match outcome {
            Outcome::Stay(effects) => (Some(dialog), effects),
            Outcome::Close(effects) => (None, effects),
            Outcome::Replace(dialog, effects) => (Some(*dialog), effects),
        }
    }
}

fn help(first: &mut usize, model: &Model, key: KeyEvent) -> Outcome {
    let page = usize::from(model.size.rows).saturating_sub(2).max(1);
    let last = layout::help_rows(model).saturating_sub(page);
    *first = match key.code {
        KeyCode::Down | KeyCode::Char('j') => (*first + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => first.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => (*first + page).min(last),
        KeyCode::PageUp => first.saturating_sub(page),
        _ => return Outcome::close(),
    };
    Outcome::stay()
}

fn confirm(then: &Effect, key: KeyEvent) -> Outcome {
    match key.code {
        KeyCode::Char('y' | 'Y') | KeyCode::Enter => Outcome::Close(vec![then.clone()]),
        KeyCode::Char('n' | 'N' | 'q') => Outcome::close(),
        _ => Outcome::stay(),
    }
}

impl Prompt {
    fn key(&mut self, key: KeyEvent) -> Outcome {
        if key.code == KeyCode::Enter {
            return match self.ask.clone().effect(self.editor.text()) {
                Some(effect) => Outcome::Close(vec![effect]),
                None => Outcome::stay(),
            };
        }
        keys::edit(&mut self.editor, key);
        Outcome::stay()
    }
}

fn new_group(name: &mut Editor, members: &mut Editor, second: &mut bool, key: KeyEvent) -> Outcome {
    match key.code {
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => *second = !*second,
        KeyCode::Enter if !*second => *second = true,
        KeyCode::Enter => {
            return Outcome::Close(vec![Effect::NewGroup {
                name: name.text().trim().to_owned(),
                members: people(members.text()),
            }]);
        }
        _ => {
            keys::edit(if *second { members } else { name }, key);
        }
    }
    Outcome::stay()
}

impl Search {
    fn key(&mut self, key: KeyEvent) -> Outcome {
        match key.code {
            KeyCode::Down => self.chosen = (self.chosen + 1).min(self.hits.len().max(1) - 1),
            KeyCode::Up => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Enter => {
                let hit = self.hits.get(self.chosen);
                let hit = hit.filter(|_| self.answered.as_deref() == Some(self.editor.text()));
                if let Some(hit) = hit {
                    return Outcome::Close(vec![Effect::Jump {
                        id: hit.id.clone(),
                        message: hit.message,
                    }]);
                }
            }
            _ => {
                if keys::edit(&mut self.editor, key) {
                    return Outcome::Stay(vec![Effect::Search(self.editor.text().to_owned())]);
                }
            }
        }
        Outcome::stay()
    }
}

fn react(
    model: &Model,
    message: MessageId,
    editor: &mut Editor,
    chosen: &mut usize,
    key: KeyEvent,
) -> Outcome {
    let emoji = match key.code {
        KeyCode::Left => {
            *chosen = chosen.checked_sub(1).unwrap_or(REACTIONS.len() - 1);
            return Outcome::stay();
        }
        KeyCode::Right | KeyCode::Tab => {
            *chosen = (*chosen + 1) % REACTIONS.len();
            return Outcome::stay();
        }
        KeyCode::Char(digit @ '1'..='6') if editor.is_empty() => {
            let index = usize::try_from(u32::from(digit) - u32::from('1')).unwrap_or(0);
            REACTIONS[index].to_owned()
        }
        KeyCode::Enter if editor.is_empty() => REACTIONS[*chosen].to_owned(),
        KeyCode::Enter => editor.text().trim().to_owned(),
        _ => {
            keys::edit(editor, key);
            return Outcome::stay();
        }
    };
    let open = model.open.as_ref();
    let entry = open.and_then(|open| open.entry(&message));
    let (Some(chat), Some(entry)) = (model.open_chat(), entry) else {
        return Outcome::close();
    };
    let ours =
        |(given, people): &(String, Vec<InboxId>)| *given == emoji && people.contains(&model.me);
    Outcome::Close(vec![Effect::React {
        id: chat.id.clone(),
        message,
        sender: entry.sender,
        remove: entry.reactions.iter().any(ours),
        emoji,
    }])
}

/// Whether a key has no modifier but Shift.
pub(crate) fn plain(key: KeyEvent) -> bool {
    (key.modifiers - KeyModifiers::SHIFT).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_understood_or_not() {
        assert_eq!(seconds("off"), Some(None));
        assert_eq!(seconds("12h"), Some(Some(43_200)));
        for wrong in ["", "12", "0s", "h", "1é", "99999999999999999999d"] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_picture_has_an_address_that_can_be_fetched() {
        assert!(is_address("") && is_address("https://example.org/a.png"));
        for wrong in [
            "lake.png",
            "http://example.org/a.png",
            "https://",
            "https://a .b",
        ] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }

    #[test]
    fn names_stand_between_commas_or_spaces() {
        assert_eq!(people(" bob, carol  dave,"), ["bob", "carol", "dave"]);
    }
}
