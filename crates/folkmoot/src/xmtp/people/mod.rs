//! The commands for people: short names, plain words.

pub(crate) mod completions;
pub(crate) mod contacts;
pub(crate) mod man;
pub(crate) mod names;
mod send;
mod tail;
mod whoami;

pub(crate) use send::Send;
pub(crate) use tail::Tail;
pub(crate) use whoami::WhoAmI;
