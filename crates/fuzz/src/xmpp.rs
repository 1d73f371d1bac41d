//! What strangers write to an XMPP server.

use folkmoot_xmpp::{
    blocking, bookmarks, bosh, caps, carbons, commands, dialback, disco, extdisco,
    forms::Form,
    hints::Traits,
    mam, mds, ns, private, pubsub, push, registration, roster,
    sasl::{
        ChannelBindings, ClientFirst, External, Hash, HtInitial, Mechanism, Plain, ScramMechanism,
        Verifier,
    },
    sm,
    stanza::{Condition, IqType, Stanza},
    stream::Profile,
    upload, vcard, websocket,
    xml::{Element, Limits, Reader, XmlError},
};

use crate::first;

/// Where the limits are low enough to be met.
const LIMITS: Limits = Limits {
    element_bytes: 4096,
    depth: 8,
    children: 16,
};

/// A stream: the first byte says how the network cut the rest. Where it was cut makes no difference, and every element
/// means the same when it is written and read again. The whole is also a message of a WebSocket and a body of BOSH.
pub fn xmpp_xml(data: &[u8]) {
    let Some((size, data)) = first(data) else {
        return;
    };
    let whole = events(data.chunks(data.len().max(1)));
    assert_eq!(
        whole,
        events(data.chunks(size + 1)),
        "cut after {size} bytes"
    );
    let _ = websocket::Frame::read(data, LIMITS);
    let _ = bosh::Body::read(data, LIMITS);
}

fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Option<String>) {
    let mut reader = Reader::new(LIMITS);
    let mut seen = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(event)) => {
                    if let Ok(header) = event.header(Profile::Client) {
                        header.write(Profile::Client, &mut Vec::new());
                    }
                    if let folkmoot_xmpp::xml::Event::Element(element) = &event {
                        again(element);
                    }
                    seen.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    // How far a fault was read before it was seen is no promise.
                    let kind = match error {
                        XmlError::NotWellFormed(_) | XmlError::Restricted(_) => "xml".to_owned(),
                        other => other.to_string(),
                    };
                    return (seen, Some(kind));
                }
            }
        }
    }
    (seen, None)
}

/// Written and read again, an element is the same.
fn again(element: &Element) {
    let mut written = Vec::new();
    element.write("", &mut written);
    let read = Element::parse(&written, Limits::SERVER).expect("what was read is written as XML");
    assert_eq!(read.name, element.name);
    assert_eq!(read.attributes(), element.attributes());
    assert_eq!(read.children().len(), element.children().len());
    let mut twice = Vec::new();
    read.write("", &mut twice);
    assert_eq!(twice, written);
}

/// One element as a stanza, and its payload as everything that a server understands.
pub fn xmpp_stanza(data: &[u8]) {
    let Ok(element) = Element::parse_below(ns::CLIENT, data, LIMITS) else {
        return;
    };
    nonzas(&element);
    let stanza = match Stanza::read(element) {
        Ok(stanza) => stanza,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut written = Vec::new();
    stanza.write(&mut written);
    let read =
        Element::parse_below(ns::CLIENT, &written, Limits::SERVER).expect("it was read before");
    let read = Stanza::read(read).expect("it was a stanza before");
    assert_eq!(
        (&read.to, &read.from, &read.id, read.kind),
        (&stanza.to, &stanza.from, &stanza.id, stanza.kind)
    );
    assert_eq!(read.content(), stanza.content());
    let _ = (
        Traits::of(&stanza),
        caps::Caps::of(&stanza),
        mds::take(&stanza),
        pubsub::Approval::read(&stanza),
    );
    let _ = vcard::with_hash(stanza.clone(), Some("00"));
    if let Some(error) = stanza.error(&Condition::BadRequest.into()) {
        assert!(
            error.error(&Condition::BadRequest.into()).is_none(),
            "an error is not answered"
        );
    }
    for child in stanza.children() {
        let payload = stanza
            .open(child)
            .expect("a child was read with its stanza");
        for kind in [IqType::Get, IqType::Set] {
            payloads(kind, &payload);
        }
    }
}

fn nonzas(element: &Element) {
    let _ = sm::Request::read(element);
    if let Some(Ok(message)) = dialback::Message::read(element) {
        let _ = message.judge("secret", true).written();
    }
}

fn payloads(kind: IqType, payload: &Element) {
    let account = "me@a.example".parse().expect("an address");
    let asker = "me@a.example/x".parse().expect("an address");
    let _ = roster::Request::read(kind, payload, &account);
    let _ = blocking::Request::read(kind, payload);
    let _ = carbons::Request::read(kind, payload);
    let _ = private::Request::read(kind, payload);
    let _ = registration::Request::read(kind, payload, None);
    let _ = pubsub::Request::read(kind, payload, &asker);
    let _ = (
        mam::Query::read(payload),
        push::Request::read(payload),
        commands::Request::read(payload),
    );
    let _ = (
        upload::Request::read(payload, 1000),
        extdisco::Request::read(payload),
    );
    let _ = (
        vcard::Avatar::on_card(payload),
        bookmarks::differences(payload, &[]),
    );
    if let Ok(form) = Form::read(payload) {
        let mut out = folkmoot_xmpp::xml::Markup::default();
        form.write(&mut out);
        let read = Element::parse(&out.into_bytes(), Limits::SERVER).expect("a form is XML");
        assert_eq!(Form::read(&read).expect("it was a form before"), form);
        let _ = pubsub::Config::pep().with(&form, &service());
    }
    if let Ok(info) = disco::Info::read(payload) {
        let caps = caps::Caps::tell("urn:x", &info);
        let _ = caps.verify(&info);
    }
}

fn service() -> pubsub::Service {
    let address = "me@a.example".parse().expect("an address");
    pubsub::Service::new(address, pubsub::ServiceKind::Pep)
}

/// What a client says to prove who it is: the first byte names the mechanism, the rest are its messages, one in a line.
pub fn xmpp_sasl(data: &[u8]) {
    let Some((which, data)) = first(data) else {
        return;
    };
    let mut messages = data.splitn(2, |byte| *byte == b'\n');
    let message = messages.next().unwrap_or_default();
    if let Ok(name) = str::from_utf8(message)
        && let Some(mechanism) = Mechanism::from_name(name)
    {
        assert_eq!(mechanism.name(), name);
    }
    let bindings = ChannelBindings {
        exporter: Some([7; 32]),
        server_end_point: Some(vec![8; 32]),
    };
    match which % 8 {
        0 => drop(Plain::read(message)),
        1 => drop(External::read(message)),
        2 => {
            if let Ok(first) = HtInitial::read(message) {
                assert!(first.verify(b"a token that nobody knows", b"").is_none());
            }
        }
        other => {
            let hash = [Hash::Sha1, Hash::Sha256, Hash::Sha512][other % 3];
            let mechanism = ScramMechanism {
                hash,
                plus: other % 2 == 0,
            };
            let Ok(first) = ClientFirst::read(message, mechanism, &bindings, which > 127) else {
                return;
            };
            let verifier = Verifier::decoy(hash, b"a secret that nobody knows", &first.name);
            let challenge = first
                .challenge(verifier, "nonce", None)
                .expect("the hash is the same");
            let answer = messages.next().unwrap_or_default();
            assert!(
                challenge.verify(answer).is_err(),
                "nobody knows the password"
            );
        }
    }
}
