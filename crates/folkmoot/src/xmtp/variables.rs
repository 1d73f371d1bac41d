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
    /// Lines of that file that are no assignments, and were passed over.
    pub(crate) passed_over: Vec<usize>,
    /// Whether that is the one that lies where we are, which nobody named.
    is_of_the_directory: bool,
}

impl Variables {
    /// Those of this process, and of the file that `env_file` names or that is in a usual place.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a line of it is no assignment. In `./.env`, which nobody named
    /// and which may be another program's, such lines are passed over.
    pub(crate) fn load(env_file: Option<&Path>) -> anyhow::Result<Self> {
        // Variables that are not UTF-8 are none of ours.
        let surroundings = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut variables = Self {
            surroundings,
            ..Self::default()
        };
        let usual = [PathBuf::from(LOCAL), home()?.join(".env")];
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
            let (assignments, wrong) = parse(&text);
            if let Some(line) = wrong.first()
                && (env_file.is_some() || path != Path::new(LOCAL))
            {
                return Err(wrong_line(&path, *line).into());
            }
            variables.file = assignments.into_iter().collect();
            variables.passed_over = wrong;
            variables.is_of_the_directory =
                env_file.is_none() && path == Path::new(LOCAL) && !is_same(&path, &usual[1]);
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
            passed_over: Vec::new(),
            is_of_the_directory: false,
        }
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.surroundings.get(name).or_else(|| self.file.get(name));
        value.map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable that is a command to be run. It does not count when it stands in the `.env` of the
    /// directory that we are in: people work in directories that others filled.
    ///
    /// # Errors
    ///
    /// When that is where it stands.
    pub(crate) fn command(&self, name: &str) -> Result<Option<&str>, Failure> {
        if self.is_of_the_directory && !self.surroundings.contains_key(name) {
            return match self.get(name) {
                None => Ok(None),
                Some(_) => Err(Failure::new(
                    Exit::Usage,
                    format!("./.env sets {name}, a command, and whoever wrote the file is unknown"),
                    "--env-file .env, if you trust it; or set the variable, or put it in ~/.xmtp/.env",
                )),
            };
        }
        Ok(self.get(name))
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

/// The file of the directory that we are in.
const LOCAL: &str = ".env";

/// Whether both name one file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn wrong_line(path: &Path, line: usize) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{}, line {line}: no assignment", path.display()),
        "lines such as XMTP_ENV=dev; comments begin with #",
    )
}

/// The assignments of a `.env` file, and the numbers of the lines that are none. A value in quotes
/// may go over several lines.
pub(crate) fn parse(text: &str) -> (Vec<(String, String)>, Vec<usize>) {
    let (mut assignments, mut wrong) = (Vec::new(), Vec::new());
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let found = assignment(line);
        let Some((name, value)) = found.filter(|_| !line.trim_start().starts_with('#')) else {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                wrong.push(number);
            }
            rest = after;
            continue;
        };
        // The value is a part of the line, which is where the rest begins.
        let from = &rest[line.len() - value.len()..];
        if let Some((value, length)) = quoted(from) {
            assignments.push((name.to_owned(), value));
            number += from[..length].matches('\n').count();
            let after = &from[length..];
            rest = after.split_once('\n').map_or("", |(_, after)| after);
        } else {
            let end = value.find('#').unwrap_or(value.len());
            assignments.push((name.to_owned(), value[..end].trim_end().to_owned()));
            rest = after;
        }
    }
    (assignments, wrong)
}

/// Name and value of a line; the value is its end.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    is_name.then_some((name, value.trim_start()))
}

/// What is between quotes at the beginning of a text, and how long it is with them.
fn quoted(text: &str) -> Option<(String, usize)> {
    let quote = text.chars().next().filter(|one| "\"'`".contains(*one))?;
    let (inside, _) = text[1..].split_once(quote)?;
    let value = match quote {
        '"' => inside.replace("\\n", "\n"),
        _ => inside.to_owned(),
    };
    Some((value, inside.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignments(text: &str) -> Vec<(String, String)> {
        let (assignments, wrong) = parse(text);
        assert_eq!(wrong, [0; 0]);
        assignments
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
        assert_eq!(parse("A=1\nnonsense\r\nB=\"x\ny\"\n?").1, [2, 5]);
        assert_eq!(parse("=1").1, [1]);
        assert_eq!(parse("two words=1").1, [1]);
    }

    #[test]
    fn a_value_in_quotes_may_go_over_several_lines() {
        let text =
            "PRIVATE_KEY=\"-----BEGIN\nabc=\n-----END\" # mine\r\nA='\nx' \nB=\"open\nC=1\r\n";
        let read = assignments(text);
        let read: Vec<_> = read
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            read,
            [
                ("PRIVATE_KEY", "-----BEGIN\nabc=\n-----END"),
                ("A", "\nx"),
                ("B", "\"open"),
                ("C", "1"),
            ]
        );
    }

    #[test]
    fn the_surroundings_count_before_the_file() {
        let variables = Variables {
            surroundings: [("A".into(), "outside".into())].into(),
            file: [("A".into(), "file".into()), ("B".into(), "true".into())].into(),
            ..Variables::default()
        };
        assert_eq!(variables.get("A"), Some("outside"));
        assert!(variables.is_true("B"));
        assert_eq!(variables.get("C"), None);
    }
}
