//! Accounts on their way from one server to another, in one file (XEP-0227).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jid::{BareJid, Jid};

use crate::{
    forms::Form,
    mam::{self, FORWARD, Found, write_forwarded},
    moment::{DELAY, Moment},
    ns, private,
    pubsub::{self, Affiliation, Config, Node, Service, ServiceKind, Subscribed},
    roster,
    sasl::{Hash, Verifier},
    stanza::Stanza,
    subscription::Subscription,
    vcard,
    xml::{Element, Limits, Markup, XmlError},
};

/// The format.
pub const NS: &str = "urn:xmpp:pie:0";
const SCRAM: &str = "urn:xmpp:pie:0#scram";
const ARCHIVE: &str = "urn:xmpp:pie:0#mam";
const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// Why a file cannot be taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PieError {
    /// It is no XML, or none that XMPP allows.
    #[error("the file is {0}")]
    Xml(#[from] XmlError),
    /// It is another format.
    #[error("the file has no server-data of XEP-0227 at its top")]
    OtherFormat,
    /// It refers to other files, which are not followed.
    #[error("the file includes others: put them into one first")]
    Included,
    /// Something of an account cannot be.
    #[error("{what} of {whose} is broken")]
    Broken {
        /// What.
        what: &'static str,
        /// The account or host.
        whose: String,
    },
}

/// An account with everything that is its own.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its password, where a server knew it.
    pub password: Option<String>,
    /// What proves its password.
    pub verifiers: Vec<Verifier>,
    /// Its contacts, with the requests that wait for an answer.
    pub roster: Vec<roster::Item>,
    /// Messages that wait, with the time they carry.
    pub offline: Vec<Stanza>,
    /// What its clients keep, each element written to stand alone.
    pub private: Vec<Vec<u8>>,
    /// Its card, as a server keeps it: with the picture.
    pub vcard: Option<Vec<u8>>,
    /// What it publishes.
    pub nodes: Vec<(Node, Vec<pubsub::Item>)>,
    /// Its archive, oldest first.
    pub archive: Vec<Found>,
}

/// The accounts of one domain.
#[derive(Clone, Debug)]
pub struct Host {
    /// The domain.
    pub domain: String,
    /// Its accounts.
    pub users: Vec<User>,
}

/// Reads a file. What this server does not keep is left out.
///
/// # Errors
///
/// [`PieError`], which names the account.
pub fn read(file: &[u8]) -> Result<Vec<Host>, PieError> {
    let data = Element::parse(without_declaration(file), Limits::OWN)?;
    if !data.name.is(NS, "server-data") {
        return Err(PieError::OtherFormat);
    }
    let check = |element: &Element| {
        let mut children = element.children().iter();
        if children.any(|child| child.name.namespace.as_str() == XINCLUDE) {
            return Err(PieError::Included);
        }
        Ok(())
    };
    check(&data)?;
    let hosts = data.open_children(NS, "host").map(|host| {
        check(&host)?;
        let domain = host.attribute("jid").unwrap_or_default().to_owned();
        let at = BareJid::new(&domain).map_err(|_| PieError::Broken {
            what: "the name",
            whose: "a host".to_owned(),
        })?;
        let users = host
            .open_children(NS, "user")
            .map(|user| User::read(&user, &at));
        Ok(Host {
            users: users.collect::<Result<_, _>>()?,
            domain,
        })
    });
    hosts.collect()
}

/// Writes a file.
#[must_use]
pub fn write(hosts: &[Host]) -> Vec<u8> {
    let mut out = Markup::default();
    out.raw(b"<?xml version='1.0' encoding='UTF-8'?>\n");
    out.open("server-data").attribute("xmlns", NS);
    for host in hosts {
        out.open("host").attribute("jid", &host.domain);
        host.users
            .iter()
            .for_each(|user| user.write(&host.domain, &mut out));
        out.close("host");
    }
    out.close("server-data");
    out.into_bytes()
}

impl User {
    fn read(user: &Element, host: &BareJid) -> Result<Self, PieError> {
        let name = user.attribute("name").unwrap_or_default().to_owned();
        let whose = format!("{name}@{host}");
        let broken = |what: &'static str| PieError::Broken {
            what,
            whose: whose.clone(),
        };
        let account = BareJid::new(&whose).map_err(|_| broken("the name"))?;
        let mut found = Self {
            password: user.attribute("password").map(str::to_owned),
            name,
            ..Self::default()
        };
        for credentials in user.open_children(SCRAM, "scram-credentials") {
            let mechanism = credentials.attribute("mechanism").unwrap_or_default();
            let hash = match mechanism {
                "SCRAM-SHA-1" => Hash::Sha1,
                "SCRAM-SHA-256" => Hash::Sha256,
                "SCRAM-SHA-512" => Hash::Sha512,
                _ => continue,
            };
            let verifier = read_verifier(&credentials, hash);
            found
                .verifiers
                .push(verifier.ok_or_else(|| broken("scram-credentials"))?);
        }
        if let Some(query) = user.open_child(roster::NS, "query") {
            for item in query.open_children(roster::NS, "item") {
                found
                    .roster
                    .push(read_contact(&item).ok_or_else(|| broken("a contact"))?);
            }
        }
        for presence in user.open_children(ns::CLIENT, "presence") {
            let request = Stanza::read(presence).map_err(|_| broken("a request for presence"))?;
            found.add_request(&request);
        }
        let waiting = user.open_child(NS, "offline-messages");
        for message in waiting
            .iter()
            .flat_map(|all| all.open_children(ns::CLIENT, "message"))
        {
            found
                .offline
                .push(Stanza::read(message).map_err(|_| broken("a message"))?);
        }
        if let Some(query) = user.open_child(private::NS, "query") {
            let kept = query
                .children()
                .iter()
                .filter_map(|child| query.open(child).ok());
            found.private = kept.map(|element| private::kept(&element)).collect();
        }
        found.vcard = user
            .open_child(vcard::NS, "vCard")
            .map(|card| private::kept(&card));
        found.nodes = read_nodes(user, &account).ok_or_else(|| broken("a node"))?;
        if let Some(archive) = user.open_child(ARCHIVE, "archive") {
            for result in archive.open_children(mam::NS, "result") {
                found
                    .archive
                    .push(read_found(&result).ok_or_else(|| broken("an archived message"))?);
            }
        }
        Ok(found)
    }

    /// A request that waits belongs to the contact who made it.
    fn add_request(&mut self, request: &Stanza) {
        let Some(from) = request.from.as_ref().map(|from| Jid::from(from.to_bare())) else {
            return;
        };
        let mut written = Vec::new();
        request.write(&mut written);
        let place = self.roster.iter().position(|item| item.jid == from);
        let place = place.unwrap_or_else(|| {
            self.roster.push(roster::Item::new(from));
            self.roster.len() - 1
        });
        let item = &mut self.roster[place];
        item.subscription.pending_in = true;
        item.request = Some(written.into());
    }

    fn write(&self, domain: &str, out: &mut Markup) {
        out.open("user").attribute("name", &self.name);
        out.maybe("password", self.password.as_deref());
        for verifier in &self.verifiers {
            write_verifier(verifier, out);
        }
        out.open("query").attribute("xmlns", roster::NS);
        for item in self.roster.iter().filter(|item| item.is_shown()) {
            item.write(out);
        }
        out.close("query");
        for request in self.roster.iter().filter_map(roster::Item::pending_request) {
            let mut bytes = Vec::new();
            request.write_in(ns::CLIENT, &mut bytes);
            out.raw(&bytes);
        }
        if !self.offline.is_empty() {
            out.open("offline-messages");
            for message in &self.offline {
                let mut bytes = Vec::new();
                message.write_in(ns::CLIENT, &mut bytes);
                out.raw(&bytes);
            }
            out.close("offline-messages");
        }
        if !self.private.is_empty() {
            out.open("query").attribute("xmlns", private::NS);
            for kept in &self.private {
                out.raw(kept);
            }
            out.close("query");
        }
        if let Some(card) = &self.vcard {
            out.raw(card);
        }
        self.write_nodes(domain, out);
        if !self.archive.is_empty() {
            out.open("archive").attribute("xmlns", ARCHIVE);
            for found in &self.archive {
                out.open("result")
                    .attribute("xmlns", mam::NS)
                    .attribute("id", &found.id);
                write_forwarded(out, Some(found.at), &found.message);
                out.close("result");
            }
            out.close("archive");
        }
        out.close("user");
    }

    fn write_nodes(&self, domain: &str, out: &mut Markup) {
        let Ok(account) = BareJid::new(&format!("{}@{domain}", self.name)) else {
            return;
        };
        if self.nodes.is_empty() {
            return;
        }
        let service = Service::new(account, ServiceKind::Pep);
        out.open("pubsub").attribute("xmlns", pubsub::OWNER);
        for (node, _) in &self.nodes {
            out.open("configure").attribute("node", &node.name);
            node.config.form(&service).write(out);
            out.close("configure");
            out.open("affiliations").attribute("node", &node.name);
            for (who, affiliation) in &node.affiliations {
                out.open("affiliation")
                    .attribute("jid", who.as_str())
                    .attribute("affiliation", affiliation.name())
                    .end();
            }
            out.close("affiliations");
            out.open("subscriptions").attribute("node", &node.name);
            for (who, state) in &node.subscriptions {
                out.open("subscription")
                    .attribute("jid", who.as_str())
                    .attribute("subscription", state.name())
                    .end();
            }
            out.close("subscriptions");
        }
        out.close("pubsub")
            .open("pubsub")
            .attribute("xmlns", pubsub::NS);
        for (node, items) in &self.nodes {
            out.open("items").attribute("node", &node.name);
            for item in items {
                out.open("item").attribute("id", &item.id);
                out.raw(&item.payload).close("item");
            }
            out.close("items");
        }
        out.close("pubsub");
    }
}

/// The element of a file, which may begin with a mark of its encoding and an XML declaration.
fn without_declaration(file: &[u8]) -> &[u8] {
    let file = file
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(file)
        .trim_ascii_start();
    if !file.starts_with(b"<?xml ") {
        return file;
    }
    let end = file.windows(2).position(|pair| pair == b"?>");
    end.map_or(file, |end| &file[end + 2..])
}

fn read_verifier(credentials: &Element, hash: Hash) -> Option<Verifier> {
    let bytes = |name: &str| {
        STANDARD
            .decode(credentials.text_of(SCRAM, name)?.trim())
            .ok()
    };
    let verifier = Verifier {
        hash,
        salt: bytes("salt")?,
        iterations: credentials
            .text_of(SCRAM, "iter-count")?
            .trim()
            .parse()
            .ok()?,
        stored_key: bytes("stored-key")?,
        server_key: bytes("server-key")?,
    };
    let length = hash.digest(b"").len();
    let fits = verifier.iterations > 0
        && verifier.stored_key.len() == length
        && verifier.server_key.len() == length;
    fits.then_some(verifier)
}

fn write_verifier(verifier: &Verifier, out: &mut Markup) {
    let mechanism = match verifier.hash {
        Hash::Sha1 => "SCRAM-SHA-1",
        Hash::Sha256 => "SCRAM-SHA-256",
        Hash::Sha512 => "SCRAM-SHA-512",
    };
    out.open("scram-credentials")
        .attribute("xmlns", SCRAM)
        .attribute("mechanism", mechanism);
    out.with_text("iter-count", &verifier.iterations.to_string())
        .with_text("salt", &STANDARD.encode(&verifier.salt))
        .with_text("server-key", &STANDARD.encode(&verifier.server_key))
        .with_text("stored-key", &STANDARD.encode(&verifier.stored_key));
    out.close("scram-credentials");
}

fn read_contact(item: &Element) -> Option<roster::Item> {
    let state = Subscription::from_name(item.attribute("subscription").unwrap_or("none"))?;
    let groups = item
        .open_children(roster::NS, "group")
        .filter_map(|group| group.text().ok());
    Some(roster::Item {
        name: item.attribute("name").unwrap_or_default().to_owned(),
        groups: groups.collect(),
        subscription: Subscription {
            pending_out: item.attribute("ask") == Some("subscribe"),
            approved: matches!(item.attribute("approved"), Some("true" | "1")),
            ..state
        },
        listed: true,
        ..roster::Item::new(Jid::new(item.attribute("jid")?).ok()?)
    })
}

fn read_nodes(user: &Element, account: &BareJid) -> Option<Vec<(Node, Vec<pubsub::Item>)>> {
    let service = Service::new(account.clone(), ServiceKind::Pep);
    let owner = user.open_child(pubsub::OWNER, "pubsub");
    let mut all: Vec<(Node, Vec<pubsub::Item>)> = Vec::new();
    for configure in owner
        .iter()
        .flat_map(|owner| owner.open_children(pubsub::OWNER, "configure"))
    {
        let form = Form::in_element(&configure).ok()?;
        let config = form.map_or_else(
            || Ok(Config::pep()),
            |form| Config::pep().with(&form, &service),
        );
        let node = Node {
            name: configure.attribute("node")?.to_owned(),
            config: config.ok()?,
            affiliations: [(account.clone(), Affiliation::Owner)].into(),
            subscriptions: std::collections::BTreeMap::new(),
        };
        all.push((node, Vec::new()));
    }
    let lists = |name: &'static str| {
        owner
            .iter()
            .flat_map(move |owner| owner.open_children(pubsub::OWNER, name))
    };
    for list in lists("affiliations") {
        let node = all
            .iter_mut()
            .find(|(node, _)| Some(node.name.as_str()) == list.attribute("node"));
        let Some((node, _)) = node else { continue };
        for one in list.open_children(pubsub::OWNER, "affiliation") {
            let affiliation = Affiliation::from_name(one.attribute("affiliation")?)?;
            node.affiliations
                .insert(BareJid::new(one.attribute("jid")?).ok()?, affiliation);
        }
    }
    for list in lists("subscriptions") {
        let node = all
            .iter_mut()
            .find(|(node, _)| Some(node.name.as_str()) == list.attribute("node"));
        let Some((node, _)) = node else { continue };
        for one in list.open_children(pubsub::OWNER, "subscription") {
            let state = match one.attribute("subscription")? {
                "subscribed" => Subscribed::Yes,
                "pending" => Subscribed::Pending,
                _ => continue,
            };
            node.subscriptions
                .insert(Jid::new(one.attribute("jid")?).ok()?, state);
        }
    }
    let published = user.open_child(pubsub::NS, "pubsub");
    for list in published
        .iter()
        .flat_map(|published| published.open_children(pubsub::NS, "items"))
    {
        let node = all
            .iter_mut()
            .find(|(node, _)| Some(node.name.as_str()) == list.attribute("node"));
        let Some((_, items)) = node else { continue };
        for item in list.open_children(pubsub::NS, "item") {
            let payload = item
                .children()
                .first()
                .and_then(|child| item.open(child).ok());
            items.push(pubsub::Item {
                id: item.attribute("id")?.to_owned(),
                publisher: Some(account.clone()),
                payload: payload
                    .map_or_else(Vec::new, |payload| private::kept(&payload))
                    .into(),
                at: Moment::default(),
            });
        }
    }
    Some(all)
}

fn read_found(result: &Element) -> Option<Found> {
    let forwarded = result.open_child(FORWARD, "forwarded")?;
    let delay = forwarded.open_child(DELAY, "delay")?;
    let message = forwarded.open_child(ns::CLIENT, "message")?;
    Some(Found {
        id: result.attribute("id")?.to_owned(),
        at: delay.attribute("stamp")?.parse().ok()?,
        message: Stanza::read(message).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{PieError, read, write};

    /// An account as another server writes it.
    const FILE: &str = "<?xml version='1.0' encoding='UTF-8'?>\
        <server-data xmlns='urn:xmpp:pie:0'><host jid='a.example'><user name='ann'>\
        <scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>10000</iter-count>\
        <salt>c2FsdA==</salt><server-key>0pXWGK0GZJ6TR73AIUN3ITYtA1g=</server-key>\
        <stored-key>Q6qT/SbybblGCZz8e8eSfCJOQic=</stored-key></scram-credentials>\
        <query xmlns='jabber:iq:roster'><item jid='bob@b' name='Bob' subscription='to' ask='subscribe'>\
        <group>Friends</group></item></query>\
        <presence xmlns='jabber:client' type='subscribe' from='bob@b'/>\
        <presence xmlns='jabber:client' type='subscribe' from='eve@b'><status>hello</status></presence>\
        <offline-messages><message xmlns='jabber:client' from='bob@b/x' to='ann@a.example' type='chat'>\
        <body>hi</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-31T12:00:00Z'/></message></offline-messages>\
        <query xmlns='jabber:iq:private'><p xmlns='urn:p'>1</p></query>\
        <vCard xmlns='vcard-temp'><FN>Ann</FN></vCard>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'>\
        <x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'>\
        <value>http://jabber.org/protocol/pubsub#node_config</value></field>\
        <field var='pubsub#access_model'><value>open</value></field><field var='pubsub#unknown'><value>1</value></field>\
        </x></configure><affiliations node='n'><affiliation jid='bob@b' affiliation='member'/></affiliations>\
        <subscriptions node='n'><subscription jid='bob@b' subscription='subscribed' subid='1'/></subscriptions></pubsub>\
        <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'><item id='i'><t xmlns='urn:t'/></item></items>\
        </pubsub><archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='7'>\
        <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-31T12:00:00Z'/>\
        <message xmlns='jabber:client' from='bob@b/x' to='ann@a.example'><body>hi</body></message></forwarded></result>\
        </archive></user></host></server-data>";

    #[test]
    fn an_account_moves_with_everything_that_is_its_own() {
        let hosts = read(FILE.as_bytes()).unwrap();
        let user = &hosts[0].users[0];
        assert_eq!(
            (hosts[0].domain.as_str(), user.name.as_str()),
            ("a.example", "ann")
        );
        assert_eq!(user.verifiers[0].iterations, 10_000);
        let states: Vec<_> = user
            .roster
            .iter()
            .map(|item| (item.jid.as_str(), item.subscription))
            .collect();
        assert!(states[0].1.to && states[0].1.pending_out && states[0].1.pending_in);
        assert!(states[1].0 == "eve@b" && states[1].1.pending_in && !user.roster[1].is_shown());
        assert_eq!(user.offline.len(), 1);
        assert_eq!(user.private, [b"<p xmlns='urn:p'>1</p>"]);
        assert!(user.vcard.is_some());
        let (node, items) = &user.nodes[0];
        assert_eq!(
            (
                node.affiliations.len(),
                node.subscriptions.len(),
                items.len()
            ),
            (2, 1, 1)
        );
        assert_eq!(user.archive[0].id, "7");
        // What is written is read as the same.
        let written = write(&hosts);
        let again = read(&written).unwrap();
        assert_eq!(
            format!("{:?}", again[0].users[0].roster),
            format!("{:?}", user.roster)
        );
        assert_eq!(again[0].users[0].nodes, user.nodes);
        assert_eq!(again[0].users[0].verifiers, user.verifiers);
        assert_eq!(write(&again), written);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_account() {
        let refuse = |from: &str, to: &str| {
            read(FILE.replace(from, to).as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refuse("jid='bob@b' name", "jid='@' name"),
            "a contact of ann@a.example is broken"
        );
        assert_eq!(
            refuse("10000", "0"),
            "scram-credentials of ann@a.example is broken"
        );
        assert_eq!(
            refuse("name='ann'", "name='a@b@c'"),
            "the name of a@b@c@a.example is broken"
        );
        assert_eq!(
            refuse("stamp='2026-01-31T12:00:00Z'/><message", "/><message"),
            "an archived message of ann@a.example is broken"
        );
        assert_eq!(read(b"<x/>").unwrap_err(), PieError::OtherFormat);
        assert!(matches!(read(b"<x"), Err(PieError::Xml(_))));
        let included = "<server-data xmlns='urn:xmpp:pie:0'><include xmlns='http://www.w3.org/2001/XInclude' href='x'/>\
            </server-data>";
        assert_eq!(read(included.as_bytes()).unwrap_err(), PieError::Included);
    }
}
