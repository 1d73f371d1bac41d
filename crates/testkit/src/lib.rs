#![doc = include_str!("../README.md")]

#[cfg(feature = "lying-node")]
mod lying;
mod memory;
pub mod mls;
mod person;
mod test_node;

#[cfg(feature = "lying-node")]
pub use lying::{Lie, LyingNode};
pub use memory::MemoryStore;
pub use person::Person;
pub use test_node::TestNode;
