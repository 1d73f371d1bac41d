//! Who is here, and where a stanza goes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use folkmoot_store::{
    StoreError,
    xmpp::{ArchiveId, Secret, XmppStore},
};
use folkmoot_xmpp::{
    c2s::Terms,
    moment::Moment,
    stanza::{Condition, Kind, PresenceType, Stanza, StanzaError, Type},
};
use jid::{BareJid, Jid};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Options,
    account::Account,
    disco, iq,
    listener::Gate,
    message, presence,
    resumption::Resumptions,
    rooms::{self, Rooms},
};

/// Locks under which accounts are brought into memory.
const SHARDS: usize = 64;

/// A server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server's own secret cannot be had.
    #[error("cannot read the server's secret: {0}")]
    Secret(#[from] StoreError),
}

/// Everything that sessions share.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) options: Options,
    pub(crate) terms: Arc<Terms>,
    pub(crate) store: Store,
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) gate: Gate,
    pub(crate) resumptions: Resumptions,
    pub(crate) rooms: Rooms,
    pub(crate) started: Instant,
    accounts: Mutex<HashMap<BareJid, Weak<Account>>>,
    loading: Vec<tokio::sync::Mutex<()>>,
    numbers: AtomicU64,
    pub(crate) open: AtomicUsize,
    myself: Weak<Self>,
}

/// The store, which has nothing to show.
pub(crate) struct Store(Arc<dyn XmppStore>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl std::ops::Deref for Store {
    type Target = dyn XmppStore;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Whom an address stands for.
pub(crate) enum Place {
    /// The server itself.
    Server,
    /// A room, an occupant, or the service of rooms.
    Rooms,
    /// An account here, if there is one of that name.
    Account(Option<Arc<Account>>),
    /// Somebody at a domain that is not served here.
    Remote,
}

impl Router {
    pub(crate) async fn new(
        options: Options,
        store: Arc<dyn XmppStore>,
        closing: CancellationToken,
        tasks: TaskTracker,
    ) -> Result<Arc<Self>, StartError> {
        let fresh = rand::random::<[u8; 32]>();
        let secret = store.secret("c2s", Secret(fresh.to_vec())).await?;
        let terms = Terms {
            domains: options.domains.clone(),
            starttls: options.tls.is_some(),
            plaintext: options.plaintext,
            sasl2: true,
            tokens: true,
            limits: options.limits,
            idle_seconds: u32::try_from(options.silence.as_secs()).ok(),
            features: disco::stream_features(),
            secret: secret.0.try_into().unwrap_or(fresh),
        };
        Ok(Arc::new_cyclic(|myself| Self {
            options,
            terms: Arc::new(terms),
            store: Store(store),
            closing,
            tasks,
            gate: Gate::default(),
            resumptions: Resumptions::default(),
            rooms: Rooms::default(),
            started: Instant::now(),
            accounts: Mutex::default(),
            loading: (0..SHARDS).map(|_| tokio::sync::Mutex::new(())).collect(),
            numbers: AtomicU64::new(1),
            open: AtomicUsize::new(0),
            myself: myself.clone(),
        }))
    }

    pub(crate) fn sessions(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a domain is served here.
    pub(crate) fn serves(&self, domain: &jid::DomainRef) -> bool {
        self.options
            .domains
            .iter()
            .any(|served| served.as_str() == domain.as_str())
    }

    /// The account of that address, if somebody has it in use.
    pub(crate) fn present(&self, address: &BareJid) -> Option<Arc<Account>> {
        self.accounts.lock().get(address)?.upgrade()
    }

    /// The account of that address, brought into memory if need be; `None` if there is none.
    pub(crate) async fn account(
        &self,
        address: &BareJid,
    ) -> Result<Option<Arc<Account>>, StoreError> {
        if let Some(account) = self.present(address) {
            return Ok(Some(account));
        }
        let shard = address.as_str().bytes().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        let _loading = self.loading[shard % SHARDS].lock().await;
        if let Some(account) = self.present(address) {
            return Ok(Some(account));
        }
        let Some(account) = crate::accounts::load(self, address, self.myself.clone()).await? else {
            return Ok(None);
        };
        let account = Arc::new(account);
        let weak = Arc::downgrade(&account);
        self.accounts.lock().insert(address.clone(), weak);
        Ok(Some(account))
    }

    /// An account is out of use.
    pub(crate) fn forget(&self, address: &BareJid) {
        let mut accounts = self.accounts.lock();
        if accounts
            .get(address)
            .is_some_and(|account| account.strong_count() == 0)
        {
            accounts.remove(address);
        }
    }

    /// Whom an address stands for.
    pub(crate) async fn place(&self, to: &Jid) -> Result<Place, StoreError> {
        if rooms::is_service(self, to.domain().as_str()) {
            return Ok(Place::Rooms);
        }
        if !self.serves(to.domain()) {
            return Ok(Place::Remote);
        }
        match to.node() {
            None => Ok(Place::Server),
            Some(_) => Ok(Place::Account(self.account(&to.to_bare()).await?)),
        }
    }

    /// Sends a stanza of this server's own, or one that a client's led to, to its `to`. Answers to it go nowhere.
    pub(crate) async fn route(&self, stanza: Stanza) {
        let Some(to) = stanza.to.clone() else {
            return;
        };
        let bounce = match stanza.kind {
            Type::Presence(kind) => {
                presence::route(self, stanza, kind, &to).await;
                None
            }
            Type::Message(_) => message::route(self, stanza, &to).await,
            Type::Iq(_) => iq::route(self, stanza, &to).await,
        };
        if let Some(bounce) = bounce {
            self.hand_back(&bounce);
        }
    }

    /// Carries out a stanza for a room when whoever sends it is done: it may be a room that is at work.
    pub(crate) fn later(&self, stanza: Stanza) {
        if let Some(router) = self.myself.upgrade() {
            let tasks = self.tasks.clone();
            tasks.spawn(async move { rooms::handle(&router, stanza).await });
        }
    }

    /// Hands an answer to the session that it is for, if it is here.
    pub(crate) fn hand_back(&self, answer: &Stanza) {
        let Some(to) = &answer.to else {
            return;
        };
        if rooms::is_service(self, to.domain().as_str()) {
            return self.later(answer.clone());
        }
        let Some(account) = self.present(&to.to_bare()) else {
            return;
        };
        let session = to
            .resource()
            .and_then(|resource| account.state().session(resource.as_str()).cloned());
        if let Some(session) = session {
            session.deliver(answer.clone());
        }
    }

    /// The answer to a stanza for a domain that nobody reaches from here.
    pub(crate) fn unreachable(stanza: &Stanza) -> Option<Stanza> {
        let is_told = match stanza.kind {
            Type::Presence(kind) => kind == PresenceType::Subscribe,
            _ => stanza.kind() != Kind::Presence,
        };
        let error = StanzaError::new(Condition::RemoteServerNotFound)
            .text("this server does not reach other domains");
        is_told.then(|| stanza.error(&error)).flatten()
    }
}

/// The time now.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// An id that nobody can guess.
pub(crate) fn archive_id() -> ArchiveId {
    ArchiveId(rand::random())
}

/// An id for a stanza of the server's own.
pub(crate) fn fresh_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The error for a stanza that the store could not deal with.
pub(crate) fn failed(cause: &StoreError) -> StanzaError {
    match cause {
        StoreError::DiskFull => {
            StanzaError::new(Condition::ResourceConstraint).text("the server's disk is full")
        }
        cause => {
            tracing::error!(%cause, "the store failed");
            StanzaError::new(Condition::InternalServerError)
                .of_type(folkmoot_xmpp::stanza::ErrorType::Wait)
                .text("the server cannot store or read this now")
        }
    }
}
