//! What JSON looks like: a short way to write down keys, and comparing with it.
//!
//! `{..}` is an object with these keys, `[..]` a list of which each item looks so, and a bare key has
//! a plain value; `key?` may be missing, `key*` may have any value, `<id>` stands for each key that
//! is an id.

use serde_json::Value;

/// What a value looks like.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// A text, a number, a truth value or null.
    Plain,
    /// Whatever it is.
    Any,
    /// A list of such.
    List(Box<Self>),
    /// An object with these keys; the truth value: whether it is always there.
    Object(Vec<(String, bool, Self)>),
}

impl Shape {
    /// Reads a shape, in which the names of `parts` stand for the shapes beside them.
    pub(super) fn parse(text: &str, parts: &[(&str, &str)]) -> Self {
        let mut whole = text.to_owned();
        while let Some((name, part)) = parts.iter().find(|(name, _)| whole.contains(name)) {
            whole = whole.replace(name, part);
        }
        // A part may stand a space away from its key.
        let whole = whole.replace(" {", "{").replace("[{", "[ {");
        let mut rest = whole.as_str();
        let shape = Self::read(&mut rest);
        assert_eq!(rest.trim(), "", "all of {text} is a shape");
        shape
    }

    /// Reads the shape with which `rest` begins.
    fn read(rest: &mut &str) -> Self {
        *rest = rest.trim_start();
        if let Some(inside) = rest.strip_prefix('[') {
            *rest = inside;
            let item = Self::read(rest);
            *rest = rest.trim_start().strip_prefix(']').unwrap();
            return Self::List(Box::new(item));
        }
        let Some(inside) = rest.strip_prefix('{') else {
            return Self::Plain;
        };
        *rest = inside;
        let mut keys = Vec::new();
        loop {
            *rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                *rest = after;
                return Self::Object(keys);
            }
            let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && !"_<>".contains(one));
            let (key, after) = rest.split_at(end.unwrap());
            assert_ne!(key, "", "a key at {rest}");
            *rest = after;
            let mut takes = |mark| {
                let after = rest.strip_prefix(mark);
                *rest = after.unwrap_or(rest);
                after.is_some()
            };
            let (maybe, any) = (takes('?'), takes('*'));
            let begins = rest.starts_with(['{', '[']);
            let shape = match (any, begins) {
                (true, _) => Self::Any,
                (false, true) => Self::read(rest),
                (false, false) => Self::Plain,
            };
            keys.push((key.to_owned(), !maybe, shape));
        }
    }
}

/// Where a value is not as its shape says.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Difference {
    /// A key that the shape does not have.
    Added(String),
    /// A key that the value does not have.
    Missing(String),
    /// Another kind of value.
    Kind(String),
}

/// Notes in `found` where `value` is not as `shape` says; `path` is where it stands.
pub(super) fn compare(shape: &Shape, value: &Value, path: &str, found: &mut Vec<Difference>) {
    match (shape, value) {
        (Shape::Any, _) => {}
        (Shape::Plain, value) if !value.is_object() && !value.is_array() => {}
        (Shape::List(item), Value::Array(items)) => {
            for value in items {
                compare(item, value, path, found);
            }
        }
        (Shape::Object(keys), Value::Object(fields)) => {
            let is_id =
                |name: &str| name.len() >= 32 && name.bytes().all(|one| one.is_ascii_hexdigit());
            for (name, value) in fields {
                let matches = |key: &str| key == name || (key == "<id>" && is_id(name));
                let path = format!("{path}.{name}");
                match keys.iter().find(|(key, ..)| matches(key)) {
                    Some((.., shape)) => compare(shape, value, &path, found),
                    None => found.push(Difference::Added(path)),
                }
            }
            for (key, ..) in keys.iter().filter(|(_, always, _)| *always) {
                let there = if key == "<id>" {
                    !fields.is_empty()
                } else {
                    fields.contains_key(key)
                };
                if !there {
                    found.push(Difference::Missing(format!("{path}.{key}")));
                }
            }
        }
        _ => found.push(Difference::Kind(path.to_owned())),
    }
}

#[test]
fn differences_of_shapes_are_found() {
    let shape = Shape::parse(
        "{id members[{name? account $account}]}",
        &[("$account", "{identifier identifierKind}")],
    );
    let different = |value: Value| {
        let mut found = Vec::new();
        compare(&shape, &value, "", &mut found);
        found
    };
    let account = serde_json::json!({ "identifier": "0x", "identifierKind": 0 });
    let good = serde_json::json!({ "id": 1, "members": [{ "account": account, "name": null }, { "account": account }] });
    assert_eq!(different(good), []);
    let bad = serde_json::json!({ "id": [], "members": [{ "account": { "identifier": "0x" }, "more": 1 }] });
    assert_eq!(
        different(bad),
        [
            Difference::Kind(".id".to_owned()),
            Difference::Missing(".members.account.identifierKind".to_owned()),
            Difference::Added(".members.more".to_owned()),
        ]
    );
}
