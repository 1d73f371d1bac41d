#![doc = include_str!("../README.md")]

mod memory;
pub mod mls;
mod person;
mod test_node;

pub use memory::MemoryStore;
pub use person::Person;
pub use test_node::TestNode;
