//! What lies over the rest for a moment: a question, a list, help.

use folkmoot_client::MemberRole;
use folkmoot_conversation::{
    context::{AdminChange, Attribute},
    permissions::{PolicyKind, Who},
};
use folkmoot_wire::{GroupId, InboxId, MessageId};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    editor::Editor,
    event::{Details, Effect, Hit, Person},
    keys,
    model::{ChatKind, Model},
    words,
};

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

/// A group or DM, looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pane {
    /// The group.
    pub(crate) id: GroupId,
    /// What is known; nothing until it was loaded.
    pub(crate) details: Option<Details>,
    /// Which member or rule.
    pub(crate) chosen: usize,
    /// Whether the rules are shown, and not the members.
    pub(crate) rules: bool,
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
            Self::Add(_) => ("Add members", "contacts or addresses, with spaces"),
            Self::Set(_, Attribute::GroupName) => ("Rename the group", "the new name"),
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
            Self::Add(id) => Effect::Add(id, people(text)),
            Self::Set(id, attribute) => Effect::Set(id, attribute, text.to_owned()),
            Self::Vanish(id) => Effect::Vanish(id, seconds(text)?),
        })
    }
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
    let page = usize::from(model.size.rows).saturating_sub(4).max(1);
    let last = keys::help().count().saturating_sub(page);
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

impl Pane {
    /// The person that the cursor is on.
    fn person(&self) -> Option<&Person> {
        self.details.as_ref()?.people.get(self.chosen)
    }

    fn key(&mut self, model: &Model, key: KeyEvent) -> Outcome {
        let Some(chat) = model.chats.iter().find(|chat| chat.id == self.id) else {
            return Outcome::close();
        };
        let group = matches!(chat.kind, ChatKind::Group { .. });
        let rows = self.details.as_ref().map_or(0, |details| match self.rules {
            true => details.rules.len(),
            false => details.people.len(),
        });
        let id = self.id.clone();
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => {
                self.chosen = (self.chosen + 1).min(rows.saturating_sub(1));
            }
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Char('q') => return Outcome::close(),
            KeyCode::Char('t') => return Outcome::replace(Dialog::ask(Ask::Vanish(id), "")),
            _ if !group => {}
            KeyCode::Char('m') | KeyCode::Tab => {
                self.rules = !self.rules;
                self.chosen = 0;
            }
            KeyCode::Char('a') => return Outcome::replace(Dialog::ask(Ask::Add(id), "")),
            KeyCode::Char('n') => {
                let ask = Ask::Set(id, Attribute::GroupName);
                return Outcome::replace(Dialog::ask(
                    ask,
                    chat.name.as_deref().unwrap_or_default(),
                ));
            }
            KeyCode::Char('e') => {
                let details = self.details.as_ref();
                let text = details.map_or("", |details| &details.description);
                let ask = Ask::Set(id, Attribute::Description);
                return Outcome::replace(Dialog::ask(ask, text));
            }
            KeyCode::Char('l') => {
                return Outcome::replace(Dialog::Confirm {
                    question: format!("Leave {}?", model.title(chat)),
                    then: Box::new(Effect::Leave(id)),
                });
            }
            KeyCode::Left | KeyCode::Right | KeyCode::Enter | KeyCode::Char(' ') if self.rules => {
                return self.turn(key.code != KeyCode::Left);
            }
            KeyCode::Char('x' | 'p' | 'd') if !self.rules => {
                return match self.person() {
                    Some(person) => self.change(model, &model.title(chat), person, key.code),
                    None => Outcome::stay(),
                };
            }
            _ => {}
        }
        Outcome::stay()
    }

    /// What a key does to the member that the cursor is on.
    fn change(&self, model: &Model, title: &str, person: &Person, key: KeyCode) -> Outcome {
        let name = words::object(model, person.inbox);
        let role = |change, question| {
            Outcome::replace(Dialog::Confirm {
                question,
                then: Box::new(Effect::Role(self.id.clone(), change, person.inbox)),
            })
        };
        match (key, person.role) {
            (KeyCode::Char('x'), _) => Outcome::replace(Dialog::Confirm {
                question: format!("Remove {name} from {title}?"),
                then: Box::new(Effect::Remove(self.id.clone(), person.inbox)),
            }),
            (KeyCode::Char('p'), MemberRole::Member) => {
                role(AdminChange::AddAdmin, format!("Make {name} an admin?"))
            }
            (KeyCode::Char('p'), MemberRole::Admin) => role(
                AdminChange::AddSuperAdmin,
                format!("Make {name} a super admin?"),
            ),
            (KeyCode::Char('d'), MemberRole::Admin) => role(
                AdminChange::RemoveAdmin,
                format!("Take the role of admin from {name}?"),
            ),
            (KeyCode::Char('d'), MemberRole::SuperAdmin) => role(
                AdminChange::RemoveSuperAdmin,
                format!("Take the role of super admin from {name}?"),
            ),
            _ => Outcome::stay(),
        }
    }

    /// Lets others do what the cursor is on.
    fn turn(&mut self, forward: bool) -> Outcome {
        let details = self.details.as_mut();
        let Some((kind, who)) = details.and_then(|details| details.rules.get_mut(self.chosen))
        else {
            return Outcome::stay();
        };
        let roles = matches!(kind, PolicyKind::AddAdmin | PolicyKind::RemoveAdmin);
        let choices: &[Who] = match roles {
            true => &[Who::Admins, Who::SuperAdmins, Who::Nobody],
            false => &[Who::Everyone, Who::Admins, Who::SuperAdmins, Who::Nobody],
        };
        let at = choices.iter().position(|choice| Some(*choice) == *who);
        let next = match (at, forward) {
            (None, _) => 0,
            (Some(at), true) => (at + 1) % choices.len(),
            (Some(at), false) => at.checked_sub(1).unwrap_or(choices.len() - 1),
        };
        *who = Some(choices[next]);
        Outcome::Stay(vec![Effect::Allow(self.id.clone(), *kind, choices[next])])
    }
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
    fn names_stand_between_commas_or_spaces() {
        assert_eq!(people(" bob, carol  dave,"), ["bob", "carol", "dave"]);
    }
}
