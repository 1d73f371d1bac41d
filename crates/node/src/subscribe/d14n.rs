//! `QueryApi/Subscribe`.

use bytes::Bytes;
use folkmoot_store::After;
use folkmoot_wire::{
    Topic,
    proto::xmtp::xmtpv4::message_api::{
        self as api, SubscribeRequest, SubscribeResponse,
        subscribe_request::{self, v1::Request as Asked},
        subscribe_response::{self, v1 as answers, v1::Response as Answer},
    },
};
use tonic::Streaming;

use crate::{
    Node, NodeError,
    d14n::clock,
    subscribe::{
        engine::{Frame, Mutate, Request},
        session::{self, Answers, Generation},
    },
};

/// Answers one bidirectional stream of the d14n generation.
pub(crate) fn d14n(
    node: &Node,
    requests: Streaming<SubscribeRequest>,
) -> Answers<SubscribeResponse> {
    session::run::<D14n>(node, requests)
}

struct D14n;

impl Generation for D14n {
    type Request = SubscribeRequest;
    type Response = SubscribeResponse;

    fn read(request: SubscribeRequest) -> Result<Option<Request>, NodeError> {
        let Some(subscribe_request::Version::V1(request)) = request.version else {
            return Err(NodeError::field("version", "is missing or unknown; use v1"));
        };
        Ok(match request.request {
            Some(Asked::Mutate(asked)) => Some(Request::Mutate(mutate(asked)?)),
            Some(Asked::Ping(ping)) => Some(Request::Ping(ping.nonce)),
            Some(Asked::Pong(pong)) => Some(Request::Pong(pong.nonce)),
            None => None,
        })
    }

    async fn write(node: &Node, frame: Frame) -> Result<SubscribeResponse, NodeError> {
        let answer = match frame {
            Frame::Started { keepalive } => Answer::Started(answers::Started {
                keepalive_interval_ms: u32::try_from(keepalive.as_millis()).unwrap_or(u32::MAX),
                capabilities: Vec::new(),
            }),
            Frame::Envelopes {
                mutate_id,
                envelopes,
            } => Answer::Envelopes(answers::Envelopes {
                envelopes: node.inner.signer.signed(&envelopes).await?,
                mutate_id,
            }),
            Frame::TopicsLive(topics) => Answer::TopicsLive(answers::TopicsLive {
                topics: topics
                    .iter()
                    .map(|topic| topic.as_bytes().clone())
                    .collect(),
            }),
            Frame::CatchupComplete(mutate_id) => {
                Answer::CatchupComplete(answers::CatchupComplete { mutate_id })
            }
            Frame::Ping(nonce) => Answer::Ping(api::Ping { nonce }),
            Frame::Pong(nonce) => Answer::Pong(api::Pong { nonce }),
        };
        Ok(SubscribeResponse {
            version: Some(subscribe_response::Version::V1(subscribe_response::V1 {
                response: Some(answer),
            })),
        })
    }
}

fn mutate(asked: subscribe_request::v1::Mutate) -> Result<Mutate, NodeError> {
    let adds = asked.adds.into_iter().enumerate().map(|(at, add)| {
        let topic = topic(&format!("v1.mutate.adds[{at}].topic"), add.topic)?;
        let field = format!("v1.mutate.adds[{at}].last_seen");
        let seen = clock(&field, add.last_seen.unwrap_or_default())?;
        Ok((topic, After::Clock(seen)))
    });
    let removes = asked
        .removes
        .into_iter()
        .enumerate()
        .map(|(at, name)| topic(&format!("v1.mutate.removes[{at}]"), name));
    Ok(Mutate {
        adds: adds.collect::<Result<_, NodeError>>()?,
        removes: removes.collect::<Result<_, _>>()?,
        history_only: asked.history_only,
        mutate_id: asked.mutate_id,
    })
}

fn topic(field: &str, bytes: Bytes) -> Result<Topic, NodeError> {
    Topic::parse(bytes).map_err(|cause| NodeError::Topic {
        field: field.to_owned(),
        cause,
    })
}
