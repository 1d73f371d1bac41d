//! A client that does exactly what it is told: lines out, elements in, each with a deadline.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use folkmoot_xmpp::{
    sasl::{Hash, Mechanism, Verifier},
    xml::{Element, Event, Limits, Reader},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::PASSWORD;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A stream's start tag.
pub(crate) const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='localhost'>";

/// Trusts one certificate.
#[derive(Clone)]
pub(crate) struct Connector(TlsConnector);

impl Connector {
    pub(crate) fn trusting(certificate: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for T {}

/// A client.
pub(crate) struct Client {
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    reader: Reader,
    connector: Connector,
    /// What TLS exported, on a connection with TLS.
    exported: Option<[u8; 32]>,
    name: String,
    syncs: u32,
}

impl Client {
    pub(crate) async fn plain(address: SocketAddr, connector: Connector) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::of(Box::new(stream), connector, None)
    }

    pub(crate) async fn direct_tls(address: SocketAddr, connector: Connector) -> Self {
        let stream: Box<dyn Stream> = Box::new(TcpStream::connect(address).await.unwrap());
        Self::tls(stream, connector).await
    }

    async fn tls(stream: Box<dyn Stream>, connector: Connector) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let stream: TlsStream<Box<dyn Stream>> = connector.0.connect(name, stream).await.unwrap();
        let label = b"EXPORTER-Channel-Binding";
        let exported = stream
            .get_ref()
            .1
            .export_keying_material([0; 32], label, Some(b""));
        Self::of(Box::new(stream), connector, Some(exported.unwrap()))
    }

    fn of(stream: Box<dyn Stream>, connector: Connector, exported: Option<[u8; 32]>) -> Self {
        let (read, write) = split(stream);
        Self {
            read,
            write,
            reader: Reader::new(Limits::SERVER),
            connector,
            exported,
            name: String::new(),
            syncs: 0,
        }
    }

    /// Goes over to TLS.
    pub(crate) async fn start_tls(self) -> Self {
        self.start_tls_and("").await
    }

    /// Goes over to TLS, with more in the same packet as the request for it.
    pub(crate) async fn start_tls_and(mut self, more: &str) -> Self {
        self.open().await;
        let request = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
        self.send(&format!("{request}{more}")).await;
        self.expect("<proceed").await;
        Self::tls(self.read.unsplit(self.write), self.connector).await
    }

    /// The account's address.
    pub(crate) fn account(&self) -> String {
        format!("{}@localhost", self.name)
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.write.write_all(text.as_bytes()).await.unwrap();
        self.write.flush().await.unwrap();
    }

    /// Opens a stream; the features.
    pub(crate) async fn open(&mut self) -> String {
        self.reader = Reader::new(Limits::SERVER);
        self.send(HEADER).await;
        self.expect("<features").await
    }

    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.reader.next().unwrap() {
                return Some(event);
            }
            let mut bytes = [0; 4096];
            match self.read.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.reader.push(&bytes[..count]),
            }
        }
    }

    /// The next element as text, or what ended the stream.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            match timeout(PATIENCE, self.event())
                .await
                .expect("something comes in time")
            {
                Some(Event::Open { .. }) => {}
                Some(Event::Element(element)) => return text(&element),
                Some(Event::Close) => return "</stream>".to_owned(),
                None => return "(cut)".to_owned(),
            }
        }
    }

    /// The next element, which has to contain `part`.
    pub(crate) async fn expect(&mut self, part: &str) -> String {
        let found = self.next().await;
        assert!(found.contains(part), "expected {part}\nfound {found}");
        found
    }

    /// The first element that contains `part`; what comes before it is of no interest.
    pub(crate) async fn until(&mut self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let found = self.next().await;
            if found.contains(part) {
                return found;
            }
            assert!(
                !matches!(found.as_str(), "</stream>" | "(cut)"),
                "the stream ended before {part}: {seen:?}"
            );
            seen.push(found);
        }
    }

    /// Sends a ping and collects what comes before its answer: everything that is on its way.
    pub(crate) async fn sync(&mut self) -> Vec<String> {
        self.syncs += 1;
        let id = format!("sync-{}", self.syncs);
        self.send(&format!(
            "<iq type='get' to='localhost' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))
        .await;
        let mut seen = Vec::new();
        loop {
            let found = self.next().await;
            if found.contains(&id) {
                return seen;
            }
            assert!(
                !matches!(found.as_str(), "</stream>" | "(cut)"),
                "the stream ended: {seen:?}"
            );
            seen.push(found);
        }
    }

    /// Asserts that the stream is over.
    pub(crate) async fn expect_end(&mut self) {
        let found = self.next().await;
        assert!(matches!(found.as_str(), "</stream>" | "(cut)"), "{found}");
    }

    /// Opens a stream and logs in.
    pub(crate) async fn log_in(&mut self, name: &str, mechanism: &str) {
        self.name = name.to_owned();
        self.open().await;
        self.authenticate(name, PASSWORD, mechanism).await;
        self.open().await;
    }

    pub(crate) async fn authenticate(&mut self, name: &str, password: &str, mechanism: &str) {
        const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
        let Some(Mechanism::Scram(scram)) = Mechanism::from_name(mechanism) else {
            let message = STANDARD.encode(format!("\0{name}\0{password}"));
            self.send(&format!("<auth {SASL} mechanism='PLAIN'>{message}</auth>"))
                .await;
            self.expect("<success").await;
            return;
        };
        let (gs2, binding) = match (scram.plus, &self.exported) {
            (true, Some(exported)) => ("p=tls-exporter,,", exported.to_vec()),
            _ => ("n,,", Vec::new()),
        };
        let bare = format!("n={name},r=fyko+d2lbbFgONRv9qkxdawL");
        let first = STANDARD.encode(format!("{gs2}{bare}"));
        self.send(&format!(
            "<auth {SASL} mechanism='{mechanism}'>{first}</auth>"
        ))
        .await;
        let challenge = self.expect("<challenge").await;
        let (answer, last) = answer(
            scram.hash,
            gs2,
            &binding,
            &bare,
            inner(&challenge),
            password,
        );
        self.send(&format!("<response {SASL}>{answer}</response>"))
            .await;
        let success = self.expect("<success").await;
        assert_eq!(inner(&success), last, "the server knows the password, too");
    }

    pub(crate) async fn bind(&mut self, resource: &str) {
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        ))
        .await;
        self.expect(&format!("{}/{resource}</jid>", self.account()))
            .await;
    }

    /// Sends an IQ and waits for its answer; what comes before it is of no interest.
    pub(crate) async fn ask(&mut self, kind: &str, to: &str, payload: &str) -> String {
        self.syncs += 1;
        let id = format!("ask-{}", self.syncs);
        let to = if to.is_empty() {
            String::new()
        } else {
            format!(" to='{to}'")
        };
        self.send(&format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>"))
            .await;
        self.until(&format!("id='{id}'")).await
    }

    /// Cuts the connection without a word.
    pub(crate) fn cut(self) {
        drop(self);
    }
}

pub(crate) fn text(element: &Element) -> String {
    let mut out = Vec::new();
    element.write("jabber:client", &mut out);
    String::from_utf8(out).unwrap()
}

/// The text between the first tag and the next.
fn inner(element: &str) -> &str {
    element
        .split('>')
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap()
}

/// What stands in an attribute.
pub(crate) fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let start = element
        .find(&format!(" {name}='"))
        .unwrap_or_else(|| panic!("{name} in {element}"));
    element[start + name.len() + 3..]
        .split('\'')
        .next()
        .unwrap()
}

/// What a SCRAM client answers to a challenge, and what the server says to it.
fn answer(
    hash: Hash,
    gs2: &str,
    binding: &[u8],
    bare: &str,
    challenge: &str,
    password: &str,
) -> (String, String) {
    let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
    let part = |name: &str| {
        let mut parts = challenge.split(',');
        parts
            .find_map(|part| part.strip_prefix(name))
            .unwrap()
            .to_owned()
    };
    let salt = STANDARD.decode(part("s=")).unwrap();
    let iterations: u32 = part("i=").parse().unwrap();
    let mut bound = gs2.as_bytes().to_vec();
    bound.extend_from_slice(binding);
    let without_proof = format!("c={},r={}", STANDARD.encode(bound), part("r="));
    let text = format!("{bare},{challenge},{without_proof}");
    let verifier = Verifier::of_password(hash, password, salt.clone(), iterations).unwrap();
    let mut round = hash.hmac(password.as_bytes(), &[&salt, &1_u32.to_be_bytes()]);
    let mut salted = round.clone();
    for _ in 1..iterations {
        round = hash.hmac(password.as_bytes(), &[&round]);
        salted
            .iter_mut()
            .zip(&round)
            .for_each(|(all, one)| *all ^= one);
    }
    let client_key = hash.hmac(&salted, &[b"Client Key"]);
    let signature = hash.hmac(&verifier.stored_key, &[text.as_bytes()]);
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(key, sign)| key ^ sign)
        .collect();
    let answer = format!("{without_proof},p={}", STANDARD.encode(proof));
    let last = format!(
        "v={}",
        STANDARD.encode(hash.hmac(&verifier.server_key, &[text.as_bytes()]))
    );
    (STANDARD.encode(answer), STANDARD.encode(last))
}
