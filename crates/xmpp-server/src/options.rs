//! How a server is set up, and what a client may cost it.

use std::time::Duration;

use folkmoot_xmpp::{sm::QueueLimits, xml::Limits};
use jid::DomainPart;

use crate::Tls;

/// What kind of client a socket is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// Clients that begin without TLS and go over to it (RFC 6120 §5).
    StartTls,
    /// Clients that begin with TLS (XEP-0368).
    DirectTls,
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The domains served; the first one speaks for the server.
    pub domains: Vec<DomainPart>,
    /// The certificate. Without one there is no direct TLS, and no STARTTLS.
    pub tls: Option<Tls>,
    /// Whether clients may log in without TLS. For tests on loopback.
    pub plaintext: bool,
    /// What an element of a session may cost.
    pub limits: Limits,
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address that is not this machine's.
    pub connections_per_address: usize,
    /// How long a login may take.
    pub login_timeout: Duration,
    /// How long a client may be silent before it is asked whether it is there, and then again before it is given up.
    pub silence: Duration,
    /// How long a session waits for its client after a cut.
    pub resumption: Duration,
    /// Sessions of one account at a time.
    pub sessions: usize,
    /// Bytes that wait for a client that does not read, before its session ends.
    pub backlog: usize,
    /// What a client may leave unacknowledged.
    pub unacknowledged: QueueLimits,
    /// Contacts in a roster.
    pub contacts: usize,
    /// Addresses in a blocklist.
    pub blocked: usize,
    /// Messages that wait for an account that is not there.
    pub offline: usize,
    /// Elements in an account's private XML.
    pub private: usize,
    /// How long a token lets its client in.
    pub token_lifetime: Duration,
    /// Clients of one account that have tokens.
    pub token_clients: usize,
}

impl Options {
    /// The defaults for one domain, without TLS.
    #[must_use]
    pub fn new(domain: DomainPart) -> Self {
        Self {
            domains: vec![domain],
            tls: None,
            plaintext: false,
            limits: Limits::CLIENT,
            connections: 50_000,
            connections_per_address: 1_000,
            login_timeout: Duration::from_secs(60),
            silence: Duration::from_secs(300),
            resumption: Duration::from_secs(600),
            sessions: 50,
            backlog: 8 << 20,
            unacknowledged: QueueLimits::default(),
            contacts: 5_000,
            blocked: 10_000,
            offline: 1_000,
            private: 200,
            token_lifetime: Duration::from_secs(21 * 24 * 60 * 60),
            token_clients: 50,
        }
    }
}
