//! What others hold of a session: its address, its queue, its wishes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use folkmoot_xmpp::{stanza::Stanza, stream::StreamError};
use jid::FullJid;
use tokio::sync::{
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;

/// What a stanza in a queue costs beside its content, in bytes.
const OVERHEAD: usize = 256;

/// A session, for everybody but itself.
#[derive(Debug)]
pub(crate) struct Handle {
    /// Its address.
    pub(crate) address: FullJid,
    /// Tells it from an older or younger session of that address.
    pub(crate) number: u64,
    /// What its client calls itself.
    pub(crate) client: Option<String>,
    /// It gets copies of messages.
    pub(crate) carbons: AtomicBool,
    /// It asked for the roster, and is told of changes.
    pub(crate) interested: AtomicBool,
    /// It knows of the roster's versions.
    pub(crate) versions: AtomicBool,
    /// It asked for the blocklist, and is told of changes.
    pub(crate) blocklist: AtomicBool,
    /// It takes messages from the archive: what is kept for offline accounts is not for it.
    pub(crate) archive: AtomicBool,
    queue: UnboundedSender<Stanza>,
    orders: UnboundedSender<Order>,
    waiting: AtomicUsize,
    backlog: usize,
    /// Cancelled when its client does not read.
    pub(crate) choked: CancellationToken,
}

/// The session's own ends.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) queue: UnboundedReceiver<Stanza>,
    pub(crate) orders: UnboundedReceiver<Order>,
}

/// What a session is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// End, and tell the client why.
    End(StreamError),
    /// Go on with another connection.
    Resume(Takeover),
}

/// A client came back.
#[derive(Debug)]
pub(crate) struct Takeover {
    /// How many stanzas it handled.
    pub(crate) handled: u32,
    /// How many of its stanzas were handled; dropped if it cannot go on.
    pub(crate) answer: oneshot::Sender<u32>,
    /// Its connection, as soon as it was told.
    pub(crate) connection: oneshot::Receiver<Connection>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.peer)
    }
}

impl Handle {
    pub(crate) fn new(
        address: FullJid,
        number: u64,
        client: Option<String>,
        backlog: usize,
    ) -> (Self, Ends) {
        let (queue, queued) = mpsc::unbounded_channel();
        let (orders, ordered) = mpsc::unbounded_channel();
        let handle = Self {
            address,
            number,
            client,
            carbons: AtomicBool::new(false),
            interested: AtomicBool::new(false),
            versions: AtomicBool::new(false),
            blocklist: AtomicBool::new(false),
            archive: AtomicBool::new(false),
            queue,
            orders,
            waiting: AtomicUsize::new(0),
            backlog,
            choked: CancellationToken::new(),
        };
        let ends = Ends {
            queue: queued,
            orders: ordered,
        };
        (handle, ends)
    }

    /// Hands it a stanza. A session whose queue is full ends.
    pub(crate) fn deliver(&self, stanza: Stanza) {
        let cost = cost(&stanza);
        let waiting = self.waiting.fetch_add(cost, Ordering::Relaxed) + cost;
        if waiting > self.backlog {
            self.choked.cancel();
        }
        // A session that ended takes nothing; what it had is dealt with by its end.
        let _ = self.queue.send(stanza);
    }

    /// The session took a stanza out of its queue.
    pub(crate) fn taken(&self, stanza: &Stanza) {
        self.waiting.fetch_sub(cost(stanza), Ordering::Relaxed);
    }

    /// Tells it to do something; `false` if it is over.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.send(order).is_ok()
    }

    pub(crate) fn is(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }
}

fn cost(stanza: &Stanza) -> usize {
    stanza.content().len() + OVERHEAD
}
