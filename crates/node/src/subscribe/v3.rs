//! `MlsApi/Subscribe`.

use bytes::Bytes;
use folkmoot_store::After;
use folkmoot_wire::{
    Topic, TopicKind,
    proto::xmtp::mls::api::v1::{
        self as mls, SubscribeRequest, SubscribeResponse,
        subscribe_request::{self, v1::Request as Asked},
        subscribe_response::{self, v1 as answers, v1::Response as Answer},
    },
};
use tonic::Streaming;

use crate::{
    Node, NodeError, envelope,
    subscribe::{
        engine::{Frame, Mutate, Request},
        session::{self, Answers, Generation},
    },
};

/// No id is greater, and databases have no greater integers.
const MOST_ID: u64 = i64::MAX.unsigned_abs();

/// Answers one bidirectional stream of the v3 generation.
pub(crate) fn v3(node: &Node, requests: Streaming<SubscribeRequest>) -> Answers<SubscribeResponse> {
    session::run::<V3>(node, requests)
}

struct V3;

impl Generation for V3 {
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

    async fn write(_: &Node, frame: Frame) -> Result<SubscribeResponse, NodeError> {
        let answer = match frame {
            Frame::Started { keepalive } => Answer::Started(answers::Started {
                keepalive_interval_ms: u32::try_from(keepalive.as_millis()).unwrap_or(u32::MAX),
                capabilities: Vec::new(),
            }),
            Frame::Envelopes {
                mutate_id,
                envelopes,
            } => {
                let mut messages = answers::Messages {
                    mutate_id,
                    ..answers::Messages::default()
                };
                for stored in &envelopes {
                    if stored.topic.kind() == TopicKind::GroupMessages {
                        messages
                            .group_messages
                            .push(envelope::group_message(stored)?);
                    } else {
                        let welcome = envelope::welcome_message(stored)?;
                        messages.welcome_messages.push(welcome);
                    }
                }
                Answer::Messages(messages)
            }
            Frame::TopicsLive(topics) => Answer::TopicsLive(answers::TopicsLive {
                topics: topics
                    .iter()
                    .map(|topic| topic.as_bytes().clone())
                    .collect(),
            }),
            Frame::CatchupComplete(mutate_id) => {
                Answer::CatchupComplete(answers::CatchupComplete { mutate_id })
            }
            Frame::Ping(nonce) => Answer::Ping(mls::Ping { nonce }),
            Frame::Pong(nonce) => Answer::Pong(mls::Pong { nonce }),
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
        Ok((topic, After::Id(add.id_cursor.min(MOST_ID))))
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

/// A topic of the kinds that v3 streams carry.
fn topic(field: &str, bytes: Bytes) -> Result<Topic, NodeError> {
    let topic = Topic::parse(bytes).map_err(|cause| NodeError::Topic {
        field: field.to_owned(),
        cause,
    })?;
    match topic.kind() {
        TopicKind::GroupMessages | TopicKind::WelcomeMessages => Ok(topic),
        other => Err(NodeError::field(
            field,
            format!(
                "is of kind {} ({}); v3 streams carry kinds 0 and 1",
                other as u8,
                other.name()
            ),
        )),
    }
}
