//! Waking devices that sleep, through the service of the app's maker (XEP-0357).
//!
//! [`crate::hints::Traits::wakes`] says which messages do; here are registrations and what the services are told.

use jid::{BareJid, Jid};

use crate::{
    forms::{Field, Form, FormKind},
    pubsub::{NS as PUBSUB, PUBLISH_OPTIONS},
    stanza::{Condition, ErrorType, IqType, Stanza, StanzaError},
    xml::{Element, Limits, Markup},
};

/// The protocol.
pub const NS: &str = "urn:xmpp:push:0";
/// The form in a notification.
const SUMMARY: &str = "urn:xmpp:push:summary";

/// Bytes of the options that a service wants to be told.
const OPTIONS: usize = 10_000;
/// Characters of a message that are told.
const BODY: usize = 200;

/// What a client asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Wake it no more through that service, or through that node of it alone.
    Disable {
        /// The service.
        service: Jid,
        /// The node.
        node: Option<String>,
    },
    /// Wake it. A later registration of the same service and node replaces an earlier one.
    Enable(Registration),
}

/// How a device is woken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// The service.
    pub service: Jid,
    /// Its node.
    pub node: Option<String>,
    /// The form that the service wants to be told, as written; empty for none.
    pub options: Vec<u8>,
}

impl Request {
    /// Reads the payload of an IQ of type set.
    ///
    /// # Errors
    ///
    /// `bad-request` when the service is not named, `jid-malformed`, and `not-acceptable` for options that are too
    /// long.
    pub fn read(payload: &Element) -> Result<Self, StanzaError> {
        let refused = |condition: Condition, text: &str| StanzaError::new(condition).text(text);
        let service = payload.attribute("jid");
        let service =
            service.ok_or_else(|| refused(Condition::BadRequest, "the service is not named"))?;
        let service = Jid::new(service)
            .map_err(|_| refused(Condition::JidMalformed, "the service's address is none"))?;
        let node = payload.attribute("node").filter(|node| !node.is_empty());
        let node = node.map(str::to_owned);
        match payload.name.local.as_str() {
            "disable" => Ok(Self::Disable { service, node }),
            "enable" => {
                let mut options = Vec::new();
                if let Some(x) = payload.open_child(crate::forms::NS, "x")
                    && Form::read(&x)?.form_type() == Some(PUBLISH_OPTIONS)
                {
                    x.write("", &mut options);
                }
                if options.len() > OPTIONS {
                    return Err(refused(
                        Condition::NotAcceptable,
                        "the options are too long",
                    ));
                }
                Ok(Self::Enable(Registration {
                    service,
                    node,
                    options,
                }))
            }
            _ => Err(Condition::BadRequest.into()),
        }
    }
}

/// What a service is told of what happened. Whose message it was and what it said stays here unless the user wants it
/// told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Messages since the device was awake.
    pub messages: u32,
    /// Requests for presence that wait.
    pub subscriptions: u32,
    /// Who wrote last.
    pub sender: Option<Jid>,
    /// What.
    pub body: Option<String>,
}

impl Registration {
    /// The IQ that tells the service, from the account.
    #[must_use]
    pub fn notify(&self, account: &BareJid, id: &str, summary: &Summary) -> Stanza {
        let mut form = Form::new(FormKind::Result, SUMMARY);
        form = form.with(Field::text("message-count", summary.messages.to_string()));
        if summary.subscriptions > 0 {
            let count = summary.subscriptions.to_string();
            form = form.with(Field::text("pending-subscription-count", count));
        }
        if let Some(sender) = &summary.sender {
            form = form.with(Field::text("last-message-sender", sender.as_str()));
        }
        if let Some(body) = &summary.body {
            let body: String = body.chars().take(BODY).collect();
            form = form.with(Field::text("last-message-body", body));
        }
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", PUBSUB);
        out.open("publish").maybe("node", self.node.as_deref());
        out.open("item");
        out.open("notification").attribute("xmlns", NS);
        form.write(&mut out);
        out.close("notification").close("item").close("publish");
        if Element::parse(&self.options, Limits::SERVER).is_ok() {
            out.open("publish-options")
                .raw(&self.options)
                .close("publish-options");
        }
        out.close("pubsub");
        Stanza::new(IqType::Set)
            .from(account.clone())
            .to(self.service.clone())
            .id(id)
            .with_all(&out.into_bytes())
    }

    /// Whether a message of the service says that it takes nothing more for this registration (§8).
    #[must_use]
    pub fn is_ended_by(&self, message: &Stanza, account: &BareJid) -> bool {
        if message.from.as_ref() != Some(&self.service) {
            return false;
        }
        let open = || message.open(message.child(PUBSUB, "pubsub")?).ok();
        let Some(pubsub) = open() else {
            return false;
        };
        let is_node = pubsub.attribute("node") == self.node.as_deref();
        is_node
            && pubsub.open_children(PUBSUB, "affiliation").any(|one| {
                one.attribute("jid") == Some(account.as_str())
                    && matches!(one.attribute("affiliation"), Some("none" | "outcast"))
            })
    }
}

/// What to do with a registration whose service answered with an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterError {
    /// Forget it.
    Forget,
    /// Try again later.
    Retry,
}

impl AfterError {
    /// By the kind of error: what waiting cures is tried again.
    #[must_use]
    pub fn of(error: &StanzaError) -> Self {
        let passing = matches!(
            error.condition,
            Condition::RemoteServerTimeout
                | Condition::RemoteServerNotFound
                | Condition::ResourceConstraint
        );
        if passing || error.kind == ErrorType::Wait {
            Self::Retry
        } else {
            Self::Forget
        }
    }
}

#[cfg(test)]
mod tests {
    use jid::{BareJid, Jid};

    use super::{AfterError, NS, Registration, Request, Summary};
    use crate::{
        stanza::{Condition, MessageType, Stanza},
        xml::{Element, Limits},
    };

    fn read(xml: &str) -> Result<Request, String> {
        let payload = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
        Request::read(&payload).map_err(|error| error.to_string())
    }

    const OPTIONS: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
        <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
        <field var='secret'><value>s3</value></field></x>";

    fn registration() -> Registration {
        let xml = format!("<enable xmlns='{NS}' jid='push.app' node='n'>{OPTIONS}</enable>");
        match read(&xml).unwrap() {
            Request::Enable(registration) => registration,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_registration_names_its_service() {
        let registration = registration();
        assert_eq!(registration.options, OPTIONS.as_bytes());
        assert_eq!(
            read(&format!("<disable xmlns='{NS}' jid='push.app'/>")),
            Ok(Request::Disable {
                service: Jid::new("push.app").unwrap(),
                node: None
            })
        );
        assert!(
            read(&format!("<enable xmlns='{NS}'/>"))
                .unwrap_err()
                .starts_with("bad-request")
        );
        assert!(
            read(&format!("<enable xmlns='{NS}' jid='@'/>"))
                .unwrap_err()
                .starts_with("jid-malformed")
        );
    }

    #[test]
    fn a_service_is_told_what_it_wants_and_no_more() {
        let account = BareJid::new("me@a").unwrap();
        let summary = Summary {
            messages: 2,
            ..Summary::default()
        };
        let mut out = Vec::new();
        registration()
            .notify(&account, "1", &summary)
            .write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "<iq from='me@a' to='push.app' id='1' type='set'>\
                 <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item>\
                 <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='result'>\
                 <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field>\
                 <field var='message-count' type='text-single'><value>2</value></field></x></notification></item>\
                 </publish><publish-options>{OPTIONS}</publish-options></pubsub></iq>"
            )
        );
    }

    #[test]
    fn a_service_can_end_it() {
        let account = BareJid::new("me@a").unwrap();
        let message = |from: &str, node: &str| {
            let xml = format!(
                "<pubsub xmlns='http://jabber.org/protocol/pubsub' node='{node}'>\
                 <affiliation jid='me@a' affiliation='none'/></pubsub>"
            );
            Stanza::new(MessageType::Normal)
                .from(Jid::new(from).unwrap())
                .with_all(xml.as_bytes())
        };
        assert!(registration().is_ended_by(&message("push.app", "n"), &account));
        assert!(!registration().is_ended_by(&message("push.app", "m"), &account));
        assert!(!registration().is_ended_by(&message("other.app", "n"), &account));
        assert_eq!(
            AfterError::of(&Condition::ItemNotFound.into()),
            AfterError::Forget
        );
        assert_eq!(
            AfterError::of(&Condition::RemoteServerTimeout.into()),
            AfterError::Retry
        );
    }
}
