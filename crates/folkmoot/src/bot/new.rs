//! `folkmoot bot new`: writes a bot to begin with.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::failure::{Exit, Failure};

/// Write a bot of 20 lines that echoes what it hears, to begin with
///
/// It needs nothing but the language itself.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct New {
    /// Language
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// The file to write [default: echo.sh, echo.py, echo.mjs or echo.rs]
    file: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  folkmoot bot new --lang bash
  folkmoot bot new --lang node bots/weather.mjs";

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Language {
    /// A shell script; lines of text between tabs
    Bash,
    /// Python 3
    Python,
    /// JavaScript for Node.js
    Node,
    /// Rust; lines of text between tabs
    Rust,
}

impl Language {
    const fn sample(self) -> &'static str {
        match self {
            Self::Bash => include_str!("samples/echo.sh"),
            Self::Python => include_str!("samples/echo.py"),
            Self::Node => include_str!("samples/echo.mjs"),
            Self::Rust => include_str!("samples/echo.rs"),
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::Bash => "echo.sh",
            Self::Python => "echo.py",
            Self::Node => "echo.mjs",
            Self::Rust => "echo.rs",
        }
    }

    /// What runs the file that is called `file`.
    fn how_to_run(self, file: &str) -> String {
        let program = match file.starts_with('/') {
            true => file.to_owned(),
            false => format!("./{file}"),
        };
        match self {
            Self::Bash => format!("folkmoot bot run --format text {program}"),
            Self::Python | Self::Node => format!("folkmoot bot run {program}"),
            Self::Rust => {
                let binary = program.strip_suffix(".rs").unwrap_or("./echo");
                format!("rustc {file} -o {binary} && folkmoot bot run --format text {binary}")
            }
        }
    }
}

impl New {
    /// Writes the file, and says how to run it.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when there is such a file already, or it cannot be written.
    pub(crate) fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let path = self.file.unwrap_or_else(|| self.lang.file_name().into());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        if self.lang != Language::Rust {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o777);
        }
        let mut file = options.open(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(
                Exit::Refused,
                format!("{} exists already", path.display()),
                "another name: `folkmoot bot new --lang LANGUAGE NAME`",
            ),
            io::ErrorKind::NotFound => Failure::new(
                Exit::NotFound,
                format!("there is no folder for {}", path.display()),
                "a folder that is there",
            ),
            _ => Failure::new(
                Exit::Failed,
                format!("{} cannot be written", path.display()),
                "another place",
            )
            .because(cause),
        })?;
        file.write_all(self.lang.sample().as_bytes())
            .with_context(|| format!("write {}", path.display()))?;
        let name = path.display().to_string();
        writeln!(
            out,
            "wrote {name}; run it with:\n  {}",
            self.lang.how_to_run(&name)
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_short() {
        for language in Language::value_variants() {
            let lines = language.sample().lines().count();
            assert!(lines <= 25, "{language:?}: {lines}");
        }
    }

    #[test]
    fn what_runs_a_sample_is_told() {
        let told = Language::Rust.how_to_run("bots/echo.rs");
        assert_eq!(
            told,
            "rustc bots/echo.rs -o ./bots/echo && folkmoot bot run --format text ./bots/echo"
        );
        assert_eq!(
            Language::Node.how_to_run("/b.mjs"),
            "folkmoot bot run /b.mjs"
        );
    }
}
