//! What the ready file says of a development network.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::doors::Address;
use crate::ready;

/// Writes the addresses as one JSON object: `pid`, and a URL for each door. The file appears
/// with all of its contents.
pub(super) fn write(file: &Path, addresses: &[Address]) -> anyhow::Result<()> {
    let mut object = Map::new();
    object.insert("pid".to_owned(), json!(std::process::id()));
    for address in addresses {
        let url = address.url(&local_host(address));
        object.insert(address.door.name().to_owned(), Value::String(url));
    }
    ready::write(file, &Value::Object(object))
}

/// How a program on this machine dials a door.
pub(super) fn local_host(address: &Address) -> String {
    let any = |ip: &&std::net::IpAddr| ip.is_unspecified() || ip.is_loopback();
    match address.listens.iter().find(any) {
        Some(ip) if ip.is_ipv6() && !ip.is_unspecified() => "[::1]".to_owned(),
        Some(_) => "127.0.0.1".to_owned(),
        None => address
            .listens
            .first()
            .map_or_else(|| "127.0.0.1".to_owned(), |ip| super::in_url(*ip)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::Door, *};

    #[test]
    fn programs_find_all_doors() {
        let place = tempfile::TempDir::new().unwrap();
        let file = place.path().join("ready.json");
        let addresses = Door::ALL.map(|door| Address {
            door,
            port: door.port(),
            listens: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        });
        write(&file, &addresses).unwrap();
        let ready: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(ready["pid"], std::process::id());
        assert_eq!(ready["v3"], "http://127.0.0.1:5556");
        assert_eq!(ready["gateway"], "http://127.0.0.1:5052");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
