//! The Folkmoot program.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;
use folkmoot::{cli::Cli, failure, named, usage};

fn main() -> ExitCode {
    // Ends here when a shell asks for completions.
    CompleteEnv::with_factory(Cli::command).complete();
    // The manual is about all commands.
    if env::args_os().all(|word| word != "man") {
        named::only(env::args_os());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let (text, code) = usage::report(&error, &Cli::command(), env::args_os());
            tell(&text.unwrap_or_default());
            return code;
        }
    };
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            let (text, exit) = failure::report(&error);
            tell(&text);
            exit.into()
        }
    }
}

fn tell(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(io::stderr().write_all(text.as_bytes()));
}
