//! Where commands of `folkmoot xmtp` write, and in which form.

use std::io::{self, Write};

use super::value::Value;

/// Takes what a command found, and writes it in the form that was asked for.
pub(crate) struct Output<'a> {
    out: &'a mut (dyn Write + Send),
    form: Form,
}

/// The form of what is written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Form {
    /// JSON instead of text for people.
    pub(crate) json: bool,
    /// Only these fields; empty: all.
    pub(crate) fields: Vec<String>,
}

impl<'a> Output<'a> {
    /// Writes to `out`.
    pub(crate) fn new(out: &'a mut (dyn Write + Send), form: Form) -> Self {
        Self { out, form }
    }

    /// Whether JSON was asked for.
    pub(crate) const fn is_json(&self) -> bool {
        self.form.json
    }

    /// Writes the one result of a command.
    pub(crate) fn result(&mut self, value: impl Into<Value>) -> io::Result<()> {
        let value = self.chosen(value.into());
        if self.form.json {
            serde_json::to_writer_pretty(&mut *self.out, &value)?;
            writeln!(self.out)?;
        } else {
            writeln!(self.out, "{}", value.for_people())?;
        }
        self.out.flush()
    }

    /// Writes text that was already made for people.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    fn chosen(&self, value: Value) -> Value {
        self.form.chosen(value)
    }
}

impl Form {
    /// One of many results: a line of its own as JSON, with its end.
    pub(crate) fn item(&self, value: Value) -> String {
        let value = self.chosen(value);
        match self.json {
            true => format!("{}\n", value.to_json()),
            false => format!("{}\n", value.for_people()),
        }
    }

    fn chosen(&self, value: Value) -> Value {
        if self.fields.is_empty() {
            return value;
        }
        let chosen = value.only(&self.fields);
        match self.fields.len() {
            1 if !self.json => chosen.bare(),
            _ => chosen,
        }
    }
}
