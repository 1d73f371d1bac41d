//! What the program reads of files and programs that others wrote, by itself: for those who try it
//! on arbitrary bytes (`crates/fuzz`). Errors are as people and bots see them.

use crate::{bot, xmtp};

/// Understands a line of a bot, as JSON or as fields between tabs. Returns what it asks for: the
/// word of its `type`, or `ack`; `None` for an empty line.
///
/// # Errors
///
/// What is wrong with it.
pub fn bot_line(line: &[u8], form: BotForm) -> Result<Option<&'static str>, String> {
    bot::understand(line, form)
}

/// In which form a bot writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BotForm {
    /// A JSON object.
    Json,
    /// Fields between tabs.
    Text,
}

/// The assignments of a `.env` file, name and value, and the numbers of the lines that are none.
#[must_use]
pub fn environment_file(text: &str) -> (Vec<(String, String)>, Vec<usize>) {
    xmtp::assignments(text)
}

/// Reads `contacts.toml`. Returns it as the program writes it.
///
/// # Errors
///
/// What is wrong with it.
pub fn contacts(text: &str) -> Result<String, String> {
    xmtp::contacts_rewritten(text)
}
