use std::collections::{BTreeMap, BTreeSet};

use folkmoot_identity::{AssociationState, Rules, VerifiedUpdate};
use folkmoot_wire::{InboxId, InstallationKey};

/// A state of an inbox that a rule looks at: after the updates of its identity log whose sequence
/// ids are at most this one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NeededState {
    /// The inbox.
    pub inbox_id: InboxId,
    /// The node's id of the update.
    pub sequence_id: u64,
}

/// The installations of inboxes at places in their identity logs.
///
/// The caller looks them up before it asks for a verdict. What the node does not have, or what
/// is no valid log, is told too: rules depend on it. What merely could not be fetched is
/// left out, and asked for again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InboxStates(BTreeMap<NeededState, Found>);

/// What was found at a place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// The log up to there. Its last update may be before the place.
    Log {
        last: u64,
        installations: BTreeSet<InstallationKey>,
    },
    /// There is no update up to there.
    Nothing,
    /// An update up to there does not fit the log.
    Invalid,
}

impl InboxStates {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the state after the updates up to `needed`, the last of which has the sequence id
    /// `last`. That is `needed.sequence_id` unless there is no such update.
    pub fn insert(&mut self, needed: NeededState, last: u64, state: &AssociationState) {
        self.insert_installations(needed, last, state.installations());
    }

    /// Likewise, by the installations alone.
    pub fn insert_installations(
        &mut self,
        needed: NeededState,
        last: u64,
        installations: impl IntoIterator<Item = InstallationKey>,
    ) {
        let installations = installations.into_iter().collect();
        self.0.insert(
            needed,
            Found::Log {
                last,
                installations,
            },
        );
    }

    /// Tells that the inbox has no update up to there, although the node was asked.
    pub fn insert_nothing(&mut self, needed: NeededState) {
        self.0.insert(needed, Found::Nothing);
    }

    /// Tells that the log up to there is none: an update does not fit.
    pub fn insert_invalid(&mut self, needed: NeededState) {
        self.0.insert(needed, Found::Invalid);
    }

    /// Finds a state in the updates of an inbox: sequence ids with verified updates, ascending, from
    /// the first one on, and at least as far as `needed` goes.
    pub fn insert_log<'a>(
        &mut self,
        needed: NeededState,
        log: impl IntoIterator<Item = (u64, &'a VerifiedUpdate)>,
    ) {
        let mut last = None;
        let mut state: Option<AssociationState> = None;
        for (sequence_id, update) in log {
            if sequence_id > needed.sequence_id {
                break;
            }
            match AssociationState::apply(state.as_ref(), update, Rules::Libxmtp) {
                Ok(next) => state = Some(next),
                Err(_) => return self.insert_invalid(needed),
            }
            last = Some(sequence_id);
        }
        match (last, state) {
            (Some(last), Some(state)) => self.insert(needed, last, &state),
            _ => self.insert_nothing(needed),
        }
    }

    /// Whether something is known about a place.
    #[must_use]
    pub fn contains(&self, needed: &NeededState) -> bool {
        self.0.contains_key(needed)
    }

    /// Whether an installation belongs to an inbox at a place in its log, as far as is known.
    #[must_use]
    pub fn has_installation(&self, place: &NeededState, installation: &InstallationKey) -> bool {
        match self.0.get(place) {
            Some(Found::Log { installations, .. }) => installations.contains(installation),
            _ => false,
        }
    }

    /// Those of `needed` about which nothing is known.
    #[must_use]
    pub fn missing(&self, needed: impl IntoIterator<Item = NeededState>) -> Vec<NeededState> {
        needed
            .into_iter()
            .filter(|needed| !self.contains(needed))
            .collect()
    }

    pub(crate) fn found(&self, needed: &NeededState) -> Option<&Found> {
        self.0.get(needed)
    }
}
