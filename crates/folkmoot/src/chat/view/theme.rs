//! How things look, with colours and without.

use folkmoot_wire::InboxId;
use ratatui::style::{Color, Modifier, Style};

use super::super::layout::Role;

/// How things look. Only the sixteen colours that every terminal has are used, so that they fit to
/// what the person chose as theirs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Theme {
    /// Whether there are colours at all.
    pub(crate) colours: bool,
}

/// Colours of names: all that can be read on black and on white.
const NAMES: [Color; 5] = [
    Color::Green,
    Color::Magenta,
    Color::Blue,
    Color::Yellow,
    Color::Red,
];

impl Theme {
    /// How a piece of text looks.
    pub(crate) fn role(self, role: Role) -> Style {
        match role {
            Role::Plain => Style::new(),
            Role::Dim => self.dim(),
            Role::Name(inbox) => self.colour(name_colour(inbox)).bold(),
            Role::Own => self.colour(Color::Cyan).bold(),
            Role::Strong => self.accent(),
            Role::Good => self.colour(Color::Green),
            Role::Bad => self.bad(),
        }
    }

    /// What matters less.
    pub(crate) fn dim(self) -> Style {
        // Not a grey: in some people's colours that is the background.
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What should be seen.
    pub(crate) fn accent(self) -> Style {
        self.colour(Color::Cyan).bold()
    }

    /// What is wrong.
    pub(crate) fn bad(self) -> Style {
        self.colour(Color::Red).bold()
    }

    /// What the keys are about.
    pub(crate) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A name or a heading.
    pub(crate) fn strong(self) -> Style {
        Style::new().bold()
    }

    /// Text of this colour, where there are colours.
    pub(crate) fn colour(self, colour: Color) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }
}

fn name_colour(inbox: InboxId) -> Color {
    let sum: usize = inbox.as_bytes().iter().map(|byte| usize::from(*byte)).sum();
    NAMES[sum % NAMES.len()]
}
