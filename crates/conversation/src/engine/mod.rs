//! Groups: openmls behind an interface of our own.
//!
//! [`Group`] is one group in memory; [`CommitPlan`], [`PreparedCommit`] and [`StagedCommit`] are
//! the stations of a commit. No type of openmls leaves this crate. Time and randomness are
//! arguments, with one exception that openmls forces: it compares the lifetime of key packages
//! that a commit adds with the machine's clock.
//!
//! Specification: RFC 9420, with the choices of [`profile`].

mod commit;
mod error;
mod group;
mod installation;
pub(crate) mod memory;
pub(crate) mod profile;
pub(crate) mod provider;
pub(crate) mod rows;

pub use commit::{AppDataChange, CommitPlan, PreparedCommit, StagedCommit, UnresolvedCommit};
pub(crate) use commit::{leaf_of, members};
pub use error::{
    CommitError, CreateError, JoinError, LoadError, ProcessError, SealError, StagedError,
};
pub use group::{Group, Incoming, ReceivedProposal};
pub use installation::{Generation, Installation, InvalidLeaf};
pub use profile::PAST_EPOCHS;
pub use rows::Change;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
