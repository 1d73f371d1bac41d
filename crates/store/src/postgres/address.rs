//! Where the database is, and how the way there is protected: `sslmode` and `sslrootcert` mean
//! what libpq has them mean (PostgreSQL's manual, "SSL Support", on client connections).
//!
//! | `sslmode` | TLS | the server's certificate |
//! | --- | --- | --- |
//! | `disable` | never | |
//! | `prefer`, the default | if the server offers it | is not looked at |
//! | `require` | always | is not looked at; with `sslrootcert` as for `verify-ca` |
//! | `verify-ca` | always | comes from a known authority |
//! | `verify-full` | always | and is for the host's name |
//!
//! Known authorities are those of the system, or those in the PEM file `sslrootcert`. There a
//! server's own certificate may stand, too, which is then known as it is.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, ServerName, UnixTime,
        pem::{self, PemObject as _},
    },
    server::ParsedCertificate,
};
use tokio_postgres::{Client, Config, Connection, Socket, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::schema::in_words;
use crate::StoreError;

/// What servers of PostgreSQL 17 and later want to hear in a handshake.
const PROTOCOL: &[u8] = b"postgresql";
/// The authorities of the system.
const SYSTEM: &str = "system";

/// A database's address with what is needed to connect to it.
#[derive(Clone)]
pub(crate) struct Address {
    config: Config,
    tls: MakeRustlsConnect,
}

/// A connection's other half, which has to be polled.
pub(crate) type Link = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
enum AddressError {
    #[error("{0}")]
    Syntax(String),
    #[error("sslmode is {0:?}; it is disable, prefer, require, verify-ca or verify-full")]
    Mode(String),
    #[error("sslrootcert: cannot read {path}: {cause}")]
    Roots { path: PathBuf, cause: pem::Error },
    #[error("sslrootcert: there is no certificate in {0}")]
    NoRoots(PathBuf),
    #[error("sslrootcert: the system has no list of authorities; name a PEM file")]
    NoSystemRoots,
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Address {
    /// Reads an address: `postgres://user:password@host/database?sslmode=…`, or `key=value`
    /// pairs. Also reads the file that `sslrootcert` names.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        Self::read(text).map_err(|cause| StoreError::Database {
            doing: "read the database's address",
            cause: cause.into(),
        })
    }

    fn read(text: &str) -> Result<Self, AddressError> {
        let settings = Settings::take(text);
        let config = Config::from_str(&settings.rest);
        let mut config = config.map_err(|cause| AddressError::Syntax(in_words(&cause)))?;
        let (mode, check) = settings.mode()?;
        config.ssl_mode(mode);
        let roots = settings.root_certificates.as_deref();
        let verifier = Verifier::new(check, roots)?;
        let tls = MakeRustlsConnect::new(client_config(verifier)?);
        Ok(Self { config, tls })
    }

    /// One connection.
    pub(crate) async fn connect(&self) -> Result<(Client, Link), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// What makes a pool's connections.
    pub(crate) fn manager(&self) -> Manager {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        Manager::from_config(self.config.clone(), self.tls.clone(), recycling)
    }
}

fn client_config(verifier: Verifier) -> Result<ClientConfig, AddressError> {
    let provider = Arc::clone(&verifier.provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// What an address says of TLS, and the rest of it.
#[derive(Debug, Default, Eq, PartialEq)]
struct Settings {
    mode: Option<String>,
    root_certificates: Option<String>,
    rest: String,
}

impl Settings {
    /// Takes `sslmode` and `sslrootcert` out of an address. What is no address stays in the rest.
    fn take(text: &str) -> Self {
        let mut settings = Self::default();
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if !is_url {
            let mut kept = 0;
            for (place, key, value) in pairs(text) {
                if settings.put(key, value) {
                    settings.rest.push_str(&text[kept..place.start]);
                    kept = place.end;
                }
            }
            settings.rest.push_str(&text[kept..]);
            return settings;
        }
        // Before the first @ is the password, in which a question mark is one.
        let host = text.find('@').unwrap_or(0);
        let Some(mark) = text[host..].find('?').map(|at| host + at) else {
            text.clone_into(&mut settings.rest);
            return settings;
        };
        settings.rest.push_str(&text[..mark]);
        let mut separator = '?';
        for parameter in text[mark + 1..].split('&') {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !settings.put(key, decoded(value)) {
                settings.rest.push(separator);
                settings.rest.push_str(parameter);
                separator = '&';
            }
        }
        settings
    }

    /// Keeps a parameter that is about TLS.
    fn put(&mut self, key: &str, value: String) -> bool {
        match key {
            "sslmode" => self.mode = Some(value),
            "sslrootcert" => self.root_certificates = Some(value),
            _ => return false,
        }
        true
    }

    fn mode(&self) -> Result<(SslMode, Check), AddressError> {
        Ok(match self.mode.as_deref() {
            Some("disable") => (SslMode::Disable, Check::Nothing),
            None | Some("prefer") => (SslMode::Prefer, Check::Nothing),
            Some("require") if self.root_certificates.is_none() => {
                (SslMode::Require, Check::Nothing)
            }
            Some("require" | "verify-ca") => (SslMode::Require, Check::Authority),
            Some("verify-full") => (SslMode::Require, Check::AuthorityAndName),
            Some(other) => return Err(AddressError::Mode(other.to_owned())),
        })
    }
}

/// The `key=value` pairs of an address, each with its place, as far as they can be read. Values
/// with spaces stand between single quotes, and a backslash takes any character as it is.
fn pairs(text: &str) -> Vec<(Range<usize>, &str, String)> {
    let mut found = Vec::new();
    let mut rest = text.char_indices().peekable();
    loop {
        while rest.next_if(|(_, char)| char.is_whitespace()).is_some() {}
        let Some(&(start, _)) = rest.peek() else {
            return found;
        };
        while rest.next_if(|(_, char)| *char != '=').is_some() {}
        let Some((equals, _)) = rest.next() else {
            return found;
        };
        while rest.next_if(|(_, char)| char.is_whitespace()).is_some() {}
        let is_quoted = rest.next_if(|(_, char)| *char == '\'').is_some();
        let mut value = String::new();
        let end = loop {
            match rest.next() {
                Some((_, '\\')) => value.extend(rest.next().map(|(_, char)| char)),
                Some((at, '\'')) if is_quoted => break at + 1,
                Some((at, char)) if !is_quoted && char.is_whitespace() => break at,
                Some((_, char)) => value.push(char),
                None => break text.len(),
            }
        };
        found.push((start..end, text[start..equals].trim_end(), value));
    }
}

/// A text with its %xx replaced; as it is, if they do not stand for text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest.get(at + 1..at + 3);
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = &rest[at + byte.map_or(1, |_| 3)..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// What is checked of a server's certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Check {
    Nothing,
    Authority,
    AuthorityAndName,
}

/// Looks at a server's certificate as far as the address wants it.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
    authorities: RootCertStore,
    /// Certificates that are known as they are.
    pinned: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// A verifier that knows the certificates of the file, or else those of the system.
    fn new(check: Check, file: Option<&str>) -> Result<Self, AddressError> {
        let mut verifier = Self {
            check,
            provider: Arc::new(ring::default_provider()),
            authorities: RootCertStore::empty(),
            pinned: Vec::new(),
        };
        match file {
            _ if check == Check::Nothing => {}
            None | Some(SYSTEM) => {
                let system = rustls_native_certs::load_native_certs();
                let (known, _) = verifier.authorities.add_parsable_certificates(system.certs);
                if known == 0 {
                    return Err(AddressError::NoSystemRoots);
                }
            }
            Some(file) => verifier.read(Path::new(file))?,
        }
        Ok(verifier)
    }

    fn read(&mut self, file: &Path) -> Result<(), AddressError> {
        let unreadable = |cause| AddressError::Roots {
            path: file.to_owned(),
            cause,
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            let certificate = certificate.map_err(unreadable)?;
            self.authorities.add(certificate.clone())?;
            self.pinned.push(certificate);
        }
        if self.pinned.is_empty() {
            return Err(AddressError::NoRoots(file.to_owned()));
        }
        Ok(())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.check != Check::Nothing {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            if !self.pinned.contains(end_entity) {
                verify_server_cert_signed_by_trust_anchor(
                    &certificate,
                    &self.authorities,
                    intermediates,
                    now,
                    self.provider.signature_verification_algorithms.all,
                )?;
            }
            if self.check == Check::AuthorityAndName {
                verify_server_name(&certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Address").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn settings(mode: &str, roots: &str, rest: &str) -> Settings {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Settings {
            mode: given(mode),
            root_certificates: given(roots),
            rest: rest.to_owned(),
        }
    }

    #[test]
    fn what_is_about_tls_is_taken_out_of_an_address() {
        for (address, mode, roots, rest) in [
            ("postgres://host/name", "", "", "postgres://host/name"),
            (
                "postgres://user:why?not@host/name?sslmode=verify-full&options=-cx%3Dy&sslrootcert=%2Fa%20b.pem",
                "verify-full",
                "/a b.pem",
                "postgres://user:why?not@host/name?options=-cx%3Dy",
            ),
            (
                "postgresql:///name?sslmode=require",
                "require",
                "",
                "postgresql:///name",
            ),
            (
                r"host=h sslrootcert = 'it\'s here.pem' password='sslmode=x' sslmode=verify-ca",
                "verify-ca",
                "it's here.pem",
                "host=h  password='sslmode=x' ",
            ),
            ("host=h sslmode=disable", "disable", "", "host=h "),
            (
                "no address, but 100% text",
                "",
                "",
                "no address, but 100% text",
            ),
            ("sslmode", "", "", "sslmode"),
        ] {
            assert_eq!(
                Settings::take(address),
                settings(mode, roots, rest),
                "{address}"
            );
        }
    }

    #[test]
    fn modes_mean_what_libpq_has_them_mean() {
        use {Check::*, SslMode::*};

        for (mode, roots, meaning) in [
            ("", "", (Prefer, Nothing)),
            ("disable", "", (Disable, Nothing)),
            ("prefer", "", (Prefer, Nothing)),
            ("require", "", (Require, Nothing)),
            ("require", "file", (Require, Authority)),
            ("verify-ca", "", (Require, Authority)),
            ("verify-full", "", (Require, AuthorityAndName)),
        ] {
            assert_eq!(settings(mode, roots, "").mode().unwrap(), meaning, "{mode}");
        }
        let refused = settings("sometimes", "", "").mode().unwrap_err();
        assert!(refused.to_string().contains("verify-full"), "{refused}");
    }

    #[test]
    fn an_address_with_unreadable_authorities_is_refused_by_name() {
        let address = "postgres://host/name?sslmode=verify-ca&sslrootcert=/no/such/file";
        let refused = Address::parse(address).err().unwrap().to_string();
        assert!(refused.contains("sslrootcert"), "{refused}");
        assert!(refused.contains("/no/such/file"), "{refused}");
    }

    /// Whether a server of this name may show this certificate.
    fn takes(verifier: &Verifier, name: &str, certificate: &CertificateDer<'_>) -> bool {
        let name = name.try_into().unwrap();
        let now = UnixTime::now();
        let verified = verifier.verify_server_cert(certificate, &[], &name, &[], now);
        verified.is_ok()
    }

    #[test]
    fn a_server_shows_a_certificate_of_an_authority_or_the_known_one() {
        let certificate_of = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            CertificateParams::new(names).unwrap()
        };
        let key = || KeyPair::generate().unwrap();
        let mut params = certificate_of(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = key();
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let server = certificate_of(&["db.example"]);
        let server = server.signed_by(&key(), &issuer).unwrap();
        // As `openssl req -x509` makes them: an authority that is the server itself.
        let mut own = certificate_of(&["db.example"]);
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = own.self_signed(&key()).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known.pem");
        std::fs::write(&file, authority.pem() + &own.pem()).unwrap();
        let file = file.to_str();
        let by_authority = Verifier::new(Check::Authority, file).unwrap();
        let by_name = Verifier::new(Check::AuthorityAndName, file).unwrap();
        let by_nothing = Verifier::new(Check::Nothing, None).unwrap();
        let stranger = certificate_of(&["db.example"]).self_signed(&key()).unwrap();
        for known in [server.der(), own.der()] {
            assert!(takes(&by_authority, "db.example", known));
            assert!(takes(&by_authority, "other.example", known));
            assert!(takes(&by_name, "db.example", known));
            assert!(!takes(&by_name, "other.example", known));
        }
        assert!(!takes(&by_authority, "db.example", stranger.der()));
        assert!(!takes(&by_name, "db.example", stranger.der()));
        assert!(takes(&by_nothing, "other.example", stranger.der()));
    }
}
