//! Cards of accounts (XEP-0054).

use folkmoot_xmpp::{
    stanza::{Condition, IqType, Stanza, StanzaError},
    vcard,
    xml::Element,
};
use jid::BareJid;

use crate::{
    router::{Router, failed},
    session::Session,
};

/// Bytes of one card.
const BYTES: usize = 192 << 10;

/// Answers the account's own client.
///
/// # Errors
///
/// When a card is too big, or the store failed.
pub(crate) async fn handle(
    session: &Session,
    iq: &Stanza,
    kind: IqType,
    card: &Element,
) -> Result<Vec<Stanza>, StanzaError> {
    let (router, account) = (&session.router, &session.account.address);
    if kind == IqType::Get {
        let read = read(router, account).await?;
        return Ok(vec![iq.result().with_all(&read)]);
    }
    if card.content().len() > BYTES {
        let text = format!("a card has at most {BYTES} bytes");
        return Err(StanzaError::new(Condition::NotAcceptable).text(text));
    }
    let mut bytes = Vec::new();
    card.write("", &mut bytes);
    let stored = router.store.set_vcard(account, Some(bytes.into())).await;
    stored.map_err(|cause| failed(&cause))?;
    Ok(vec![iq.result()])
}

/// The payload of the answer to anybody.
///
/// # Errors
///
/// When the store failed.
pub(crate) async fn read(router: &Router, account: &BareJid) -> Result<Vec<u8>, StanzaError> {
    let kept = router
        .store
        .vcard(account)
        .await
        .map_err(|cause| failed(&cause))?;
    match kept {
        Some(card) => Ok(card.to_vec()),
        None => vcard::with_photo(None, None),
    }
}
