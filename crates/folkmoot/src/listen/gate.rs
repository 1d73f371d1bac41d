//! Counts connections, in all and per address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

/// Lets in a limited number of connections.
#[derive(Debug)]
pub struct Gate {
    most: usize,
    most_per_address: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    /// A gate that lets in `most` connections, `most_per_address` of them from one address.
    #[must_use]
    pub fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_address,
            inside: Mutex::default(),
        })
    }

    /// How many are inside.
    #[must_use]
    pub fn open(&self) -> usize {
        self.inside.lock().all
    }

    /// A place for a connection from `peer`, if there is one. An `exempt` peer only counts in all.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr, exempt: bool) -> Option<Place> {
        let counted = (!exempt).then(|| network(peer));
        let mut inside = self.inside.lock();
        if inside.all >= self.most {
            return None;
        }
        if let Some(address) = counted {
            let of_address = inside.by_address.entry(address).or_default();
            if *of_address >= self.most_per_address {
                return None;
            }
            *of_address += 1;
        }
        inside.all += 1;
        drop(inside);
        Some(Place {
            gate: Arc::clone(self),
            counted,
        })
    }
}

/// One connection's place; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    counted: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.inside.lock();
        inside.all -= 1;
        let Some(address) = self.counted else { return };
        if let Some(of_address) = inside.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                inside.by_address.remove(&address);
            }
        }
    }
}

/// What counts as one address: an IPv6 customer has at least a /64 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = !u128::from(u64::MAX);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nobody_takes_all_places() {
        let gate = Gate::new(3, 2);
        let greedy = address("192.0.2.1");
        let first = gate.enter(greedy, false);
        let _second = gate.enter(greedy, false).unwrap();
        assert!(gate.enter(greedy, false).is_none());
        let _other = gate.enter(address("192.0.2.2"), false).unwrap();
        assert!(gate.enter(address("192.0.2.3"), false).is_none(), "full");
        drop(first);
        assert_eq!(gate.open(), 2);
        assert!(gate.enter(greedy, false).is_some());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let gate = Gate::new(9, 1);
        let _place = gate.enter(address("2001:db8::1"), false).unwrap();
        assert!(gate.enter(address("2001:db8::2"), false).is_none());
        assert!(gate.enter(address("2001:db8:0:1::1"), false).is_some());
    }

    #[test]
    fn an_exempt_peer_has_no_limit_of_its_own() {
        let gate = Gate::new(2, 1);
        let proxy = address("10.0.0.1");
        let _places = [gate.enter(proxy, true), gate.enter(proxy, true)];
        assert_eq!(gate.open(), 2);
        assert!(gate.enter(proxy, true).is_none());
    }
}
