//! The variables that stand in for flags: of the surroundings, and of one `.env` file.
//!
//! A variable of the surroundings counts before the file's, as with the official program, and only
//! one file is read: the one that `--env-file` names, else `./.env`, else `~/.xmtp/.env`.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::failure::{Exit, Failure};

/// The variables that stand in for flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    surroundings: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    /// The file that was read, if any.
    pub(crate) path: Option<PathBuf>,
}

impl Variables {
    /// Those of this process, and of the file that `env_file` names or that is in a usual place.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a line of it is no assignment.
    pub(crate) fn load(env_file: Option<&Path>) -> anyhow::Result<Self> {
        // Variables that are not UTF-8 are none of ours.
        let surroundings = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut variables = Self {
            surroundings,
            ..Self::default()
        };
        let usual = [PathBuf::from(".env"), home()?.join(".env")];
        let places = match env_file {
            Some(path) => vec![path.to_owned()],
            None => usual.to_vec(),
        };
        for path in places {
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => match env_file {
                    None => continue,
                    Some(_) => {
                        return Err(Failure::new(
                            Exit::NotFound,
                            format!("there is no {}", path.display()),
                            "`folkmoot xmtp init --output FILE` makes one",
                        )
                        .into());
                    }
                },
                Err(cause) => {
                    return Err(cause).with_context(|| format!("read {}", path.display()));
                }
            };
            variables.file = parse(&text)
                .map_err(|line| wrong_line(&path, line))?
                .into_iter()
                .collect();
            variables.path = Some(path);
            break;
        }
        Ok(variables)
    }

    /// These, as if they were of the surroundings.
    #[cfg(test)]
    pub(crate) const fn of(surroundings: BTreeMap<String, String>) -> Self {
        Self {
            surroundings,
            file: BTreeMap::new(),
            path: None,
        }
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.surroundings.get(name).or_else(|| self.file.get(name));
        value.map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a variable says yes.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}

/// `~/.xmtp`, or what `XMTP_HOME` names: where keys, contacts and databases are.
///
/// # Errors
///
/// When nobody says where home is.
pub(crate) fn home() -> anyhow::Result<PathBuf> {
    if let Some(home) = env::var_os("XMTP_HOME").filter(|home| !home.is_empty()) {
        return Ok(home.into());
    }
    let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home = home.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "nobody says where the home directory is",
            "set HOME",
        )
    })?;
    Ok(home.join(".xmtp"))
}

fn wrong_line(path: &Path, line: usize) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{}, line {line}: no assignment", path.display()),
        "lines such as XMTP_ENV=dev; comments begin with #",
    )
}

/// The assignments of a `.env` file, or the number of the first line that is none.
fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut assignments = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(index + 1)?;
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(index + 1);
        }
        assignments.push((name.to_owned(), unquoted(value.trim())));
    }
    Ok(assignments)
}

/// A value without its quotes, or up to a comment.
fn unquoted(value: &str) -> String {
    for quote in ['"', '\'', '`'] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some((inside, _)) = rest.split_once(quote)
        {
            return match quote {
                '"' => inside.replace("\\n", "\n"),
                _ => inside.to_owned(),
            };
        }
    }
    let end = value.find('#').unwrap_or(value.len());
    value[..end].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignments(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    #[test]
    fn a_file_has_assignments_and_comments() {
        let text = "# keys\n\nexport XMTP_ENV = dev # here\nA=\"x # y\"\nB='1'\nC=\n";
        let read = assignments(text);
        let read: Vec<_> = read
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            read,
            [("XMTP_ENV", "dev"), ("A", "x # y"), ("B", "1"), ("C", "")]
        );
    }

    #[test]
    fn a_line_without_an_assignment_is_named() {
        assert_eq!(parse("A=1\nnonsense"), Err(2));
        assert_eq!(parse("=1"), Err(1));
        assert_eq!(parse("two words=1"), Err(1));
    }

    #[test]
    fn the_surroundings_count_before_the_file() {
        let variables = Variables {
            surroundings: [("A".into(), "outside".into())].into(),
            file: [("A".into(), "file".into()), ("B".into(), "true".into())].into(),
            path: None,
        };
        assert_eq!(variables.get("A"), Some("outside"));
        assert!(variables.is_true("B"));
        assert_eq!(variables.get("C"), None);
    }
}
