//! Who is on the other side of a request, and ranges of addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The address of the client that sent a request, as a request extension.
///
/// The accept loop sets it, after it has looked through the proxies that it trusts. Limits are
/// counted per address; a request without this extension counts as coming from `::`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClientAddr(pub IpAddr);

impl ClientAddr {
    /// The address of the client that sent `request`.
    pub(crate) fn of<B>(request: &http::Request<B>) -> IpAddr {
        request
            .extensions()
            .get::<Self>()
            .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |client| {
                client.0.to_canonical()
            })
    }
}

/// All addresses that share a prefix, written `203.0.113.0/24` or `2001:db8::/32`; a single
/// address is written without a length.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct AddressRange {
    first: IpAddr,
    length: u8,
}

impl AddressRange {
    /// Whether `address` is in the range. IPv4 addresses in IPv6 clothes count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.length) == self.first
    }
}

/// Text that is not a range of addresses.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a range of addresses; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")]
pub struct InvalidAddressRange(String);

impl FromStr for AddressRange {
    type Err = InvalidAddressRange;

    /// Parses a range. Bits after the prefix must be zero, so that a slip does not pass unseen.
    fn from_str(text: &str) -> Result<Self, InvalidAddressRange> {
        parse(text).ok_or_else(|| InvalidAddressRange(text.to_owned()))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.length)
    }
}

/// `address` with all but its first `length` bits zero.
pub(crate) fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

fn parse(text: &str) -> Option<AddressRange> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let first: IpAddr = address.parse().ok()?;
    let bits = if first.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => length.parse().ok().filter(|length| *length <= bits)?,
        None => bits,
    };
    (masked(first, length) == first).then_some(AddressRange { first, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_what_shares_its_prefix() {
        let office = range("203.0.113.0/24");
        assert!(office.contains(address("203.0.113.200")));
        assert!(office.contains(address("::ffff:203.0.113.200")));
        assert!(!office.contains(address("203.0.114.1")));
        assert!(!office.contains(address("2001:db8::1")));
        assert!(range("2001:db8::/32").contains(address("2001:db8:1::1")));
        assert!(range("0.0.0.0/0").contains(address("8.8.8.8")));
        assert!(range("::1").contains(address("::1")));
        assert!(!range("::1").contains(address("::2")));
    }

    #[test]
    fn a_range_with_bits_after_its_prefix_is_refused() {
        for text in [
            "203.0.113.7/24",
            "1.2.3.4/33",
            "::/129",
            "host",
            "",
            "1.2.3.4/",
            "/8",
        ] {
            let refused = text.parse::<AddressRange>().unwrap_err();
            assert!(refused.to_string().contains("203.0.113.0/24"), "{refused}");
        }
    }
}
