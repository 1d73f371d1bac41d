//! Which installations belong in a group.
//!
//! A group names its member inboxes with a place in each one's identity log. What follows for the
//! tree is computed from the logs alone: an inbox that joins brings the installations it has
//! at its place, one that leaves takes them away, and one whose place moves on brings and takes
//! what changed in between ([`expected_diff`]). Everybody computes the same, so a commit
//! that does something else is refused (`judge`), and [`plan`] makes commits that do just that.

mod diff;
mod plan;
mod states;
#[cfg(test)]
mod tests;

pub use diff::{DiffError, InstallationDiff, MembershipDiff, expected_diff, needed_for_diff};
pub use plan::{
    MAX_MEMBERS, MembershipChange, MembershipCommit, MembershipPlan, PlanError, ReaddPlan, plan,
    plan_readd, stale_leaves,
};
pub use states::{InboxStates, NeededState};

pub(crate) use diff::{can_exist, exact};
