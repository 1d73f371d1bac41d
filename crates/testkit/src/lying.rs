//! A network that lies, as its seed says.
//!
//! It stands between a client and an honest network. What is published goes through, unless it is
//! lost on the way; what is asked for may come back changed. Every lie that was told is counted, so
//! that a test knows that it tested something.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_client::network::{
    Cursor, Event, GroupEnvelope, IdentityEntry, IdentityLog, Network, NetworkError, Newest,
    OutgoingMessage, Page, Subscription, Topics, WelcomeContent, WelcomeEnvelope,
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey};
use parking_lot::Mutex;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::meddler::{Meddled, Meddler};

/// A way to lie.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Lie {
    /// Says that there is nothing, this time.
    Withhold,
    /// Leaves one envelope out and gives what comes after it.
    Drop,
    /// Gives two envelopes in the wrong order.
    Reorder,
    /// Gives an old envelope again, as it was or under the number of another.
    Replay,
    /// Gives an envelope of another topic, under the name of this one or of its own.
    Swap,
    /// Gives numbers that are lower than they were.
    StepBack,
    /// Changes bytes.
    Garbage,
    /// Appends to identity logs what does not belong there.
    ForgeIdentity,
    /// Ends identity logs early.
    HideIdentity,
    /// Gives somebody else's key package, or none.
    OtherKeyPackage,
    /// Does not take what is published, and says so.
    LoseBefore,
    /// Takes what is published, and says that it did not.
    LoseAfter,
    /// Says that it took what was published, and did not.
    Swallow,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Withhold,
        Self::Drop,
        Self::Reorder,
        Self::Replay,
        Self::Swap,
        Self::StepBack,
        Self::Garbage,
        Self::ForgeIdentity,
        Self::HideIdentity,
        Self::OtherKeyPackage,
        Self::LoseBefore,
        Self::LoseAfter,
        Self::Swallow,
    ];
}

/// A network that lies. It begins honest.
pub type LyingNode = Meddled<Liar>;

/// Who tells the lies of a [`LyingNode`].
pub struct Liar {
    honest: Arc<dyn Network>,
    mind: Arc<Mutex<Mind>>,
}

struct Mind {
    random: StdRng,
    /// How often each lie is told, in percent.
    habits: BTreeMap<Lie, u32>,
    told: BTreeMap<Lie, u64>,
    /// Of these, the ones on streams.
    told_on_streams: BTreeMap<Lie, u64>,
    /// What is said now goes down a stream.
    streaming: bool,
    /// Lies that are told at the next opportunity, whatever the habits.
    next: VecDeque<Lie>,
    /// What went by, to be told elsewhere.
    overheard: VecDeque<GroupEnvelope>,
    updates: VecDeque<IdentityEntry>,
}

impl LyingNode {
    /// A network between a client and `honest`. The same seed and the same questions in the same
    /// order get the same lies.
    #[must_use]
    pub fn new(honest: Arc<dyn Network>, seed: u64) -> Arc<Self> {
        Self::by(Liar {
            honest,
            mind: Arc::new(Mutex::new(Mind {
                random: StdRng::seed_from_u64(seed),
                habits: BTreeMap::new(),
                told: BTreeMap::new(),
                told_on_streams: BTreeMap::new(),
                streaming: false,
                next: VecDeque::new(),
                overheard: VecDeque::new(),
                updates: VecDeque::new(),
            })),
        })
    }
}

impl Liar {
    /// Tells this lie from now on whenever it can, in so many percent of the cases.
    pub fn lie(&self, lie: Lie, percent: u32) {
        self.mind.lock().habits.insert(lie, percent);
    }

    /// Tells this lie once, when it can next.
    pub fn lie_once(&self, lie: Lie) {
        self.mind.lock().next.push_back(lie);
    }

    /// Tells the truth from now on.
    pub fn become_honest(&self) {
        let mut mind = self.mind.lock();
        mind.habits.clear();
        mind.next.clear();
    }

    /// How often each lie was told.
    #[must_use]
    pub fn told(&self) -> BTreeMap<Lie, u64> {
        self.mind.lock().told.clone()
    }

    /// How often each lie was told on a stream.
    #[must_use]
    pub fn told_on_streams(&self) -> BTreeMap<Lie, u64> {
        self.mind.lock().told_on_streams.clone()
    }
}

impl Mind {
    /// Whether to tell this lie now.
    fn tempted(&mut self, lie: Lie) -> bool {
        let planned = self.next.iter().position(|next| *next == lie);
        let percent = self.habits.get(&lie).copied().unwrap_or(0);
        let now = planned.is_some() || percent > 0 && self.random.random_range(0..100) < percent;
        if let Some(place) = planned {
            self.next.remove(place);
        }
        now
    }

    fn note(&mut self, lie: Lie) {
        *self.told.entry(lie).or_default() += 1;
        if self.streaming {
            *self.told_on_streams.entry(lie).or_default() += 1;
        }
    }

    fn place(&mut self, length: usize) -> usize {
        self.random.random_range(0..length)
    }

    fn damage(&mut self, bytes: &Bytes) -> Bytes {
        let mut bytes = bytes.to_vec();
        if bytes.is_empty() || self.random.random_range(0..4) == 0 {
            bytes = vec![0; self.random.random_range(0..200)];
            self.random.fill_bytes(&mut bytes);
        } else {
            let place = self.random.random_range(0..bytes.len());
            bytes[place] ^= 1 << self.random.random_range(0..8);
        }
        bytes.into()
    }

    /// What is told about a group in place of the truth.
    fn groups(
        &mut self,
        wanted: Option<&GroupId>,
        mut page: Vec<GroupEnvelope>,
    ) -> Vec<GroupEnvelope> {
        self.overheard.extend(page.iter().cloned());
        while self.overheard.len() > OVERHEARD {
            self.overheard.pop_front();
        }
        if page.is_empty() {
            return page;
        }
        if self.tempted(Lie::Withhold) {
            self.note(Lie::Withhold);
            return Vec::new();
        }
        if page.len() > 1 && self.tempted(Lie::Drop) {
            let place = self.place(page.len() - 1);
            page.remove(place);
            self.note(Lie::Drop);
        }
        if page.len() > 1 && self.tempted(Lie::Reorder) {
            let place = self.place(page.len() - 1);
            page.swap(place, place + 1);
            self.note(Lie::Reorder);
        }
        if self.tempted(Lie::Replay) {
            let place = self.place(self.overheard.len());
            let mut old = self.overheard[place].clone();
            let at = self.place(page.len());
            if self.random.random_range(0..2) == 0 {
                (old.originator, old.sequence) = (page[at].originator, page[at].sequence);
            }
            page.insert(at, old);
            self.note(Lie::Replay);
        }
        if self.tempted(Lie::Swap) {
            let at = self.place(page.len());
            let id = wanted.unwrap_or(&page[at].group_id).clone();
            let mut others = self.overheard.iter().filter(|one| one.group_id != id);
            if let Some(other) = others.next().cloned() {
                let own_name = self.random.random_range(0..2) == 0;
                page[at] = GroupEnvelope {
                    group_id: if own_name { other.group_id } else { id },
                    sequence: page[at].sequence,
                    ..other
                };
                self.note(Lie::Swap);
            }
        }
        if self.tempted(Lie::StepBack) {
            let at = self.place(page.len());
            page[at].sequence = self.random.random_range(0..=page[at].sequence);
            self.note(Lie::StepBack);
        }
        if self.tempted(Lie::Garbage) {
            let at = self.place(page.len());
            page[at].data = self.damage(&page[at].data.clone());
            self.note(Lie::Garbage);
        }
        page
    }

    fn welcomes(&mut self, mut page: Vec<WelcomeEnvelope>) -> Vec<WelcomeEnvelope> {
        if page.is_empty() {
            return page;
        }
        if self.tempted(Lie::Withhold) {
            self.note(Lie::Withhold);
            return Vec::new();
        }
        if self.tempted(Lie::Replay) {
            let again = page[self.place(page.len())].clone();
            page.push(again);
            self.note(Lie::Replay);
        }
        if self.tempted(Lie::Garbage) {
            // Beside the true one: a welcome that is lost is lost.
            let mut other = page[0].clone();
            other.sequence = other.sequence.saturating_sub(1);
            match &mut other.welcome.content {
                WelcomeContent::Welcome { data, .. } | WelcomeContent::Pointer { data, .. } => {
                    *data = self.damage(&data.clone());
                }
            }
            page.insert(0, other);
            self.note(Lie::Garbage);
        }
        page
    }

    fn identities(&mut self, logs: &mut [IdentityLog]) {
        for log in logs.iter_mut().flatten() {
            self.updates.extend(log.iter().cloned());
            while self.updates.len() > OVERHEARD {
                self.updates.pop_front();
            }
            if !log.is_empty() && self.tempted(Lie::HideIdentity) {
                log.pop();
                self.note(Lie::HideIdentity);
            }
            if self.tempted(Lie::ForgeIdentity) {
                let after = log.last().map_or(1 << 40, |entry| entry.sequence + 1);
                let update = match self.random.random_range(0..2) {
                    0 if !self.updates.is_empty() => {
                        let place = self.place(self.updates.len());
                        self.updates[place].update.clone()
                    }
                    _ => self.damage(&Bytes::new()),
                };
                log.push(IdentityEntry {
                    sequence: after,
                    created_ns: 1,
                    update,
                });
                self.note(Lie::ForgeIdentity);
            }
        }
    }

    /// What becomes of something that is published: whether it goes through, and the answer.
    fn fate(&mut self) -> (bool, Result<(), NetworkError>) {
        for (lie, through, answer) in [
            (Lie::LoseBefore, false, Err(lost())),
            (Lie::LoseAfter, true, Err(lost())),
            (Lie::Swallow, false, Ok(())),
        ] {
            if self.tempted(lie) {
                self.note(lie);
                return (through, answer);
            }
        }
        (true, Ok(()))
    }
}

fn lost() -> NetworkError {
    NetworkError::Interrupted {
        call: "a call",
        address: "a lying node".into(),
        cause: "it says so".into(),
    }
}

#[async_trait]
impl Meddler for Liar {
    fn behind(&self) -> &dyn Network {
        &*self.honest
    }

    async fn identity_updates(
        &self,
        wanted: &[(InboxId, u64)],
    ) -> Result<Vec<IdentityLog>, NetworkError> {
        let mut logs = self.honest.identity_updates(wanted).await?;
        self.mind.lock().identities(&mut logs);
        Ok(logs)
    }

    async fn key_packages(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<Option<Bytes>>, NetworkError> {
        let mut packages = self.honest.key_packages(installations).await?;
        let mut mind = self.mind.lock();
        if !packages.is_empty() && mind.tempted(Lie::OtherKeyPackage) {
            let (one, other) = (mind.place(packages.len()), mind.place(packages.len()));
            packages[one] = if one == other {
                None
            } else {
                packages[other].clone()
            };
            mind.note(Lie::OtherKeyPackage);
        }
        Ok(packages)
    }

    async fn publish_group_messages(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<(), NetworkError> {
        let (through, answer) = self.mind.lock().fate();
        if through {
            self.honest.publish_group_messages(messages).await?;
        }
        answer
    }

    async fn group_messages(
        &self,
        group: &GroupId,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<GroupEnvelope>, NetworkError> {
        let page = self.honest.group_messages(group, after, limit).await?;
        let envelopes = self.mind.lock().groups(Some(group), page.envelopes);
        let more = page.more && !envelopes.is_empty();
        Ok(Page { envelopes, more })
    }

    async fn newest_group_messages(
        &self,
        groups: &[GroupId],
    ) -> Result<Vec<Option<Newest>>, NetworkError> {
        let mut newest = self.honest.newest_group_messages(groups).await?;
        let mut mind = self.mind.lock();
        if !newest.is_empty() && mind.tempted(Lie::Withhold) {
            let place = mind.place(newest.len());
            newest[place] = None;
            mind.note(Lie::Withhold);
        }
        Ok(newest)
    }

    async fn welcomes(
        &self,
        to: &InstallationKey,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<WelcomeEnvelope>, NetworkError> {
        let page = self.honest.welcomes(to, after, limit).await?;
        let envelopes = self.mind.lock().welcomes(page.envelopes);
        let more = page.more && !envelopes.is_empty();
        Ok(Page { envelopes, more })
    }

    fn subscribe(&self, topics: Topics) -> Subscription {
        let mind = Arc::clone(&self.mind);
        self.honest.subscribe(topics).changed(move |event| {
            let mut mind = mind.lock();
            mind.streaming = true;
            let event = match event {
                Event::Groups(envelopes) => {
                    let envelopes = mind.groups(None, envelopes);
                    (!envelopes.is_empty()).then_some(Event::Groups(envelopes))
                }
                Event::Welcomes(envelopes) => {
                    let envelopes = mind.welcomes(envelopes);
                    (!envelopes.is_empty()).then_some(Event::Welcomes(envelopes))
                }
                other => Some(other),
            };
            mind.streaming = false;
            event
        })
    }
}

/// Envelopes that are remembered to be told again.
const OVERHEARD: usize = 200;
