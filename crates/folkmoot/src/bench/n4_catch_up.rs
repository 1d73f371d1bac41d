//! N4: how fast a client catches up on a long log over one stream.

use std::{collections::HashMap, sync::Arc, time::Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use folkmoot_wire::{
    Topic, TopicKind,
    proto::xmtp::{
        mls::api::v1::{
            GroupMessage, SubscribeGroupMessagesRequest, SubscribeRequest, group_message,
            group_message_input, subscribe_group_messages_request, subscribe_request,
            subscribe_response,
        },
        xmtpv4::{
            envelopes::{
                ClientEnvelope, OriginatorEnvelope, PayerEnvelope, UnsignedOriginatorEnvelope,
                client_envelope,
            },
            message_api::{
                SubscribeTopicsRequest, replication_api_client::ReplicationApiClient,
                subscribe_topics_request, subscribe_topics_response,
            },
        },
    },
};
use http::Uri;
use prost::Message as _;

use super::{
    Workload,
    floor::Floors,
    load::{Link, median},
    node::mls,
    report::Report,
    stock::Stock,
    traffic::Traffic,
};

pub(crate) struct CatchUp {
    origin: Uri,
    traffic: Traffic,
    one: Arc<Stock>,
    many: Arc<Stock>,
    rates: Vec<f64>,
    many_rates: Vec<f64>,
    waves: Vec<f64>,
    topics: Vec<f64>,
}

impl CatchUp {
    /// Catches up on `one`, a single long log, and, where there are enough messages, on as many
    /// spread over the logs of `many`.
    pub(crate) fn new(
        origin: &Uri,
        traffic: &Traffic,
        one: &Arc<Stock>,
        many: &Arc<Stock>,
    ) -> Self {
        Self {
            origin: origin.clone(),
            traffic: traffic.clone(),
            one: Arc::clone(one),
            many: Arc::clone(many),
            rates: Vec::new(),
            many_rates: Vec::new(),
            waves: Vec::new(),
            topics: Vec::new(),
        }
    }

    /// The first groups of `stock` that together hold `messages`.
    fn groups(stock: &Stock, messages: usize) -> &[Bytes] {
        let each = stock.ids.first().map_or(1, Vec::len).max(1);
        &stock.groups[..stock.groups.len().min(messages.div_ceil(each))]
    }

    /// The v3 stream, one message a frame.
    async fn group_messages(&self, stock: &Stock, messages: usize) -> anyhow::Result<f64> {
        let link = Link::connect(&self.origin).await?;
        let mut check = Check::new(&self.traffic, Self::groups(stock, messages), stock);
        let request = SubscribeGroupMessagesRequest {
            filters: check
                .groups()
                .map(|group_id| subscribe_group_messages_request::Filter {
                    group_id,
                    id_cursor: 0,
                })
                .collect(),
        };
        let began = Instant::now();
        let mut client = mls(&link, &self.origin);
        let mut stream = client.subscribe_group_messages(request).await?.into_inner();
        while check.missing > 0 {
            let message = stream.message().await?.context("the stream ended early")?;
            check.group_message(&message)?;
        }
        Ok(check.rate(began))
    }

    /// The v3 stream of XIP-83, many messages a frame.
    async fn wave(&self) -> anyhow::Result<f64> {
        use subscribe_request::{
            Version,
            v1::{Mutate, Request, mutate::Subscription},
        };
        let link = Link::connect(&self.origin).await?;
        let mut check = Check::new(&self.traffic, &self.one.groups, &self.one);
        let mutate = Mutate {
            adds: check
                .groups()
                .map(|group| {
                    Ok(Subscription {
                        topic: topic(&group)?,
                        id_cursor: 0,
                    })
                })
                .collect::<anyhow::Result<_>>()?,
            removes: Vec::new(),
            history_only: true,
            mutate_id: 1,
        };
        let request = SubscribeRequest {
            version: Some(Version::V1(subscribe_request::V1 {
                request: Some(Request::Mutate(mutate)),
            })),
        };
        let requests = futures::StreamExt::chain(
            tokio_stream::once(request),
            futures::stream::pending::<SubscribeRequest>(),
        );
        let began = Instant::now();
        let mut stream = mls(&link, &self.origin)
            .subscribe(requests)
            .await?
            .into_inner();
        while check.missing > 0 {
            let frame = stream.message().await?.context("the stream ended early")?;
            let Some(subscribe_response::Version::V1(frame)) = frame.version else {
                bail!("a frame has no version that we know");
            };
            if let Some(subscribe_response::v1::Response::Messages(frame)) = frame.response {
                for message in &frame.group_messages {
                    check.group_message(message)?;
                }
            }
        }
        Ok(check.rate(began))
    }

    /// The d14n stream, many envelopes a frame.
    async fn topics(&self) -> anyhow::Result<f64> {
        let link = Link::connect(&self.origin).await?;
        let mut client = ReplicationApiClient::with_origin(link, self.origin.clone())
            .max_decoding_message_size(25 << 20);
        let mut check = Check::new(&self.traffic, &self.one.groups, &self.one);
        let request = SubscribeTopicsRequest {
            filters: check
                .groups()
                .map(|group| {
                    Ok(subscribe_topics_request::TopicFilter {
                        topic: topic(&group)?,
                        last_seen: None,
                    })
                })
                .collect::<anyhow::Result<_>>()?,
        };
        let began = Instant::now();
        let mut stream = client.subscribe_topics(request).await?.into_inner();
        while check.missing > 0 {
            let frame = stream.message().await?.context("the stream ended early")?;
            if let Some(subscribe_topics_response::Response::Envelopes(frame)) = frame.response {
                for envelope in &frame.envelopes {
                    check.envelope(envelope)?;
                }
            }
        }
        Ok(check.rate(began))
    }
}

impl Workload for CatchUp {
    const ID: &'static str = "N4";

    async fn round(&mut self, _: u16, _: &Floors) -> anyhow::Result<()> {
        let messages = self.one.messages();
        self.rates
            .push(self.group_messages(&self.one, messages).await?);
        if self.many.messages() >= messages {
            let rate = self.group_messages(&self.many, messages).await?;
            self.many_rates.push(rate);
        }
        self.waves.push(self.wave().await?);
        self.topics.push(self.topics().await?);
        Ok(())
    }

    fn report(self, report: &mut Report) {
        let id = Self::ID;
        let metric = format!("catch up on {} messages of a topic", self.one.messages());
        report.at_least(id, metric, median(self.rates), "msg/s", 100_000.0);
        if !self.many_rates.is_empty() {
            let groups = Self::groups(&self.many, self.one.messages()).len();
            let metric = format!("… of {groups} topics");
            report.note(id, metric, median(self.many_rates), "msg/s");
        }
        report.note(id, "… over MlsApi/Subscribe", median(self.waves), "msg/s");
        let first = self.topics.first().copied().unwrap_or_default();
        report.note(
            id,
            "… over d14n SubscribeTopics, first time",
            first,
            "msg/s",
        );
        let later = self.topics.into_iter().skip(1).collect();
        report.note(
            id,
            "… over d14n SubscribeTopics, later",
            median(later),
            "msg/s",
        );
    }
}

/// What is still expected, and what came last, of each group.
struct Check<'a> {
    traffic: &'a Traffic,
    expected: HashMap<Bytes, Expected>,
    total: usize,
    missing: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    /// The number of the next message.
    next: u64,
    last_id: u64,
}

impl<'a> Check<'a> {
    fn new(traffic: &'a Traffic, groups: &[Bytes], stock: &Stock) -> Self {
        let total = stock.ids[..groups.len()].iter().map(Vec::len).sum();
        Self {
            traffic,
            expected: groups
                .iter()
                .map(|group| (group.clone(), Expected::default()))
                .collect(),
            total,
            missing: total,
        }
    }

    fn groups(&self) -> impl Iterator<Item = Bytes> {
        self.expected.keys().cloned()
    }

    fn group_message(&mut self, message: &GroupMessage) -> anyhow::Result<()> {
        let group = match &message.version {
            Some(group_message::Version::V1(v1)) => v1.group_id.clone(),
            None => bail!("a message came without content"),
        };
        let (id, number) = self.traffic.received(&group, message)?;
        self.arrived(&group, id, number)
    }

    fn envelope(&mut self, envelope: &OriginatorEnvelope) -> anyhow::Result<()> {
        let unsigned =
            UnsignedOriginatorEnvelope::decode(envelope.unsigned_originator_envelope.clone())?;
        let payer = PayerEnvelope::decode(unsigned.payer_envelope_bytes)?;
        let client = ClientEnvelope::decode(payer.unsigned_client_envelope)?;
        let topic = client
            .aad
            .context("an envelope came without its topic")?
            .target_topic;
        let Some(client_envelope::Payload::GroupMessage(message)) = client.payload else {
            bail!("an envelope came without a group message");
        };
        let Some(group_message_input::Version::V1(message)) = message.version else {
            bail!("a message came without content");
        };
        let group = topic.slice(1..);
        let number = self.traffic.check(&group, &message.data)?;
        self.arrived(&group, unsigned.originator_sequence_id, number)
    }

    fn arrived(&mut self, group: &Bytes, id: u64, number: u64) -> anyhow::Result<()> {
        let expected = self.expected.get_mut(group);
        let expected = expected.context("a message came of a topic that was not asked for")?;
        ensure!(
            number == expected.next && id > expected.last_id,
            "message {number} with id {id} came after id {}, and not number {}",
            expected.last_id,
            expected.next
        );
        *expected = Expected {
            next: number + 1,
            last_id: id,
        };
        self.missing -= 1;
        Ok(())
    }

    fn rate(&self, began: Instant) -> f64 {
        self.total as f64 / began.elapsed().as_secs_f64()
    }
}

fn topic(group: &Bytes) -> anyhow::Result<Bytes> {
    let topic = Topic::new(TopicKind::GroupMessages, group).context("a group id is a topic")?;
    Ok(topic.as_bytes().to_vec().into())
}
