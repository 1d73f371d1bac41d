//! Going to a conversation by its name.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        editor::Editor,
        keys,
        model::{Chat, Model, Section},
    },
    Outcome,
};

/// A part of a name, and which of the conversations with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Find {
    /// The part.
    pub(crate) editor: Editor,
    /// Which conversation.
    pub(crate) chosen: usize,
}

impl Find {
    /// The conversations that fit: names that begin with what was written before others, then
    /// those with something new, then the newest. Blocked ones are not among them.
    pub(crate) fn found<'a>(&self, model: &'a Model) -> Vec<&'a Chat> {
        let wanted = self.editor.text().trim().to_lowercase();
        let chats = model.chats.iter();
        let chats = chats.filter(|chat| Section::of(chat) != Section::Blocked);
        let named = chats.map(|chat| (model.title(chat).to_lowercase(), chat));
        let mut found: Vec<_> = named
            .filter(|(name, _)| name.contains(&wanted))
            .map(|(name, chat)| (!name.starts_with(&wanted), chat.unread == 0, chat))
            .collect();
        found.sort_by_key(|(inside, read, _)| (*inside, *read));
        found.into_iter().map(|(_, _, chat)| chat).collect()
    }

    pub(super) fn key(&mut self, model: &Model, key: KeyEvent) -> Outcome {
        match key.code {
            KeyCode::Down | KeyCode::Tab => {
                let last = self.found(model).len().saturating_sub(1);
                self.chosen = (self.chosen + 1).min(last);
            }
            KeyCode::Up | KeyCode::BackTab => self.chosen = self.chosen.saturating_sub(1),
            _ => {
                if keys::edit(&mut self.editor, key) {
                    self.chosen = 0;
                }
            }
        }
        Outcome::Stay(Vec::new())
    }
}
