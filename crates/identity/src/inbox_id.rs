//! The id of an inbox, which follows from the account that opened it.

use folkmoot_wire::InboxId;
use sha2::{Digest, Sha256};

use crate::{Identifier, InvalidAddress, identifier::check_address};

/// Derives the id of the inbox that `identifier` opens with `nonce` (XIP-46). Official SDKs open
/// the first inbox of an account with a nonce of 0 or 1, depending on their version.
///
/// The id is the SHA-256 of the identifier's text followed by `nonce` in decimal, without a
/// separator. The text is hashed as it is spelled: [`Identifier::ethereum`] makes it lower case.
///
/// # Errors
///
/// [`InvalidAddress`] when an Ethereum identifier is not `0x` and 40 hex digits.
///
/// ```
/// # use folkmoot_identity::{Identifier, derive_inbox_id};
/// let account = Identifier::ethereum("0x19E7e376E7c213b7e7e7e46cc70a5dd086daff2a")?;
/// let inbox = derive_inbox_id(&account, 1)?;
/// assert!(inbox.to_string().starts_with("45915bad"));
/// # Ok::<(), folkmoot_identity::InvalidAddress>(())
/// ```
pub fn derive_inbox_id(identifier: &Identifier, nonce: u64) -> Result<InboxId, InvalidAddress> {
    if let Identifier::Ethereum(address) = identifier {
        check_address(address)?;
    }
    let digest = Sha256::digest(format!("{identifier}{nonce}"));
    Ok(InboxId::from_bytes(digest.into()))
}
