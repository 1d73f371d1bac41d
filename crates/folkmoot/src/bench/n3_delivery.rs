//! N3: how long a message takes from its publisher to those who listen.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::api::v1::{
    GroupMessage, SendGroupMessagesRequest, SubscribeGroupMessagesRequest,
    subscribe_group_messages_request::Filter,
};
use http::Uri;
use tokio::{task::JoinSet, time::timeout};
use tonic::Streaming;

use super::{
    Workload,
    floor::Floors,
    load::{LINKS, Link, Timings, median, schedule},
    node::mls,
    report::Report,
    traffic::{Traffic, Use},
};

/// Streams of one connection, as many as servers commonly allow.
pub(crate) const STREAMS_A_LINK: usize = 100;
/// For how long a reader waits for its next message before that counts as lost. It includes the
/// time until the message is sent.
const LOST_AFTER: Duration = Duration::from_mins(1);

/// Who listens to what, and how often somebody speaks.
#[derive(Clone, Copy, Debug)]
struct Scene {
    topics: u32,
    readers_a_topic: usize,
    every: Duration,
}

const CROWD: Scene = Scene {
    topics: 1,
    readers_a_topic: 100,
    every: Duration::from_millis(20),
};
const MANY_TOPICS: Scene = Scene {
    topics: 1000,
    readers_a_topic: 1,
    every: Duration::from_millis(10),
};

pub(crate) struct Delivery {
    origin: Uri,
    traffic: Traffic,
    length: Duration,
    crowd: Percentiles,
    many_topics: Percentiles,
}

#[derive(Default)]
struct Percentiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
    delivered: usize,
}

impl Delivery {
    /// Publishes for `length` to each audience in each round.
    pub(crate) fn new(origin: &Uri, traffic: &Traffic, length: Duration) -> Self {
        Self {
            origin: origin.clone(),
            traffic: traffic.clone(),
            length,
            crowd: Percentiles::default(),
            many_topics: Percentiles::default(),
        }
    }

    async fn deliver(&self, set: u16, scene: Scene) -> anyhow::Result<Timings> {
        let messages = (self.length.as_nanos() / scene.every.as_nanos()) as u64;
        let groups: Vec<Bytes> = (0..scene.topics)
            .map(|at| self.traffic.group(Use::Delivery, set, at))
            .collect();
        let streams = groups.len() * scene.readers_a_topic;
        let links = Link::several(&self.origin, streams.div_ceil(STREAMS_A_LINK)).await?;
        let mut readers = JoinSet::new();
        for reader in 0..streams {
            let at = reader / scene.readers_a_topic;
            let stream = follow(&links[reader / STREAMS_A_LINK], &self.origin, &groups[at]).await?;
            let (traffic, group) = (self.traffic.clone(), groups[at].clone());
            let expected = (at as u64..messages).step_by(groups.len()).collect();
            readers.spawn(listen(stream, traffic, group, expected));
        }
        let start = self.speak(scene.every, messages, &groups).await?;
        let mut latencies = Vec::new();
        while let Some(reader) = readers.join_next().await {
            for (number, received) in reader.context("a reader")?? {
                let due = start + scene.every * u32::try_from(number).context("few messages")?;
                latencies.push(received.saturating_duration_since(due));
            }
        }
        Ok(Timings::new(start.elapsed(), latencies))
    }

    /// Publishes on schedule; returns when message 0 was due.
    async fn speak(
        &self,
        every: Duration,
        messages: u64,
        groups: &[Bytes],
    ) -> anyhow::Result<Instant> {
        let links = Link::several(&self.origin, LINKS).await?;
        let mut ticks = schedule(every, messages);
        let mut start = None;
        let mut calls = JoinSet::new();
        while let Some((number, due)) = ticks.recv().await {
            start.get_or_insert(due);
            let at = (number % groups.len() as u64) as usize;
            let request = SendGroupMessagesRequest {
                messages: vec![self.traffic.message(&groups[at], number)],
            };
            let mut client = mls(&links[number as usize % LINKS], &self.origin);
            calls.spawn(async move { client.send_group_messages(request).await });
        }
        for sent in calls.join_all().await {
            sent?;
        }
        start.context("the schedule has a first message")
    }
}

impl Workload for Delivery {
    const ID: &'static str = "N3";

    async fn round(&mut self, round: u16, _: &Floors) -> anyhow::Result<()> {
        let timings = self.deliver(2 * round, CROWD).await?;
        self.crowd.add(&timings);
        let timings = self.deliver(2 * round + 1, MANY_TOPICS).await?;
        self.many_topics.add(&timings);
        Ok(())
    }

    fn report(self, report: &mut Report) {
        let scenes = [
            (
                "publish to receive, 100 readers of a topic, 50 msg/s",
                self.crowd,
            ),
            (
                "publish to receive, 1000 topics, 100 msg/s",
                self.many_topics,
            ),
        ];
        for (metric, percentiles) in scenes {
            let (p50, p99) = (median(percentiles.p50), median(percentiles.p99));
            report.at_most(Self::ID, format!("{metric}, p50"), p50, "ms", 2.0);
            report.at_most(Self::ID, "… p99", p99, "ms", 15.0);
            let delivered = percentiles.delivered as f64;
            report.note(Self::ID, "… delivered, none lost", delivered, "msg");
        }
    }
}

impl Percentiles {
    fn add(&mut self, timings: &Timings) {
        self.p50.push(timings.percentile_ms(0.5));
        self.p99.push(timings.percentile_ms(0.99));
        self.delivered += timings.calls();
    }
}

/// Opens a stream of one group, from its beginning.
pub(crate) async fn follow(
    link: &Link,
    origin: &Uri,
    group: &Bytes,
) -> anyhow::Result<Streaming<GroupMessage>> {
    let request = SubscribeGroupMessagesRequest {
        filters: vec![Filter {
            group_id: group.clone(),
            id_cursor: 0,
        }],
    };
    let mut client = mls(link, origin);
    let opened = timeout(LOST_AFTER, client.subscribe_group_messages(request)).await;
    Ok(opened.context("a stream does not open")??.into_inner())
}

/// Waits for the messages with the numbers `expected`; tells when each came.
pub(crate) async fn listen(
    mut stream: Streaming<GroupMessage>,
    traffic: Traffic,
    group: Bytes,
    mut expected: HashSet<u64>,
) -> anyhow::Result<Vec<(u64, Instant)>> {
    let mut heard = Vec::with_capacity(expected.len());
    let mut last = 0;
    while !expected.is_empty() {
        let Ok(message) = timeout(LOST_AFTER, stream.message()).await else {
            bail!("{} messages were not delivered", expected.len());
        };
        let received = Instant::now();
        let message = message?.context("a stream ended early")?;
        let (id, number) = traffic.received(&group, &message)?;
        ensure!(id > last, "id {id} was delivered after {last}");
        last = id;
        ensure!(
            expected.remove(&number),
            "message {number} was delivered twice, or never sent"
        );
        heard.push((number, received));
    }
    Ok(heard)
}
