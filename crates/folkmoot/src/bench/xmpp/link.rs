//! One XMPP client, as cheap as can be: it shares the machine with the server under test.
//!
//! It writes its stanzas as text, and of what comes it looks only for the pieces that it waits for.
//! It expects the prefix `stream:` and double or single quotes, as servers write them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BytesMut};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::scram::{Derived, Scram};

/// For how long a server may think.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a server may send while something else is waited for.
const MOST_BYTES: usize = 4 << 20;
const READ_BYTES: usize = 16 << 10;

/// How to reach a server and log in there.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) domain: String,
    pub(super) plain: SocketAddr,
    /// TLS from the first byte (XEP-0368).
    pub(super) tls: SocketAddr,
    pub(super) derived: Derived,
    /// Everybody has an account already.
    has_accounts: bool,
    connector: Connector,
}

#[derive(Clone)]
struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Connector")
    }
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    Plain,
    Tls,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    io: Io,
    received: BytesMut,
    domain: String,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Door {
    pub(super) fn new(domain: &str, plain: SocketAddr, tls: SocketAddr) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        // Each login is a whole one, as of a client that has never been here.
        config.resumption = Resumption::disabled();
        Ok(Self {
            domain: domain.to_owned(),
            plain,
            tls,
            derived: Derived::default(),
            has_accounts: false,
            connector: Connector(TlsConnector::from(Arc::new(config))),
        })
    }

    /// The same, where everybody has an account already.
    pub(super) fn with_accounts(self) -> Self {
        Self {
            has_accounts: true,
            ..self
        }
    }

    /// Connects, and reads what the server offers.
    pub(super) async fn connect(&self, over: Over) -> anyhow::Result<Link> {
        let address = match over {
            Over::Plain => self.plain,
            Over::Tls => self.tls,
        };
        let socket = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to {address}"))?;
        socket.set_nodelay(true)?;
        let io = match over {
            Over::Plain => Io::Plain(socket),
            Over::Tls => {
                let name = ServerName::try_from(self.domain.clone())?;
                let tls = self.connector.0.connect(name, socket).await;
                Io::Tls(Box::new(tls.context("TLS")?))
            }
        };
        let mut link = Link {
            io,
            received: BytesMut::new(),
            domain: self.domain.clone(),
        };
        link.open().await?;
        Ok(link)
    }

    /// Makes an account (XEP-0077).
    pub(super) async fn register(&self, user: &str, password: &str) -> anyhow::Result<()> {
        if self.has_accounts {
            return Ok(());
        }
        let mut link = self.connect(Over::Plain).await?;
        link.send(&format!(
            "<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>{user}</username>\
             <password>{password}</password></query></iq>"
        ))
        .await?;
        let answer = link.until_one_of(&["</iq>", "/>"]).await?;
        ensure!(
            answer.contains("result") || answer.contains("<conflict"),
            "the server makes no account: {answer}"
        );
        link.close().await
    }

    /// Connects and logs in under `resource`.
    pub(super) async fn log_in(
        &self,
        over: Over,
        user: &str,
        password: &str,
        resource: &str,
    ) -> anyhow::Result<Link> {
        let mut link = self.connect(over).await?;
        let scram = Scram::new(user, password, nonce());
        link.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{}'>{}</auth>",
            Scram::NAME,
            scram.first()
        ))
        .await?;
        let challenge = link.until_one_of(&["</challenge>", "</failure>"]).await?;
        let proof = scram.prove(text_of(&challenge, "challenge")?, &self.derived)?;
        link.send(&format!(
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>",
            proof.message
        ))
        .await?;
        let success = link.until_one_of(&["</success>", "</failure>"]).await?;
        proof.check(text_of(&success, "success")?)?;
        link.open().await?;
        link.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ))
        .await?;
        let bound = link.until_one_of(&["</iq>"]).await?;
        ensure!(bound.contains("</jid>"), "no resource is bound: {bound}");
        Ok(link)
    }
}

impl Link {
    /// Sends `text` as it is.
    pub(super) async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        match &mut self.io {
            Io::Plain(socket) => socket.write_all(text.as_bytes()).await?,
            Io::Tls(socket) => {
                socket.write_all(text.as_bytes()).await?;
                socket.flush().await?;
            }
        }
        Ok(())
    }

    /// Says that messages may come, and waits until the server has heard it.
    pub(super) async fn appear(&mut self) -> anyhow::Result<()> {
        self.send("<presence/>").await?;
        self.ask_back().await
    }

    /// One question that every server answers (XEP-0199), so that all before it is done.
    pub(super) async fn ask_back(&mut self) -> anyhow::Result<()> {
        let domain = &self.domain;
        let ping =
            format!("<iq type='get' id='there' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.send(&ping).await?;
        self.until_one_of(&["id='there'", "id=\"there\""]).await?;
        self.until_one_of(&[">"]).await?;
        Ok(())
    }

    /// Waits for one of `ends`, and takes everything up to and with it.
    pub(super) async fn until_one_of(&mut self, ends: &[&str]) -> anyhow::Result<String> {
        let mut looked = 0;
        loop {
            let found = ends
                .iter()
                .filter_map(|end| {
                    let from = looked.max(end.len()) - end.len();
                    find(&self.received[from..], end.as_bytes()).map(|at| from + at + end.len())
                })
                .min();
            if let Some(end) = found {
                let taken = self.received.split_to(end);
                return Ok(String::from_utf8_lossy(&taken).into_owned());
            }
            self.fail_on_stream_error()?;
            looked = self.received.len();
            ensure!(looked < MOST_BYTES, "the server sends and sends");
            self.read().await?;
        }
    }

    /// Hands the text of each `<body>` that has come whole to `heard`; waits for at least one.
    pub(super) async fn bodies(
        &mut self,
        mut heard: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        const OPEN: &[u8] = b"<body>";
        const END: &[u8] = b"</body>";
        let mut some = false;
        loop {
            while let Some(end) = find(&self.received, END) {
                let start = find(&self.received[..end], OPEN).context("a body without a start")?;
                let text = std::str::from_utf8(&self.received[start + OPEN.len()..end])?;
                heard(text)?;
                some = true;
                self.received.advance(end + END.len());
            }
            if some {
                return Ok(());
            }
            self.fail_on_stream_error()?;
            ensure!(
                self.received.len() < MOST_BYTES,
                "the server sends and sends"
            );
            self.read().await?;
        }
    }

    /// Ends the stream.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.send("</stream:stream>").await?;
        match &mut self.io {
            Io::Plain(socket) => socket.shutdown().await?,
            Io::Tls(socket) => socket.shutdown().await?,
        }
        Ok(())
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        let domain = &self.domain;
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' \
             xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        self.send(&header).await?;
        self.until_one_of(&["</stream:features>"]).await?;
        Ok(())
    }

    /// Waits for more bytes.
    async fn read(&mut self) -> anyhow::Result<()> {
        self.received.reserve(READ_BYTES);
        let read = async {
            match &mut self.io {
                Io::Plain(socket) => socket.read_buf(&mut self.received).await,
                Io::Tls(socket) => socket.read_buf(&mut self.received).await,
            }
        };
        let count = timeout(PATIENCE, read)
            .await
            .context("the server says nothing for 30 s")??;
        ensure!(count > 0, "the server closed the connection");
        Ok(())
    }

    fn fail_on_stream_error(&self) -> anyhow::Result<()> {
        if find(&self.received, b"</stream:error>").is_some() {
            bail!("{}", String::from_utf8_lossy(&self.received));
        }
        Ok(())
    }
}

/// What stands inside of the last element `name`.
fn text_of<'a>(text: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let inner = text
        .strip_suffix(&format!("</{name}>"))
        .with_context(|| format!("no {name} but {text}"))?;
    let (_, inner) = inner.rsplit_once('>').context("broken markup")?;
    Ok(inner)
}

/// Where `needle` first is in `text`.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        from += text[from..].iter().position(|byte| *byte == first)?;
        if text[from..].starts_with(needle) {
            return Some(from);
        }
        from += 1;
    }
}

/// A word that was never said before in this run, and hardly in another.
fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}{count}", rand::random::<u64>())
}

/// Takes every certificate: the servers under test sign their own. Signatures are checked.
#[derive(Debug)]
struct AnyName(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_where_they_first_are() {
        assert_eq!(find(b"<<body><body>", b"<body>"), Some(1));
        assert_eq!(find(b"<bod", b"<body>"), None);
        assert_eq!(find(b"", b"<body>"), None);
    }

    #[test]
    fn the_text_of_an_answer_is_what_stands_in_its_last_element() {
        let answer = "<stream:features/><challenge xmlns='urn'>cj0x</challenge>";
        assert_eq!(text_of(answer, "challenge").unwrap(), "cj0x");
        let failure = "<failure xmlns='urn'><not-authorized/></failure>";
        let error = text_of(failure, "challenge").unwrap_err().to_string();
        assert!(error.contains("not-authorized"), "{error}");
    }
}
