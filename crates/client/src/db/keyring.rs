//! Keys in the keyring of the person's operating system, through the program that comes with it.
//!
//! That is `secret-tool` where there is a Secret Service (GNOME Keyring, KWallet, KeePassXC), and
//! `security` on macOS. Why a program and no library: `docs/decisions/0009`.

use std::{
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

use super::DatabaseKey;

/// The place of one key in the keyring.
///
/// ```no_run
/// # use folkmoot_client::{Client, db::Keyring};
/// let key = Keyring::new("alice")?.key_or_new()?;
/// let client = Client::builder().database("alice.db", key);
/// # Ok::<(), folkmoot_client::db::KeyringError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keyring {
    name: String,
}

/// Why a keyring did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The name cannot be used.
    #[error("{0:?} is no name for a key: 1 to 100 letters, digits, dots, dashes and underscores")]
    Name(String),
    /// The program that opens the keyring is not there, or does not start.
    #[error("`{tool}`, which opens the keyring, does not start: {cause}")]
    NoTool {
        /// The program.
        tool: &'static str,
        /// What the system says.
        cause: io::Error,
    },
    /// The keyring said no.
    #[error("the keyring did not answer: {0}")]
    Refused(String),
    /// What is in the keyring under this name is no key of a database.
    #[error("what the keyring has under {0:?} is no key: 64 hex digits")]
    NotAKey(String),
}

impl KeyringError {
    /// What a person can do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Name(_) => "a plain name, such as alice".to_owned(),
            Self::NoTool { tool, .. } if *tool == SECRET_TOOL.program => {
                format!("install {tool} (Debian: libsecret-tools), or keep the key elsewhere")
            }
            Self::NoTool { .. } | Self::Refused(_) => {
                "unlock the keyring, or keep the key elsewhere".to_owned()
            }
            Self::NotAKey(_) => "another name".to_owned(),
        }
    }
}

impl Keyring {
    /// The key called `name`: 1 to 100 ASCII letters, digits, dots, dashes and underscores.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Name`] for other names.
    pub fn new(name: impl Into<String>) -> Result<Self, KeyringError> {
        let name = name.into();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
            return Err(KeyringError::Name(name));
        }
        Ok(Self { name })
    }

    /// The key, if there is one. Blocks until the keyring is unlocked, which may ask a person.
    ///
    /// # Errors
    ///
    /// [`KeyringError`]; a missing key is none.
    pub fn key(&self) -> Result<Option<DatabaseKey>, KeyringError> {
        let tool = tool();
        let output = run(tool, &(tool.look_up)(&self.name), b"")?;
        let found = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            let bytes = hex::decode(found.trim()).ok();
            let key = bytes.and_then(|bytes| bytes.try_into().ok());
            let key = key.ok_or_else(|| KeyringError::NotAKey(self.name.clone()))?;
            return Ok(Some(DatabaseKey::Raw(key)));
        }
        match complaint(&output) {
            complaint if output.status.code() == Some(tool.absent) => {
                // One of the tools has the same code for all that goes wrong, but then says why.
                match complaint.is_empty() || tool.complains_of_absence {
                    true => Ok(None),
                    false => Err(KeyringError::Refused(complaint)),
                }
            }
            complaint => Err(KeyringError::Refused(complaint)),
        }
    }

    /// The key; makes one and keeps it if there is none.
    ///
    /// # Errors
    ///
    /// [`KeyringError`].
    pub fn key_or_new(&self) -> Result<DatabaseKey, KeyringError> {
        if let Some(key) = self.key()? {
            return Ok(key);
        }
        let key: [u8; 32] = rand::random();
        let tool = tool();
        let (arguments, input) = (tool.store)(&self.name, &hex::encode(key));
        let output = run(tool, &arguments, input.as_bytes())?;
        if !output.status.success() {
            return Err(KeyringError::Refused(complaint(&output)));
        }
        // What cannot be read back would be lost with everything that it seals.
        match self.key()? {
            Some(kept) if kept == DatabaseKey::Raw(key) => Ok(kept),
            _ => Err(KeyringError::Refused("it keeps nothing".to_owned())),
        }
    }
}

/// A program that opens a keyring.
struct Tool {
    program: &'static str,
    look_up: fn(&str) -> Vec<String>,
    /// Its arguments, and what it reads: keys must not be arguments, which everybody sees.
    store: fn(&str, &str) -> (Vec<String>, String),
    /// The exit code that says that there is no such key.
    absent: i32,
    /// Whether it also says so in words.
    complains_of_absence: bool,
}

const SECRET_TOOL: Tool = Tool {
    program: "secret-tool",
    look_up: |name| words(&["lookup", "service", SERVICE, "account", name]),
    store: |name, key| {
        let label = format!("--label=Folkmoot: {name}");
        let arguments = ["store", &label, "service", SERVICE, "account", name];
        (words(&arguments), key.to_owned())
    },
    absent: 1,
    complains_of_absence: false,
};

const SECURITY: Tool = Tool {
    program: "security",
    look_up: |name| words(&["find-generic-password", "-s", SERVICE, "-a", name, "-w"]),
    store: |name, key| {
        let line = format!("add-generic-password -U -s {SERVICE} -a {name} -w {key}\n");
        (words(&["-i"]), line)
    },
    absent: 44,
    complains_of_absence: true,
};

/// Under what all keys are.
const SERVICE: &str = "folkmoot";
/// The longest name, in bytes.
const LONGEST_NAME: usize = 100;

const fn tool() -> &'static Tool {
    if cfg!(target_os = "macos") {
        &SECURITY
    } else {
        &SECRET_TOOL
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn run(tool: &Tool, arguments: &[String], input: &[u8]) -> Result<Output, KeyringError> {
    let started = |cause| KeyringError::NoTool {
        tool: tool.program,
        cause,
    };
    let mut child = Command::new(tool.program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(started)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that ends without reading says why in its own words.
        drop(stdin.write_all(input));
    }
    child.wait_with_output().map_err(started)
}

/// The first line that a tool said was wrong.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["alice", "bot-2", "a.b_c"] {
            assert!(Keyring::new(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a\nb", "-w\"", &"x".repeat(101)] {
            assert!(Keyring::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn no_key_is_an_argument() {
        for tool in [SECRET_TOOL, SECURITY] {
            let (arguments, input) = (tool.store)("alice", "5ec4e7");
            assert!(!arguments.join(" ").contains("5ec4e7"));
            assert!(input.contains("5ec4e7"));
        }
    }
}
