//! The Folkmoot program.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;
use folkmoot::{cli::Cli, failure};

fn main() -> ExitCode {
    // Ends here when a shell asks for completions.
    CompleteEnv::with_factory(Cli::command).complete();
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            let (text, exit) = failure::report(&error);
            // Nobody is left to tell when standard error is gone.
            drop(io::stderr().write_all(text.as_bytes()));
            exit.into()
        }
    }
}
