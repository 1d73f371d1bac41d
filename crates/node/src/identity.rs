//! The identity service's core: an inbox's state, and whether an update fits it.

use std::{num::NonZeroUsize, sync::Arc};

use folkmoot_identity::{
    AssociationState, ContractVerdicts, IdentityUpdate, MemberIdentifier, NODE_ACTION_LIMIT, Rules,
};
use folkmoot_store::{Address, AddressChange, AddressKind, Order, Page, Store};
use folkmoot_wire::{InboxId, Topic};
use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    ContractVerifier, NodeError, VerifierError, envelope,
    publish::{AddressChanges, inbox_id},
};

/// The most updates that an inbox's log may hold.
pub(crate) const MOST_UPDATES: usize = 256;
/// Inboxes whose state stays in memory.
const CACHED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// An inbox's log is read in one page: it has at most [`MOST_UPDATES`].
const WHOLE_LOG: Page = Page {
    envelopes: MOST_UPDATES + 1,
    bytes: usize::MAX,
};

/// Checks identity updates against their inboxes.
pub(crate) struct IdentityService {
    store: Arc<dyn Store>,
    contracts: Arc<dyn ContractVerifier>,
    known: Mutex<LruCache<InboxId, Known>>,
}

/// An inbox as of its newest update.
#[derive(Clone)]
struct Known {
    newest: u64,
    updates: usize,
    state: Option<Arc<AssociationState>>,
}

/// An update that fits its inbox's log, provided that the log does not move on first.
pub(crate) struct Prepared {
    pub(crate) inbox: InboxId,
    /// The newest id of the log that the update was checked against.
    pub(crate) newest: u64,
    pub(crate) addresses: AddressChanges,
    updates: usize,
    state: AssociationState,
}

impl IdentityService {
    pub(crate) fn new(store: Arc<dyn Store>, contracts: Arc<dyn ContractVerifier>) -> Self {
        Self {
            store,
            contracts,
            known: Mutex::new(LruCache::new(CACHED)),
        }
    }

    /// Decodes and verifies an update and applies it to its inbox's state.
    pub(crate) async fn prepare(&self, update: &[u8]) -> Result<Prepared, NodeError> {
        let update = IdentityUpdate::decode(update).map_err(|cause| NodeError::Update {
            field: "identity_update".to_owned(),
            cause,
        })?;
        let inbox = inbox_id("identity_update.inbox_id", update.inbox_id())?;
        if update.action_count() > NODE_ACTION_LIMIT {
            return Err(NodeError::field(
                "identity_update.actions",
                format!(
                    "has {} entries; the most is {NODE_ACTION_LIMIT}",
                    update.action_count()
                ),
            ));
        }
        let known = self.load(&inbox).await?;
        if known.updates >= MOST_UPDATES {
            return Err(NodeError::InboxLogFull {
                entries: known.updates,
                most: MOST_UPDATES,
            });
        }
        let verdicts = self.ask_contracts(&update).await;
        let verified = update.verify(&verdicts)?;
        let old = known.state.as_deref();
        let state = AssociationState::apply(old, &verified, Rules::Node)?;
        let diff = AssociationState::diff(old, &state);
        let added = diff.new_members.iter().filter_map(address);
        let removed = diff.removed_members.iter().filter_map(address);
        Ok(Prepared {
            inbox,
            newest: known.newest,
            addresses: added
                .map(AddressChange::Added)
                .chain(removed.map(AddressChange::Removed))
                .collect(),
            updates: known.updates + 1,
            state,
        })
    }

    /// Remembers the state that an update led to, once it is in the log at `id`.
    pub(crate) fn appended(&self, prepared: Prepared, id: u64) {
        let known = Known {
            newest: id,
            updates: prepared.updates,
            state: Some(Arc::new(prepared.state)),
        };
        self.known.lock().put(prepared.inbox, known);
    }

    /// Forgets what is cached, after the store's contents were replaced.
    pub(crate) fn forget(&self) {
        self.known.lock().clear();
    }

    /// Answers every contract question of `update`.
    pub(crate) async fn ask_contracts(&self, update: &IdentityUpdate) -> ContractVerdicts {
        let mut verdicts = ContractVerdicts::new();
        for check in update.contract_checks() {
            let answer = self.contracts.verify(&check).await;
            let answer = answer
                .map(|verdict| verdict.valid)
                .map_err(|VerifierError(why)| why);
            verdicts.insert(check, answer);
        }
        verdicts
    }

    /// The inbox's state, from memory if nothing was appended since.
    async fn load(&self, inbox: &InboxId) -> Result<Known, NodeError> {
        let topic = Topic::identity(inbox);
        let mut known = self.known.lock().get(inbox).cloned().unwrap_or(Known {
            newest: 0,
            updates: 0,
            state: None,
        });
        let news = self
            .store
            .page(&topic, known.newest, Order::Ascending, WHOLE_LOG)
            .await?;
        for envelope in news {
            let damaged = |_| NodeError::Stored(envelope.id);
            let bytes = envelope::identity_update(&envelope)?;
            let update =
                IdentityUpdate::decode(&bytes).map_err(|_| NodeError::Stored(envelope.id))?;
            let verified = update
                .verify(&as_answered_before(&update))
                .map_err(damaged)?;
            let state = AssociationState::apply(known.state.as_deref(), &verified, Rules::Libxmtp)
                .map_err(damaged)?;
            known = Known {
                newest: envelope.id,
                updates: known.updates + 1,
                state: Some(Arc::new(state)),
            };
        }
        if known.newest > 0 {
            self.known.lock().put(*inbox, known.clone());
        }
        Ok(known)
    }
}

/// Contracts were asked before an update was stored; the log is the record of their answers.
fn as_answered_before(update: &IdentityUpdate) -> ContractVerdicts {
    let mut verdicts = ContractVerdicts::new();
    for check in update.contract_checks() {
        verdicts.insert(check, Ok(true));
    }
    verdicts
}

/// The address that the index has for a member; installations have none.
fn address(member: &MemberIdentifier) -> Option<Address> {
    match member {
        MemberIdentifier::Ethereum(text) => Some(Address {
            kind: AddressKind::Ethereum,
            text: text.clone(),
        }),
        MemberIdentifier::Passkey(passkey) => Some(Address {
            kind: AddressKind::Passkey,
            text: hex::encode(&passkey.key),
        }),
        MemberIdentifier::Installation(_) => None,
    }
}
