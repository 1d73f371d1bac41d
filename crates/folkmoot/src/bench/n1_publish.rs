//! N1: how fast messages are published, each durable before its call returns.

use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::api::v1::SendGroupMessagesRequest;
use http::Uri;

use super::{
    Workload,
    floor::Floors,
    load::{LINKS, Link, Timings, closed_loop, median},
    node::mls,
    report::Report,
    stock::walk,
    traffic::{Traffic, Use},
};

/// Groups that the messages are spread over.
const GROUPS: u32 = 1000;

pub(crate) struct Publish {
    origin: Uri,
    traffic: Traffic,
    length: Duration,
    rates: Vec<f64>,
    p99: Vec<f64>,
    per_echo: Vec<f64>,
    alone_p50: Vec<f64>,
    alone_per_fdatasync: Vec<f64>,
}

impl Publish {
    /// Publishes for `length` in each round.
    pub(crate) fn new(origin: &Uri, traffic: &Traffic, length: Duration) -> Self {
        Self {
            origin: origin.clone(),
            traffic: traffic.clone(),
            length,
            rates: Vec::new(),
            p99: Vec::new(),
            per_echo: Vec::new(),
            alone_p50: Vec::new(),
            alone_per_fdatasync: Vec::new(),
        }
    }

    /// Publishes with `in_flight` calls under way, then reads everything back: each message that
    /// was acknowledged must be there once, and nothing else.
    async fn publish(&self, set: u16, in_flight: usize) -> anyhow::Result<Timings> {
        let links = Link::several(&self.origin, LINKS).await?;
        let groups: Vec<Bytes> = (0..GROUPS)
            .map(|at| self.traffic.group(Use::Publish, set, at))
            .collect();
        let timings = {
            let (origin, traffic) = (self.origin.clone(), self.traffic.clone());
            let (links, groups) = (links.clone(), groups.clone());
            closed_loop(in_flight, self.length, move |worker, number| {
                let mut client = mls(&links[worker % LINKS], &origin);
                let group = &groups[(number % u64::from(GROUPS)) as usize];
                let messages = vec![traffic.message(group, number)];
                async move {
                    client
                        .send_group_messages(SendGroupMessagesRequest { messages })
                        .await?;
                    Ok(())
                }
            })
            .await?
        };
        let mut client = mls(&links[0], &self.origin);
        let mut numbers = Vec::new();
        for group in &groups {
            let found = walk(&mut client, &self.traffic, group).await?;
            numbers.extend(found.into_iter().map(|(_, number)| number));
        }
        numbers.sort_unstable();
        ensure!(
            numbers.iter().copied().eq(0..timings.calls() as u64),
            "{} messages were acknowledged, {} read back",
            timings.calls(),
            numbers.len()
        );
        Ok(timings)
    }
}

impl Workload for Publish {
    const ID: &'static str = "N1";

    async fn round(&mut self, round: u16, floors: &Floors) -> anyhow::Result<()> {
        let many = self.publish(2 * round, 64).await?;
        self.rates.push(many.rate());
        self.p99.push(many.percentile_ms(0.99));
        self.per_echo.push(many.rate() / floors.echo.rate());
        let alone = self.publish(2 * round + 1, 1).await?.percentile_ms(0.5);
        self.alone_p50.push(alone);
        self.alone_per_fdatasync
            .push(alone / floors.fdatasync.percentile_ms(0.5));
        Ok(())
    }

    fn report(self, report: &mut Report) {
        let id = Self::ID;
        let rate = median(self.rates);
        report.at_least(id, "publish, 64 in flight", rate, "msg/s", 10_000.0);
        report.at_least(
            id,
            "… as a share of the echo rate",
            median(self.per_echo),
            "",
            0.4,
        );
        report.note(id, "… p99", median(self.p99), "ms");
        report.note(
            id,
            "publish, 1 in flight, p50",
            median(self.alone_p50),
            "ms",
        );
        report.at_most(
            id,
            "… in durable appends of the disk",
            median(self.alone_per_fdatasync),
            "",
            3.0,
        );
    }
}
