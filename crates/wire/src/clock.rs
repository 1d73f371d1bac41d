//! Vector clocks: how far a reader has come with each originator.

use std::collections::BTreeMap;

use crate::proto::xmtp::xmtpv4::envelopes::Cursor;

/// The originator of commits and proposals.
pub const COMMIT_ORIGINATOR: u32 = 0;
/// The originator of identity updates.
pub const IDENTITY_ORIGINATOR: u32 = 1;

/// The last sequence id seen of each originator; an absent originator counts as 0.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VectorClock(BTreeMap<u32, u64>);

impl VectorClock {
    /// A clock that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The last sequence id seen of `originator`.
    #[must_use]
    pub fn last_seen(&self, originator: u32) -> u64 {
        self.0.get(&originator).copied().unwrap_or(0)
    }

    /// Moves `originator` forward to `sequence`; never back.
    pub fn advance(&mut self, originator: u32, sequence: u64) {
        let seen = self.0.entry(originator).or_insert(0);
        *seen = sequence.max(*seen);
    }

    /// How many originators are named.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no originator is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each named originator and its last sequence id, by ascending originator.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.0
            .iter()
            .map(|(originator, sequence)| (*originator, *sequence))
    }
}

impl FromIterator<(u32, u64)> for VectorClock {
    fn from_iter<T: IntoIterator<Item = (u32, u64)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl From<Cursor> for VectorClock {
    fn from(cursor: Cursor) -> Self {
        cursor.node_id_to_sequence_id.into_iter().collect()
    }
}

impl From<&VectorClock> for Cursor {
    fn from(clock: &VectorClock) -> Self {
        Self {
            node_id_to_sequence_id: clock.iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_never_goes_back() {
        let mut clock = VectorClock::new();
        clock.advance(100, 7);
        clock.advance(100, 3);
        assert_eq!(clock.last_seen(100), 7);
        assert_eq!(clock.last_seen(0), 0);
    }
}
