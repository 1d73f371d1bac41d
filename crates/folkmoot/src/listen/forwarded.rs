//! Whose word counts about the client's address.
//!
//! Proxies append the address that they see to `X-Forwarded-For`, or a `for=` to `Forwarded`
//! (RFC 7239). What stands further left was said by somebody further away, who may lie. So the
//! list is read from its end, and only for as long as the speaker is trusted.

use std::net::{IpAddr, SocketAddr};

use folkmoot_node::AddressRange;
use http::{HeaderMap, HeaderName, header::FORWARDED};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are trusted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proxies(Vec<AddressRange>);

impl Proxies {
    /// Trusts proxies with addresses in any of `ranges`.
    #[must_use]
    pub const fn new(ranges: Vec<AddressRange>) -> Self {
        Self(ranges)
    }

    /// Whether `address` is a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// The client behind `peer`, who sent `headers`: the last address that no trusted proxy has.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let named = if headers.contains_key(FORWARDED) {
            forwarded(headers)
        } else {
            x_forwarded_for(headers)
        };
        for address in named.into_iter().rev() {
            let Some(address) = address else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// All elements of a header that is a comma-separated list, in order.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("unreadable").split(','))
}

fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, X_FORWARDED_FOR).map(address).collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, FORWARDED)
        .map(|element| {
            element.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                if !name.trim().eq_ignore_ascii_case("for") {
                    return None;
                }
                address(value.trim().trim_matches('"'))
            })
        })
        .collect()
}

/// An address, with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse()
        .ok()
        .or_else(bare)
        .or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, headers: &[(HeaderName, &'static str)]) -> String {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_speaks_for_nobody() {
        let lie = [(X_FORWARDED_FOR, "192.0.2.9")];
        assert_eq!(client("203.0.113.5", &lie), "203.0.113.5");
        assert_eq!(client("::ffff:203.0.113.5", &lie), "203.0.113.5");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        let told = [(X_FORWARDED_FOR, "192.0.2.66, 192.0.2.9, 10.1.1.1")];
        assert_eq!(client("10.0.0.1", &told), "192.0.2.9");
        let told = [
            (X_FORWARDED_FOR, "192.0.2.66"),
            (X_FORWARDED_FOR, "192.0.2.9"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in &told {
            headers.append(name, HeaderValue::from_static(value));
        }
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let found = proxies.client("10.0.0.1".parse().unwrap(), &headers);
        assert_eq!(found.to_string(), "192.0.2.9");
    }

    #[test]
    fn the_standard_header_counts_before_the_other() {
        let told = [
            (
                FORWARDED,
                r#"proto=https;For="[2001:db8::7]:4711";by=10.0.0.1"#,
            ),
            (X_FORWARDED_FOR, "192.0.2.9"),
        ];
        assert_eq!(client("::1", &told), "2001:db8::7");
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        let told = [(X_FORWARDED_FOR, "192.0.2.9, unknown")];
        assert_eq!(client("10.0.0.1", &told), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        let told = [(X_FORWARDED_FOR, "192.0.2.9:443")];
        assert_eq!(client("10.0.0.1", &told), "192.0.2.9");
    }
}
