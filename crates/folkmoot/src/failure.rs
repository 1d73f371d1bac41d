//! How the program fails: an exit code, one line on what happened, one on what to do.

use std::{fmt, process::ExitCode};

use crate::xmtp::value::visible;

/// What a command's exit code says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Something failed on this side.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The other side cannot be reached.
    Network = 3,
    /// What was asked for is not there.
    NotFound = 4,
    /// The other side, or another process, said no.
    Refused = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with a way out.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: String,
    remedy: String,
    cause: Option<anyhow::Error>,
}

impl Failure {
    /// A failure: `what` happened, in lower case without a full stop, and what to do now.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            remedy: remedy.into(),
            cause: None,
        }
    }

    /// The same failure, because of `cause`.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The exit code it leads to.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do now.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)?;
        if let Some(cause) = &self.cause {
            write!(formatter, ": {cause:#}")?;
        }
        Ok(())
    }
}

// The cause is part of the text, so it is not a source as well.
impl std::error::Error for Failure {}

/// What goes to standard error, and the exit code, for an error that a command ended with.
#[must_use]
pub fn report(error: &anyhow::Error) -> (String, Exit) {
    let failure = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>());
    // Servers and people far away have a say in the words of errors.
    let what = visible_lines(&format!("error: {error:#}"));
    match failure {
        Some(failure) => (
            format!("{what}\n  try: {}\n", visible_lines(&failure.remedy)),
            failure.exit,
        ),
        None => (format!("{what}\n"), Exit::Failed),
    }
}

/// Lines in which nothing commands a terminal.
pub(crate) fn visible_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(visible).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_failure_says_what_happened_and_what_to_do() {
        let failure = Failure::new(
            Exit::Refused,
            "port 5556 is taken",
            "use --port-offset 10000",
        );
        let error = Err::<(), _>(failure).context("open the door").unwrap_err();
        let (text, exit) = report(&error);
        assert_eq!(
            text,
            "error: open the door: port 5556 is taken\n  try: use --port-offset 10000\n"
        );
        assert_eq!(exit, Exit::Refused);
    }

    #[test]
    fn an_error_cannot_command_the_terminal() {
        let failure = Failure::new(Exit::Network, "the node says: \u{1b}[2J\r", "\u{9b}2J");
        assert_eq!(
            report(&failure.into()).0,
            "error: the node says: \\u{1b}[2J\\u{d}\n  try: \\u{9b}2J\n"
        );
        let (text, _) = report(&anyhow::anyhow!("one\n\u{1b}two"));
        assert_eq!(text, "error: one\n\\u{1b}two\n");
    }

    #[test]
    fn an_unforeseen_error_exits_with_one() {
        let (text, exit) = report(&anyhow::anyhow!("the moon fell"));
        assert_eq!(text, "error: the moon fell\n");
        assert_eq!(exit, Exit::Failed);
    }
}
