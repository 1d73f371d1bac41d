//! Since when is somebody away? (XEP-0012)

use jid::BareJid;

use crate::{
    moment::Moment,
    roster::Roster,
    stanza::{Condition, StanzaError},
    xml::Markup,
};

/// The protocol.
pub const NS: &str = "jabber:iq:last";

/// Whether somebody may know when `account` was last here: itself, and who sees its presence.
///
/// # Errors
///
/// `forbidden` to anybody else, whether there is such an account or not.
pub fn may_ask(asker: &BareJid, account: &BareJid, roster: &Roster) -> Result<(), StanzaError> {
    if asker == account || roster.subscription(asker).from {
        return Ok(());
    }
    Err(StanzaError::new(Condition::Forbidden)
        .text("only who sees the presence of an account may know"))
}

/// The payload of the answer: so long ago, in whole seconds, and what was said on leaving. A server answers since
/// when it runs; who is here is away for 0 seconds.
///
/// ```
/// # use folkmoot_xmpp::{last::payload, moment::Moment};
/// let told = payload(Moment(0), Moment(90_500_000), Some("to bed"));
/// assert_eq!(told, b"<query xmlns='jabber:iq:last' seconds='90'>to bed</query>");
/// ```
#[must_use]
pub fn payload(since: Moment, now: Moment, status: Option<&str>) -> Vec<u8> {
    let seconds = now.0.saturating_sub(since.0).max(0) / 1_000_000;
    let mut out = Markup::default();
    out.open("query").attribute("xmlns", NS);
    out.attribute("seconds", &seconds.to_string());
    match status.filter(|status| !status.is_empty()) {
        Some(status) => out.text(status).close("query"),
        None => out.end(),
    };
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use jid::{BareJid, Jid};

    use super::may_ask;
    use crate::{
        roster::{Item, Roster},
        subscription::Subscription,
    };

    #[test]
    fn only_who_sees_the_presence_may_know() {
        let bare = |text: &str| BareJid::new(text).unwrap();
        let friend = Item {
            subscription: Subscription::from_name("from").unwrap(),
            ..Item::new(Jid::new("friend@b").unwrap())
        };
        let roster = Roster::restored(1, [friend]);
        assert!(may_ask(&bare("me@a"), &bare("me@a"), &roster).is_ok());
        assert!(may_ask(&bare("friend@b"), &bare("me@a"), &roster).is_ok());
        assert!(may_ask(&bare("other@b"), &bare("me@a"), &roster).is_err());
    }
}
