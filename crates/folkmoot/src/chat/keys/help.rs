//! The page of help: all keys.

/// A row of the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Help {
    /// The name of a part.
    Heading(&'static str),
    /// Keys, and what they do.
    Key(&'static str, &'static str),
    /// Nothing.
    Blank,
}

use Help::{Blank, Heading, Key};

/// What stands at the left of a wide screen, and first on a narrow one.
const LEFT: &[Help] = &[
    Heading("Everywhere"),
    Key("Tab  Esc", "next part, back"),
    Key("Ctrl-K", "go to a chat"),
    Key("Ctrl-N  Ctrl-G", "new chat, new group"),
    Key("Ctrl-F", "search all messages"),
    Key("Ctrl-T", "members and rules"),
    Key("Ctrl-O  Ctrl-X", "send, cancel a file"),
    Key("Alt-Up  Alt-Down", "chat above, below"),
    Key("PgUp  PgDn", "scroll the messages"),
    Key("F1  ?", "this page"),
    Key("Ctrl-Z  Ctrl-C", "suspend, quit"),
    Blank,
    Heading("Writing"),
    Key("Enter", "send"),
    Key("Alt-Enter  Ctrl-J", "new line"),
    Key("Ctrl-W  Ctrl-U", "delete word, line"),
    Key("Up", "choose a message"),
    Key("Esc", "to the list"),
];

/// What stands at the right, or below.
const RIGHT: &[Help] = &[
    Heading("Conversations"),
    Key("Up Down  Enter", "choose, open"),
    Key("u", "next unread"),
    Key("f  /", "by name, by words"),
    Key("n  g  i", "chat, group, about"),
    Key("a  b", "accept, block"),
    Key("B", "show blocked ones"),
    Blank,
    Heading("Messages"),
    Key("Up Down", "choose"),
    Key("Home End  u", "first, last, new"),
    Key("r  +", "reply, react"),
    Key("e  d", "edit, delete"),
    Key("y  s", "copy, save files"),
    Key("Space", "all of a long one"),
    Key("Enter", "what it answers"),
    Key("R", "try to send again"),
    Key("b", "block"),
];

/// The two halves of the page.
pub(crate) const fn help() -> (&'static [Help], &'static [Help]) {
    (LEFT, RIGHT)
}
