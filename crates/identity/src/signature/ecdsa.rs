//! Wallet signatures: secp256k1 over EIP-191 personal messages.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

use super::SignatureError;

/// Who made a signature, and its normalised bytes.
pub(crate) struct Recovered {
    /// `0x` and 40 lower-case hex digits.
    pub(crate) address: String,
    /// R, S in the lower half of the order, V as it came.
    pub(crate) normalized: [u8; 65],
}

/// The hash that a wallet signs for a text (EIP-191, version `E`).
pub(crate) fn eip191_hash(text: &str) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update(format!("\x19Ethereum Signed Message:\n{}", text.len()));
    hasher.update(text);
    hasher.finalize().into()
}

/// The Ethereum address of a public key, in lower case.
pub(crate) fn address(key: &VerifyingKey) -> String {
    let point = key.to_encoded_point(false);
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    format!("0x{}", hex::encode(&hash[12..]))
}

/// Recovers who signed `hash`. A high S is replaced by its twin while V stays as it is, which
/// is what libxmtp does: the high-S form with the V that belongs to it gives another signer.
pub(crate) fn recover(
    hash: &[u8; 32],
    bytes: &[u8],
    field: &'static str,
) -> Result<Recovered, SignatureError> {
    let length = bytes.len();
    let bytes: &[u8; 65] = bytes
        .try_into()
        .map_err(|_| SignatureError::EcdsaLength { field, length })?;
    let [r_and_s @ .., v] = bytes;
    let invalid = || SignatureError::Ecdsa { field };
    let signature = Signature::from_slice(r_and_s).map_err(|_| invalid())?;
    let signature = signature.normalize_s().unwrap_or(signature);
    let odd = y_is_odd(*v).ok_or_else(invalid)?;
    let key = VerifyingKey::recover_from_prehash(hash, &signature, RecoveryId::new(odd, false))
        .map_err(|_| invalid())?;
    let mut normalized = *bytes;
    normalized[..64].copy_from_slice(&signature.to_bytes());
    Ok(Recovered {
        address: address(&key),
        normalized,
    })
}

/// The parity that V stands for: plain, as Ethereum counts it (27 and 28), or with a chain id
/// (EIP-155: 35 and above).
const fn y_is_odd(v: u8) -> Option<bool> {
    match v {
        0 | 27 => Some(false),
        1 | 28 => Some(true),
        35.. => Some((v - 35) % 2 == 1),
        _ => None,
    }
}

/// R and S with S in the lower half; bytes that are no signature as they are.
pub(crate) fn low_s(r_and_s: &[u8]) -> Vec<u8> {
    match Signature::from_slice(r_and_s) {
        Ok(signature) => signature
            .normalize_s()
            .unwrap_or(signature)
            .to_bytes()
            .to_vec(),
        Err(_) => r_and_s.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WalletSecret;

    #[test]
    fn each_spelling_of_v_gives_the_same_signer() {
        let wallet = WalletSecret::from_bytes(&[9; 32]).unwrap();
        let signature = wallet.sign_text("hello");
        let parity = signature[64] - 27;
        for v in [parity, parity + 27, parity + 35, parity + 37, parity + 253] {
            let mut spelled = signature;
            spelled[64] = v;
            let recovered = recover(&eip191_hash("hello"), &spelled, "x").unwrap();
            assert_eq!(recovered.address, wallet.address());
            assert_eq!(recovered.normalized, spelled);
        }
        for v in [2, 26, 29, 34] {
            let mut spelled = signature;
            spelled[64] = v;
            assert!(recover(&eip191_hash("hello"), &spelled, "x").is_err());
        }
    }

    #[test]
    fn numbers_out_of_range_are_no_signature() {
        for fill in [0, 0xff] {
            assert!(recover(&[1; 32], &[fill; 65], "x").is_err());
        }
    }

    #[test]
    fn a_high_s_is_read_as_its_low_twin_while_v_stays() {
        let wallet = WalletSecret::from_bytes(&[9; 32]).unwrap();
        let low = wallet.sign_text("hello");
        let (r, s) = Signature::from_slice(&low[..64]).unwrap().split_scalars();
        let twin = Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
        let mut high = low;
        high[..64].copy_from_slice(&twin.to_bytes());
        let recovered = recover(&eip191_hash("hello"), &high, "x").unwrap();
        assert_eq!(recovered.address, wallet.address());
        assert_eq!(recovered.normalized, low);

        // Everybody else would flip V along with S.
        high[64] = if low[64] == 27 { 28 } else { 27 };
        let recovered = recover(&eip191_hash("hello"), &high, "x").unwrap();
        assert_ne!(recovered.address, wallet.address());
    }
}
