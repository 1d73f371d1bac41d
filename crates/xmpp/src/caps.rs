//! What a client can do, told in its presence by a hash (XEP-0115, XEP-0390).
//!
//! A hash is worth nothing before what it stands for was read and hashed here: [`CapsCache`] knows the verified
//! ones, and says whom to ask about the others.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jid::FullJid;
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha512};

use crate::{
    disco::{Identity, Info},
    forms::{FieldKind, Form},
    stanza::Stanza,
    xml::{Element, Markup},
};

/// The protocol.
pub const NS: &str = "http://jabber.org/protocol/caps";
/// Its successor.
pub const NS2: &str = "urn:xmpp:caps";
/// Hashes by name.
const HASHES: &str = "urn:xmpp:hashes:2";

/// Verified hashes kept in memory.
const KNOWN: usize = 10_000;
/// Clients that wait for one hash.
const WAITING: usize = 1000;

/// A hash that a client told, and what to ask for it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Caps {
    /// What made it: the program's URI, or [`NS2`].
    pub node: String,
    /// The hash's name, such as `sha-1`.
    pub hash: String,
    /// The hash in Base64.
    pub ver: String,
}

impl Caps {
    /// The hash in a presence: that of XEP-0115, else one of XEP-0390. `None` when there is none that can be
    /// verified here.
    #[must_use]
    pub fn of(presence: &Stanza) -> Option<Self> {
        let open = |namespace: &str| presence.open(presence.child(namespace, "c")?).ok();
        if let Some(found) = open(NS).and_then(|c| Self::read(&c)) {
            return Some(found);
        }
        let hashes = open(NS2)?;
        hashes.open_children(HASHES, "hash").find_map(|hash| {
            let name = hash.attribute("algo")?;
            matches!(name, "sha-256" | "sha-512").then(|| {
                Some(Self {
                    node: NS2.to_owned(),
                    hash: name.to_owned(),
                    ver: hash.text().ok()?.trim().to_owned(),
                })
            })?
        })
    }

    /// Reads the `c` of XEP-0115.
    #[must_use]
    pub fn read(c: &Element) -> Option<Self> {
        let text = |name: &str| c.attribute(name).map(str::to_owned);
        let caps = Self {
            node: text("node")?,
            hash: text("hash")?,
            ver: text("ver")?,
        };
        matches!(caps.hash.as_str(), "sha-1" | "sha-256" | "sha-512").then_some(caps)
    }

    /// What this server tells about itself: the hash of `info`.
    #[must_use]
    pub fn tell(node: &str, info: &Info) -> Self {
        Self {
            node: node.to_owned(),
            hash: "sha-1".to_owned(),
            ver: STANDARD.encode(Sha1::digest(verification_string(info))),
        }
    }

    /// The `c` of XEP-0115.
    #[must_use]
    pub fn element(&self) -> Element {
        let mut out = Markup::default();
        out.open("c").attribute("xmlns", NS);
        out.attribute("hash", &self.hash)
            .attribute("node", &self.node)
            .attribute("ver", &self.ver)
            .end();
        out.into_element("")
    }

    /// The node to ask disco#info about.
    #[must_use]
    pub fn disco_node(&self) -> String {
        if self.node == NS2 {
            format!("{NS2}#{}.{}", self.hash, self.ver)
        } else {
            format!("{}#{}", self.node, self.ver)
        }
    }

    /// Whether `info` is what the hash stands for.
    #[must_use]
    pub fn verify(&self, info: &Info) -> bool {
        let input = if self.node == NS2 {
            hash_input(info)
        } else if is_ill_formed(info) {
            None
        } else {
            Some(verification_string(info).into_bytes())
        };
        let Some(input) = input else {
            return false;
        };
        let hash = match self.hash.as_str() {
            "sha-1" => Sha1::digest(input).to_vec(),
            "sha-256" => Sha256::digest(input).to_vec(),
            "sha-512" => Sha512::digest(input).to_vec(),
            _ => return false,
        };
        STANDARD.encode(hash) == self.ver
    }
}

/// What is hashed for XEP-0115 (§5.1): identities, features and forms, each in order, each ended by `<`.
#[must_use]
pub fn verification_string(info: &Info) -> String {
    let mut identities: Vec<&Identity> = info.identities.iter().collect();
    identities.sort_by_key(|identity| (&identity.category, &identity.kind, &identity.lang));
    let mut parts: Vec<String> = identities
        .into_iter()
        .map(|one| format!("{}/{}/{}/{}", one.category, one.kind, one.lang, one.name))
        .collect();
    let mut features = info.features.clone();
    features.sort();
    parts.append(&mut features);
    let forms = info
        .forms
        .iter()
        .filter_map(|form| Some((form_type(form)?, form)));
    let mut forms: Vec<_> = forms.collect();
    forms.sort_by_key(|(form_type, _)| *form_type);
    for (form_type, form) in forms {
        parts.push(form_type.to_owned());
        let mut fields: Vec<_> = form
            .fields
            .iter()
            .filter(|field| field.name != "FORM_TYPE")
            .collect();
        fields.sort_by_key(|field| &field.name);
        for field in fields {
            parts.push(field.name.clone());
            let mut values = field.values.clone();
            values.sort();
            parts.append(&mut values);
        }
    }
    parts.iter().fold(String::new(), |mut all, part| {
        all.push_str(part);
        all.push('<');
        all
    })
}

/// The form's type, if a hidden field says so; other forms do not count.
fn form_type(form: &Form) -> Option<&str> {
    let field = form.field("FORM_TYPE")?;
    (field.kind == Some(FieldKind::Hidden)).then(|| field.first())
}

/// Whether something is said twice, so that other answers would have the same hash (§5.4).
fn is_ill_formed(info: &Info) -> bool {
    let mut identities = BTreeSet::new();
    let mut features = BTreeSet::new();
    let mut types = BTreeSet::new();
    let repeats = !info.identities.iter().all(|one| identities.insert(one))
        || !info.features.iter().all(|one| features.insert(one))
        || !info
            .forms
            .iter()
            .filter_map(form_type)
            .all(|one| types.insert(one));
    let ambiguous = info.forms.iter().any(|form| {
        let values: BTreeSet<_> = form.values("FORM_TYPE").iter().collect();
        values.len() > 1
    });
    repeats || ambiguous
}

/// What is hashed for XEP-0390 (§4.1); `None` for forms that it forbids.
fn hash_input(info: &Info) -> Option<Vec<u8>> {
    let joined = |mut parts: Vec<Vec<u8>>, end: u8| {
        parts.sort();
        let mut all = parts.concat();
        all.push(end);
        all
    };
    let ended = |text: &str, end: u8| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(end);
        bytes
    };
    let features = info.features.iter().map(|feature| ended(feature, 0x1f));
    let identities = info.identities.iter().map(|one| {
        let parts = [&one.category, &one.kind, &one.lang, &one.name];
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| ended(part, 0x1f)).collect();
        bytes.push(0x1e);
        bytes
    });
    let forms = info.forms.iter().map(|form| {
        if form_type(form).is_none() || !form.reported.is_empty() || !form.items.is_empty() {
            return None;
        }
        let fields = form.fields.iter().map(|field| {
            let mut values: Vec<_> = field
                .values
                .iter()
                .map(|value| ended(value, 0x1f))
                .collect();
            values.sort();
            let mut bytes = ended(&field.name, 0x1f);
            bytes.extend(values.concat());
            bytes.push(0x1e);
            bytes
        });
        Some(joined(fields.collect(), 0x1d))
    });
    let mut all = joined(features.collect(), 0x1c);
    all.extend(joined(identities.collect(), 0x1c));
    all.extend(joined(forms.collect::<Option<_>>()?, 0x1c));
    Some(all)
}

/// What to do about a client's hash.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Ask the client for disco#info of [`Caps::disco_node`].
    Ask,
    /// This is what it can do.
    Known(Arc<Info>),
    /// Somebody was asked already.
    Waiting,
}

/// The hashes that were verified, and those that somebody was asked about.
#[derive(Debug, Default)]
pub struct CapsCache {
    known: HashMap<(String, String), Arc<Info>>,
    asked: HashMap<Caps, Vec<FullJid>>,
}

impl CapsCache {
    /// A client told this hash.
    pub fn look_up(&mut self, client: &FullJid, caps: &Caps) -> Lookup {
        if let Some(info) = self.known.get(&key(caps)) {
            return Lookup::Known(Arc::clone(info));
        }
        let waiting = self.asked.entry(caps.clone()).or_default();
        let first = waiting.is_empty();
        if !waiting.contains(client) && waiting.len() < WAITING {
            waiting.push(client.clone());
        }
        if first { Lookup::Ask } else { Lookup::Waiting }
    }

    /// What a hash stands for, if it was verified.
    #[must_use]
    pub fn known(&self, caps: &Caps) -> Option<&Arc<Info>> {
        self.known.get(&key(caps))
    }

    /// The client that was asked answered, or did not (`None`). Everybody of whom that is known now, with what
    /// they can do; and the next client to ask, if the answer was of no use.
    pub fn answered(
        &mut self,
        client: &FullJid,
        caps: &Caps,
        info: Option<Info>,
    ) -> (Vec<(FullJid, Arc<Info>)>, Option<FullJid>) {
        let mut waiting = self.asked.remove(caps).unwrap_or_default();
        match info {
            Some(info) if caps.verify(&info) => {
                if self.known.len() >= KNOWN {
                    self.known.clear();
                }
                let info = Arc::new(info);
                self.known.insert(key(caps), Arc::clone(&info));
                let all = waiting.into_iter().map(|one| (one, Arc::clone(&info)));
                (all.collect(), None)
            }
            other => {
                waiting.retain(|one| one != client);
                let next = waiting.first().cloned();
                if next.is_some() {
                    self.asked.insert(caps.clone(), waiting);
                }
                // What it says holds for itself.
                let own = other.map(|info| (client.clone(), Arc::new(info)));
                (own.into_iter().collect(), next)
            }
        }
    }

    /// A client is gone: it is asked nothing any more. Whom to ask in its place, for each hash that waits.
    pub fn forget(&mut self, client: &FullJid) -> Vec<(Caps, FullJid)> {
        let mut next = Vec::new();
        self.asked.retain(|caps, waiting| {
            let was_asked = waiting.first() == Some(client);
            waiting.retain(|one| one != client);
            if was_asked {
                next.extend(waiting.first().map(|one| (caps.clone(), one.clone())));
            }
            !waiting.is_empty()
        });
        next
    }
}

/// XEP-0115 and XEP-0390 hash different things.
fn key(caps: &Caps) -> (String, String) {
    let hash = if caps.node == NS2 {
        format!("2 {}", caps.hash)
    } else {
        caps.hash.clone()
    };
    (hash, caps.ver.clone())
}

/// Whether a client wants to be notified of what is published on a node (XEP-0163 §4.3.2).
///
/// ```
/// # use folkmoot_xmpp::{caps::wants, disco::{Identity, Info}};
/// let info = Info::of(Identity::new("client", "pc", "")).with_features(["urn:xmpp:mood+notify"]);
/// assert!(wants(&info, "urn:xmpp:mood"));
/// ```
#[must_use]
pub fn wants(info: &Info, node: &str) -> bool {
    info.features
        .iter()
        .any(|feature| feature.strip_suffix("+notify") == Some(node))
}

#[cfg(test)]
mod tests {
    use jid::FullJid;

    use super::{Caps, CapsCache, Lookup, NS2, verification_string};
    use crate::{
        disco::{Identity, Info},
        forms::{Field, FieldKind, Form, FormKind},
        stanza::{PresenceType, Stanza},
    };

    const PLAIN: [&str; 4] = [
        "http://jabber.org/protocol/caps",
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/muc",
    ];

    /// The example of XEP-0115 §5.2.
    fn exodus() -> Info {
        let mut features = PLAIN;
        features.reverse();
        Info::of(Identity::new("client", "pc", "Exodus 0.9.1")).with_features(features)
    }

    /// The example of XEP-0115 §5.3.
    fn psi() -> Info {
        let form = Form::new(FormKind::Result, "urn:xmpp:dataforms:softwareinfo")
            .with(Field::text("software", "Psi"))
            .with(Field::new("ip_version", FieldKind::TextMulti).values(["ipv6", "ipv4"]))
            .with(Field::text("os", "Mac"))
            .with(Field::text("os_version", "10.5.1"))
            .with(Field::text("software_version", "0.11"));
        let mut english = Identity::new("client", "pc", "Psi 0.11");
        english.lang = "en".into();
        let mut greek = Identity::new("client", "pc", "\u{3a8} 0.11");
        greek.lang = "el".into();
        Info {
            identities: vec![english, greek],
            ..Info::default()
        }
        .with_features(PLAIN)
        .with_form(form)
    }

    fn caps(ver: &str) -> Caps {
        Caps {
            node: "urn:x".into(),
            hash: "sha-1".into(),
            ver: ver.into(),
        }
    }

    #[test]
    fn hashes_are_those_of_the_specification() {
        assert!(verification_string(&exodus()).starts_with("client/pc//Exodus 0.9.1<http://"));
        assert_eq!(
            Caps::tell("urn:x", &exodus()),
            caps("QgayPKawpkPSDYmwT/WM94uAlu0=")
        );
        assert!(caps("QgayPKawpkPSDYmwT/WM94uAlu0=").verify(&exodus()));
        assert!(caps("q07IKJEyjvHSyhy//CH0CxmKi8w=").verify(&psi()));
        assert!(!caps("q07IKJEyjvHSyhy//CH0CxmKi8w=").verify(&exodus()));
    }

    #[test]
    fn the_successors_hash_is_that_of_the_specification() {
        let info = Info::of(Identity::new("client", "mobile", "BombusMod")).with_features([
            "http://jabber.org/protocol/si",
            "http://jabber.org/protocol/bytestreams",
            "http://jabber.org/protocol/chatstates",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "urn:xmpp:ping",
            "jabber:iq:time",
            "jabber:iq:privacy",
            "jabber:iq:version",
            "http://jabber.org/protocol/rosterx",
            "urn:xmpp:time",
            "jabber:x:oob",
            "http://jabber.org/protocol/ibb",
            "http://jabber.org/protocol/si/profile/file-transfer",
            "urn:xmpp:receipts",
            "jabber:iq:roster",
            "jabber:iq:last",
        ]);
        let hash = "kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8=";
        let presence = Stanza::new(PresenceType::Available).with_all(
            format!(
                "<c xmlns='{NS2}'><hash xmlns='urn:xmpp:hashes:2' algo='sha3-256'>x</hash>\
                 <hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{hash}</hash></c>"
            )
            .as_bytes(),
        );
        let caps = Caps::of(&presence).unwrap();
        assert_eq!(caps.disco_node(), format!("urn:xmpp:caps#sha-256.{hash}"));
        assert!(caps.verify(&info));
    }

    #[test]
    fn what_is_said_twice_is_not_believed() {
        let twice = exodus().with_features([PLAIN[0]]);
        assert!(!Caps::tell("urn:x", &twice).verify(&twice));
        let form = || Form::new(FormKind::Result, "urn:f");
        let forms = exodus().with_form(form()).with_form(form());
        assert!(!Caps::tell("urn:x", &forms).verify(&forms));
    }

    #[test]
    fn one_client_is_asked_for_all() {
        let client = |name: &str| FullJid::new(&format!("{name}@a/x")).unwrap();
        let (a, b) = (client("a"), client("b"));
        let caps = caps("QgayPKawpkPSDYmwT/WM94uAlu0=");
        let mut cache = CapsCache::default();
        assert!(matches!(cache.look_up(&a, &caps), Lookup::Ask));
        assert!(matches!(cache.look_up(&b, &caps), Lookup::Waiting));
        // The first one lies: that holds for itself alone, and the next one is asked.
        let (known, next) = cache.answered(&a, &caps, Some(psi()));
        assert_eq!(known.len(), 1);
        assert_eq!(next.as_ref(), Some(&b));
        let (known, next) = cache.answered(&b, &caps, Some(exodus()));
        assert_eq!((known.len(), next), (1, None));
        assert!(matches!(cache.look_up(&a, &caps), Lookup::Known(_)));
        assert!(cache.known(&caps).is_some());
    }

    #[test]
    fn who_left_is_not_asked() {
        let client = FullJid::new("a@a/x").unwrap();
        let caps = caps("QgayPKawpkPSDYmwT/WM94uAlu0=");
        let mut cache = CapsCache::default();
        let _ = cache.look_up(&client, &caps);
        let other = FullJid::new("b@a/x").unwrap();
        let _ = cache.look_up(&other, &caps);
        assert_eq!(cache.forget(&client), [(caps.clone(), other.clone())]);
        assert!(cache.forget(&other).is_empty());
        assert_eq!(cache.answered(&client, &caps, None).1, None);
        assert!(matches!(cache.look_up(&client, &caps), Lookup::Ask));
    }

    #[test]
    fn a_hash_is_written_into_presence() {
        let presence = Stanza::new(PresenceType::Available).with(&caps("v").element());
        assert_eq!(Caps::of(&presence), Some(caps("v")));
        let old = Stanza::new(PresenceType::Available)
            .with_all(b"<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v' ext='e'/>");
        assert_eq!(Caps::of(&old), None);
    }
}
