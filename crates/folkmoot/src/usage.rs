//! A wrong command line, told as every other error: one line on what is wrong, one on what to do.

use std::{ffi::OsString, process::ExitCode};

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::failure::Exit;

/// What to do about a command line that was not understood: what goes to standard error, or, for
/// help and versions that were asked for, `None` after they were printed. `program` and
/// `arguments` are those that `error` is about.
#[must_use]
pub fn report(
    error: &Error,
    program: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> (Option<String>, ExitCode) {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let code = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8);
            // Nobody is left to tell when the output is gone.
            drop(error.print());
            (None, code.into())
        }
        _ => {
            let text = error.render().to_string();
            let (what, remedy) = (what(&text), remedy(error, &text));
            let remedy = remedy.unwrap_or_else(|| help(program, arguments));
            let told = format!("error: {what}\n  try: {remedy}\n");
            (Some(told), Exit::Usage.into())
        }
    }
}

/// The first paragraph of clap's text, on one line.
fn what(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let lines = paragraph.lines().map(str::trim);
    // The values that there are come in the other line.
    let lines = lines.filter(|line| !line.starts_with("[possible values:"));
    let joined = lines.collect::<Vec<_>>().join(" ");
    let what = joined.strip_prefix("error: ").unwrap_or(&joined);
    // As the standard library has it.
    what.replace("invalid digit found in string", "not a whole number")
}

/// What clap itself would do: choose another value, correct a name, give what is missing.
fn remedy(error: &Error, text: &str) -> Option<String> {
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        return Some(match &values[..] {
            [only] => only.clone(),
            several => format!("one of {}", several.join(", ")),
        });
    }
    let tip = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "));
    if let Some(tip) = tip {
        return Some(tip.to_owned());
    }
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    match error.kind() {
        ErrorKind::MissingRequiredArgument | ErrorKind::WrongNumberOfValues => {
            usage.map(|usage| format!("`{usage}`"))
        }
        _ => None,
    }
}

/// How to get help for the command that the arguments name, as far as they name one.
fn help(program: &Command, arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut command = program;
    let mut path = vec![program.get_name()];
    for argument in arguments.into_iter().skip(1) {
        let Some(sub) = argument
            .to_str()
            .and_then(|name| command.find_subcommand(name))
        else {
            continue;
        };
        path.push(sub.get_name());
        command = sub;
    }
    format!("`{} --help`", path.join(" "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn told(line: &str) -> String {
        let words = || line.split(' ').map(OsString::from);
        let error = Cli::command().try_get_matches_from(words()).unwrap_err();
        let (told, code) = report(&error, &Cli::command(), words());
        assert_eq!(code, Exit::Usage.into());
        told.unwrap()
    }

    #[test]
    fn every_kind_of_mistake_is_two_lines() {
        for (line, what, remedy) in [
            (
                "folkmoot xmtp can-message --env mars 0x1",
                "invalid value 'mars' for '--env <NAME>'",
                "one of local, dev, production",
            ),
            (
                "folkmoot xmtp inbox-states abc",
                "invalid value 'abc' for '<INBOX_ID>...': an inbox id has 64 hex digits",
                "`folkmoot xmtp inbox-states --help`",
            ),
            (
                "folkmoot xmtp client inf",
                "unrecognized subcommand 'inf'",
                "a similar subcommand exists: 'info'",
            ),
            (
                "folkmoot xmtp preferences get-consent --entity abc",
                "the following required arguments were not provided: --entity-type <TYPE>",
                "`folkmoot xmtp preferences get-consent --entity-type <TYPE> --entity <ID>`",
            ),
            (
                "folkmoot xmtp client dance",
                "unrecognized subcommand 'dance'",
                "`folkmoot xmtp client --help`",
            ),
            (
                "folkmoot xmtp client info --jsn",
                "unexpected argument '--jsn' found",
                "a similar argument exists: '--json'",
            ),
        ] {
            assert_eq!(told(line), format!("error: {what}\n  try: {remedy}\n"));
        }
    }
}
