//! How often a network was asked.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// How often one method was called, repetitions included.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CallCount {
    /// Attempts that got an answer.
    pub answered: u64,
    /// Attempts that got none, or a refusal.
    pub failed: u64,
}

/// Counts of all methods that were called.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<&'static str, CallCount>>);

impl Counts {
    pub(super) fn note(&self, call: &'static str, answered: bool) {
        let mut counts = self.0.lock();
        let count = counts.entry(call).or_default();
        match answered {
            true => count.answered += 1,
            false => count.failed += 1,
        }
    }

    pub(super) fn read(&self) -> BTreeMap<&'static str, CallCount> {
        self.0.lock().clone()
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}
