//! The streams of a d14n node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use folkmoot_wire::{
    Topic,
    proto::xmtp::xmtpv4::{
        envelopes::OriginatorEnvelope,
        message_api::{
            self, SubscribeRequest, SubscribeResponse, SubscribeTopicsRequest,
            SubscribeTopicsResponse,
            query_api_client::QueryApiClient,
            subscribe_request::{self, v1 as asks},
            subscribe_response::{Version, v1::Response},
            subscribe_topics_request::TopicFilter,
            subscribe_topics_response::{self as topics, SubscriptionStatus},
        },
    },
};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use super::{Nodes, envelope::Opened, node_client};
use crate::network::{
    Cursor, NetworkError,
    connection::{MOST_BYTES, words},
    link::{Frame, Frames, Mutation, Upward, Wire},
    v3::wire::{flatten, skip},
};

/// Topics that one plain stream carries.
const TOPICS_OF_A_STREAM: usize = 10_000;

pub(super) struct D14nWire {
    nodes: Arc<Nodes>,
    plain: AtomicBool,
}

impl D14nWire {
    pub(super) fn new(nodes: Arc<Nodes>) -> Self {
        Self {
            plain: AtomicBool::new(nodes.options.plain_streams),
            nodes,
        }
    }

    /// Opens something at the chosen node, which is given up if that fails.
    async fn at_node<T, F>(
        &self,
        open: impl FnOnce(crate::network::connection::Service) -> F + Send,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>> + Send,
    {
        let node = self.nodes.choose().await;
        let down = |error: NetworkError| Status::unavailable(error.to_string());
        let node = node.map_err(down)?;
        let opening = open(node.service().map_err(down)?);
        let opened = node.opened("QueryApi/Subscribe", opening).await;
        if let Err(status) = &opened
            && status.code() == tonic::Code::Unavailable
        {
            self.nodes.give_up(&node).await;
        }
        opened
    }
}

#[async_trait]
impl Wire for D14nWire {
    async fn open(
        &self,
        first: Mutation,
    ) -> Result<(mpsc::UnboundedSender<Upward>, Frames), Status> {
        let (requests, waiting) = mpsc::unbounded_channel();
        // The first request travels with the call: some servers answer nothing before it.
        let _ = requests.send(Upward::Mutate(first));
        let upward = UnboundedReceiverStream::new(waiting).map(request);
        let answer = self
            .at_node(|service| async move {
                QueryApiClient::new(service)
                    .max_decoding_message_size(MOST_BYTES)
                    .max_encoding_message_size(MOST_BYTES)
                    .subscribe(upward)
                    .await
            })
            .await?;
        let frames = answer.into_inner().map(|response| response.map(frames));
        Ok((requests, flatten(frames)))
    }

    async fn open_plain(&self, topics: Vec<(Topic, Cursor)>) -> Result<Frames, Status> {
        let mut opened: Vec<Frames> = Vec::new();
        for chunk in topics.chunks(TOPICS_OF_A_STREAM) {
            let filters = chunk.iter().map(|(topic, cursor)| TopicFilter {
                topic: topic.as_bytes().clone(),
                last_seen: Some(cursor.into()),
            });
            let request = SubscribeTopicsRequest {
                filters: filters.collect(),
            };
            let answer = self
                .at_node(
                    |service| async move { node_client(service).subscribe_topics(request).await },
                )
                .await?;
            let frames = answer
                .into_inner()
                .map(|response| response.map(plain_frames));
            let end =
                futures::stream::iter([Err(Status::unavailable("the node ended the stream"))]);
            opened.push(flatten(frames).chain(end).boxed());
        }
        Ok(futures::stream::select_all(opened).boxed())
    }

    fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    fn set_plain(&self) {
        self.plain.store(true, Ordering::Relaxed);
    }

    fn words(&self, status: &Status) -> String {
        words(status)
    }
}

fn request(upward: Upward) -> SubscribeRequest {
    let request = match upward {
        Upward::Pong(nonce) => asks::Request::Pong(message_api::Pong { nonce }),
        Upward::Mutate(mutation) => {
            let adds = mutation.adds.iter();
            let removes = mutation.removes.iter();
            asks::Request::Mutate(asks::Mutate {
                adds: adds
                    .map(|(topic, cursor)| asks::mutate::Subscription {
                        topic: topic.as_bytes().clone(),
                        last_seen: Some(cursor.into()),
                    })
                    .collect(),
                removes: removes.map(|topic| topic.as_bytes().clone()).collect(),
                history_only: false,
                mutate_id: mutation.id,
            })
        }
    };
    SubscribeRequest {
        version: Some(subscribe_request::Version::V1(subscribe_request::V1 {
            request: Some(request),
        })),
    }
}

fn frames(response: SubscribeResponse) -> Vec<Frame> {
    let Some(Version::V1(response)) = response.version else {
        return vec![Frame::Alive];
    };
    match response.response {
        Some(Response::Envelopes(envelopes)) => sorted(envelopes.envelopes),
        Some(Response::Started(started)) => vec![Frame::Started {
            keepalive: Duration::from_millis(started.keepalive_interval_ms.into()),
        }],
        Some(Response::Ping(ping)) => vec![Frame::Ping(ping.nonce)],
        Some(Response::CatchupComplete(complete)) => vec![Frame::CaughtUp(complete.mutate_id)],
        Some(Response::Pong(_) | Response::TopicsLive(_)) | None => vec![Frame::Alive],
    }
}

fn plain_frames(response: SubscribeTopicsResponse) -> Vec<Frame> {
    match response.response {
        Some(topics::Response::Envelopes(envelopes)) => sorted(envelopes.envelopes),
        Some(topics::Response::StatusUpdate(update))
            if update.status() == SubscriptionStatus::CatchupComplete =>
        {
            vec![Frame::CaughtUp(0)]
        }
        _ => vec![Frame::Alive],
    }
}

/// Envelopes by what they hold, welcomes first; what cannot be read is left out.
fn sorted(envelopes: Vec<OriginatorEnvelope>) -> Vec<Frame> {
    let (mut groups, mut welcomes) = (Vec::new(), Vec::new());
    for envelope in envelopes {
        let Ok(opened) = Opened::open(envelope).map_err(skip) else {
            continue;
        };
        if opened.is_group_message() {
            groups.extend(opened.group_envelope());
        } else {
            welcomes.extend(opened.welcome_envelope());
        }
    }
    // History comes by originator; within a frame that can be set right.
    let groups = super::envelope::in_causal_order(groups, &Cursor::new());
    vec![Frame::Welcomes(welcomes), Frame::Groups(groups)]
}
