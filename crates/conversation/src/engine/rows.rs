//! The state of one group as rows: what openmls stores, kept in memory, with what changed.
//!
//! openmls writes a whole value whenever a part of it changes; the secrets for messages, with
//! those of past epochs, are above 100 kB in a group of 250 and change with each message. So a
//! large value goes out as a base row and, as long as it pays, a patch row against that base.
//!
//! A row's key is a byte that tells base (0) and patch (1) apart, a byte that says what the value
//! is ([`Label`]), and what identifies it among its kind. Values are openmls's types in postcard
//! (compact, and its encoding is specified), without the configuration: that is the same for all
//! groups and belongs to the program.

use std::{collections::BTreeMap, fmt, sync::Arc};

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::profile;

/// A row to write, or to delete. The value is secret.
#[derive(Clone, Eq, PartialEq)]
pub struct Change {
    /// The row's key, unique within its group.
    pub key: Vec<u8>,
    /// The row's new value; `None` deletes the row.
    pub value: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.value.as_ref().map(|value| value.len());
        formatter
            .debug_struct("Change")
            .field("key", &self.key)
            .field("bytes", &bytes)
            .finish()
    }
}

/// The rows of one group, or of one key package while it is used.
#[derive(Default)]
pub(crate) struct Rows(Mutex<State>);

#[derive(Default)]
struct State {
    current: Snapshot,
    /// What rows were given to the caller, put together.
    saved: Snapshot,
    /// The bases of those rows; here and in `saved` the same value when there is no patch.
    bases: Snapshot,
}

/// All values at one moment. Cheap to copy: the values are shared.
pub(crate) type Snapshot = BTreeMap<Vec<u8>, Arc<Zeroizing<Vec<u8>>>>;

impl Rows {
    /// Puts the values together again from rows that [`Rows::take_changes`] gave out.
    pub(crate) fn load(
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, RowError> {
        let mut bases = Snapshot::new();
        let mut patches = BTreeMap::new();
        for (key, value) in rows {
            let value = Zeroizing::new(value);
            match key.split_first() {
                Some((&BASE, key)) => drop(bases.insert(key.to_vec(), Arc::new(value))),
                Some((&PATCH, key)) => drop(patches.insert(key.to_vec(), value)),
                _ => return Err(RowError::Key(key)),
            }
        }
        let mut current = bases.clone();
        for (key, patch) in patches {
            let base = bases.get(&key).ok_or(RowError::LoosePatch)?;
            let value = apply_patch(base, &patch).ok_or(RowError::LoosePatch)?;
            current.insert(key, Arc::new(value));
        }
        Ok(Self(Mutex::new(State {
            saved: current.clone(),
            current,
            bases,
        })))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.0.lock().current.clone()
    }

    pub(crate) fn restore(&self, snapshot: Snapshot) {
        self.0.lock().current = snapshot;
    }

    /// The rows that differ from those given out before, which from now on count as given out.
    pub(crate) fn take_changes(&self) -> Vec<Change> {
        let state = &mut *self.0.lock();
        let mut changes = Vec::new();
        for key in state.saved.keys() {
            if !state.current.contains_key(key) {
                changes.push(Change::delete(BASE, key));
                let base = state.bases.remove(key);
                if base.is_some_and(|base| !Arc::ptr_eq(&base, &state.saved[key])) {
                    changes.push(Change::delete(PATCH, key));
                }
            }
        }
        for (key, value) in &state.current {
            let saved = state.saved.get(key);
            if saved.is_some_and(|saved| Arc::ptr_eq(saved, value) || saved == value) {
                continue;
            }
            let base = state.bases.get(key);
            let patch = base.and_then(|base| patch(base, value));
            if let Some(patch) = patch {
                changes.push(Change::write(PATCH, key, patch));
                continue;
            }
            let patched = base
                .zip(saved)
                .is_some_and(|(base, saved)| !Arc::ptr_eq(base, saved));
            if patched {
                changes.push(Change::delete(PATCH, key));
            }
            changes.push(Change::write(BASE, key, value.to_vec().into()));
            state.bases.insert(key.clone(), Arc::clone(value));
        }
        // An unchanged value is still the one given out, so that `ptr_eq` tells patched rows.
        state.saved = state
            .current
            .iter()
            .map(|(key, value)| match state.saved.get(key) {
                Some(saved) if saved == value => (key.clone(), Arc::clone(saved)),
                _ => (key.clone(), Arc::clone(value)),
            })
            .collect();
        state.current.clone_from(&state.saved);
        changes
    }

    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        label: Label,
        id: &[u8],
    ) -> Result<Option<T>, RowError> {
        let value = self.0.lock().current.get(&label.key(id)).cloned();
        value
            .map(|value| decode(&value).map_err(|_| RowError::Value(label)))
            .transpose()
    }

    pub(crate) fn write<T: Serialize + ?Sized>(
        &self,
        label: Label,
        id: &[u8],
        value: &T,
    ) -> Result<(), RowError> {
        let value = encode(value).map_err(|_| RowError::Value(label))?;
        self.0.lock().current.insert(label.key(id), Arc::new(value));
        Ok(())
    }

    pub(crate) fn delete(&self, label: Label, id: &[u8]) {
        self.0.lock().current.remove(&label.key(id));
    }

    /// Deletes all values of a kind.
    pub(crate) fn delete_all(&self, label: Label) {
        self.0
            .lock()
            .current
            .retain(|key, _| key.first() != Some(&(label as u8)));
    }
}

impl Change {
    fn write(kind: u8, key: &[u8], value: Zeroizing<Vec<u8>>) -> Self {
        Self {
            key: [&[kind], key].concat(),
            value: Some(value),
        }
    }

    fn delete(kind: u8, key: &[u8]) -> Self {
        Self {
            key: [&[kind], key].concat(),
            value: None,
        }
    }
}

/// What a value is. The numbers are part of the stored format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Label {
    Tree = 1,
    InterimTranscriptHash = 2,
    Context = 3,
    ConfirmationTag = 4,
    GroupState = 5,
    MessageSecrets = 6,
    ResumptionPsks = 7,
    OwnLeafIndex = 8,
    EpochSecrets = 9,
    ApplicationExportTree = 10,
    OwnLeafNodes = 11,
    ProposalRefs = 12,
    Proposal = 13,
    EncryptionKeyPair = 14,
    EpochKeyPairs = 15,
    KeyPackage = 16,
    /// What the engine itself remembers: [`super::memory::Memory`].
    Memory = 32,
}

impl Label {
    fn key(self, id: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + id.len());
        key.push(self as u8);
        key.extend_from_slice(id);
        key
    }
}

/// Why stored rows are no group.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RowError {
    #[error("the key of a stored row, {0:02x?}, has an unknown form")]
    Key(Vec<u8>),
    #[error("a stored patch does not fit its base")]
    LoosePatch,
    #[error("the stored value {0:?} does not decode")]
    Value(Label),
    #[error("{0} are not stored")]
    Refused(&'static str),
}

/// Encodes a value as rows hold it.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
) -> Result<Zeroizing<Vec<u8>>, postcard::Error> {
    postcard::to_allocvec(value).map(Zeroizing::new)
}

/// Decodes a value, to its last byte.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// The difference between two values, when writing it is at most a quarter of writing the value:
/// the length of the beginning and of the end that they share, and what is new between the two.
fn patch(base: &[u8], value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if base.len() < PATCHED_FROM_BYTES {
        return None;
    }
    let start = base.iter().zip(value).take_while(|(a, b)| a == b).count();
    let rest = base.len().min(value.len()) - start;
    let end = base
        .iter()
        .rev()
        .zip(value.iter().rev())
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let new = &value[start..value.len() - end];
    if new.len() > base.len() / 4 {
        return None;
    }
    let mut patch = Zeroizing::new(Vec::with_capacity(16 + new.len()));
    patch.extend_from_slice(&(start as u64).to_be_bytes());
    patch.extend_from_slice(&(end as u64).to_be_bytes());
    patch.extend_from_slice(new);
    Some(patch)
}

fn apply_patch(base: &[u8], patch: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (start, patch) = patch.split_first_chunk::<8>()?;
    let (end, new) = patch.split_first_chunk::<8>()?;
    let start = base.get(..usize::try_from(u64::from_be_bytes(*start)).ok()?)?;
    let end = usize::try_from(u64::from_be_bytes(*end)).ok()?;
    let end = base.get(base.len().checked_sub(end)?..)?;
    Some(Zeroizing::new([start, new, end].concat()))
}

const BASE: u8 = 0;
const PATCH: u8 = 1;

/// Values below this size are written whole.
const PATCHED_FROM_BYTES: usize = 1024;

/// Where the key pairs of an epoch lie.
fn epoch_id<EpochKey: Serialize>(epoch: &EpochKey, leaf_index: u32) -> Result<Vec<u8>, RowError> {
    encode(&(epoch, leaf_index))
        .map(|id| id.to_vec())
        .map_err(|_| RowError::Value(Label::EpochKeyPairs))
}

fn id<T: Serialize>(label: Label, id: &T) -> Result<Vec<u8>, RowError> {
    encode(id)
        .map(|id| id.to_vec())
        .map_err(|_| RowError::Value(label))
}

/// Reading, writing and deleting of the values of which a group has one.
macro_rules! singles {
    ($($label:ident: $kind:ident, $write:ident, $read:ident, $delete:ident;)*) => { $(
        fn $write<G: traits::GroupId<CURRENT_VERSION>, V: traits::$kind<CURRENT_VERSION>>(
            &self, _: &G, value: &V,
        ) -> Result<(), RowError> {
            self.write(Label::$label, &[], value)
        }

        fn $read<G: traits::GroupId<CURRENT_VERSION>, V: traits::$kind<CURRENT_VERSION>>(
            &self, _: &G,
        ) -> Result<Option<V>, RowError> {
            self.read(Label::$label, &[])
        }

        fn $delete<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), RowError> {
            self.delete(Label::$label, &[]);
            Ok(())
        }
    )* };
}

impl StorageProvider<CURRENT_VERSION> for Rows {
    type Error = RowError;

    singles! {
        Tree: TreeSync, write_tree, tree, delete_tree;
        InterimTranscriptHash: InterimTranscriptHash, write_interim_transcript_hash, interim_transcript_hash, delete_interim_transcript_hash;
        Context: GroupContext, write_context, group_context, delete_context;
        ConfirmationTag: ConfirmationTag, write_confirmation_tag, confirmation_tag, delete_confirmation_tag;
        MessageSecrets: MessageSecrets, write_message_secrets, message_secrets, delete_message_secrets;
        ResumptionPsks: ResumptionPskStore, write_resumption_psk_store, resumption_psk_store, delete_all_resumption_psk_secrets;
        OwnLeafIndex: LeafNodeIndex, write_own_leaf_index, own_leaf_index, delete_own_leaf_index;
        EpochSecrets: GroupEpochSecrets, write_group_epoch_secrets, group_epoch_secrets, delete_group_epoch_secrets;
    }

    fn write_group_state<
        S: traits::GroupState<CURRENT_VERSION>,
        G: traits::GroupId<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        state: &S,
    ) -> Result<(), RowError> {
        self.write(Label::GroupState, &[], state)
    }

    fn group_state<S: traits::GroupState<CURRENT_VERSION>, G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<S>, RowError> {
        self.read(Label::GroupState, &[])
    }

    fn delete_group_state<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), RowError> {
        self.delete(Label::GroupState, &[]);
        Ok(())
    }

    fn write_application_export_tree<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        tree: &T,
    ) -> Result<(), RowError> {
        self.write(Label::ApplicationExportTree, &[], tree)
    }

    fn application_export_tree<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Option<T>, RowError> {
        self.read(Label::ApplicationExportTree, &[])
    }

    fn delete_application_export_tree<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<(), RowError> {
        self.delete(Label::ApplicationExportTree, &[]);
        Ok(())
    }

    // The configuration is the program's, so that a newer program brings a newer one.

    fn write_mls_join_config<
        G: traits::GroupId<CURRENT_VERSION>,
        C: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        _: &C,
    ) -> Result<(), RowError> {
        Ok(())
    }

    fn mls_group_join_config<
        G: traits::GroupId<CURRENT_VERSION>,
        C: traits::MlsGroupJoinConfig<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Option<C>, RowError> {
        // The trait hides that `C` is the type that we have at hand; JSON carries it over.
        serde_json::to_value(profile::join_config())
            .and_then(serde_json::from_value)
            .map(Some)
            .map_err(|_| RowError::Refused("other configurations"))
    }

    fn delete_group_config<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), RowError> {
        Ok(())
    }

    fn append_own_leaf_node<
        G: traits::GroupId<CURRENT_VERSION>,
        N: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        node: &N,
    ) -> Result<(), RowError> {
        let mut nodes: Vec<N> = self.own_leaf_nodes(group)?;
        // openmls gives no copies, so the new one takes the way through its encoding.
        let node = encode(node).and_then(|bytes| decode(&bytes));
        nodes.push(node.map_err(|_| RowError::Value(Label::OwnLeafNodes))?);
        self.write(Label::OwnLeafNodes, &[], &nodes)
    }

    fn own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>, N: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Vec<N>, RowError> {
        self.read(Label::OwnLeafNodes, &[])
            .map(Option::unwrap_or_default)
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), RowError> {
        self.delete(Label::OwnLeafNodes, &[]);
        Ok(())
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        P: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        reference: &R,
        proposal: &P,
    ) -> Result<(), RowError> {
        let mut references = self
            .queued_proposal_refs::<G, R>(group)?
            .iter()
            .map(|reference| id(Label::ProposalRefs, reference))
            .collect::<Result<Vec<_>, _>>()?;
        let reference = id(Label::ProposalRefs, reference)?;
        self.write(Label::Proposal, &reference, proposal)?;
        if !references.contains(&reference) {
            references.push(reference);
        }
        let references = references
            .iter()
            .map(|reference| decode::<R>(reference))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| RowError::Value(Label::ProposalRefs))?;
        self.write(Label::ProposalRefs, &[], &references)
    }

    fn queued_proposal_refs<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Vec<R>, RowError> {
        self.read(Label::ProposalRefs, &[])
            .map(Option::unwrap_or_default)
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        P: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
    ) -> Result<Vec<(R, P)>, RowError> {
        self.queued_proposal_refs::<G, R>(group)?
            .into_iter()
            .map(|reference| {
                let proposal = self
                    .read(Label::Proposal, &id(Label::ProposalRefs, &reference)?)?
                    .ok_or(RowError::Value(Label::Proposal))?;
                Ok((reference, proposal))
            })
            .collect()
    }

    fn remove_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        reference: &R,
    ) -> Result<(), RowError> {
        let reference = id(Label::ProposalRefs, reference)?;
        let mut kept = Vec::new();
        for queued in self.queued_proposal_refs::<G, R>(group)? {
            if id(Label::ProposalRefs, &queued)? != reference {
                kept.push(queued);
            }
        }
        self.write(Label::ProposalRefs, &[], &kept)?;
        self.delete(Label::Proposal, &reference);
        Ok(())
    }

    fn clear_proposal_queue<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<(), RowError> {
        self.delete(Label::ProposalRefs, &[]);
        self.delete_all(Label::Proposal);
        Ok(())
    }

    fn write_encryption_key_pair<
        E: traits::EncryptionKey<CURRENT_VERSION>,
        P: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        public: &E,
        pair: &P,
    ) -> Result<(), RowError> {
        let id = id(Label::EncryptionKeyPair, public)?;
        self.write(Label::EncryptionKeyPair, &id, pair)
    }

    fn encryption_key_pair<
        P: traits::HpkeKeyPair<CURRENT_VERSION>,
        E: traits::EncryptionKey<CURRENT_VERSION>,
    >(
        &self,
        public: &E,
    ) -> Result<Option<P>, RowError> {
        self.read(
            Label::EncryptionKeyPair,
            &id(Label::EncryptionKeyPair, public)?,
        )
    }

    fn delete_encryption_key_pair<E: traits::EncryptionKey<CURRENT_VERSION>>(
        &self,
        public: &E,
    ) -> Result<(), RowError> {
        self.delete(
            Label::EncryptionKeyPair,
            &id(Label::EncryptionKeyPair, public)?,
        );
        Ok(())
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        P: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        epoch: &E,
        leaf_index: u32,
        pairs: &[P],
    ) -> Result<(), RowError> {
        self.write(Label::EpochKeyPairs, &epoch_id(epoch, leaf_index)?, pairs)
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        P: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<Vec<P>, RowError> {
        self.read(Label::EpochKeyPairs, &epoch_id(epoch, leaf_index)?)
            .map(Option::unwrap_or_default)
    }

    fn delete_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<(), RowError> {
        self.delete(Label::EpochKeyPairs, &epoch_id(epoch, leaf_index)?);
        Ok(())
    }

    fn write_key_package<
        R: traits::HashReference<CURRENT_VERSION>,
        K: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        reference: &R,
        package: &K,
    ) -> Result<(), RowError> {
        self.write(
            Label::KeyPackage,
            &id(Label::KeyPackage, reference)?,
            package,
        )
    }

    fn key_package<
        R: traits::HashReference<CURRENT_VERSION>,
        K: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        reference: &R,
    ) -> Result<Option<K>, RowError> {
        self.read(Label::KeyPackage, &id(Label::KeyPackage, reference)?)
    }

    fn delete_key_package<R: traits::HashReference<CURRENT_VERSION>>(
        &self,
        reference: &R,
    ) -> Result<(), RowError> {
        self.delete(Label::KeyPackage, &id(Label::KeyPackage, reference)?);
        Ok(())
    }

    // XMTP has no pre-shared keys, and the installation's key is passed to each call.

    fn write_psk<P: traits::PskId<CURRENT_VERSION>, B: traits::PskBundle<CURRENT_VERSION>>(
        &self,
        _: &P,
        _: &B,
    ) -> Result<(), RowError> {
        Err(RowError::Refused("pre-shared keys"))
    }

    fn psk<B: traits::PskBundle<CURRENT_VERSION>, P: traits::PskId<CURRENT_VERSION>>(
        &self,
        _: &P,
    ) -> Result<Option<B>, RowError> {
        Ok(None)
    }

    fn delete_psk<P: traits::PskId<CURRENT_VERSION>>(&self, _: &P) -> Result<(), RowError> {
        Ok(())
    }

    fn write_signature_key_pair<
        P: traits::SignaturePublicKey<CURRENT_VERSION>,
        K: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &P,
        _: &K,
    ) -> Result<(), RowError> {
        Err(RowError::Refused("signature keys"))
    }

    fn signature_key_pair<
        P: traits::SignaturePublicKey<CURRENT_VERSION>,
        K: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        _: &P,
    ) -> Result<Option<K>, RowError> {
        Ok(None)
    }

    fn delete_signature_key_pair<P: traits::SignaturePublicKey<CURRENT_VERSION>>(
        &self,
        _: &P,
    ) -> Result<(), RowError> {
        Ok(())
    }
}
