//! Asking before something that cannot be undone.

use std::io::{self, BufRead, IsTerminal as _, Write};

use crate::failure::{Exit, Failure};

/// The flag that answers the question beforehand.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Confirmation {
    /// Do not ask first
    #[arg(long)]
    pub(crate) force: bool,
}

impl Confirmation {
    /// Returns when the person at the terminal says yes, or said so with the flag.
    ///
    /// # Errors
    ///
    /// [`Failure`] without a terminal, and when the answer is not yes.
    pub(crate) fn ask(self, warning: &str) -> anyhow::Result<()> {
        if self.force {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::new(
                Exit::Usage,
                "this asks first, and there is no terminal to ask on",
                "--force",
            )
            .into());
        }
        question(warning, &mut io::stdin().lock(), &mut io::stderr())
    }
}

fn question(
    warning: &str,
    answers: &mut impl BufRead,
    terminal: &mut impl Write,
) -> anyhow::Result<()> {
    write!(terminal, "WARNING: {warning}\nAre you sure? (y/N) ")?;
    terminal.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Failed, "cancelled", "nothing was changed").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        let ask = |answer: &str| {
            let mut terminal = Vec::new();
            question("All is lost.", &mut answer.as_bytes(), &mut terminal).is_ok()
        };
        assert!(ask("y\n"));
        assert!(ask("Y\n"));
        for answer in ["\n", "", "n\n", "yesterday\n"] {
            assert!(!ask(answer), "{answer:?}");
        }
    }
}
