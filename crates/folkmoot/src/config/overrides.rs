//! Environment variables that override keys.

use toml::{Table, Value};

use super::Config;

const PREFIX: &str = "FOLKMOOT_";
/// Between section and key, and between the parts of a key.
const BETWEEN: &str = "__";

/// A variable that overrides nothing, or with something that does not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidOverride {
    /// There is no such key.
    #[error("{variable} overrides nothing: there is no {key} in [{section}]")]
    NoKey {
        /// The variable.
        variable: String,
        /// The section that it names.
        section: String,
        /// The key that it names.
        key: String,
    },
    /// The value does not fit the key. It is not repeated: it may be a secret.
    #[error("the value of {variable} does not fit; expected {expected}")]
    Misfit {
        /// The variable.
        variable: String,
        /// What would fit.
        expected: &'static str,
    },
    /// All values fit by themselves, but something else is wrong.
    #[error("the variables that override the configuration do not fit: {0}")]
    Together(String),
}

/// `config`, with every key replaced that a variable names. Variables without `__` in the name
/// are not meant.
pub(super) fn apply(
    config: Config,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, InvalidOverride> {
    let mut table: Option<Table> = None;
    for (variable, text) in variables {
        let Some((section, key)) = named(&variable) else {
            continue;
        };
        if table.is_none() {
            let together = |error: toml::ser::Error| InvalidOverride::Together(error.to_string());
            table = Some(Table::try_from(&config).map_err(together)?);
        }
        if let Some(table) = &mut table {
            set(table, &variable, &section, &key, &text)?;
        }
    }
    match table {
        Some(table) => table.try_into().map_err(|error: toml::de::Error| {
            InvalidOverride::Together(error.message().to_owned())
        }),
        None => Ok(config),
    }
}

/// Section and key that a variable names.
fn named(variable: &str) -> Option<(String, String)> {
    let (section, key) = variable.strip_prefix(PREFIX)?.split_once(BETWEEN)?;
    Some((section.to_lowercase(), key.to_lowercase()))
}

fn set(
    table: &mut Table,
    variable: &str,
    section: &str,
    key: &str,
    text: &str,
) -> Result<(), InvalidOverride> {
    let no_key = || InvalidOverride::NoKey {
        variable: variable.to_owned(),
        section: section.to_owned(),
        key: key.to_owned(),
    };
    let Some(Value::Table(keys)) = table.get_mut(section) else {
        return Err(no_key());
    };
    // A key that is a table itself has names of the operator's choice: `endpoints__1`.
    if let Some((key, name)) = key.split_once(BETWEEN) {
        let Some(Value::Table(entries)) = keys.get_mut(key) else {
            return Err(no_key());
        };
        entries.insert(name.to_owned(), Value::String(text.to_owned()));
        return Ok(());
    }
    let known = keys.get_mut(key).ok_or_else(no_key)?;
    let misfit = |expected| InvalidOverride::Misfit {
        variable: variable.to_owned(),
        expected,
    };
    *known = match known {
        Value::Integer(_) => {
            let number = text.trim().parse();
            Value::Integer(number.map_err(|_| misfit("a whole number"))?)
        }
        Value::Boolean(_) => {
            let truth = text.trim().parse();
            Value::Boolean(truth.map_err(|_| misfit("true or false"))?)
        }
        Value::Array(_) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        Value::Table(_) => return Err(no_key()),
        _ => Value::String(text.to_owned()),
    };
    Ok(())
}
