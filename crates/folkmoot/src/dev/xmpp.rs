//! The XMPP server of a development network: the domain `localhost`, with three people who can log in at once.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use folkmoot_store::{
    Durability,
    xmpp::{NewAccount, Verifier, XmppDatabase, XmppFileOptions, XmppStore},
};
use folkmoot_xmpp_server::{Door, Options, Server, Tls, verifiers};
use jid::{BareJid, DomainPart};
use tokio::{net::TcpListener, task::JoinHandle};

/// The domain.
const DOMAIN: &str = "localhost";
/// Who has an account; everybody's password is their name.
const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

/// A server that runs.
pub(super) struct Xmpp {
    server: Server,
    store: Arc<dyn XmppStore>,
}

impl std::fmt::Debug for Xmpp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Xmpp")
    }
}

/// What is stored of the three passwords, made while other things start: it takes some milliseconds each.
#[derive(Debug)]
pub(super) struct People(Vec<JoinHandle<Vec<Verifier>>>);

impl People {
    pub(super) fn begin() -> Self {
        let make = |name: &'static str| {
            tokio::task::spawn_blocking(move || {
                verifiers(name).expect("the names are passwords, too")
            })
        };
        Self(PEOPLE.map(make).into())
    }
}

/// Which door of the server a port is, if it is one.
pub(super) fn door(door: super::Door) -> Option<Door> {
    match door {
        super::Door::Xmpp => Some(Door::StartTls),
        super::Door::XmppTls => Some(Door::DirectTls),
        _ => None,
    }
}

/// What people are told of the accounts.
pub(super) fn note() -> String {
    let people = PEOPLE.map(|name| format!("{name}@{DOMAIN}"));
    format!(
        "XMPP accounts: {} (passwords: alice, bob, carol).",
        people.join(", ")
    )
}

/// Starts the server behind these sockets.
pub(super) async fn start(
    file: PathBuf,
    durability: Durability,
    tls: Tls,
    doors: Vec<(Door, TcpListener)>,
    people: People,
) -> anyhow::Result<Xmpp> {
    let files = XmppFileOptions {
        durability,
        readers: 1,
        ..XmppFileOptions::default()
    };
    let store = tokio::task::spawn_blocking(move || XmppDatabase::open(file, files))
        .await
        .context("open the XMPP database")?
        .context("open the XMPP database")?;
    let store: Arc<dyn XmppStore> = Arc::new(store);
    for (name, made) in PEOPLE.into_iter().zip(people.0) {
        let account = NewAccount {
            account: BareJid::new(&format!("{name}@{DOMAIN}")).context("name an account")?,
            verifiers: made.await.context("make a password")?,
            now: 0,
            invite: None,
        };
        // On data that was kept they are there already.
        let _created = store
            .create_account(account)
            .await
            .context("make an account")?;
    }
    let domain = DomainPart::new(DOMAIN)
        .context("name the domain")?
        .into_owned();
    let options = Options {
        tls: Some(tls),
        ..Options::new(domain)
    };
    let server = Server::start(options, doors, Arc::clone(&store))
        .await
        .context("start the XMPP server")?;
    Ok(Xmpp { server, store })
}

impl Xmpp {
    /// Ends every session, then closes the database.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        self.server.shutdown().await;
        self.store
            .close_xmpp()
            .await
            .context("close the XMPP database")
    }
}
