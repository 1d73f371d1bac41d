//! The machine's own names and addresses.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

/// Where Android's emulator finds the machine that it runs on.
const ANDROID_EMULATOR: &str = "10.0.2.2";

/// The addresses of this machine that other machines may know, the likeliest first.
pub(crate) fn machine_addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    // "Connecting" a datagram socket sends nothing; it picks the interface that leads outside.
    let routes: [(IpAddr, IpAddr); 2] = [
        (
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(192, 0, 2, 1).into(),
        ),
        (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        ),
    ];
    for (from, to) in routes {
        let found = UdpSocket::bind((from, 0))
            .and_then(|socket| socket.connect((to, 9)).map(|()| socket))
            .and_then(|socket| socket.local_addr());
        addresses.extend(found.map(|address| address.ip()));
    }
    let trie = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    addresses.extend(local_addresses(&trie));
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let is_new = !address.is_loopback() && !address.is_unspecified() && !seen.contains(address);
        seen.push(*address);
        is_new
    });
    addresses
}

/// The addresses that the kernel's table marks as its own, IPv4.
fn local_addresses(trie: &str) -> Vec<IpAddr> {
    let mut last = None;
    let mut found = Vec::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last);
        }
    }
    found
}

/// The names of a machine for itself.
pub(crate) fn loopback_names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec()
}

/// The names of this machine for its emulators and its neighbours.
pub(crate) fn machine_names() -> Vec<String> {
    let mut names = vec![ANDROID_EMULATOR.to_owned()];
    if let Some(name) = host_name() {
        names.push(format!("{name}.local"));
        names.push(name);
    }
    names.extend(machine_addresses().iter().map(ToString::to_string));
    names
}

/// The machine's name, if it is one that a certificate can have.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim().to_lowercase();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (!name.is_empty() && name.bytes().all(is_plain) && name != "localhost").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_tells_the_machines_addresses() {
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.168.7.0\n        /24 link UNICAST\n     \
            |-- 192.168.7.20\n        /32 host LOCAL\n     |-- 192.168.7.255\n        /32 link BROADCAST\n";
        assert_eq!(
            local_addresses(trie),
            ["192.168.7.20".parse::<IpAddr>().unwrap()]
        );
    }
}
