//! The XMPP server of a development network: the domain `localhost`, with three people who can log in at once.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use folkmoot_store::{
    Durability,
    xmpp::{NewAccount, Verifier, XmppDatabase, XmppFileOptions, XmppStore},
};
use folkmoot_xmpp_server::{Door, Options, Server, Tls, verifiers};
use futures::future::try_join_all;
use jid::{BareJid, DomainPart};
use tokio::{net::TcpListener, task::JoinHandle};

/// The domain.
const DOMAIN: &str = "localhost";
/// Who has an account; everybody's password is their name.
const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

/// A server that runs, or is about to.
pub(super) struct Xmpp {
    server: JoinHandle<anyhow::Result<Server>>,
    store: Arc<dyn XmppStore>,
}

impl std::fmt::Debug for Xmpp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Xmpp")
    }
}

/// The password of everybody in a crowd.
pub(crate) const CROWD_PASSWORD: &str = "correct horse";

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

/// Opens the database, and starts the server behind these sockets as soon as its people have accounts: whoever
/// connects before is let in then. Passwords take tens of milliseconds, which nobody else should wait for. There are
/// `crowd` accounts more for a bench, which may log in without TLS.
pub(super) async fn start(
    file: PathBuf,
    durability: Durability,
    tls: Tls,
    doors: Vec<(Door, TcpListener)>,
    crowd: u16,
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
    let domain = DomainPart::new(DOMAIN)
        .context("name the domain")?
        .into_owned();
    let options = Options {
        tls: Some(tls),
        plaintext: crowd > 0,
        ..Options::new(domain)
    };
    let starting = Arc::clone(&store);
    let server = tokio::spawn(async move {
        let done = async {
            people(&starting, crowd).await?;
            Server::start(options, doors, starting)
                .await
                .context("start the XMPP server")
        };
        done.await.inspect_err(|cause| {
            tracing::error!("nobody can log in by XMPP: {cause:#}");
        })
    });
    Ok(Xmpp { server, store })
}

/// Makes the accounts that are not there yet.
async fn people(store: &Arc<dyn XmppStore>, crowd: u16) -> anyhow::Result<()> {
    for name in PEOPLE {
        account(store, name.to_owned(), name).await?;
    }
    if crowd > 0 {
        let made = derived(CROWD_PASSWORD).await?;
        let creating =
            (0..crowd).map(|number| create(store, format!("user{number}"), made.clone()));
        try_join_all(creating).await?;
    }
    Ok(())
}

/// Makes an account, if there is none of that name.
async fn account(
    store: &Arc<dyn XmppStore>,
    name: String,
    password: &'static str,
) -> anyhow::Result<()> {
    let known = store.account(&address(&name)?).await;
    if known.context("look for an account")?.is_some() {
        return Ok(());
    }
    create(store, name, derived(password).await?).await
}

/// What is stored of a password.
async fn derived(password: &'static str) -> anyhow::Result<Vec<Verifier>> {
    let making = tokio::task::spawn_blocking(move || verifiers(password));
    Ok(making.await.context("make a password")??)
}

async fn create(
    store: &Arc<dyn XmppStore>,
    name: String,
    verifiers: Vec<Verifier>,
) -> anyhow::Result<()> {
    let account = NewAccount {
        account: address(&name)?,
        verifiers,
        now: 0,
        invite: None,
    };
    // In a crowd on data that was kept they are there already.
    let _created = store
        .create_account(account)
        .await
        .context("make an account")?;
    Ok(())
}

fn address(name: &str) -> anyhow::Result<BareJid> {
    BareJid::new(&format!("{name}@{DOMAIN}")).context("name an account")
}

impl Xmpp {
    /// Ends every session, then closes the database.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        // Why there is no server was said when it did not start.
        if let Ok(Ok(server)) = (&mut self.server).await {
            server.shutdown().await;
        }
        self.store
            .close_xmpp()
            .await
            .context("close the XMPP database")
    }
}
