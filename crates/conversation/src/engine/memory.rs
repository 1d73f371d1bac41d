//! What the engine itself remembers of a group: since when it can read, and who left a leaf.
//!
//! A late message names its sender by leaf index. When somebody else has taken that leaf in the
//! meantime, looking into the present tree would show the message under the wrong installation.

use serde::{Deserialize, Serialize};

use super::{
    profile::PAST_EPOCHS,
    rows::{Label, RowError, Rows},
};
use crate::Leaf;

/// Since when and about whom.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Memory {
    /// Counts changes of everything that rows hold. A newer one is refused.
    format: u8,
    /// The epoch in which we came.
    since: u64,
    departed: Vec<Departed>,
}

/// A leaf as it was up to an epoch, that one included.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Departed {
    last_epoch: u64,
    index: u32,
    inbox_id: [u8; 32],
    installation: [u8; 32],
}

impl Memory {
    pub(crate) const fn since(epoch: u64) -> Self {
        Self {
            format: FORMAT,
            since: epoch,
            departed: Vec::new(),
        }
    }

    pub(crate) fn load(rows: &Rows) -> Result<Option<Self>, RowError> {
        let memory: Option<Self> = rows.read(Label::Memory, &[])?;
        match memory {
            Some(memory) if memory.format != FORMAT => Err(RowError::Value(Label::Memory)),
            memory => Ok(memory),
        }
    }

    pub(crate) fn store(&self, rows: &Rows) -> Result<(), RowError> {
        rows.write(Label::Memory, &[], self)
    }

    /// Whether messages of `epoch` could be read now that it is `current`.
    pub(crate) const fn reaches(&self, epoch: u64, current: u64) -> bool {
        epoch >= self.since && epoch + PAST_EPOCHS >= current
    }

    /// Notes which leaves the members `before` had that `after` does not have, as `epoch` ends.
    pub(crate) fn note(&mut self, epoch: u64, before: &[Leaf], after: &[Leaf]) {
        self.departed
            .retain(|departed| departed.last_epoch + PAST_EPOCHS > epoch);
        let gone = before
            .iter()
            .filter(|leaf| after.binary_search(leaf).is_err())
            .map(|leaf| Departed {
                last_epoch: epoch,
                index: leaf.index,
                inbox_id: *leaf.inbox_id.as_bytes(),
                installation: *leaf.installation.as_bytes(),
            });
        self.departed.extend(gone);
    }

    /// Who sat in the leaf in `epoch`, when that is not who sits there now.
    pub(crate) fn departed(&self, epoch: u64, index: u32) -> Option<Leaf> {
        self.departed
            .iter()
            .filter(|departed| departed.index == index && departed.last_epoch >= epoch)
            .min_by_key(|departed| departed.last_epoch)
            .map(|departed| Leaf {
                index,
                inbox_id: folkmoot_wire::InboxId::from_bytes(departed.inbox_id),
                installation: folkmoot_wire::InstallationKey::from_bytes(departed.installation),
            })
    }
}

const FORMAT: u8 = 1;
