//! Groups whose context lives in an AppData dictionary (libxmtp 1.11 and later).
//!
//! Such a group was converted by a bootstrap commit: extension 0x0006 holds a dictionary of numbered
//! components in place of the four extensions of XMTP. A change is a proposal that says what
//! differs in one component; who may make it stands in one of the components, the registry.
//!
//! **What is active.** By default nothing: we claim to be version 1.10.0, the bootstrap is announced
//! by a minimum version above that, so a group that converts stands still for us, and our key
//! packages do not say that we understand the dictionary: MLS then lets nobody bring one into a group
//! that we are in, and a client that meets such a commit of a super admin all the same pauses. Whoever claims [`Version::APP_DATA`] or more
//! in `judge` (and announces the generation in key packages) gets all of this: dictionaries are read
//! ([`read`]), the values that a commit leads to are worked out ([`outcome`]), such commits
//! and the bootstrap are judged by the rules of 1.12, and both can be made ([`AppDataWriter`],
//! [`bootstrap`]). Proposals that stand alone are read by the engine, but we make none; external
//! commits (XIP-82) are refused, as everywhere.
//!
//! [`Version::APP_DATA`]: crate::version::Version::APP_DATA

mod bootstrap;
mod codec;
mod component;
mod dictionary;
mod registry;
#[cfg(test)]
mod tests;
mod update;
mod write;

pub use bootstrap::{BootstrapError, bootstrap};
pub use component::{Component, ComponentKind};
pub use dictionary::{Dictionary, is_migrated, read};
pub use registry::{ComponentMetadata, Registry};
pub use update::{AppDataError, outcome};
pub use write::AppDataWriter;

pub(crate) use bootstrap::{check_bootstrap, is_bootstrap};
pub(crate) use update::check_update;
