//! Authentication (RFC 4422) as a server does it: mechanisms, their exchanges, their failures.
//!
//! An exchange is a chain of types, one for each thing that is waited for; the caller looks up
//! [`Verifier`]s and tokens between them. Nobody's password is kept: a verifier proves one.

mod binding;
mod external;
mod failure;
mod ht;
mod mechanism;
mod plain;
mod scram;

pub use binding::{BindingType, ChannelBindings};
pub use external::External;
pub use failure::Failure;
pub use ht::{HtBinding, HtInitial};
pub use mechanism::Mechanism;
pub use plain::Plain;
pub use scram::{ClientFirst, Hash, ScramChallenge, ScramMechanism, Verifier, downgrade_hash};

use jid::NodePart;

/// Brings a name that a client logs in with into the form in which accounts are stored.
///
/// # Errors
///
/// [`Failure::MalformedRequest`] for what can be no localpart (RFC 7622 §3.3).
pub fn account_name(written: &str) -> Result<String, Failure> {
    NodePart::new(written)
        .map(|node| node.as_str().to_owned())
        .map_err(|_| Failure::MalformedRequest)
}
