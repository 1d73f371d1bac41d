//! The identity service's core: an inbox's state, and whether an update fits it.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use folkmoot_identity::{
    AssociationState, ContractCheck, ContractVerdicts, IdentityUpdate, MemberIdentifier,
    NODE_ACTION_LIMIT, Rules,
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
/// The most bytes of one update, so that a whole log fits into one answer. An update that revokes
/// a hundred installations by passkey has half as many.
const MOST_UPDATE_BYTES: usize = 90 << 10;
/// The field of a request that has an update.
const FIELD: &str = "identity_update";
/// The most questions to contract wallets that one update may need: each is a call to a chain.
const MOST_CONTRACT_CHECKS: usize = 20;
/// The most such questions in one request.
const MOST_CONTRACT_CHECKS_TOGETHER: usize = 100;
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

/// An update as it came.
pub(crate) struct Candidate<'a> {
    /// The path of what holds it in the request; empty for the request itself.
    pub(crate) within: &'a str,
    pub(crate) update: &'a [u8],
}

/// An update that fits its inbox's log, provided that the log does not move on first.
pub(crate) struct Prepared {
    pub(crate) inbox: InboxId,
    /// The newest id of the log that the update was checked against; `None` for one that was
    /// checked against another update of the same request.
    pub(crate) expected_newest: Option<u64>,
    pub(crate) addresses: AddressChanges,
    updates: usize,
    state: Arc<AssociationState>,
}

/// An update that decodes and asks for no more than it may.
struct Decoded<'a> {
    within: &'a str,
    inbox: InboxId,
    update: IdentityUpdate,
    contract_checks: Vec<ContractCheck>,
}

impl IdentityService {
    pub(crate) fn new(store: Arc<dyn Store>, contracts: Arc<dyn ContractVerifier>) -> Self {
        Self {
            store,
            contracts,
            known: Mutex::new(LruCache::new(CACHED)),
        }
    }

    /// Decodes and verifies the updates of one request, in order, and applies each to the state
    /// of its inbox as those before it leave it. Asks contract wallets once all updates decode.
    pub(crate) async fn prepare(
        &self,
        updates: &[Candidate<'_>],
    ) -> Result<Vec<Prepared>, NodeError> {
        let mut decoded = Vec::with_capacity(updates.len());
        let mut questions = 0;
        for candidate in updates {
            let within = |error: NodeError| error.within(candidate.within);
            let one = decode(candidate).map_err(within)?;
            questions += one.contract_checks.len();
            if questions > MOST_CONTRACT_CHECKS_TOGETHER {
                return Err(within(NodeError::field(
                    FIELD,
                    format!(
                        "has the request ask contract wallets {questions} times; the most is \
                         {MOST_CONTRACT_CHECKS_TOGETHER}"
                    ),
                )));
            }
            decoded.push(one);
        }
        let mut inboxes = HashMap::new();
        let mut prepared = Vec::with_capacity(decoded.len());
        for one in decoded {
            let within = one.within;
            let one = self.apply(one, &mut inboxes).await;
            prepared.push(one.map_err(|error| error.within(within))?);
        }
        Ok(prepared)
    }

    /// Verifies an update and applies it to its inbox's state: the one in `inboxes`, which gets
    /// the next one, or else that of the log.
    async fn apply(
        &self,
        decoded: Decoded<'_>,
        inboxes: &mut HashMap<InboxId, Known>,
    ) -> Result<Prepared, NodeError> {
        let inbox = decoded.inbox;
        let (known, expected_newest) = match inboxes.get(&inbox) {
            Some(known) => (known.clone(), None),
            None => {
                let known = self.load(&inbox).await?;
                let newest = known.newest;
                (known, Some(newest))
            }
        };
        if known.updates >= MOST_UPDATES {
            return Err(NodeError::InboxLogFull {
                entries: known.updates,
                most: MOST_UPDATES,
            });
        }
        let verdicts = self.ask_contracts(decoded.contract_checks).await;
        let refused = |cause| NodeError::Association {
            field: FIELD.to_owned(),
            cause,
        };
        let verified = decoded.update.verify(&verdicts).map_err(refused)?;
        let old = known.state.as_deref();
        let state = AssociationState::apply(old, &verified, Rules::Node).map_err(refused)?;
        let diff = AssociationState::diff(old, &state);
        let added = diff.new_members.iter().filter_map(address);
        let removed = diff.removed_members.iter().filter_map(address);
        let prepared = Prepared {
            inbox,
            expected_newest,
            addresses: added
                .map(AddressChange::Added)
                .chain(removed.map(AddressChange::Removed))
                .collect(),
            updates: known.updates + 1,
            state: Arc::new(state),
        };
        let next = Known {
            newest: known.newest,
            updates: prepared.updates,
            state: Some(Arc::clone(&prepared.state)),
        };
        inboxes.insert(inbox, next);
        Ok(prepared)
    }

    /// Remembers the state that an update led to, once it is in the log at `id`.
    pub(crate) fn appended(&self, prepared: Prepared, id: u64) {
        let known = Known {
            newest: id,
            updates: prepared.updates,
            state: Some(prepared.state),
        };
        self.known.lock().put(prepared.inbox, known);
    }

    /// Forgets what is cached, after the store's contents were replaced.
    pub(crate) fn forget(&self) {
        self.known.lock().clear();
    }

    /// Answers questions to contract wallets.
    pub(crate) async fn ask_contracts(&self, checks: Vec<ContractCheck>) -> ContractVerdicts {
        let mut verdicts = ContractVerdicts::new();
        for check in checks {
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

fn decode<'a>(candidate: &Candidate<'a>) -> Result<Decoded<'a>, NodeError> {
    let update = IdentityUpdate::decode(candidate.update).map_err(|cause| NodeError::Update {
        field: FIELD.to_owned(),
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
    if candidate.update.len() > MOST_UPDATE_BYTES {
        return Err(NodeError::field(
            FIELD,
            format!(
                "has {} bytes; the most is {MOST_UPDATE_BYTES}",
                candidate.update.len()
            ),
        ));
    }
    let contract_checks = contract_checks(&update).map_err(|error| error.within(FIELD))?;
    Ok(Decoded {
        within: candidate.within,
        inbox,
        update,
        contract_checks,
    })
}

/// What contract wallets have to be asked about an update, if it is not too much.
pub(crate) fn contract_checks(update: &IdentityUpdate) -> Result<Vec<ContractCheck>, NodeError> {
    let checks = update.contract_checks();
    if checks.len() > MOST_CONTRACT_CHECKS {
        return Err(NodeError::field(
            "actions",
            format!(
                "would have contract wallets asked {} times; the most is {MOST_CONTRACT_CHECKS}",
                checks.len()
            ),
        ));
    }
    Ok(checks)
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
