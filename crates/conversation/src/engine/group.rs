//! A group that we are in.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use bytes::Bytes;
use openmls::{
    component::ComponentData,
    framing::errors::{MessageDecryptionError, SecretTreeError},
    prelude as mls,
    treesync::errors::{LeafNodeValidationError, LifetimeError},
};
use openmls_traits::OpenMlsProvider as _;
use rand::CryptoRng;
use tls_codec::{Deserialize as _, Serialize as _};

use folkmoot_wire::GroupId;

use super::{
    commit::{
        CommitPlan, PreparedCommit, StagedCommit, Stored, UnresolvedCommit, facts, leaf_of,
        members, stored,
    },
    error::{CommitError, CreateError, LoadError, ProcessError, SealError, StagedError},
    installation::{Generation, Installation},
    memory::Memory,
    profile,
    provider::Provider,
    rows::{Change, RowError, Rows, Snapshot},
};
use crate::{
    ContentType, ContextExtensions, GroupMessageHeader, Invitation, Leaf, PreparedWelcome,
    ProposalFact, key_package,
};

/// A group of which this installation is, or was, a member.
///
/// It lives in memory. After every call that changes it, the caller writes what
/// [`Group::take_changes`] gives into its storage, in one transaction with the consequences (the
/// message, the cursor), or goes back with [`Group::rollback`]. A call that returns an error has
/// changed nothing.
pub struct Group {
    id: GroupId,
    mls: mls::MlsGroup,
    provider: Provider,
    /// Where `rollback` leads.
    mark: Snapshot,
}

impl Group {
    /// Begins a group in epoch 0 with ourselves as its only member. `now` goes into the lifetime
    /// of the own leaf.
    ///
    /// # Errors
    ///
    /// [`CreateError::Context`] when the extensions are malformed or lack required capabilities
    /// that name each of them, else [`CreateError::Refused`].
    pub fn create(
        me: &Installation,
        id: &GroupId,
        context: &ContextExtensions,
        now: SystemTime,
        entropy: &mut dyn CryptoRng,
    ) -> Result<Self, CreateError> {
        let context = profile::context_in(context).map_err(CreateError::Context)?;
        let lifetime = key_package::lifetime(now);
        let config = profile::create_config(me.generation(), lifetime, context);
        let provider = Provider::default();
        provider.draw_from(entropy);
        let mls = mls::MlsGroup::new_with_group_id(
            &provider,
            me,
            &config,
            mls::GroupId::from_slice(id.as_bytes()),
            me.credential(),
        )
        .map_err(|cause| CreateError::Refused(cause.to_string()))?;
        Memory::since(0)
            .store(&provider.rows)
            .map_err(|cause| CreateError::Refused(cause.to_string()))?;
        Ok(Self::new(id.clone(), mls, provider))
    }

    /// Takes up a group from the rows that [`Group::take_changes`] gave out, in any order.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when rows are missing or damaged.
    pub fn load(
        id: &GroupId,
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, LoadError> {
        let provider = Provider::new(Rows::load(rows)?);
        Memory::load(&provider.rows)?.ok_or(LoadError::Incomplete)?;
        let mls = load_mls(id, &provider.rows)?;
        Ok(Self::new(id.clone(), mls, provider))
    }

    pub(crate) fn new(id: GroupId, mls: mls::MlsGroup, provider: Provider) -> Self {
        Self {
            id,
            mls,
            mark: provider.rows.snapshot(),
            provider,
        }
    }

    /// The group's id.
    #[must_use]
    pub const fn id(&self) -> &GroupId {
        &self.id
    }

    /// The current epoch. Once we are removed, the one in which that happened.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// Whether we are still a member.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.mls.is_active()
    }

    /// All members in the order of their leaves.
    #[must_use]
    pub fn members(&self) -> Vec<Leaf> {
        // openmls lets nobody in whose signature key is none of the suite's.
        members(self.mls.members()).unwrap_or_default()
    }

    /// Our own leaf; `None` once we are removed.
    #[must_use]
    pub fn own_leaf(&self) -> Option<Leaf> {
        let node = self.mls.own_leaf_node()?;
        self.is_active()
            .then(|| leaf_of(self.mls.own_leaf_index().u32(), node).ok())?
    }

    /// The extensions of the group context.
    #[must_use]
    pub fn context(&self) -> ContextExtensions {
        profile::context_out(self.mls.extensions())
    }

    /// What all members of the same history have in common in this epoch, 32 bytes.
    #[must_use]
    pub fn epoch_authenticator(&self) -> Vec<u8> {
        self.mls.epoch_authenticator().as_slice().to_vec()
    }

    /// Encrypts and signs a text for the members of this epoch. It cannot be read back: keep it.
    ///
    /// # Errors
    ///
    /// [`SealError`] says why.
    pub fn seal(
        &mut self,
        me: &Installation,
        plaintext: &[u8],
        entropy: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        self.provider.draw_from(entropy);
        // openmls lets nobody speak while proposals wait, and others' must not silence us: they
        // step aside meanwhile.
        let waiting: Vec<_> = self.mls.pending_proposals().cloned().collect();
        if waiting.is_empty() {
            return self.seal_message(me, plaintext);
        }
        let before = self.provider.rows.snapshot();
        let result = self
            .mls
            .clear_pending_proposals(&self.provider.rows)
            .map_err(|cause| SealError::Refused(cause.to_string()))
            .and_then(|()| self.seal_message(me, plaintext))
            .and_then(|message| {
                for proposal in waiting {
                    self.mls
                        .store_pending_proposal(&self.provider.rows, proposal)
                        .map_err(|cause| SealError::Refused(cause.to_string()))?;
                }
                Ok(message)
            });
        if result.is_err() {
            self.restore(before);
        }
        result
    }

    fn seal_message(&mut self, me: &Installation, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let message = self
            .mls
            .create_message(&self.provider, me, plaintext)
            .map_err(|cause| match cause {
                mls::CreateMessageError::GroupStateError(
                    mls::MlsGroupStateError::UseAfterEviction,
                ) => SealError::Inactive,
                cause => SealError::Refused(cause.to_string()),
            })?;
        message
            .tls_serialize_detached()
            .map_err(|cause| SealError::Refused(cause.to_string()))
    }

    /// Takes in a group message. An application message is read for good: its key is gone. A
    /// commit has no effect before [`Group::merge`].
    ///
    /// # Errors
    ///
    /// [`ProcessError`] says whether the message can never be of use or can be later.
    pub fn process(&mut self, message: &[u8]) -> Result<Incoming, ProcessError> {
        let before = self.provider.rows.snapshot();
        let result = self.process_message(message);
        if result.is_err() && self.provider.rows.snapshot() != before {
            self.restore(before);
        }
        result
    }

    fn process_message(&mut self, message: &[u8]) -> Result<Incoming, ProcessError> {
        let header = self.check_header(message)?;
        let (epoch, content) = (header.epoch, header.content);
        let message = mls::MlsMessageIn::tls_deserialize_exact(message)
            .map_err(|cause| ProcessError::Invalid(cause.to_string()))?
            .try_into_protocol_message()
            .map_err(|cause| ProcessError::Invalid(cause.to_string()))?;
        let processed = self
            .mls
            .process_message(&self.provider, message)
            .map_err(process_error)?;
        let sender = match processed.sender() {
            mls::Sender::Member(index) => Some(index.u32()),
            _ => None,
        };
        match processed.into_content() {
            mls::ProcessedMessageContent::ApplicationMessage(text) => Ok(Incoming::Application {
                sender: self.sender(epoch, sender.ok_or(ProcessError::NotMember)?)?,
                epoch,
                plaintext: text.into_bytes(),
            }),
            mls::ProcessedMessageContent::StagedCommitMessage(staged) => {
                let facts = facts(&self.mls, &self.id, sender, &staged)?;
                Ok(Incoming::Commit(Box::new(StagedCommit {
                    facts,
                    committer: sender,
                    staged: *staged,
                })))
            }
            mls::ProcessedMessageContent::UnresolvedAppDataCommit(unresolved) => {
                Ok(Incoming::AppDataCommit(UnresolvedCommit {
                    unresolved,
                    committer: sender,
                }))
            }
            mls::ProcessedMessageContent::ProposalMessage(proposal)
            | mls::ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                Ok(Incoming::Proposal(ReceivedProposal { proposal }))
            }
            mls::ProcessedMessageContent::OwnPrivateMessage
            | mls::ProcessedMessageContent::OwnPendingCommit => {
                Ok(Incoming::Own { epoch, content })
            }
        }
    }

    /// Checks what stands in the clear, so that the common causes have exact answers.
    fn check_header(&self, message: &[u8]) -> Result<GroupMessageHeader, ProcessError> {
        let header = GroupMessageHeader::parse(message)?;
        if message[2..4] != PRIVATE_MESSAGE {
            return Err(ProcessError::Public);
        }
        if header.group_id != self.id.as_bytes() {
            return Err(ProcessError::OtherGroup);
        }
        if !self.is_active() {
            return Err(ProcessError::Inactive);
        }
        let (epoch, current, content) = (header.epoch, self.epoch(), header.content);
        if epoch > current {
            return Err(ProcessError::FutureEpoch {
                epoch,
                current,
                content,
            });
        }
        let readable = content == ContentType::Application && self.memory().reaches(epoch, current);
        if epoch < current && !readable {
            return Err(ProcessError::PastEpoch {
                epoch,
                current,
                content,
            });
        }
        Ok(header)
    }

    /// Works an AppData commit out with what its components hold after it: a value for each
    /// component that it changes, `None` for those it takes away.
    ///
    /// # Errors
    ///
    /// As of [`Group::process`].
    pub fn resolve(
        &mut self,
        commit: UnresolvedCommit,
        values: BTreeMap<u16, Option<Bytes>>,
    ) -> Result<StagedCommit, ProcessError> {
        let mut updater = self.mls.app_data_dictionary_updater();
        for (component, value) in values {
            match value {
                Some(value) => {
                    updater.set(ComponentData::from_parts(component, value.to_vec().into()))
                }
                None => updater.remove(&component),
            }
        }
        let changes = updater.changes();
        let staged = self
            .mls
            .stage_app_data_commit(&self.provider, *commit.unresolved, changes)
            .map_err(|cause| process_error(mls::ProcessMessageError::InvalidCommit(cause)))?;
        Ok(StagedCommit {
            facts: facts(&self.mls, &self.id, commit.committer, &staged)?,
            committer: commit.committer,
            staged,
        })
    }

    /// Keeps a proposal until a commit takes it in, or the epoch ends: in groups that live in a
    /// dictionary, official clients propose first and commit then.
    ///
    /// # Errors
    ///
    /// [`ProcessError::TooManyProposals`]; [`ProcessError::Invalid`] when it cannot be stored.
    pub fn keep(&mut self, proposal: ReceivedProposal) -> Result<(), ProcessError> {
        let waiting = self.mls.pending_proposals().count();
        if waiting >= MOST_PROPOSALS {
            return Err(ProcessError::TooManyProposals(waiting));
        }
        self.mls
            .store_pending_proposal(&self.provider.rows, *proposal.proposal)
            .map_err(|cause| ProcessError::Invalid(cause.to_string()))
    }

    /// What a proposal would change, and who made it.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Leaf`] when a leaf in it does not say who sits there.
    pub fn proposal_fact(&self, proposal: &ReceivedProposal) -> Result<ProposalFact, ProcessError> {
        let members = members(self.mls.members())?;
        Ok(super::commit::proposal_fact(&proposal.proposal, &members)?)
    }

    /// Members whose leaves do not announce that they understand the AppData dictionary: as long as
    /// there is one, MLS lets nobody lead the group there.
    #[must_use]
    pub fn members_without_app_data(&self) -> Vec<Leaf> {
        let announces = |leaf: &Leaf| {
            let node = self
                .mls
                .public_group()
                .leaf(mls::LeafNodeIndex::new(leaf.index));
            node.is_some_and(|node| generation(node.capabilities()) == Generation::AppData)
        };
        let mut members = self.members();
        members.retain(|leaf| !announces(leaf));
        members
    }

    /// Makes a commit. Proposals of others that wait are left out. The group stays in its epoch, without a pending commit; only one key of our
    /// own chain for commits is used up, so that no two commits are ever sealed with the same one.
    ///
    /// # Errors
    ///
    /// [`CommitError`] says why the plan does not work.
    pub fn commit(
        &mut self,
        me: &Installation,
        plan: CommitPlan,
        entropy: &mut dyn CryptoRng,
    ) -> Result<PreparedCommit, CommitError> {
        if !self.is_active() {
            return Err(CommitError::Inactive);
        }
        let before = self.provider.rows.snapshot();
        self.provider.draw_from(entropy);
        let result = self.build_commit(me, plan);
        self.provider.tidy();
        if result.is_err() {
            self.restore(before);
        }
        result
    }

    /// Those of these key packages that a commit can add together, when the leaves `removes` go
    /// with it. One may be in order by itself and still not fit into this group: it names an
    /// unusable key for welcomes, does not list what the group requires, or repeats a key that
    /// somebody else has. The group stays as it is.
    pub fn addable(
        &mut self,
        me: &Installation,
        packages: Vec<key_package::KeyPackage>,
        removes: &[u32],
        entropy: &mut dyn CryptoRng,
    ) -> Vec<key_package::KeyPackage> {
        let mut found = Vec::new();
        let mut parts = vec![packages];
        // A part that fits is taken as a whole; any other is halved, down to single ones.
        while let Some(mut part) = parts.pop() {
            let plan = CommitPlan {
                adds: [found.as_slice(), part.as_slice()].concat(),
                removes: removes.to_vec(),
                ..CommitPlan::default()
            };
            let before = self.provider.rows.snapshot();
            if part.is_empty() {
                continue;
            } else if self.commit(me, plan, entropy).is_ok() {
                self.restore(before);
                found.extend(part);
            } else if part.len() > 1 {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
        }
        found
    }

    fn build_commit(
        &mut self,
        me: &Installation,
        plan: CommitPlan,
    ) -> Result<PreparedCommit, CommitError> {
        let refused = |cause: &dyn fmt::Display| CommitError::Refused(cause.to_string());
        let own = self.mls.own_leaf_index();
        for &index in &plan.removes {
            if index == own.u32() {
                return Err(CommitError::RemovesItself);
            }
            if self.mls.member_at(mls::LeafNodeIndex::new(index)).is_none() {
                return Err(CommitError::UnknownLeaf(index));
            }
        }
        let new_abilities = self.new_abilities(me);
        let invitations = plan
            .adds
            .iter()
            .map(|package| {
                Invitation::to(package).map_err(|_| CommitError::Wrapper(package.installation_key))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let adds = plan
            .adds
            .into_iter()
            .map(key_package::KeyPackage::into_mls)
            .collect::<Result<Vec<_>, _>>()
            .map_err(CommitError::KeyPackageLifetime)?;
        let mut builder = self
            .mls
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(true)
            .propose_removals(plan.removes.into_iter().map(mls::LeafNodeIndex::new))
            .propose_adds(adds);
        if let Some(parameters) = new_abilities {
            builder = builder.leaf_node_parameters(parameters);
        }
        if let Some(context) = plan.context {
            let context = profile::context_in(&context).map_err(CommitError::Context)?;
            builder = builder
                .propose_group_context_extensions(context)
                .map_err(|cause| CommitError::Context(cause.to_string()))?;
        }
        let mut values = Vec::new();
        for change in plan.app_data {
            let component = change.component;
            builder = builder.add_proposal(mls::Proposal::AppDataUpdate(Box::new(
                match change.update {
                    Some(update) => mls::AppDataUpdateProposal::update(component, update.to_vec()),
                    None => mls::AppDataUpdateProposal::remove(component),
                },
            )));
            values.push((component, change.value));
        }
        let mut builder = builder
            .load_psks(&self.provider.rows)
            .map_err(|cause| refused(&cause))?
            .create_group_info(false);
        let mut updater = builder.app_data_dictionary_updater();
        for (component, value) in values {
            match value {
                Some(value) => {
                    updater.set(ComponentData::from_parts(component, value.to_vec().into()))
                }
                None => updater.remove(&component),
            }
        }
        let changes = updater.changes();
        builder.with_app_data_dictionary_updates(changes);
        let bundle = builder
            .build(self.provider.rand(), self.provider.crypto(), me, |_| true)
            .map_err(|cause| refused(&cause))?
            .stage_commit(&self.provider)
            .map_err(|cause| refused(&cause))?;
        let (message, welcome, _) = bundle.into_messages();
        let message = message
            .tls_serialize_detached()
            .map_err(|cause| refused(&cause))?;
        let welcome = welcome
            .map(|welcome| welcome.tls_serialize_detached())
            .transpose()
            .map_err(|cause| refused(&cause))?;
        let committer = Some(own.u32());
        let staged = self.mls.pending_commit().expect("a commit was just staged");
        let facts =
            facts(&self.mls, &self.id, committer, staged).map_err(|cause| refused(&cause))?;
        let staged = stored(&facts, committer, staged);
        self.mls
            .clear_pending_commit(&self.provider.rows)
            .map_err(|cause| refused(&cause))?;
        Ok(PreparedCommit {
            epoch: facts.epoch,
            message,
            staged,
            welcome: welcome.map(|welcome| PreparedWelcome::new(welcome, invitations)),
            facts,
        })
    }

    /// What the own leaf shall announce, if the program has learnt something since it was made.
    fn new_abilities(&self, me: &Installation) -> Option<mls::LeafNodeParameters> {
        let leaf = self.mls.own_leaf_node()?;
        let is_outdated = me.generation() == Generation::AppData
            && generation(leaf.capabilities()) != Generation::AppData;
        is_outdated.then(|| {
            mls::LeafNodeParameters::builder()
                .with_capabilities(profile::capabilities(me.generation()))
                .build()
        })
    }

    /// Reads a stored commit, if the group is still in its epoch.
    ///
    /// # Errors
    ///
    /// [`StagedError`] says why it does not fit.
    pub fn staged(&self, bytes: &[u8]) -> Result<StagedCommit, StagedError> {
        let stored = Stored::read(bytes)?;
        if stored.group_id != self.id.as_bytes() {
            return Err(StagedError::OtherGroup);
        }
        self.check_epoch(stored.epoch)?;
        Ok(StagedCommit {
            facts: facts(&self.mls, &self.id, stored.committer, &stored.staged)?,
            committer: stored.committer,
            staged: stored.staged,
        })
    }

    /// Applies a commit that was judged and accepted: the next epoch begins.
    ///
    /// # Errors
    ///
    /// [`StagedError`] when the commit is of another group or epoch, or cannot be applied.
    pub fn merge(&mut self, commit: StagedCommit) -> Result<(), StagedError> {
        if commit.facts.group_id != self.id {
            return Err(StagedError::OtherGroup);
        }
        self.check_epoch(commit.facts.epoch)?;
        let before = self.provider.rows.snapshot();
        let mut memory = self.memory();
        let result = self
            .mls
            .merge_staged_commit(&self.provider, commit.staged)
            .map_err(|cause| StagedError::Merge(cause.to_string()))
            .and_then(|()| {
                memory.note(commit.facts.epoch, &commit.facts.members, &self.members());
                memory
                    .store(&self.provider.rows)
                    .map_err(|cause| StagedError::Merge(cause.to_string()))
            });
        if result.is_err() {
            self.restore(before);
        }
        result
    }

    /// Applies an own commit that the network has ordered: the `staged` of its
    /// [`PreparedCommit`].
    ///
    /// # Errors
    ///
    /// As of [`Group::merge`].
    pub fn merge_own(&mut self, staged: &[u8]) -> Result<(), StagedError> {
        let staged = self.staged(staged)?;
        self.merge(staged)
    }

    /// The rows that changed since this was called last, or since the group was loaded. The
    /// caller writes all of them or, if that fails, drops the group and loads it again.
    ///
    /// The first call after creating or joining gives all rows. Whoever rejoins a group deletes
    /// its old rows first, in the same transaction.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let changes = self.provider.rows.take_changes();
        self.mark = self.provider.rows.snapshot();
        changes
    }

    /// Lets what changed stand, to be given out later with what comes: [`Group::rollback`] goes no
    /// further back than this.
    pub fn hold(&mut self) {
        self.mark = self.provider.rows.snapshot();
    }

    /// Undoes everything since [`Group::take_changes`] or [`Group::hold`] was called last, or since
    /// the group was created, joined or loaded.
    pub fn rollback(&mut self) {
        self.restore(self.mark.clone());
    }

    #[cfg(test)]
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.provider.rows.snapshot()
    }

    #[cfg(test)]
    pub(crate) fn all_rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.provider.rows.snapshot().into_iter();
        rows.map(|(key, value)| ([&[0], key.as_slice()].concat(), value.to_vec()))
            .collect()
    }

    /// Proposes on its own, as official clients do, that a member goes.
    #[cfg(test)]
    pub(crate) fn propose_removal(
        &mut self,
        me: &Installation,
        leaf: u32,
        entropy: &mut dyn CryptoRng,
    ) -> Vec<u8> {
        self.provider.draw_from(entropy);
        let leaf = mls::LeafNodeIndex::new(leaf);
        let made = self.mls.propose_remove_member(&self.provider, me, leaf);
        made.unwrap().0.tls_serialize_detached().unwrap()
    }

    /// Commits what was proposed on its own, and merges that.
    #[cfg(test)]
    pub(crate) fn commit_proposed(
        &mut self,
        me: &Installation,
        entropy: &mut dyn CryptoRng,
    ) -> Vec<u8> {
        self.provider.draw_from(entropy);
        let made = self.mls.commit_to_pending_proposals(&self.provider, me);
        let message = made.unwrap().0.tls_serialize_detached().unwrap();
        self.mls.merge_pending_commit(&self.provider).unwrap();
        message
    }

    #[cfg(test)]
    pub(crate) fn has_pending_commit(&self) -> bool {
        self.mls.pending_commit().is_some()
    }

    fn restore(&mut self, snapshot: Snapshot) {
        self.provider.rows.restore(snapshot);
        self.mls = load_mls(&self.id, &self.provider.rows)
            .expect("what was in order in memory before is so again");
    }

    fn check_epoch(&self, epoch: u64) -> Result<(), StagedError> {
        let current = self.epoch();
        if epoch == current && self.is_active() {
            Ok(())
        } else {
            Err(StagedError::Epoch { epoch, current })
        }
    }

    fn memory(&self) -> Memory {
        Memory::load(&self.provider.rows)
            .ok()
            .flatten()
            .expect("creating, joining and loading see to it")
    }

    /// Who sat in a leaf in an epoch.
    fn sender(&self, epoch: u64, index: u32) -> Result<Leaf, ProcessError> {
        if epoch < self.epoch()
            && let Some(leaf) = self.memory().departed(epoch, index)
        {
            return Ok(leaf);
        }
        let member = self
            .mls
            .member_at(mls::LeafNodeIndex::new(index))
            .ok_or(ProcessError::NotMember)?;
        Ok(super::installation::leaf(
            index,
            &member.credential,
            &member.signature_key,
        )?)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Group")
            .field("id", &self.id)
            .field("epoch", &self.epoch())
            .field("active", &self.is_active())
            .finish_non_exhaustive()
    }
}

/// What a group message turned out to be.
pub enum Incoming {
    /// Something that a member says. Decrypted once: it must be stored with the changes of the
    /// group.
    Application {
        /// Who said it: the member who sat in the leaf in the message's epoch.
        sender: Leaf,
        /// The epoch in which it was said.
        epoch: u64,
        /// What was said, a `PlaintextEnvelope`.
        plaintext: Vec<u8>,
    },
    /// A commit in this epoch, to be judged, then merged. To refuse it is to drop it and roll
    /// the group back.
    Commit(Box<StagedCommit>),
    /// A commit in this epoch that changes the AppData dictionary, for [`Group::resolve`].
    AppDataCommit(UnresolvedCommit),
    /// A proposal on its own. It has no effect unless it is kept.
    Proposal(ReceivedProposal),
    /// A message that claims to be our own, which cannot be read. Whether it is must be told by
    /// the hash of what was sent.
    Own {
        /// The epoch of the message.
        epoch: u64,
        /// What the message is for.
        content: ContentType,
    },
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application { sender, epoch, .. } => formatter
                .debug_struct("Application")
                .field("sender", sender)
                .field("epoch", epoch)
                .finish_non_exhaustive(),
            Self::Commit(commit) => commit.fmt(formatter),
            Self::AppDataCommit(commit) => commit.fmt(formatter),
            Self::Proposal(proposal) => proposal.fmt(formatter),
            Self::Own { epoch, content } => formatter
                .debug_struct("Own")
                .field("epoch", epoch)
                .field("content", content)
                .finish(),
        }
    }
}

/// A proposal that came on its own, with a valid signature.
pub struct ReceivedProposal {
    proposal: Box<mls::QueuedProposal>,
}

impl fmt::Debug for ReceivedProposal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("ReceivedProposal")
            .field(&self.proposal.proposal().proposal_type())
            .finish()
    }
}

fn load_mls(id: &GroupId, rows: &Rows) -> Result<mls::MlsGroup, LoadError> {
    // The rows of a group do not repeat its id in their keys, so any id would find them.
    let id = mls::GroupId::from_slice(id.as_bytes());
    let group = mls::MlsGroup::load(rows, &id)?.ok_or(LoadError::Incomplete)?;
    if group.group_id() != &id {
        return Err(LoadError::OtherGroup);
    }
    Ok(group)
}

/// What a leaf with these capabilities announces.
fn generation(capabilities: &mls::Capabilities) -> Generation {
    let extensions = capabilities.extensions().iter().map(|one| u16::from(*one));
    let proposals = capabilities.proposals().iter().map(|one| u16::from(*one));
    Generation::of(
        &extensions.collect::<Vec<_>>(),
        &proposals.collect::<Vec<_>>(),
    )
}

/// How many proposals are kept in an epoch: several times what is needed to add all installations
/// that a group can have.
const MOST_PROPOSALS: usize = 8192;

/// The wire format of encrypted messages (RFC 9420 §6).
const PRIVATE_MESSAGE: [u8; 2] = [0, 2];

/// Sorts the many causes of openmls by what a caller can do.
fn process_error(cause: mls::ProcessMessageError<RowError>) -> ProcessError {
    use MessageDecryptionError as Decryption;
    use SecretTreeError as Tree;
    use mls::{
        KeyPackageVerifyError, ProcessMessageError as Process, ProposalValidationError,
        StageCommitError as Stage, ValidationError as Validation,
    };
    match cause {
        Process::GroupStateError(mls::MlsGroupStateError::UseAfterEviction) => {
            ProcessError::Inactive
        }
        // The lock-out: openmls compares lifetimes with the machine's clock in each of these.
        Process::ValidationError(Validation::KeyPackageVerifyError(
            KeyPackageVerifyError::LifetimeError(cause),
        ))
        | Process::InvalidCommit(
            Stage::LeafNodeValidation(LeafNodeValidationError::Lifetime(cause))
            | Stage::ProposalValidationError(ProposalValidationError::LeafNodeValidation(
                LeafNodeValidationError::Lifetime(cause),
            )),
        ) => lifetime_error(cause),
        Process::ValidationError(Validation::UnableToDecrypt(cause)) => match cause {
            Decryption::SecretTreeError(Tree::SecretReuseError | Tree::TooDistantInThePast) => {
                ProcessError::SecretGone
            }
            Decryption::SecretTreeError(Tree::TooDistantInTheFuture) => ProcessError::TooFarAhead,
            Decryption::SecretTreeError(Tree::IndexOutOfBounds) => ProcessError::NotMember,
            _ => ProcessError::Undecryptable,
        },
        Process::ValidationError(Validation::UnknownMember) => ProcessError::NotMember,
        Process::InvalidCommit(Stage::MissingProposal) => ProcessError::MissingProposal,
        cause => ProcessError::Invalid(cause.to_string()),
    }
}

fn lifetime_error(cause: LifetimeError) -> ProcessError {
    match cause {
        LifetimeError::Expired { not_after, now } => {
            ProcessError::ExpiredKeyPackage { not_after, now }
        }
        LifetimeError::NotValidYet { not_before, now } => {
            ProcessError::EarlyKeyPackage { not_before, now }
        }
        cause => ProcessError::Invalid(cause.to_string()),
    }
}
