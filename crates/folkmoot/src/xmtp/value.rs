//! What commands print: values whose objects keep the order in which they were made.
//!
//! The spelling is that of the official program: numbers wider than a double are strings, bytes
//! are objects from index to number, and what is not known is left out rather than null.

use std::{borrow::Cow, fmt::Write as _};

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// A value to be printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Not known: left out of objects.
    Absent,
    /// Known to be nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number that is exact as a double.
    Number(f64),
    /// Text, and numbers that are not exact as doubles.
    Text(String),
    /// Values in order.
    List(Vec<Self>),
    /// Named values in order.
    Object(Vec<(Cow<'static, str>, Self)>),
}

/// Makes an object: `object! { "id" => id, "name" => name }`.
macro_rules! object {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::xmtp::value::Value::Object(vec![
            $((::std::borrow::Cow::from($key), $crate::xmtp::value::Value::from($value))),*
        ])
    };
}
pub(crate) use object;

impl Value {
    /// The values as a list.
    pub(crate) fn list<T: Into<Self>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }

    /// Bytes, as a typed array becomes JSON: from index to number.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        let fields = bytes.iter().enumerate();
        Self::Object(
            fields
                .map(|(index, byte)| (Cow::from(index.to_string()), Self::from(u32::from(*byte))))
                .collect(),
        )
    }

    /// A number that may be wider than a double: as text.
    pub(crate) fn wide(number: impl ToString) -> Self {
        Self::Text(number.to_string())
    }

    /// A number, or text where a double does not hold it exactly.
    pub(crate) fn exact(number: u64) -> Self {
        match u32::try_from(number) {
            Ok(small) => small.into(),
            #[expect(clippy::cast_precision_loss, reason = "it is below 2^53")]
            Err(_) if number < 1 << 53 => Self::Number(number as f64),
            Err(_) => Self::wide(number),
        }
    }

    /// The value behind `name`, in an object.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields
                .iter()
                .find_map(|(key, value)| (key == name).then_some(value)),
            _ => None,
        }
    }

    /// The same object with one more field at its end.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Self>) -> Self {
        if let Self::Object(fields) = &mut self {
            fields.push((name.into(), value.into()));
        }
        self
    }

    /// Only the fields with these paths (`a`, `b.c`), of an object or of each object of a list. A
    /// path that leads nowhere gives nothing.
    pub(crate) fn only(&self, paths: &[String]) -> Self {
        match self {
            Self::List(values) => Self::list(values.iter().map(|value| value.only(paths))),
            Self::Object(_) => Self::Object(
                paths
                    .iter()
                    .filter_map(|path| Some((path.clone().into(), self.at(path)?.clone())))
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    /// What an object with a single field holds, or each object of a list: what a script wants that
    /// asked for one field.
    pub(crate) fn bare(self) -> Self {
        match self {
            Self::List(values) => Self::List(values.into_iter().map(Self::bare).collect()),
            Self::Object(mut fields) if fields.len() == 1 => {
                fields.pop().map_or(Self::Absent, |(_, value)| value)
            }
            other => other,
        }
    }

    fn at(&self, path: &str) -> Option<&Self> {
        path.split('.')
            .try_fold(self, |value, name| value.field(name))
            .filter(|value| !matches!(value, Self::Absent))
    }

    /// For people: lines of `name  value`, tables, or the bare value.
    pub(crate) fn for_people(&self) -> String {
        match self {
            Self::List(values) if values.is_empty() => "(empty)".to_owned(),
            Self::List(values) if matches!(values[0], Self::Object(_)) => table(values),
            Self::List(values) => join_lines(values.iter().map(Self::in_a_cell)),
            Self::Object(fields) => lines(fields, ""),
            other => other.in_a_cell(),
        }
    }

    /// On one line.
    fn in_a_cell(&self) -> String {
        match self {
            Self::Absent | Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Number(_) | Self::List(_) | Self::Object(_) => visible(&self.to_json()),
            Self::Text(text) => visible(text),
        }
    }

    /// As JSON on one line. What commands terminals or turns the direction of writing around is
    /// spelled out, which means the same.
    pub(crate) fn to_json(&self) -> String {
        let json = serde_json::to_string(self).expect("a value is made of what JSON has");
        if !json.contains(is_commanding) {
            return json;
        }
        let mut shown = String::with_capacity(json.len() + 16);
        for character in json.chars() {
            match is_commanding(character) {
                // Only texts hold such characters.
                true => {
                    write!(shown, "\\u{:04x}", u32::from(character)).expect("a string takes all");
                }
                false => shown.push(character),
            }
        }
        shown
    }

    const fn is_nothing(&self) -> bool {
        match self {
            Self::Absent | Self::Null => true,
            Self::Text(text) => text.is_empty(),
            _ => false,
        }
    }
}

/// The text with what would move the cursor, colour or otherwise command a terminal written out.
/// Messages come from strangers.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(' '),
            control if is_commanding(control) => {
                write!(shown, "\\u{{{:x}}}", u32::from(control)).expect("a string takes all");
            }
            other => shown.push(other),
        }
    }
    shown
}

/// Whether a character commands terminals, or disguises what is written by turning the direction of
/// writing around.
pub(crate) fn is_commanding(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn lines(fields: &[(Cow<'static, str>, Value)], prefix: &str) -> String {
    // Names come from strangers as well: parameters of contents, keys of JSON.
    let told = || {
        let told = fields.iter().filter(|(_, value)| !value.is_nothing());
        told.map(|(name, value)| (visible(name), value))
    };
    let width = told().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    join_lines(told().map(|(name, value)| {
        let deeper = format!("{prefix}  ");
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                format!("{prefix}{name}\n{}", lines(inner, &deeper))
            }
            Value::List(values) if values.iter().any(|one| matches!(one, Value::Object(_))) => {
                let table = table(values);
                let table = join_lines(table.lines().map(|line| format!("{deeper}{line}")));
                format!("{prefix}{name}\n{table}")
            }
            Value::List(values) => {
                let cells: Vec<_> = values.iter().map(Value::in_a_cell).collect();
                format!("{prefix}{name:<width$}  {}", cells.join(", "))
            }
            value => format!("{prefix}{name:<width$}  {}", value.in_a_cell()),
        }
    }))
}

fn table(rows: &[Value]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if let Value::Object(fields) = row {
            for (name, value) in fields {
                if !matches!(value, Value::Absent) && !names.contains(&&**name) {
                    names.push(name);
                }
            }
        }
    }
    let mut cells = vec![names.iter().map(|&name| visible(name)).collect::<Vec<_>>()];
    cells.extend(rows.iter().map(|row| {
        let cell = |name: &&str| row.field(name).map_or_else(String::new, Value::in_a_cell);
        names.iter().map(cell).collect()
    }));
    let widths: Vec<usize> = (0..names.len())
        .map(|column| {
            let widths = cells.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        })
        .collect();
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect();
    cells.insert(1, rule);
    join_lines(cells.iter().map(|row| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }))
}

fn join_lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => match exact(*number) {
                Some(integer) => serializer.serialize_i64(integer),
                None => serializer.serialize_f64(*number),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in fields {
                    if !matches!(value, Self::Absent) {
                        map.serialize_entry(name, value)?;
                    }
                }
                map.end()
            }
        }
    }
}

/// The number as an integer, where it is one: a double prints no `.0`.
fn exact(number: f64) -> Option<i64> {
    /// Up to here every integer is a double.
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and below 2^53"
    )]
    let integer = (number.fract() == 0.0 && number.abs() <= LIMIT).then_some(number as i64);
    integer
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::exact(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::list(values)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => match number.as_f64() {
                Some(number) => Self::Number(number),
                None => Self::wide(number),
            },
            Json::String(text) => Self::Text(text),
            Json::Array(values) => Self::list(values),
            Json::Object(fields) => Self::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picnic() -> Value {
        object! {
            "id" => "a1",
            "name" => None::<String>,
            "found" => Value::Null,
            "members" => 3_u32,
            "place" => object! { "lake" => "west", "depth" => 1.5 },
            "epoch" => Value::wide(u64::MAX),
        }
    }

    #[test]
    fn fields_keep_their_order_and_unknown_ones_are_left_out() {
        assert_eq!(
            picnic().to_json(),
            r#"{"id":"a1","found":null,"members":3,"place":{"lake":"west","depth":1.5},"epoch":"18446744073709551615"}"#
        );
    }

    #[test]
    fn bytes_print_like_a_typed_array() {
        assert_eq!(Value::bytes(&[7, 255]).to_json(), r#"{"0":7,"1":255}"#);
    }

    #[test]
    fn fields_can_be_chosen_by_path() {
        let chosen = picnic().only(&["place.depth".into(), "id".into(), "no.where".into()]);
        assert_eq!(chosen.to_json(), r#"{"place.depth":1.5,"id":"a1"}"#);
    }

    #[test]
    fn people_see_lines_and_tables() {
        let value = object! {
            "id" => "a1",
            "place" => object! { "lake" => "west" },
            "members" => vec![object! { "name" => "ann", "age" => 7_u32 }, object! { "name" => "bo" }],
            "empty" => "",
        };
        assert_eq!(
            value.for_people(),
            "id       a1\nplace\n  lake  west\nmembers\n  name  age\n  ----  ---\n  ann   7\n  bo"
        );
    }

    #[test]
    fn a_message_cannot_command_the_terminal() {
        assert_eq!(
            visible("hi\u{1b}[2J\r\nyou\u{202e}"),
            "hi\\u{1b}[2J\\u{d} you\\u{202e}"
        );
    }

    #[test]
    fn json_cannot_command_it_either() {
        let said = "\u{9b}2J \u{7f}\u{202e}\u{1b}é";
        let json = Value::from(said).to_json();
        assert_eq!(json, r#""\u009b2J \u007f\u202e\u001bé""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), said);
    }

    #[test]
    fn names_of_fields_cannot_command_it_either() {
        let fields = || Value::Object(vec![("\u{1b}]0;X\u{7}\n".into(), "ann".into())]);
        let shown = "\\u{1b}]0;X\\u{7} ";
        let rule = "-".repeat(shown.len());
        assert_eq!(fields().for_people(), format!("{shown}  ann"));
        assert_eq!(
            object! { "inside" => fields() }.for_people(),
            format!("inside\n  {shown}  ann")
        );
        assert_eq!(
            Value::list([fields()]).for_people(),
            format!("{}\n{rule}\nann", shown.trim_end())
        );
    }
}
