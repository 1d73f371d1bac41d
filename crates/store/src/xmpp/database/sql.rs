//! Statements, values and rows as both databases take them.
//!
//! The statements of all concerns are written once, in what SQLite and PostgreSQL have in common: `?1` for values,
//! whole numbers of 64 bits, text and bytes.

use std::{future::Future, pin::Pin, vec};

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use crate::StoreError;

/// What a piece of work will answer.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A piece of work inside a transaction. It waits for nothing but the database.
pub(super) type Work = Box<dyn for<'a> FnOnce(&'a mut dyn Sql) -> Answer<'a, ()> + Send>;

/// An open transaction.
#[async_trait]
pub(super) trait Sql: Send {
    /// The rows that a statement answers.
    async fn query(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError>;

    /// Runs a statement; answers how many rows it changed.
    async fn execute(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<u64, StoreError>;

    /// Runs a statement for each of many rows, in order.
    async fn execute_each(
        &mut self,
        statement: &'static str,
        rows: &[Vec<Value>],
    ) -> Result<(), StoreError>;

    /// The first row that a statement answers.
    async fn first(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(statement, values).await?.into_iter().next())
    }

    /// The only number that a statement answers; 0 for none.
    async fn number(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<i64, StoreError> {
        match self.first(statement, values).await? {
            Some(mut row) => Ok(row.maybe_number()?.unwrap_or(0)),
            None => Ok(0),
        }
    }
}

/// A value in a statement or a row.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Number(i64),
    Text(String),
    Bytes(Bytes),
}

macro_rules! value_from {
    ($($type:ty, $from:ident => $value:expr;)+) => { $(
        impl From<$type> for Value {
            fn from($from: $type) -> Self {
                $value
            }
        }
    )+ };
}

value_from! {
    i64, number => Self::Number(number);
    bool, truth => Self::Number(truth.into());
    u8, number => Self::Number(number.into());
    u32, number => Self::Number(number.into());
    // Nothing here counts that far.
    u64, number => Self::Number(i64::try_from(number).unwrap_or(i64::MAX));
    usize, number => Self::Number(i64::try_from(number).unwrap_or(i64::MAX));
    &str, text => Self::Text(text.to_owned());
    String, text => Self::Text(text);
    &String, text => Self::Text(text.clone());
    BareJid, jid => Self::Text(jid.into_inner());
    &BareJid, jid => Self::Text(jid.as_str().to_owned());
    Jid, jid => Self::Text(jid.into_inner());
    &Jid, jid => Self::Text(jid.as_str().to_owned());
    Bytes, bytes => Self::Bytes(bytes);
    Vec<u8>, bytes => Self::Bytes(bytes.into());
    [u8; 16], bytes => Self::Bytes(Bytes::copy_from_slice(&bytes));
}

impl<T> From<Option<T>> for Value
where
    Self: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

/// The values of a statement, of whatever types.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::xmpp::database::sql::Value::from($value)),*] };
}
pub(super) use values;

/// A row, read column by column from the left.
pub(super) struct Row(vec::IntoIter<Value>);

impl Row {
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    pub(super) fn maybe_number(&mut self) -> Result<Option<i64>, StoreError> {
        match self.0.next() {
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(Value::Null) => Ok(None),
            _ => Err(broken("a column is no number")),
        }
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(broken("a column is no text")),
        }
    }

    pub(super) fn maybe_bytes(&mut self) -> Result<Option<Bytes>, StoreError> {
        match self.0.next() {
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Value::Null) => Ok(None),
            _ => Err(broken("a column has no bytes")),
        }
    }

    pub(super) fn number(&mut self) -> Result<i64, StoreError> {
        self.maybe_number()?
            .ok_or_else(|| broken("a column is empty"))
    }

    /// A number that is never negative.
    pub(super) fn count(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.number()?).map_err(|_| broken("a count is negative"))
    }

    pub(super) fn truth(&mut self) -> Result<bool, StoreError> {
        Ok(self.number()? != 0)
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        self.maybe_text()?
            .ok_or_else(|| broken("a column is empty"))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, StoreError> {
        self.maybe_bytes()?
            .ok_or_else(|| broken("a column is empty"))
    }

    pub(super) fn id(&mut self) -> Result<[u8; 16], StoreError> {
        let bytes = self.bytes()?;
        bytes
            .as_ref()
            .try_into()
            .map_err(|_| broken("an id does not have 16 bytes"))
    }

    pub(super) fn jid(&mut self) -> Result<Jid, StoreError> {
        parse_jid(&self.text()?)
    }

    pub(super) fn maybe_jid(&mut self) -> Result<Option<Jid>, StoreError> {
        self.maybe_text()?.as_deref().map(parse_jid).transpose()
    }

    pub(super) fn bare_jid(&mut self) -> Result<BareJid, StoreError> {
        BareJid::new(&self.text()?).map_err(|_| broken("an address is none"))
    }

    pub(super) fn maybe_bare_jid(&mut self) -> Result<Option<BareJid>, StoreError> {
        let text = self.maybe_text()?;
        let parse = |text: &String| BareJid::new(text).map_err(|_| broken("an address is none"));
        text.as_ref().map(parse).transpose()
    }
}

pub(super) fn parse_jid(text: &str) -> Result<Jid, StoreError> {
    Jid::new(text).map_err(|_| broken("an address is none"))
}

/// A list of texts in one column.
pub(super) fn join<'a>(texts: impl IntoIterator<Item = &'a str>) -> Bytes {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes.into()
}

/// The texts of a column that [`join`] made.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<String>, StoreError> {
    let text = std::str::from_utf8(bytes).map_err(|_| broken("a list is no text"))?;
    Ok(text.split_terminator('\0').map(str::to_owned).collect())
}

/// What the database holds is not what this program wrote.
pub(super) fn broken(what: &'static str) -> StoreError {
    StoreError::Database {
        doing: "read a row",
        cause: what.into(),
    }
}
