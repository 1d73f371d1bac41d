//! ERC-6492: a signature of a wallet whose contract may not exist yet.
//!
//! Such a signature is `abi.encode(address factory, bytes factoryCalldata, bytes signature)`
//! followed by a fixed suffix. Calling the factory with the data brings the wallet about.
//!
//! Specification: ERC-6492, "Signer side" and "Verifier side".

/// What a signature for a contract consists of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unwrapped<'a> {
    /// What the wallet's `isValidSignature` takes.
    pub(super) signature: &'a [u8],
    /// How the wallet can be brought about, if the signature says so.
    pub(super) preparation: Option<Preparation<'a>>,
}

/// A call that deploys a wallet, or makes it ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Preparation<'a> {
    pub(super) factory: [u8; 20],
    pub(super) calldata: &'a [u8],
}

/// The suffix has a body in front of it that is not what the suffix promises.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// Takes the wrapping off, if there is one.
pub(super) fn unwrap(signature: &[u8]) -> Result<Unwrapped<'_>, Malformed> {
    let Some(body) = signature.strip_suffix(&SUFFIX) else {
        return Ok(Unwrapped {
            signature,
            preparation: None,
        });
    };
    let factory = word(body, 0).ok_or(Malformed)?;
    let (padding, factory) = factory.split_at(12);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Malformed);
    }
    Ok(Unwrapped {
        signature: bytes_argument(body, 2).ok_or(Malformed)?,
        preparation: Some(Preparation {
            factory: factory.try_into().map_err(|_| Malformed)?,
            calldata: bytes_argument(body, 1).ok_or(Malformed)?,
        }),
    })
}

/// The argument number `index` of type `bytes`: the word there says where its length stands.
fn bytes_argument(body: &[u8], index: usize) -> Option<&[u8]> {
    let at = number(word(body, index * WORD)?)?;
    let length = number(word(body, at)?)?;
    let start = at.checked_add(WORD)?;
    body.get(start..start.checked_add(length)?)
}

fn word(body: &[u8], at: usize) -> Option<&[u8]> {
    body.get(at..at.checked_add(WORD)?)
}

/// A number that is small enough to be a place in memory.
fn number(word: &[u8]) -> Option<usize> {
    let (high, low) = word.split_last_chunk::<8>()?;
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    usize::try_from(u64::from_be_bytes(*low)).ok()
}

const WORD: usize = 32;

/// `0x6492` sixteen times.
const SUFFIX: [u8; 32] = {
    let mut suffix = [0x64; 32];
    let mut at = 1;
    while at < 32 {
        suffix[at] = 0x92;
        at += 2;
    }
    suffix
};

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `abi.encode(factory, calldata, signature)` and the suffix.
    pub(crate) fn wrap(factory: [u8; 20], calldata: &[u8], signature: &[u8]) -> Vec<u8> {
        let padded = calldata.len().next_multiple_of(WORD);
        let mut out = [&[0; 12][..], &factory].concat();
        out.extend(be(3 * WORD));
        out.extend(be(4 * WORD + padded));
        for bytes in [calldata, signature] {
            out.extend(be(bytes.len()));
            out.extend_from_slice(bytes);
            out.resize(out.len().next_multiple_of(WORD), 0);
        }
        out.extend(SUFFIX);
        out
    }

    fn be(number: usize) -> [u8; WORD] {
        let mut word = [0; WORD];
        word[24..].copy_from_slice(&(number as u64).to_be_bytes());
        word
    }

    #[test]
    fn a_plain_signature_stays_as_it_is() {
        assert_eq!(
            unwrap(&[7; 65]),
            Ok(Unwrapped {
                signature: &[7; 65],
                preparation: None
            })
        );
        assert_eq!(unwrap(&[]).unwrap().signature, b"");
    }

    #[test]
    fn a_wrapped_signature_names_factory_call_and_signature() {
        let wrapped = wrap([9; 20], &[1; 40], &[2; 65]);
        assert_eq!(
            unwrap(&wrapped),
            Ok(Unwrapped {
                signature: &[2; 65],
                preparation: Some(Preparation {
                    factory: [9; 20],
                    calldata: &[1; 40]
                }),
            })
        );
    }

    #[test]
    fn a_suffix_with_a_bad_body_is_malformed() {
        assert_eq!(unwrap(&SUFFIX), Err(Malformed));
        let good = wrap([9; 20], &[1; 40], &[2; 65]);
        // Every cut of the head, and everything after it up to the last argument's end.
        let body = good.len() - 32;
        for cut in 32..body - 31 {
            let mut bytes = good[..body - cut].to_vec();
            bytes.extend(SUFFIX);
            assert_eq!(unwrap(&bytes), Err(Malformed), "{cut}");
        }
        for at in [0, 32, 64, 96] {
            let mut bytes = good.clone();
            bytes[at] = 0xff;
            assert_eq!(unwrap(&bytes), Err(Malformed), "{at}");
        }
    }
}
