//! TLS between client and node: by both generations, and certificates that prove nothing.

use std::{sync::Arc, time::Duration};

use folkmoot_client::{
    Background, Client, DeviceSync, StreamOptions, WalletSecret,
    network::{CertificateTrouble, NetworkAddress, NetworkError, NetworkOptions},
};
use folkmoot_testkit::TestNode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// How long an event may take to come.
const SOON: Duration = Duration::from_secs(60);

/// An authority of certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Puts TLS before `node`, with a certificate for `name`. Gives the address.
    async fn guard(
        &self,
        node: &TestNode,
        name: &str,
        change: fn(&mut CertificateParams),
    ) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = node.url.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    let mut outside = acceptor.accept(outside).await.ok()?;
                    let mut inside = TcpStream::connect(behind).await.ok()?;
                    copy_bidirectional(&mut outside, &mut inside).await.ok()
                });
            }
        });
        format!("https://127.0.0.1:{port}")
    }

    /// A network that is trusted by this authority alone.
    fn trusted(&self, address: NetworkAddress) -> NetworkOptions {
        let mut options = NetworkOptions::new(address);
        options.ca_certificate = Some(self.pem.clone().into_bytes());
        options.connect_timeout = SOON;
        options
    }
}

async fn client(number: u8, network: NetworkOptions) -> Client {
    let wallet = WalletSecret::from_bytes(&[number; 32]).unwrap();
    let builder = Client::builder()
        .network(network)
        .device_sync(DeviceSync::Off)
        .background(Background::Off);
    builder.create(&wallet).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_talk_over_tls_by_both_generations() {
    let (node, authority) = (TestNode::start().await, Authority::new());
    let url = authority.guard(&node, "127.0.0.1", |_| {}).await;
    let alice = client(1, authority.trusted(NetworkAddress::Node(url.clone()))).await;
    let bob = client(2, authority.trusted(NetworkAddress::Gateway(url))).await;
    let heard = bob.conversations();
    let heard = heard.stream_all_messages(StreamOptions {
        without_changes: true,
        ..StreamOptions::default()
    });
    let mut heard = heard.await.unwrap();
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let sent = dm.send_text("at noon").await.unwrap();
    let message = tokio::time::timeout(SOON, heard.next()).await.unwrap();
    assert_eq!(message.unwrap().id, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_proves_nothing_is_told_by_its_cause() {
    let (node, authority) = (TestNode::start().await, Authority::new());
    let good = authority.guard(&node, "127.0.0.1", |_| {}).await;
    let other_name = authority.guard(&node, "node.example.org", |_| {}).await;
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    };
    let expired = authority.guard(&node, "127.0.0.1", expired).await;
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2999, 1, 1);
    let early = authority.guard(&node, "127.0.0.1", early).await;
    // Of the same name, and with another key.
    let stranger = Authority::new();
    for (who, url, wanted) in [
        (&stranger, good, CertificateTrouble::UnknownAuthority),
        (&authority, other_name, CertificateTrouble::OtherName),
        (&authority, expired, CertificateTrouble::Expired),
        (&authority, early, CertificateTrouble::NotYetValid),
    ] {
        for address in [
            NetworkAddress::Node(url.clone()),
            NetworkAddress::Gateway(url),
        ] {
            let network = who.trusted(address).network().unwrap();
            let key = folkmoot_client::InstallationKey::from_bytes([1; 32]);
            let refused = network.key_packages(&[key]).await.unwrap_err();
            let NetworkError::Certificate { trouble, .. } = &refused else {
                panic!("{refused}");
            };
            let is_told = *trouble == wanted || matches!(trouble, CertificateTrouble::Other(_));
            assert!(is_told, "{trouble:?} in place of {wanted:?}");
            assert!(refused.remedy().is_some());
        }
    }
}
