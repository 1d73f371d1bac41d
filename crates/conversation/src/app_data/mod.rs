//! Groups whose context lives in an AppData dictionary (libxmtp 1.11 and later).
//!
//! Such a group was converted by a bootstrap commit: extension 0x0006 holds a dictionary of numbered
//! components in place of the four extensions of XMTP. A change is a proposal that says what
//! differs in one component; who may make it stands in one of the components, the registry.
//!
//! **Who understands it.** Whoever claims [`Version::APP_DATA`] or more in `judge` and announces
//! the generation in key packages, as callers may ask for: dictionaries are read ([`read`]), the values
//! that a commit leads to are worked out ([`outcome`]), such commits and the bootstrap are judged by the rules
//! of 1.11 and 1.12, and both can be made ([`AppDataWriter`], [`bootstrap`]). A group can also begin so
//! ([`converted`]): what its members see is the same. Proposals that stand alone are kept until
//! a commit takes them in, as official clients make them; we put ours into the commit. External commits
//! (XIP-82) are refused, as everywhere.
//!
//! Whoever claims less stands still when a super admin converts a group, and cannot be in one: MLS lets
//! nobody in whose key package does not announce what the group requires.
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

pub use bootstrap::{BootstrapError, bootstrap, converted};
pub use component::{Component, ComponentKind};
pub use dictionary::{Dictionary, is_migrated, read};
pub use registry::{ComponentMetadata, Registry};
pub use update::{AppDataError, outcome};
pub use write::AppDataWriter;

pub(crate) use bootstrap::{check_bootstrap, is_bootstrap};
pub(crate) use update::check_update;
