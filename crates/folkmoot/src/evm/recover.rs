//! Ordinary accounts: who made a signature, as the EVM's `ecrecover` says it.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest as _, Keccak256};

/// Whether the key of `address` made `signature` over `hash`. The signature is r, s and v in
/// 65 bytes; s may be in the upper half, v is 0, 1, 27 or 28.
pub(super) fn is_signed_by(address: &[u8; 20], hash: &[u8; 32], signature: &[u8]) -> bool {
    recover(hash, signature).is_some_and(|signer| signer == *address)
}

fn recover(hash: &[u8; 32], signature: &[u8]) -> Option<[u8; 20]> {
    let (v, r_and_s) = signature.split_last()?;
    let is_y_odd = match v {
        0 | 27 => false,
        1 | 28 => true,
        _ => return None,
    };
    let signature = Signature::from_slice(r_and_s).ok()?;
    // k256 takes s from the lower half only. The same key made (r, s) with one parity and
    // (r, n - s) with the other.
    let (signature, is_y_odd) = match signature.normalize_s() {
        Some(lower) => (lower, !is_y_odd),
        None => (signature, is_y_odd),
    };
    let id = RecoveryId::new(is_y_odd, false);
    let key = VerifyingKey::recover_from_prehash(hash, &signature, id).ok()?;
    let point = key.to_encoded_point(false);
    let digest = Keccak256::digest(&point.as_bytes()[1..]);
    digest[12..].try_into().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use k256::{NonZeroScalar, ecdsa::SigningKey, elliptic_curve::PrimeField as _};

    use super::*;

    /// An account and its signature over `hash`, v as 27 or 28.
    pub(crate) fn sign(hash: &[u8; 32]) -> ([u8; 20], Vec<u8>) {
        let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
        let (signature, id) = key.sign_prehash_recoverable(hash).unwrap();
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(27 + id.to_byte());
        let point = key.verifying_key().to_encoded_point(false);
        let digest = Keccak256::digest(&point.as_bytes()[1..]);
        (digest[12..].try_into().unwrap(), bytes)
    }

    #[test]
    fn an_account_is_recognised_by_either_spelling_of_v() {
        let (account, mut signature) = sign(&[1; 32]);
        assert!(is_signed_by(&account, &[1; 32], &signature));
        assert!(!is_signed_by(&account, &[2; 32], &signature));
        signature[64] -= 27;
        assert!(is_signed_by(&account, &[1; 32], &signature));
        signature[64] ^= 1;
        assert!(!is_signed_by(&account, &[1; 32], &signature));
        signature[64] = 29;
        assert!(!is_signed_by(&account, &[1; 32], &signature));
    }

    #[test]
    fn an_upper_s_with_the_other_parity_is_the_same_signature() {
        let (account, mut signature) = sign(&[1; 32]);
        let s = NonZeroScalar::try_from(&signature[32..64]).unwrap();
        signature[32..64].copy_from_slice(&(-*s).to_repr());
        assert!(!is_signed_by(&account, &[1; 32], &signature));
        signature[64] = if signature[64] == 27 { 28 } else { 27 };
        assert!(is_signed_by(&account, &[1; 32], &signature));
    }

    #[test]
    fn other_bytes_are_nobodys_signature() {
        for bytes in [&[][..], &[0; 64], &[0; 65], &[0xff; 65], &[27; 66]] {
            assert_eq!(recover(&[1; 32], bytes), None);
        }
    }
}
