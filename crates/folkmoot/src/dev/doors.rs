//! The ports of a development network.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    failure::{Exit, Failure},
    listen, ports,
};

use super::Sockets;

/// A port of a development network, and who comes through it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Door {
    /// Native SDKs.
    V3,
    /// Browser SDKs.
    Web,
    /// People and scripts.
    Http,
    /// History files, for device sync.
    History,
    /// d14n clients, for reading.
    D14n,
    /// d14n clients, for writing.
    Gateway,
    /// XMPP clients that begin without TLS and go over to it.
    Xmpp,
    /// XMPP clients that begin with TLS.
    XmppTls,
}

impl Door {
    /// All of them, in the order in which people are told.
    pub const ALL: [Self; 8] = [
        Self::V3,
        Self::Web,
        Self::Http,
        Self::History,
        Self::D14n,
        Self::Gateway,
        Self::Xmpp,
        Self::XmppTls,
    ];

    /// The port that official SDKs dial in their environment "local", and XMPP clients on every server.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::V3 => 5556,
            Self::Web => 5557,
            Self::Http => 5555,
            Self::History => 5558,
            Self::D14n => 5050,
            Self::Gateway => 5052,
            Self::Xmpp => 5222,
            Self::XmppTls => 5223,
        }
    }

    /// Its name in the ready file, and, in capitals, in the environment.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::Web => "web",
            Self::Http => "http",
            Self::History => "history",
            Self::D14n => "d14n",
            Self::Gateway => "gateway",
            Self::Xmpp => "xmpp",
            Self::XmppTls => "xmpps",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::V3 => "v3, gRPC",
            Self::Web => "v3, gRPC-Web",
            Self::Http => "page and JSON",
            Self::History => "history files",
            Self::D14n => "d14n node",
            Self::Gateway => "d14n gateway",
            Self::Xmpp => "XMPP",
            Self::XmppTls => "XMPP over TLS",
        }
    }

    /// Which setting of an SDK leads here.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::V3 => "native SDKs: env \"local\", or apiUrl",
            Self::Web => "browser SDK: env \"local\", or apiUrl",
            Self::Http => "you: open it in a browser",
            Self::History => "all SDKs: env \"local\", or historySyncUrl",
            Self::D14n => "nothing to set: the gateway names it",
            Self::Gateway => "all SDKs: gatewayHost",
            Self::Xmpp => "XMPP apps: domain localhost, STARTTLS",
            Self::XmppTls => "XMPP apps: domain localhost, direct TLS",
        }
    }
}

/// Which ports are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ports {
    /// Those that SDKs dial by default, plus a number.
    Offset(u16),
    /// Whatever is free.
    Auto,
}

/// Where a door is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    /// Which door.
    pub(super) door: Door,
    /// Its port.
    pub(super) port: u16,
    /// Where it listens.
    pub(super) listens: Vec<IpAddr>,
}

impl Address {
    /// The URL of this door when dialled at `host`, which stands in brackets if it is IPv6.
    pub(super) fn url(&self, host: &str) -> String {
        let scheme = match self.door {
            Door::Xmpp => "xmpp",
            Door::XmppTls => "xmpps",
            _ => "http",
        };
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// How often a free port is looked for that is free on all addresses.
const TRIES: usize = 20;

/// Opens all doors on the addresses in `listen`, or on this machine's loopback addresses.
pub(super) fn open(ports: Ports, listen: &[IpAddr]) -> Result<Vec<(Address, Sockets)>, Failure> {
    Door::ALL
        .iter()
        .map(|door| match ports {
            Ports::Offset(offset) => {
                let port = door.port().checked_add(offset).ok_or_else(|| {
                    Failure::new(
                        Exit::Usage,
                        format!("port {} + {offset} is more than 65535", door.port()),
                        "a --port-offset up to 59977",
                    )
                })?;
                open_door(*door, port, listen)
            }
            Ports::Auto => (1..TRIES)
                .find_map(|_| open_door(*door, 0, listen).ok())
                .map_or_else(|| open_door(*door, 0, listen), Ok),
        })
        .collect()
}

fn open_door(door: Door, mut port: u16, listen: &[IpAddr]) -> Result<(Address, Sockets), Failure> {
    const LOOPBACK: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let wanted = if listen.is_empty() { &LOOPBACK } else { listen };
    let mut sockets = Sockets::new();
    let mut listens = Vec::new();
    for ip in wanted {
        let address = SocketAddr::new(*ip, port);
        match listen::bind(address) {
            Ok(socket) => {
                port = socket.local_addr().map_or(port, |bound| bound.port());
                sockets.push(socket);
                listens.push(*ip);
            }
            // Many machines and containers are without IPv6; then IPv4 is all there is.
            Err(cause) if listen.is_empty() && ip.is_ipv6() && has_no_ipv6(cause.kind()) => {}
            Err(cause) => return Err(no_door(door, address, cause)),
        }
    }
    let address = Address {
        door,
        port,
        listens,
    };
    Ok((address, sockets))
}

fn has_no_ipv6(kind: ErrorKind) -> bool {
    kind != ErrorKind::AddrInUse && kind != ErrorKind::PermissionDenied
}

fn no_door(door: Door, address: SocketAddr, cause: std::io::Error) -> Failure {
    if cause.kind() != ErrorKind::AddrInUse {
        return Failure::new(
            Exit::Failed,
            format!("cannot listen on {address} ({})", door.what()),
            "--listen with an address of this machine, or --port-offset",
        )
        .because(cause);
    }
    let way_out = "--port-offset 10000, or --ports auto";
    let remedy = match ports::holder(address.port()) {
        Some(holder) => format!("{way_out}, or end that process with `kill {}`", holder.pid),
        None => format!("{way_out}, or end that process"),
    };
    let what = format!("{} ({})", ports::taken(address), door.what());
    Failure::new(Exit::Refused, what, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_names_its_holder_and_the_way_out() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let failure = open_door(Door::V3, port, &[]).unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains(&format!("127.0.0.1:{port} is taken by")),
            "{text}"
        );
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        assert!(failure.remedy().contains("--port-offset"));
        assert_eq!(failure.exit(), Exit::Refused);
    }

    #[tokio::test]
    async fn free_ports_are_found_for_all_doors() {
        let doors = open(Ports::Auto, &[]).unwrap();
        let mut ports: Vec<_> = doors.iter().map(|(address, _)| address.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), Door::ALL.len());
    }

    #[test]
    fn ports_end_somewhere() {
        let failure = open(Ports::Offset(65_000), &[]).unwrap_err();
        assert_eq!(failure.to_string(), "port 5556 + 65000 is more than 65535");
    }
}
