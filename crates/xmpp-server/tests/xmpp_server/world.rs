//! A server with accounts in a database of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use folkmoot_store::{
    Durability,
    xmpp::{
        Created, NewAccount, Secret, Verifier, VerifierHash, XmppDatabase, XmppFileOptions,
        XmppStore,
    },
};
use folkmoot_xmpp::sasl::{self, Hash};
use folkmoot_xmpp_server::{Door, Options, Server, Tls};
use jid::{BareJid, DomainPart};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::client::{Client, Connector};

/// The password of everybody.
pub(crate) const PASSWORD: &str = "secret";

/// A server that runs, and what is needed to reach it.
pub(crate) struct World {
    pub(crate) server: Server,
    plain: SocketAddr,
    secure: SocketAddr,
    connector: Connector,
    _place: TempDir,
}

impl World {
    /// A server where `romeo`, `juliet` and `nurse` have accounts.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, set up differently.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let place = TempDir::new().unwrap();
        let files = XmppFileOptions {
            durability: Durability::Off,
            ..XmppFileOptions::default()
        };
        let store = XmppDatabase::open(place.path().join("xmpp.db"), files).unwrap();
        let store: Arc<dyn XmppStore> = Arc::new(store);
        for name in ["romeo", "juliet", "nurse"] {
            let account = NewAccount {
                account: BareJid::new(&format!("{name}@localhost")).unwrap(),
                verifiers: verifiers(),
                now: 0,
                invite: None,
            };
            assert_eq!(
                store.create_account(account).await.unwrap(),
                Created::Created
            );
        }
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let mut options = Options::new(DomainPart::new("localhost").unwrap().into_owned());
        options.tls = Some(Tls::new(config, &certificate));
        options.plaintext = true;
        options.silence = Duration::from_secs(120);
        change(&mut options);
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (plain.local_addr().unwrap(), secure.local_addr().unwrap());
        let doors = vec![(Door::StartTls, plain), (Door::DirectTls, secure)];
        let server = Server::start(options, doors, store).await.unwrap();
        Self {
            server,
            plain: addresses.0,
            secure: addresses.1,
            connector: Connector::trusting(&certificate),
            _place: place,
        }
    }

    /// A connection without TLS.
    pub(crate) async fn connect(&self) -> Client {
        Client::plain(self.plain, self.connector.clone()).await
    }

    /// A connection that begins with TLS.
    pub(crate) async fn connect_tls(&self) -> Client {
        Client::direct_tls(self.secure, self.connector.clone()).await
    }

    /// A client that is logged in and bound, without presence.
    pub(crate) async fn bound(&self, name: &str, resource: &str) -> Client {
        let mut client = self.connect().await;
        client.log_in(name, "SCRAM-SHA-256").await;
        client.bind(resource).await;
        client
    }

    /// A client that is available, and has seen its own presence.
    pub(crate) async fn available(&self, name: &str, resource: &str) -> Client {
        let mut client = self.bound(name, resource).await;
        client.send("<presence/>").await;
        let own = format!("from='{name}@localhost/{resource}'");
        client.until(&own).await;
        client
    }

    /// Makes each see the other's presence.
    pub(crate) async fn befriend(&self, one: &mut Client, other: &mut Client) {
        let (a, b) = (one.account(), other.account());
        one.send(&format!("<presence to='{b}' type='subscribe'/>"))
            .await;
        other.until("type='subscribe'").await;
        other
            .send(&format!("<presence to='{a}' type='subscribed'/>"))
            .await;
        other
            .send(&format!("<presence to='{a}' type='subscribe'/>"))
            .await;
        one.until("type='subscribe'").await;
        one.send(&format!("<presence to='{b}' type='subscribed'/>"))
            .await;
        other.until(&format!("<presence from='{a}/")).await;
        one.sync().await;
        other.sync().await;
    }
}

/// Verifiers that cost nothing.
fn verifiers() -> Vec<Verifier> {
    [
        (Hash::Sha1, VerifierHash::Sha1),
        (Hash::Sha256, VerifierHash::Sha256),
        (Hash::Sha512, VerifierHash::Sha512),
    ]
    .map(|(hash, stored)| {
        let made = sasl::Verifier::of_password(hash, PASSWORD, b"salt".to_vec(), 4).unwrap();
        Verifier {
            hash: stored,
            salt: Secret(made.salt),
            iterations: made.iterations,
            stored_key: Secret(made.stored_key),
            server_key: Secret(made.server_key),
        }
    })
    .to_vec()
}
