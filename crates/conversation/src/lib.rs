#![doc = include_str!("../README.md")]

mod facts;
mod framing;
mod key_package;
mod layout;
mod structs;

pub use facts::{CommitFacts, ContextExtensions, Leaf, ProposalFact, ProposalKind, WelcomeFacts};
pub use framing::{ContentType, FramingError, GroupMessageHeader};
pub use key_package::{KeyPackage, KeyPackageError, KeyPackageIn};
pub use layout::LayoutError;
