//! The first run: a few questions, and a configuration file with the answers.

use std::{
    fs::OpenOptions,
    io::{BufRead, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;

use crate::{
    config::{Config, EXAMPLE},
    failure::{Exit, Failure},
};

/// What is asked: section, key, and the question. The default is the example file's.
const QUESTIONS: [(&str, &str, &str); 6] = [
    (
        "listen",
        "addresses",
        "Addresses and ports to listen on, separated by commas (0.0.0.0:443 is open to the world)",
    ),
    (
        "node",
        "public_url",
        "The URL under which people's apps will dial this node",
    ),
    (
        "listen",
        "tls_certificate",
        "The certificate chain's file (PEM); nothing if a reverse proxy does TLS, or nobody",
    ),
    (
        "listen",
        "tls_key",
        "The certificate's private key file (PEM); nothing if there is none",
    ),
    ("store", "data_directory", "The directory for the data"),
    (
        "store",
        "postgres_url",
        "A PostgreSQL database (postgres://user:password@host/name); nothing for the embedded one",
    ),
];

/// Asks until the answers make a configuration, and returns its text.
pub(super) fn ask(answers: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<String> {
    writeln!(
        out,
        "There is no configuration yet. Six questions; Enter takes what is in brackets."
    )?;
    loop {
        let mut text = EXAMPLE.to_owned();
        for (section, key, question) in QUESTIONS {
            let default = default_of(section, key);
            write!(out, "\n{question}\n[{default}] ")?;
            out.flush()?;
            let mut answer = String::new();
            if answers.read_line(&mut answer).context("read the answer")? == 0 {
                return Err(Failure::new(
                    Exit::Usage,
                    "the answers ended early; nothing was written",
                    "`folkmoot serve --init` writes a file with all defaults",
                )
                .into());
            }
            if !answer.trim().is_empty() {
                text = with(&text, section, key, answer.trim());
            }
        }
        match Config::parse(&text, Path::new("the answers"), []) {
            Ok(_) => return Ok(text),
            Err(refusal) => writeln!(out, "\nThat does not work: {refusal}\nOnce more, please.")?,
        }
    }
}

/// Writes a new file that only this user reads: it may hold a database's password.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match file {
        Ok(mut file) => file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("write {}", path.display())),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Err(Failure::new(
            Exit::Refused,
            format!("{} exists already", path.display()),
            "edit it, or move it away",
        )
        .into()),
        Err(cause) => Err(cause).with_context(|| format!("write {}", path.display())),
    }
}

/// What a key is in the example file, as a person would answer.
fn default_of(section: &str, key: &str) -> String {
    let line = EXAMPLE.lines().nth(line_of(EXAMPLE, section, key));
    let value = line.and_then(|line| line.split_once(" = "));
    let value = value.map_or("", |(_, value)| value);
    value.trim_matches(['[', ']', '"']).to_owned()
}

/// `text` with another value for a key; lists come separated by commas.
fn with(text: &str, section: &str, key: &str, answer: &str) -> String {
    let wanted = line_of(text, section, key);
    let mut changed = String::new();
    for (number, line) in text.lines().enumerate() {
        if number == wanted {
            let is_list = line.contains(" = [");
            changed.push_str(&format!("{key} = {}", spelled(answer, is_list)));
        } else {
            changed.push_str(line);
        }
        changed.push('\n');
    }
    changed
}

/// An answer as TOML.
fn spelled(answer: &str, is_list: bool) -> String {
    let one = |text: &str| toml::Value::String(text.to_owned()).to_string();
    if is_list {
        let items: Vec<_> = answer.split(',').map(|item| one(item.trim())).collect();
        return format!("[{}]", items.join(", "));
    }
    one(answer)
}

/// The line that sets a key.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let header = format!("[{section}]");
    let begins = format!("{key} = ");
    text.lines()
        .enumerate()
        .skip_while(|(_, line)| *line != header)
        .find(|(_, line)| line.starts_with(&begins))
        .map(|(number, _)| number)
        .expect("the example has every key; a test holds this")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(lines: &str) -> (anyhow::Result<String>, String) {
        let mut out = Vec::new();
        let text = ask(&mut lines.as_bytes(), &mut out);
        (text, String::from_utf8(out).unwrap())
    }

    #[test]
    fn enter_takes_every_default() {
        let (text, out) = answered("\n\n\n\n\n\n");
        assert_eq!(text.unwrap(), EXAMPLE);
        insta::assert_snapshot!(out);
    }

    #[test]
    fn answers_are_in_the_file() {
        let (text, _) = answered(
            "0.0.0.0:443, [::]:443\nhttps://chat.example.org\nchain.pem\nkey.pem\n/srv/f\"m\n\n",
        );
        let config = Config::parse(&text.unwrap(), Path::new("x"), []).unwrap();
        assert_eq!(config.listen.addresses.len(), 2);
        assert_eq!(config.node.public_url, "https://chat.example.org");
        assert_eq!(config.listen.tls_key, Path::new("key.pem"));
        assert_eq!(config.store.data_directory, Path::new("/srv/f\"m"));
        assert_eq!(config.store.postgres_url.as_str(), "");
    }

    #[test]
    fn answers_that_do_not_work_are_asked_for_again() {
        let (text, out) = answered("here\n\n\n\n\n\n127.0.0.1:1\n\n\n\n\n\n");
        assert!(out.contains("That does not work"), "{out}");
        let config = Config::parse(&text.unwrap(), Path::new("x"), []).unwrap();
        assert_eq!(config.listen.addresses[0].port(), 1);
        assert!(answered("\n").0.is_err());
    }

    #[test]
    fn a_file_is_not_overwritten() {
        let place = tempfile::TempDir::new().unwrap();
        let file = place.path().join("folkmoot.toml");
        write(&file, "one").unwrap();
        let refused = write(&file, "two").unwrap_err();
        assert!(refused.to_string().contains("exists already"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
    }
}
