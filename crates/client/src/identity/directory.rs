//! Looking up inboxes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroUsize,
    sync::Arc,
};

use bytes::Bytes;
use folkmoot_conversation::membership::{InboxStates, NeededState};
use folkmoot_identity::{AssociationState, ContractCheck, ContractVerdicts, Identifier};
use folkmoot_wire::{InboxId, InstallationKey};
use lru::LruCache;
use parking_lot::Mutex;
use rayon::prelude::*;
use rusqlite::Connection;

use super::{
    IdentityError, InboxState,
    log::{self, Known},
};
use crate::{
    Error,
    clock::{SharedClock, SystemClock},
    db::{Database, DatabaseOptions, DbError, Transaction},
    key_packages::{self, KeyPackageStatus},
    network::{IdentityEntry, Network, NetworkOptions},
};

/// States that are kept in memory.
const STATES_IN_MEMORY: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// Logs whose ends are kept in memory: each change of a group looks at those of all its members
/// several times.
const LOGS_IN_MEMORY: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// Looks up inboxes on the network, verifies their logs, and keeps them. Cheap to clone.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    network: Arc<dyn Network>,
    database: Database,
    clock: SharedClock,
    /// States by inbox and the last update in them.
    states: Mutex<LruCache<(InboxId, u64), Arc<AssociationState>>>,
    /// What the database knows, in memory.
    known: Mutex<Remembered>,
    /// When the network was last asked about an inbox. Not worth a write to the disk.
    checked_ns: Mutex<HashMap<InboxId, u64>>,
}

/// What was read from the database and is still so.
struct Remembered {
    logs: LruCache<InboxId, Known>,
    /// Counts the beginnings and the ends of writing: what was read beside them may be old.
    writes: u64,
}

impl Remembered {
    /// To be called before logs are written, and again after that.
    fn forget<'a>(&mut self, inboxes: impl IntoIterator<Item = &'a InboxId>) {
        self.writes += 1;
        for inbox in inboxes {
            self.logs.pop(inbox);
        }
    }
}

impl Directory {
    /// A directory that keeps what it learns in `database`.
    pub fn new(network: Arc<dyn Network>, database: Database, clock: SharedClock) -> Self {
        Self(Arc::new(Inner {
            network,
            database,
            clock,
            states: Mutex::new(LruCache::new(STATES_IN_MEMORY)),
            known: Mutex::new(Remembered {
                logs: LruCache::new(LOGS_IN_MEMORY),
                writes: 0,
            }),
            checked_ns: Mutex::default(),
        }))
    }

    /// A directory that forgets everything when it goes: for questions without a client.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn in_memory(network: Arc<dyn Network>) -> Result<Self, Error> {
        let database = Database::open(&DatabaseOptions::in_memory())?;
        Ok(Self::new(network, database, Arc::new(SystemClock)))
    }

    /// The same for a network that is named: who asks about accounts, inboxes, installations and key
    /// packages needs no client, no keys and no database.
    ///
    /// ```no_run
    /// use folkmoot_client::{Identifier, identity::Directory, network::{Environment, NetworkOptions}};
    ///
    /// # async fn ask(bob: Identifier) -> Result<(), folkmoot_client::Error> {
    /// let directory = Directory::of(&NetworkOptions::new(Environment::Dev))?;
    /// if let Some(inbox) = directory.inbox_id(&bob).await? {
    ///     assert!(directory.is_account_authorized(inbox, &bob).await?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An address that is none; what the system says.
    pub fn of(network: &NetworkOptions) -> Result<Self, Error> {
        Self::in_memory(network.network()?)
    }

    /// Whether an account may speak for an inbox, asked of the network.
    ///
    /// # Errors
    ///
    /// [`IdentityError::UnknownInbox`]; what the network says.
    pub async fn is_account_authorized(
        &self,
        inbox: InboxId,
        account: &Identifier,
    ) -> Result<bool, Error> {
        Ok(self.existing(inbox).await?.identifiers().contains(account))
    }

    /// Whether an installation may speak for an inbox, asked of the network.
    ///
    /// # Errors
    ///
    /// As of [`Directory::is_account_authorized`].
    pub async fn is_installation_authorized(
        &self,
        inbox: InboxId,
        installation: &InstallationKey,
    ) -> Result<bool, Error> {
        let state = self.existing(inbox).await?;
        Ok(state.installations().contains(installation))
    }

    async fn existing(&self, inbox: InboxId) -> Result<InboxState, Error> {
        let state = self.refresh(&[inbox]).await?.pop().flatten();
        Ok(state.ok_or(IdentityError::UnknownInbox(inbox))?)
    }

    /// Whether installations can be added to conversations now, and until when.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn key_package_statuses(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<KeyPackageStatus>, Error> {
        key_packages::statuses(&*self.0.network, installations, self.now_ns()).await
    }

    /// The network that is asked.
    pub(crate) fn network(&self) -> &Arc<dyn Network> {
        &self.0.network
    }

    /// The clock.
    pub(crate) fn now_ns(&self) -> u64 {
        self.0.clock.now_ns()
    }

    /// The inbox to which each account belongs now, in the order of `identifiers`.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn inbox_ids(
        &self,
        identifiers: &[Identifier],
    ) -> Result<Vec<Option<InboxId>>, Error> {
        if identifiers.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.0.network.inbox_ids(identifiers).await?)
    }

    /// The inbox to which an account belongs now.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn inbox_id(&self, identifier: &Identifier) -> Result<Option<InboxId>, Error> {
        let found = self.inbox_ids(std::slice::from_ref(identifier)).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Whether each account can be written to: whether it has an inbox.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn can_message(&self, identifiers: &[Identifier]) -> Result<Vec<bool>, Error> {
        let found = self.inbox_ids(identifiers).await?;
        Ok(found.iter().map(Option::is_some).collect())
    }

    /// Fetches what is new in the logs of these inboxes, and gives their states, in the order of
    /// `inboxes`; `None` for an inbox that does not exist.
    ///
    /// # Errors
    ///
    /// What the network says, or [`IdentityError::BrokenLog`].
    pub async fn refresh(&self, inboxes: &[InboxId]) -> Result<Vec<Option<InboxState>>, Error> {
        let states = self.refresh_each(inboxes).await?.into_iter();
        Ok(states.collect::<Result<_, _>>()?)
    }

    /// The same, where a log that cannot be read is told in its place: it says nothing about the
    /// others.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn refresh_each(
        &self,
        inboxes: &[InboxId],
    ) -> Result<Vec<Result<Option<InboxState>, IdentityError>>, Error> {
        let fetched = self.fetch(inboxes).await?;
        let states = inboxes.iter().map(|inbox| match fetched.stuck.get(inbox) {
            Some(reason) => Err(reason.clone()),
            None => state_of(inbox, &fetched.known),
        });
        Ok(states.collect())
    }

    /// The states of these inboxes as far as they are known, without asking the network.
    ///
    /// # Errors
    ///
    /// What the database says, or [`IdentityError::BrokenLog`].
    pub async fn cached(&self, inboxes: &[InboxId]) -> Result<Vec<Option<InboxState>>, Error> {
        let states = self.cached_each(inboxes).await?.into_iter();
        Ok(states.collect::<Result<_, _>>()?)
    }

    /// The same, where a log that cannot be read is told in its place.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn cached_each(
        &self,
        inboxes: &[InboxId],
    ) -> Result<Vec<Result<Option<InboxState>, IdentityError>>, Error> {
        let known = self.known(inboxes).await?;
        let states = inboxes.iter().map(|inbox| state_of(inbox, &known));
        Ok(states.collect())
    }

    /// Whether this very update is in the log of `inbox`, as far as that was fetched.
    pub(super) async fn has(&self, inbox: InboxId, update: Bytes) -> Result<bool, Error> {
        let question = move |connection: &Connection| log::has(connection, &inbox, &update);
        Ok(self.0.database.read(question).await?)
    }

    /// When the network was last asked about an inbox by this process, in Unix nanoseconds; 0 for
    /// never.
    #[must_use]
    pub fn checked_ns(&self, inbox: &InboxId) -> u64 {
        self.0.checked_ns.lock().get(inbox).copied().unwrap_or(0)
    }

    /// The states that rules about a commit or a welcome need. Logs that do not reach far enough
    /// are fetched first.
    ///
    /// # Errors
    ///
    /// What the network or the database says. A log that is missing or broken is no error here: it
    /// is told to the rules.
    pub async fn states(
        &self,
        needed: impl IntoIterator<Item = NeededState>,
    ) -> Result<InboxStates, Error> {
        let needed: Vec<NeededState> = needed.into_iter().collect();
        let mut furthest: BTreeMap<InboxId, u64> = BTreeMap::new();
        for one in &needed {
            let entry = furthest.entry(one.inbox_id).or_default();
            *entry = one.sequence_id.max(*entry);
        }
        let inboxes: Vec<InboxId> = furthest.keys().copied().collect();
        let mut known = self.known(&inboxes).await?;
        let behind = |inbox: &InboxId| {
            // A log that is none may be one by now: the node may have shown what is not in it.
            let reached = known.get(inbox).map_or(0, |known| match known.broken {
                Some((at, _)) => at - 1,
                None => known.sequence,
            });
            furthest.get(inbox).is_some_and(|needed| *needed > reached)
        };
        let behind: Vec<InboxId> = inboxes.into_iter().filter(behind).collect();
        if !behind.is_empty() {
            let fetched = self.fetch(&behind).await?;
            if let Some(reason) = fetched.stuck.into_values().next() {
                return Err(reason.into());
            }
            known.extend(fetched.known);
        }
        let mut states = InboxStates::new();
        for one in needed {
            self.tell(one, known.get(&one.inbox_id), &mut states)
                .await?;
        }
        Ok(states)
    }

    /// Tells the rules what is known about one place in a log.
    async fn tell(
        &self,
        needed: NeededState,
        known: Option<&Known>,
        states: &mut InboxStates,
    ) -> Result<(), Error> {
        let Some(known) = known else {
            states.insert_nothing(needed);
            return Ok(());
        };
        let broken = known.broken.as_ref();
        if broken.is_some_and(|(at, _)| *at <= needed.sequence_id) {
            states.insert_invalid(needed);
            return Ok(());
        }
        if known.broken.is_none()
            && known.sequence <= needed.sequence_id
            && let Some(state) = &known.state
        {
            states.insert(needed, known.sequence, state);
            return Ok(());
        }
        match self.state_at(needed).await? {
            Some((last, state)) => states.insert(needed, last, &state),
            None => states.insert_nothing(needed),
        }
        Ok(())
    }

    /// An older state of an inbox.
    async fn state_at(
        &self,
        needed: NeededState,
    ) -> Result<Option<(u64, Arc<AssociationState>)>, Error> {
        let NeededState {
            inbox_id,
            sequence_id,
        } = needed;
        if let Some(state) = self.0.states.lock().get(&(inbox_id, sequence_id)) {
            return Ok(Some((sequence_id, Arc::clone(state))));
        }
        let question =
            move |connection: &Connection| log::state_at(connection, &inbox_id, sequence_id);
        let Some((last, state)) = self.0.database.read(question).await? else {
            return Ok(None);
        };
        let state = Arc::new(state);
        let mut states = self.0.states.lock();
        states.put((inbox_id, last), Arc::clone(&state));
        Ok(Some((last, state)))
    }

    /// What the database knows.
    async fn known(&self, inboxes: &[InboxId]) -> Result<HashMap<InboxId, Known>, Error> {
        let mut all = HashMap::with_capacity(inboxes.len());
        let mut rest = Vec::new();
        let writes = {
            let mut remembered = self.0.known.lock();
            for inbox in inboxes {
                match remembered.logs.get(inbox) {
                    Some(known) => drop(all.insert(*inbox, known.clone())),
                    None => rest.push(*inbox),
                }
            }
            remembered.writes
        };
        if rest.is_empty() {
            return Ok(all);
        }
        let question = move |connection: &Connection| {
            let mut read = Vec::with_capacity(rest.len());
            for inbox in rest {
                if let Some(known) = log::known(connection, &inbox)? {
                    read.push((inbox, known));
                }
            }
            Ok(read)
        };
        let read = self.0.database.read(question).await?;
        let mut remembered = self.0.known.lock();
        if remembered.writes == writes {
            for (inbox, known) in &read {
                remembered.logs.put(*inbox, known.clone());
            }
        }
        drop(remembered);
        all.extend(read);
        Ok(all)
    }

    /// Writes what changes these logs. It goes on to the end although nobody waits for it.
    async fn write_logs<T: Send + 'static>(
        &self,
        inboxes: Vec<InboxId>,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        let writing = tokio::spawn(async move {
            inner.known.lock().forget(&inboxes);
            let written = inner.database.write_soon(change).await;
            inner.known.lock().forget(&inboxes);
            written
        });
        Ok(writing.await.map_err(|_| DbError::Closed)??)
    }

    /// Asks the network for what is new, verifies it, and stores it.
    async fn fetch(&self, inboxes: &[InboxId]) -> Result<Fetched, Error> {
        let mut known = self.known(inboxes).await?;
        let broken = known.iter().filter(|(_, one)| one.broken.is_some());
        let broken: Vec<_> = broken.map(|(inbox, one)| (*inbox, one.clone())).collect();
        if !broken.is_empty() {
            // What does not fit is asked for again each time: not all that a node shows is true.
            let question = move |connection: &Connection| {
                let sound = broken
                    .into_iter()
                    .map(|(inbox, one)| Ok((inbox, log::sound(connection, &inbox, one)?)));
                sound.collect::<Result<Vec<_>, DbError>>()
            };
            known.extend(self.0.database.read(question).await?);
        }
        let anew: BTreeSet<_> = known
            .iter()
            .filter(|(_, one)| one.anew)
            .map(|(inbox, _)| *inbox)
            .collect();
        let mut wanted: Vec<(InboxId, u64)> = inboxes
            .iter()
            .map(|inbox| (*inbox, known.get(inbox).map_or(0, |known| known.sequence)))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let now_ns = self.now_ns();
        let logs = self.0.network.identity_updates(&wanted).await?;
        let mut unavailable = HashMap::new();
        let answered = wanted.into_iter().zip(logs);
        let answered = answered.filter_map(|((inbox, after), log)| match log {
            Ok(log) => Some(((inbox, after), log)),
            Err(cause) => {
                tracing::warn!(%inbox, %cause, "an identity log cannot be fetched");
                let cause = cause.to_string();
                unavailable.insert(inbox, IdentityError::Unavailable { inbox, cause });
                None
            }
        });
        let (wanted, logs): (Vec<_>, Vec<_>) = answered.unzip();
        {
            let mut checked = self.0.checked_ns.lock();
            checked.extend(wanted.iter().map(|(inbox, _)| (*inbox, now_ns)));
        }
        if logs.iter().all(Vec::is_empty) && anew.is_empty() {
            return Ok(Fetched {
                known,
                stuck: unavailable,
            });
        }
        let verdicts = self.ask_contracts(logs.iter().flatten()).await?;

        let logs: Vec<_> = wanted
            .into_iter()
            .zip(logs)
            .map(|((inbox, _), entries)| {
                let known = known.remove(&inbox).unwrap_or_else(Known::nothing);
                Log {
                    inbox,
                    known,
                    entries,
                }
            })
            .collect();
        // Signatures cost a tenth of a millisecond each, and a large group has hundreds: all
        // processors share them then.
        let followed = match logs.iter().map(|log| log.entries.len()).sum::<usize>() {
            0..=VERIFIED_IN_PLACE => logs.into_iter().map(|log| log.follow(&verdicts)).collect(),
            _ => {
                let following = tokio::task::spawn_blocking(move || {
                    let logs = logs.into_par_iter();
                    logs.map(|log| log.follow(&verdicts)).collect::<Vec<_>>()
                });
                following.await.map_err(|_| DbError::Closed)?
            }
        };
        let stuck = followed.iter().filter_map(|(inbox, _, _, stuck)| {
            let reason = stuck.clone()?;
            Some((*inbox, IdentityError::Verifier(reason)))
        });
        let stuck = stuck.chain(unavailable).collect();
        let changed = followed.iter().map(|(inbox, ..)| *inbox).collect();
        let keep = move |transaction: &Transaction<'_>| {
            let mut all = HashMap::with_capacity(followed.len());
            for (inbox, entries, one, _) in followed {
                if anew.contains(&inbox) {
                    log::forget_unsound(transaction, &inbox)?;
                }
                if !entries.is_empty() || anew.contains(&inbox) && one.sequence != 0 {
                    log::keep(transaction, &inbox, &entries, &one)?;
                }
                if one.sequence != 0 {
                    all.insert(inbox, one);
                }
            }
            Ok(all)
        };
        let known = self.write_logs(changed, keep).await?;
        Ok(Fetched { known, stuck })
    }

    /// Has the network ask the contracts that signed any of these updates.
    pub(crate) async fn ask_contracts<'a>(
        &self,
        entries: impl Iterator<Item = &'a IdentityEntry>,
    ) -> Result<ContractVerdicts, Error> {
        let mut checks: Vec<ContractCheck> = Vec::new();
        for check in entries.flat_map(log::contract_checks) {
            if !checks.contains(&check) {
                checks.push(check);
            }
        }
        self.verdicts(checks).await
    }

    /// The answers of contracts.
    pub(crate) async fn verdicts(
        &self,
        checks: Vec<ContractCheck>,
    ) -> Result<ContractVerdicts, Error> {
        if checks.is_empty() {
            return Ok(ContractVerdicts::new());
        }
        let answers = self.0.network.verify_contract_signatures(&checks).await?;
        let answers = answers.into_iter().map(|answer| answer.verdict);
        Ok(checks.into_iter().zip(answers).collect())
    }
}

/// Updates that are verified without a thread of their own.
const VERIFIED_IN_PLACE: usize = 8;

/// A log, and what is new in it.
struct Log {
    inbox: InboxId,
    known: Known,
    entries: Vec<IdentityEntry>,
}

impl Log {
    /// Goes on with what is new: the updates about which something can be said, what they lead to,
    /// and why nothing can be said about the next one.
    fn follow(
        mut self,
        verdicts: &ContractVerdicts,
    ) -> (InboxId, Vec<IdentityEntry>, Known, Option<String>) {
        let mut stuck = None;
        for (at, entry) in self.entries.iter().enumerate() {
            if let Err(reason) = self.known.follow(entry, verdicts) {
                stuck = Some((at, reason));
                break;
            }
        }
        if let Some((at, _)) = &stuck {
            self.entries.truncate(*at);
        }
        let reason = stuck.map(|(_, reason)| reason);
        (self.inbox, self.entries, self.known, reason)
    }
}

/// What the network has of some logs.
struct Fetched {
    known: HashMap<InboxId, Known>,
    /// Logs about which, or about an update of which, nothing can be said yet, and why.
    stuck: HashMap<InboxId, IdentityError>,
}

fn state_of(
    inbox: &InboxId,
    known: &HashMap<InboxId, Known>,
) -> Result<Option<InboxState>, IdentityError> {
    let Some(known) = known.get(inbox) else {
        return Ok(None);
    };
    if let Some((sequence, cause)) = &known.broken {
        return Err(IdentityError::BrokenLog {
            inbox: *inbox,
            sequence: *sequence,
            cause: cause.clone(),
        });
    }
    Ok(known.state.as_ref().map(|state| InboxState {
        inbox_id: *inbox,
        sequence: known.sequence,
        updates: known.updates,
        association: Arc::clone(state),
    }))
}
