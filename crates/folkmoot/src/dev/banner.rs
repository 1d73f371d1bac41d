//! What a person reads when the network is up.

use std::{fmt::Write as _, net::IpAddr};

use super::{DevOptions, Network, doors::Address, in_url, is_public, ready::local_host, xmpp};
use crate::net;

/// A line for each door, and which setting of an SDK leads there.
pub(super) fn banner(network: &Network, options: &DevOptions, until_signal: bool) -> String {
    let mut text = String::new();
    let ends = if until_signal { " Ctrl-C ends it." } else { "" };
    let version = env!("CARGO_PKG_VERSION");
    line(
        &mut text,
        &format!("Folkmoot {version}: an XMTP network on this machine.{ends}\n"),
    );
    for address in &network.addresses {
        let door = address.door;
        let url = address.url(&shown_host(address));
        line(
            &mut text,
            &format!("  {url:<26} {:<14} {}", door.what(), door.setting()),
        );
    }
    if is_public(options) {
        text.push('\n');
        line(
            &mut text,
            "  For phones and emulators (HTTPS by a certificate of its own):",
        );
        for host in reachable(options) {
            for address in &network.addresses {
                let plain = address.url(&host);
                let secure = plain.replacen("http:", "https:", 1);
                line(
                    &mut text,
                    &format!("  {plain:<30} {secure:<31} {}", address.door.what()),
                );
            }
        }
    }
    text.push('\n');
    line(&mut text, &format!("  {}", xmpp::note()));
    line(&mut text, &format!("  {}", data_note(options)));
    if let Some(faults) = &options.faults {
        line(&mut text, &format!("  Faults: {faults}"));
    }
    text.push('\n');
    text
}

/// How a person on this machine dials a door.
pub(super) fn shown_host(address: &Address) -> String {
    match local_host(address).as_str() {
        "127.0.0.1" => "localhost".to_owned(),
        other => other.to_owned(),
    }
}

/// What becomes of the data.
pub(super) fn data_note(options: &DevOptions) -> String {
    match (&options.data, options.keep) {
        (Some(path), true) => format!("Data: {}, kept.", path.display()),
        (Some(path), false) => format!(
            "Data: {}, emptied at the next start (--keep keeps it).",
            path.display()
        ),
        (None, _) => "Data: gone at the end (--data DIR --keep keeps it).".to_owned(),
    }
}

/// The hosts under which other devices may dial, where that is not the loopback.
fn reachable(options: &DevOptions) -> Vec<String> {
    if let Some(name) = &options.public_host {
        return vec![name.clone()];
    }
    let mut hosts = Vec::new();
    for address in &options.listen {
        if address.is_unspecified() {
            let same_kind = |found: &IpAddr| address.is_ipv6() || found.is_ipv4();
            hosts.extend(net::machine_addresses().into_iter().filter(same_kind));
        } else if !address.is_loopback() {
            hosts.push(*address);
        }
    }
    hosts.into_iter().map(in_url).collect()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("text takes everything");
}
