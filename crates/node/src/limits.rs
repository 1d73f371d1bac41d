//! How much one client address may do, so that one client at its limits does not slow another.
//!
//! Three kinds of limits:
//! - **Rates**: token buckets for calls and for published messages. Off unless configured.
//! - **Bytes in flight**: what requests occupy in memory until they are answered, and what the
//!   answers of unary calls occupy until the client has taken them, per address and in all. What
//!   is compressed counts as what it may grow to. One plain message of the largest size always passes when nothing else is under way.
//! - **Streams** that are open at a time; those that carry everything have a limit of their own.
//!
//! IPv6 clients are counted by their /64, since that is what one subscriber gets. Memory is
//! bounded: buckets of addresses that were quiet for longest are forgotten first, and the rest
//! exists only while a request does.
//!
//! Source: node API section 3.13 for the rates, 4.6 for streams of everything.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lru::LruCache;
use parking_lot::Mutex;

use crate::{AddressRange, NodeError, client_addr::masked};

/// Addresses whose buckets are remembered.
const REMEMBERED: usize = 65_536;
/// Bits of an IPv6 address that tell subscribers apart.
const SUBSCRIBER_BITS: u8 = 64;
/// Room that the largest message needs, with its frame.
const LARGEST_MESSAGE: usize = 26 << 20;

/// Limits per client address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LimitsConfig {
    /// Token buckets; `None` is unlimited. Default: none.
    pub rates: Option<Rates>,
    /// Addresses that are refused with `PERMISSION_DENIED`. Default: none.
    pub denied: Vec<AddressRange>,
    /// Whether programs on this machine are free of all these limits. Default: no, since
    /// behind a proxy that is not configured everybody seems to come from there.
    pub exempt_loopback: bool,
    /// Most bytes of requests and answers in memory for one address; at least 26 MiB. Default: 128 MiB.
    pub address_bytes: usize,
    /// Most bytes of requests and answers in memory for all; at least 26 MiB. Default: 512 MiB.
    pub total_bytes: usize,
    /// Most open streams of one address. Default: 10 000.
    pub address_streams: usize,
    /// Most open streams of one address that carry everything, which only notification servers
    /// need. Default: as many as other streams.
    pub address_feeds: Option<usize>,
    /// Silence after which a half-sent request is given up. Default: 60 s.
    pub patience: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            rates: None,
            denied: Vec::new(),
            exempt_loopback: false,
            address_bytes: 128 << 20,
            total_bytes: 512 << 20,
            address_streams: 10_000,
            address_feeds: None,
            patience: Duration::from_secs(60),
        }
    }
}

impl LimitsConfig {
    /// The limits of a server on the open internet: the default ones, rates, and at most 2000
    /// streams per address, 2 of which carry everything.
    #[must_use]
    pub fn public() -> Self {
        Self {
            rates: Some(Rates::default()),
            address_streams: 2000,
            address_feeds: Some(2),
            ..Self::default()
        }
    }
}

/// The two token buckets of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rates {
    /// Calls that publish nothing. Default: 4000 a minute, 20 000 at once.
    pub calls: Rate,
    /// Published messages. Default: 600 a minute, 3000 at once.
    pub publishes: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            calls: Rate {
                per_minute: 4000,
                burst: 20_000,
            },
            publishes: Rate {
                per_minute: 600,
                burst: 3000,
            },
        }
    }
}

/// One token bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Tokens that come in a minute.
    pub per_minute: u32,
    /// Tokens that fit: what a client may use at once after a rest.
    pub burst: u32,
}

/// What a call uses up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cost {
    /// A call that publishes nothing.
    Call,
    /// So many published messages.
    Publish(u32),
}

/// The limits of a node and what is used of them.
#[derive(Debug)]
pub struct Limits {
    config: LimitsConfig,
    buckets: Mutex<LruCache<IpAddr, Buckets>>,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Buckets {
    calls: Bucket,
    publishes: Bucket,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    by_address: HashMap<IpAddr, Usage>,
}

#[derive(Debug, Default)]
struct Usage {
    bytes: usize,
    streams: usize,
    /// Those of the streams that carry everything.
    feeds: usize,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carries {
    /// What it was asked for.
    Some,
    /// All that is published.
    Everything,
}

impl Limits {
    /// Nothing used yet of what `config` allows.
    #[must_use]
    pub fn new(config: LimitsConfig) -> Arc<Self> {
        Arc::new(Self {
            config: LimitsConfig {
                address_bytes: config.address_bytes.max(LARGEST_MESSAGE),
                total_bytes: config.total_bytes.max(LARGEST_MESSAGE),
                ..config
            },
            buckets: Mutex::new(LruCache::unbounded()),
            used: Mutex::default(),
        })
    }

    /// What these limits were made from; too small byte budgets are raised.
    #[must_use]
    pub const fn config(&self) -> &LimitsConfig {
        &self.config
    }

    /// Takes `cost` out of the buckets of `client`.
    ///
    /// # Errors
    ///
    /// [`NodeError::Denied`] for an address on the deny list, [`NodeError::TooMuch`] when the
    /// bucket does not hold that much.
    pub fn check(&self, client: IpAddr, cost: Cost) -> Result<(), NodeError> {
        self.check_at(client, cost, Instant::now())
    }

    fn check_at(&self, client: IpAddr, cost: Cost, now: Instant) -> Result<(), NodeError> {
        if self
            .config
            .denied
            .iter()
            .any(|range| range.contains(client))
        {
            return Err(NodeError::Denied);
        }
        let Some(rates) = &self.config.rates else {
            return Ok(());
        };
        if self.is_exempt(client) {
            return Ok(());
        }
        let mut remembered = self.buckets.lock();
        let buckets = remembered.get_or_insert_mut(subscriber(client), || Buckets {
            calls: Bucket::full(rates.calls, now),
            publishes: Bucket::full(rates.publishes, now),
        });
        let taken = match cost {
            Cost::Call => buckets.calls.take(rates.calls, 1, now),
            Cost::Publish(messages) => buckets.publishes.take(rates.publishes, messages, now),
        };
        if remembered.len() > REMEMBERED {
            remembered.pop_lru();
        }
        drop(remembered);
        taken.map_err(|wait| too_fast(cost, rates, wait))
    }

    /// Begins to count a request's bytes.
    #[must_use]
    pub fn hold(self: &Arc<Self>, client: IpAddr) -> Held {
        Held {
            limits: Arc::clone(self),
            client: (!self.is_exempt(client)).then(|| subscriber(client)),
            bytes: Mutex::new(0),
        }
    }

    /// Counts a stream as open, for as long as the result lives.
    ///
    /// # Errors
    ///
    /// [`NodeError::TooMuch`] when the address has as many as it may have.
    pub fn open_stream(
        self: &Arc<Self>,
        client: IpAddr,
        carries: Carries,
    ) -> Result<OpenStream, NodeError> {
        let feeds = usize::from(carries == Carries::Everything);
        let client = (!self.is_exempt(client)).then(|| subscriber(client));
        if let Some(client) = client {
            let mut used = self.used.lock();
            let usage = used.by_address.entry(client).or_default();
            if usage.streams >= self.config.address_streams {
                return Err(NodeError::TooMuch(format!(
                    "{} streams are open from this address, which is the most; close some first",
                    usage.streams
                )));
            }
            if let Some(most) = self.config.address_feeds
                && usage.feeds + feeds > most
            {
                return Err(NodeError::TooMuch(format!(
                    "{} streams of everything are open from this address, which is the most; close one first",
                    usage.feeds
                )));
            }
            usage.streams += 1;
            usage.feeds += feeds;
        }
        Ok(OpenStream {
            limits: Arc::clone(self),
            client,
            feeds,
        })
    }

    fn is_exempt(&self, client: IpAddr) -> bool {
        self.config.exempt_loopback && client.to_canonical().is_loopback()
    }

    fn release(&self, client: IpAddr, released: &Usage) {
        let mut used = self.used.lock();
        used.bytes -= released.bytes;
        if let Some(usage) = used.by_address.get_mut(&client) {
            usage.bytes -= released.bytes;
            usage.streams -= released.streams;
            usage.feeds -= released.feeds;
            if usage.bytes == 0 && usage.streams == 0 {
                used.by_address.remove(&client);
            }
        }
    }
}

/// The bytes that one request occupies. They count until this is dropped.
#[derive(Debug)]
pub struct Held {
    limits: Arc<Limits>,
    /// `None` for an exempt address.
    client: Option<IpAddr>,
    bytes: Mutex<usize>,
}

impl Held {
    /// Counts `more` bytes.
    ///
    /// # Errors
    ///
    /// [`NodeError::TooMuch`] when they go over a budget; they are not counted then.
    pub fn grow(&self, more: usize) -> Result<(), NodeError> {
        let Some(client) = self.client else {
            return Ok(());
        };
        let config = &self.limits.config;
        let mut used = self.limits.used.lock();
        if used.bytes + more > config.total_bytes {
            return Err(NodeError::TooMuch(
                "the node has as many calls in memory as it has room for; try again in a moment"
                    .to_owned(),
            ));
        }
        let usage = used.by_address.entry(client).or_default();
        if usage.bytes + more > config.address_bytes {
            return Err(NodeError::TooMuch(format!(
                "calls from this address take more than {} bytes at a time; wait for some to be answered",
                config.address_bytes
            )));
        }
        usage.bytes += more;
        used.bytes += more;
        *self.bytes.lock() += more;
        Ok(())
    }

    /// Stops counting what was counted so far.
    pub fn release(&self) {
        let bytes = std::mem::take(&mut *self.bytes.lock());
        if let Some(client) = self.client
            && bytes > 0
        {
            let released = Usage {
                bytes,
                ..Usage::default()
            };
            self.limits.release(client, &released);
        }
    }
}

#[cfg(test)]
impl Held {
    pub(crate) fn bytes(&self) -> usize {
        *self.bytes.lock()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// One of the streams that an address may have open.
#[derive(Debug)]
pub struct OpenStream {
    limits: Arc<Limits>,
    client: Option<IpAddr>,
    /// 1 if it carries everything.
    feeds: usize,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            let released = Usage {
                bytes: 0,
                streams: 1,
                feeds: self.feeds,
            };
            self.limits.release(client, &released);
        }
    }
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    /// Takes tokens out, or says how long it takes until they are there.
    fn take(&mut self, rate: Rate, tokens: u32, now: Instant) -> Result<(), Duration> {
        let per_second = f64::from(rate.per_minute.max(1)) / 60.0;
        let came = now.saturating_duration_since(self.at).as_secs_f64() * per_second;
        self.tokens = (self.tokens + came).min(f64::from(rate.burst));
        self.at = now;
        let missing = f64::from(tokens) - self.tokens;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64(missing / per_second));
        }
        self.tokens -= f64::from(tokens);
        Ok(())
    }
}

/// The address under which a client is counted.
fn subscriber(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => masked(IpAddr::V6(address), SUBSCRIBER_BITS),
        v4 => v4,
    }
}

fn too_fast(cost: Cost, rates: &Rates, wait: Duration) -> NodeError {
    let seconds = wait.as_secs() + 1;
    NodeError::TooMuch(match cost {
        Cost::Call => format!("too many calls from this address; try again in {seconds} s"),
        Cost::Publish(messages) if messages > rates.publishes.burst => format!(
            "{messages} messages in one call; send at most {}",
            rates.publishes.burst
        ),
        Cost::Publish(_) => {
            format!("too many messages published from this address; try again in {seconds} s")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn slow() -> Arc<Limits> {
        let rate = Rate {
            per_minute: 60,
            burst: 2,
        };
        Limits::new(LimitsConfig {
            rates: Some(Rates {
                calls: rate,
                publishes: rate,
            }),
            ..LimitsConfig::default()
        })
    }

    fn is_too_much(result: Result<impl std::fmt::Debug, NodeError>) -> bool {
        matches!(result, Err(NodeError::TooMuch(_)))
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limits = slow();
        let client = address("192.0.2.1");
        let start = Instant::now();
        for _ in 0..2 {
            limits.check_at(client, Cost::Call, start).unwrap();
        }
        let refused = limits.check_at(client, Cost::Call, start).unwrap_err();
        assert!(
            refused.to_string().contains("try again in 2 s"),
            "{refused}"
        );
        let later = start + Duration::from_secs(1);
        limits.check_at(client, Cost::Call, later).unwrap();
        assert!(is_too_much(limits.check_at(client, Cost::Call, later)));
    }

    #[test]
    fn publishing_has_a_bucket_of_its_own_and_costs_by_message() {
        let limits = slow();
        let client = address("192.0.2.1");
        let now = Instant::now();
        limits.check_at(client, Cost::Publish(2), now).unwrap();
        assert!(is_too_much(limits.check_at(client, Cost::Publish(1), now)));
        limits.check_at(client, Cost::Call, now).unwrap();
        let refused = limits.check_at(client, Cost::Publish(3), now).unwrap_err();
        assert!(refused.to_string().contains("send at most 2"), "{refused}");
    }

    #[test]
    fn addresses_do_not_share_buckets_but_a_subscriber_does() {
        let limits = slow();
        let now = Instant::now();
        let publish = |text| limits.check_at(address(text), Cost::Publish(2), now);
        publish("192.0.2.1").unwrap();
        publish("192.0.2.2").unwrap();
        publish("2001:db8::1").unwrap();
        assert!(is_too_much(publish("2001:db8::2")));
        publish("2001:db8:0:1::2").unwrap();
        assert!(is_too_much(publish("::ffff:192.0.2.1")));
    }

    #[test]
    fn a_denied_address_is_denied_and_an_exempt_one_is_free() {
        let limits = Limits::new(LimitsConfig {
            denied: vec!["192.0.2.0/24".parse().unwrap()],
            exempt_loopback: true,
            address_streams: 0,
            ..LimitsConfig::public()
        });
        let denied = limits.check(address("192.0.2.9"), Cost::Call);
        assert!(matches!(denied, Err(NodeError::Denied)));
        let now = Instant::now();
        for _ in 0..2 {
            limits
                .check_at(address("127.0.0.1"), Cost::Publish(3000), now)
                .unwrap();
        }
        limits.open_stream(address("::1"), Carries::Some).unwrap();
        assert!(is_too_much(
            limits.open_stream(address("192.0.3.1"), Carries::Some)
        ));
    }

    #[test]
    fn memory_for_buckets_is_bounded() {
        let limits = slow();
        let now = Instant::now();
        for number in 0..REMEMBERED + 10 {
            let client = IpAddr::V4((number as u32).into());
            limits.check_at(client, Cost::Call, now).unwrap();
        }
        assert_eq!(limits.buckets.lock().len(), REMEMBERED);
    }

    #[test]
    fn the_largest_message_always_passes_when_nothing_else_is_under_way() {
        let limits = Limits::new(LimitsConfig {
            address_bytes: 0,
            total_bytes: 0,
            ..LimitsConfig::default()
        });
        limits.hold(address("192.0.2.1")).grow(25 * MIB).unwrap();
    }

    #[test]
    fn bytes_are_counted_per_address_and_in_all_until_they_are_released() {
        let limits = Limits::new(LimitsConfig {
            address_bytes: 30 * MIB,
            total_bytes: 50 * MIB,
            ..LimitsConfig::default()
        });
        let one = limits.hold(address("192.0.2.1"));
        one.grow(20 * MIB).unwrap();
        let same = limits.hold(address("192.0.2.1"));
        assert!(is_too_much(same.grow(20 * MIB)));
        let other = limits.hold(address("192.0.2.2"));
        other.grow(25 * MIB).unwrap();
        let third = limits.hold(address("192.0.2.3"));
        assert!(is_too_much(third.grow(10 * MIB)));
        drop(one);
        third.grow(10 * MIB).unwrap();
        other.release();
        drop((same, other, third));
        assert_eq!(limits.used.lock().bytes, 0);
        assert!(limits.used.lock().by_address.is_empty());
    }

    #[test]
    fn streams_of_everything_have_a_limit_of_their_own() {
        let limits = Limits::new(LimitsConfig::public());
        let client = address("192.0.2.1");
        let feed = |client| limits.open_stream(client, Carries::Everything);
        let (one, _other) = (feed(client).unwrap(), feed(client).unwrap());
        let refused = feed(client).unwrap_err().to_string();
        assert!(refused.starts_with("2 streams of everything"), "{refused}");
        feed(address("192.0.2.2")).unwrap();
        limits.open_stream(client, Carries::Some).unwrap();
        drop(one);
        feed(client).unwrap();
    }

    #[test]
    fn streams_are_counted_until_they_end() {
        let limits = Limits::new(LimitsConfig {
            address_streams: 1,
            ..LimitsConfig::default()
        });
        let client = address("192.0.2.1");
        let stream = limits.open_stream(client, Carries::Some).unwrap();
        assert!(is_too_much(limits.open_stream(client, Carries::Some)));
        drop(stream);
        limits.open_stream(client, Carries::Some).unwrap();
        assert!(limits.used.lock().by_address.is_empty());
    }
}
