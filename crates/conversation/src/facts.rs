//! What the rules of XMTP look at, free of MLS machinery.
//!
//! The engine reads [`CommitFacts`] off a commit that MLS itself found in order but that is not
//! merged yet, and [`WelcomeFacts`] off a welcome that is not joined yet; the rules judge
//! these, and nothing else.

use std::collections::BTreeMap;

use bytes::Bytes;

use folkmoot_wire::{GroupId, InboxId, InstallationKey};

/// A member's place in the ratchet tree and who sits there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Leaf {
    /// Index among the leaves, from 0. For a leaf that is only being added: where it will sit,
    /// or `u32::MAX` as long as that is open.
    pub index: u32,
    /// The inbox that the leaf's credential names, else [`Leaf::NOBODY`].
    pub inbox_id: InboxId,
    /// The leaf's signature key.
    pub installation: InstallationKey,
}

impl Leaf {
    /// The inbox of a leaf whose credential names none. Nobody has it: inbox ids are hashes.
    pub const NOBODY: InboxId = InboxId::from_bytes([0; 32]);
}

/// The extensions of a group context: extension type to extension data, as they travel.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContextExtensions(pub BTreeMap<u16, Bytes>);

impl ContextExtensions {
    /// The data of the extension of type `number`, if the context has it.
    #[must_use]
    pub fn data(&self, number: u16) -> Option<&Bytes> {
        self.0.get(&number)
    }
}

/// A proposal that a commit carries, and the leaf of the member who made it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProposalFact {
    /// Who proposed it; `None` when that was no member.
    pub proposer: Option<Leaf>,
    /// What it would change.
    pub kind: ProposalKind,
}

/// What a proposal would change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProposalKind {
    /// Adds the installation of a key package.
    Add(Leaf),
    /// Replaces the proposer's leaf by this one.
    Update(Leaf),
    /// Removes this member.
    Remove(Leaf),
    /// Replaces all extensions of the group context.
    GroupContextExtensions,
    /// Brings in a pre-shared key.
    PreSharedKey,
    /// Changes a component of the AppData dictionary (draft-ietf-mls-extensions): the new
    /// delta, or `None` to take the component away.
    AppDataUpdate {
        /// Which component.
        component: u16,
        /// The update as the component's rules define it; `None` removes the component.
        update: Option<Bytes>,
    },
    /// Any other type, by its number.
    Other(u16),
}

/// A commit, before it is merged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitFacts {
    /// The group.
    pub group_id: GroupId,
    /// The epoch in which the commit was made.
    pub epoch: u64,
    /// The member who sent the commit; `None` when no member did.
    pub committer: Option<Leaf>,
    /// The committer's new leaf, when the commit has an update path.
    pub path_leaf: Option<Leaf>,
    /// The proposals of the commit in its order.
    pub proposals: Vec<ProposalFact>,
    /// The context's extensions before the commit.
    pub old: ContextExtensions,
    /// The context's extensions after it.
    pub new: ContextExtensions,
    /// All members before it, in order of their leaves.
    pub members: Vec<Leaf>,
}

/// A welcome, before the group is joined.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WelcomeFacts {
    /// The group.
    pub group_id: GroupId,
    /// The epoch that the welcome leads to.
    pub epoch: u64,
    /// Who signed the group info: the one who added us.
    pub sender: Leaf,
    /// The context's extensions.
    pub context: ContextExtensions,
    /// All members, ourselves included.
    pub members: Vec<Leaf>,
    /// Whether the welcome wants a pre-shared key.
    pub wants_psk: bool,
}
