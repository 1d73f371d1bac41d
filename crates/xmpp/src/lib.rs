#![doc = include_str!("../README.md")]

pub mod ns;
pub mod sasl;
pub mod stanza;
pub mod stream;
pub mod xml;
