#![doc = include_str!("../README.md")]

#[cfg(feature = "lying-node")]
mod lying;
#[cfg(feature = "lying-node")]
mod meddler;
mod memory;
pub mod mls;
mod person;
mod test_node;

#[cfg(feature = "lying-node")]
pub use lying::{Liar, Lie, LyingNode};
#[cfg(feature = "lying-node")]
pub use meddler::{Meddled, Meddler};
pub use memory::MemoryStore;
pub use person::Person;
pub use test_node::TestNode;
