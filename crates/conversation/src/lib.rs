#![doc = include_str!("../README.md")]

pub mod commit_log;
pub mod context;
pub mod deletion;
pub mod dm;
mod facts;
mod framing;
pub mod joining;
pub mod judge;
mod key_package;
mod layout;
pub mod leave;
pub mod membership;
pub mod permissions;
pub mod readd;
mod structs;
pub mod transcript;
pub mod version;
#[cfg(test)]
mod world;

pub use facts::{CommitFacts, ContextExtensions, Leaf, ProposalFact, ProposalKind, WelcomeFacts};
pub use framing::{ContentType, FramingError, GroupMessageHeader};
pub use key_package::{KeyPackage, KeyPackageError, KeyPackageIn};
pub use layout::LayoutError;
