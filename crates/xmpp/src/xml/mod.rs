//! XML as RFC 6120 §11 restricts it: bytes in, complete elements out.
//!
//! [`Reader`] cuts a stream into its first-level elements and counts what they cost;
//! [`Element`] is one of them, whose content stays the bytes that the peer wrote. Both stand on
//! rxml, which refuses comments, processing instructions, document types and entities of one's
//! own. [`escape`] and [`Markup`] write.

mod canonical;
mod element;
mod reader;
mod write;

pub(crate) use canonical::{write_attribute, write_attributes};
pub use element::{Child, DomError, Element, Name};
pub use reader::{Event, Limits, Reader, XmlError};
pub use write::{Markup, escape};

#[cfg(test)]
mod tests;
