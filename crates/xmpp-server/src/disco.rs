//! What the server and its accounts can do (XEP-0030), from one table.

use folkmoot_xmpp::{
    blocking, caps, carbons,
    disco::{self, INFO, ITEMS, Identity, Info},
    entity_time, last, mam, offline, ping, private, roster,
    stanza::{Condition, StanzaError},
    vcard, version,
    xml::Element,
};
use jid::Jid;

use crate::rooms;

/// An extension: where it is told of.
struct Extension {
    /// Its namespace or feature.
    feature: &'static str,
    /// The server tells of it.
    server: bool,
    /// Accounts tell of it.
    account: bool,
}

const fn both(feature: &'static str) -> Extension {
    Extension {
        feature,
        server: true,
        account: true,
    }
}

const fn server(feature: &'static str) -> Extension {
    Extension {
        feature,
        server: true,
        account: false,
    }
}

const fn account(feature: &'static str) -> Extension {
    Extension {
        feature,
        server: false,
        account: true,
    }
}

/// What there is.
const EXTENSIONS: &[Extension] = &[
    both(INFO),
    both(ITEMS),
    both(ping::NS),
    both(version::NS),
    both(entity_time::NS),
    both(last::NS),
    both(vcard::NS),
    server(carbons::NS),
    server(carbons::RULES),
    server(blocking::NS),
    server(private::NS),
    server(offline::FEATURE),
    both("urn:xmpp:sid:0"),
    account(mam::NS),
    account("urn:xmpp:mam:2#extended"),
];

/// The URI under which the server's own abilities are told.
const NODE: &str = "https://folkmoot.example/server";

/// The features of a session beside binding and stream management.
pub(crate) fn stream_features() -> Vec<u8> {
    let mut out = folkmoot_xmpp::xml::Markup::default();
    out.open("ver").attribute("xmlns", roster::VERSIONING).end();
    out.open("sub")
        .attribute("xmlns", roster::PRE_APPROVAL)
        .end();
    let mut told = Vec::new();
    caps::Caps::tell(NODE, &info_of_server())
        .element()
        .write("", &mut told);
    out.raw(&told);
    out.into_bytes()
}

fn info_of_server() -> Info {
    let told = EXTENSIONS.iter().filter(|extension| extension.server);
    Info::of(Identity::new("server", "im", "Folkmoot")).with_features(told.map(|told| told.feature))
}

/// The payload of the server's answer.
///
/// # Errors
///
/// `item-not-found` for a node that it does not have.
pub(crate) fn of_server(query: &Element) -> Result<Vec<u8>, StanzaError> {
    let mut info = info_of_server();
    if let Some(node) = query.attribute("node") {
        if node != caps::Caps::tell(NODE, &info).disco_node() {
            return Err(Condition::ItemNotFound.into());
        }
        info.node = Some(node.to_owned());
    }
    Ok(info.payload())
}

/// The payload that lists what belongs to the server.
pub(crate) fn items_of_server(query: &Element, server: Option<&Jid>) -> Vec<u8> {
    let node = query.attribute("node");
    let services = server.and_then(|server| {
        let address = rooms::service_of(server.domain().as_str());
        let rooms = Jid::new(&address).ok()?;
        let name = Some("Rooms".to_owned());
        Some(disco::Item {
            name,
            ..disco::Item::at(rooms)
        })
    });
    let services: Vec<disco::Item> = services.into_iter().filter(|_| node.is_none()).collect();
    disco::items(node, &services, None)
}

/// The payload of an account's answer.
///
/// # Errors
///
/// `item-not-found`: accounts have no nodes.
pub(crate) fn of_account(query: &Element) -> Result<Vec<u8>, StanzaError> {
    if query.attribute("node").is_some() {
        return Err(Condition::ItemNotFound.into());
    }
    let told = EXTENSIONS.iter().filter(|extension| extension.account);
    let info = Info::of(Identity::new("account", "registered", ""));
    Ok(info.with_features(told.map(|told| told.feature)).payload())
}
