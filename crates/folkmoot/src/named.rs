//! Flags that are made only for the commands that the command line names.
//!
//! There are some sixty commands with two dozen flags each, and a start of the program needs those of
//! one: making all of them took most of a start. [`only`] is told the words of the command line before
//! it is parsed; without it (in tests, for help about everything, for completions) all are made.

use std::{ffi::OsString, sync::OnceLock};

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Id};

/// Flags of a command, left out while it is not named.
#[derive(Debug)]
pub(crate) struct Named<T>(
    /// The flags.
    pub(crate) T,
);

/// Flags are made from now on only for commands whose names are among these words. Counts once.
pub fn only(words: impl Iterator<Item = OsString>) {
    // A second call in one process (a test) changes nothing.
    drop(WORDS.set(words.collect()));
}

static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

fn is_named(command: &Command) -> bool {
    let words = WORDS.get();
    words.is_none_or(|words| words.iter().any(|word| word == command.get_name()))
}

impl<T: Args> Args for Named<T> {
    fn augment_args(command: Command) -> Command {
        match is_named(&command) {
            true => T::augment_args(command),
            false => command,
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        match is_named(&command) {
            true => T::augment_args_for_update(command),
            false => command,
        }
    }

    fn group_id() -> Option<Id> {
        T::group_id()
    }
}

impl<T: Args> FromArgMatches for Named<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }

    fn update_from_arg_matches_mut(&mut self, matches: &mut ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches_mut(matches)
    }
}
