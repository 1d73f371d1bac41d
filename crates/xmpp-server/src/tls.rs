//! TLS: the certificate in use, and what binds a login to its connection.

use std::{fmt, sync::Arc};

use folkmoot_xmpp::sasl::ChannelBindings;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, pki_types::CertificateDer};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio_rustls::TlsAcceptor;

/// A certificate with its key, ready for use.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    end_point: Option<Vec<u8>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// TLS as `config` says, whose certificate is `certificate`: the first one of its chain.
    #[must_use]
    pub fn new(mut config: ServerConfig, certificate: &CertificateDer<'_>) -> Self {
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Self {
            config: Arc::new(config),
            end_point: end_point(certificate),
        }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// What binds a login to this connection (RFC 9266, RFC 5929).
    pub(crate) fn bindings(&self, connection: &ServerConnection) -> ChannelBindings {
        let is_new = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let exporter = is_new.then(|| {
            let label = b"EXPORTER-Channel-Binding";
            connection
                .export_keying_material([0; 32], label, Some(b""))
                .ok()
        });
        ChannelBindings {
            exporter: exporter.flatten(),
            server_end_point: self.end_point.clone(),
        }
    }
}

/// The hash of a certificate by the hash of its signature, SHA-256 for MD5 and SHA-1 (RFC 5929 §4.1). `None` for
/// signatures that have none, such as Ed25519.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let hash = signature_hash(certificate)?;
    Some(match hash {
        SignatureHash::Sha256 => Sha256::digest(certificate).to_vec(),
        SignatureHash::Sha384 => Sha384::digest(certificate).to_vec(),
        SignatureHash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Debug, Eq, PartialEq)]
enum SignatureHash {
    Sha256,
    Sha384,
    Sha512,
}

/// Reads `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, … }`.
fn signature_hash(certificate: &[u8]) -> Option<SignatureHash> {
    let (certificate, _) = value(certificate, 0x30)?;
    let (_, rest) = value(certificate, 0x30)?;
    let (algorithm, _) = value(rest, 0x30)?;
    let (identifier, _) = value(algorithm, 0x06)?;
    // 1.2.840.113549.1.1 is RSA, 1.2.840.10045.4 is ECDSA.
    match (
        identifier.strip_prefix(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01]),
        identifier.strip_prefix(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04]),
    ) {
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => Some(SignatureHash::Sha256),
        (Some([12]), _) | (_, Some([3, 3])) => Some(SignatureHash::Sha384),
        (Some([13]), _) | (_, Some([3, 4])) => Some(SignatureHash::Sha512),
        _ => None,
    }
}

/// The contents of a DER value with that tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    };

    use super::{SignatureHash, signature_hash};

    #[test]
    fn the_hash_of_a_signature_is_found() {
        for (algorithm, hash) in [
            (&PKCS_ECDSA_P256_SHA256, Some(SignatureHash::Sha256)),
            (&PKCS_ECDSA_P384_SHA384, Some(SignatureHash::Sha384)),
            (&PKCS_ED25519, None),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(signature_hash(certificate.der()), hash);
        }
        for broken in [
            &b""[..],
            b"\x30",
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x02\x30\x05",
        ] {
            assert_eq!(signature_hash(broken), None);
        }
    }
}
