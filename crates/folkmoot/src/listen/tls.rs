//! Certificates: from files, and made on the spot for a laptop.

use std::{
    fs,
    io::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, string::Ia5String};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// A certificate chain and its key.
#[derive(Debug)]
pub struct Certificate {
    pub(super) chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: Error,
    },
    /// A file is not what it should be.
    #[error("{path} has no {expected} in PEM format")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

impl Certificate {
    /// Reads a certificate chain and its key, both in PEM format.
    ///
    /// # Errors
    ///
    /// [`TlsError::File`] and [`TlsError::NotPem`].
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let not_pem = |path: &Path, expected| TlsError::NotPem {
            path: path.to_owned(),
            expected,
        };
        let pem = read(chain)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| not_pem(chain, "certificate"))?;
        if certificates.is_empty() {
            return Err(not_pem(chain, "certificate"));
        }
        let key =
            PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| not_pem(key, "private key"))?;
        Ok(Self {
            chain: certificates,
            key,
        })
    }

    /// Makes a certificate that vouches for itself, for host names and addresses.
    ///
    /// # Errors
    ///
    /// [`TlsError::Making`] when a name cannot be in a certificate.
    pub fn self_signed(names: &[String]) -> Result<Self, TlsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "Folkmoot development network");
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(name.as_str())?),
            });
        }
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        })
    }

    /// The same for an XMPP server.
    ///
    /// # Errors
    ///
    /// [`TlsError::Unusable`].
    pub fn xmpp(&self) -> Result<folkmoot_xmpp_server::Tls, TlsError> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        Ok(folkmoot_xmpp_server::Tls::new(config, &self.chain[0]))
    }

    /// What rustls needs: TLS 1.2 and 1.3 with ring, HTTP/2 preferred.
    fn into_config(self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The certificate in use; it can be replaced while connections are open. Cheap to clone; all
/// clones change together.
#[derive(Clone, Debug)]
pub struct TlsSetup {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl TlsSetup {
    /// TLS with this certificate.
    ///
    /// # Errors
    ///
    /// [`TlsError::Unusable`].
    pub fn new(certificate: Certificate) -> Result<Self, TlsError> {
        let config = Arc::new(certificate.into_config()?);
        Ok(Self {
            config: Arc::new(RwLock::new(config)),
        })
    }

    /// Uses `certificate` for connections from now on.
    ///
    /// # Errors
    ///
    /// [`TlsError::Unusable`]; then the one before stays in use.
    pub fn replace(&self, certificate: Certificate) -> Result<(), TlsError> {
        let config = Arc::new(certificate.into_config()?);
        *self.config.write() = config;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|cause| TlsError::File {
        path: path.to_owned(),
        cause,
    })
}
