//! The streams of a v3 node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_wire::{
    Topic, TopicKind,
    proto::xmtp::mls::api::v1::{
        self as mls, SubscribeRequest, SubscribeResponse,
        subscribe_request::{self, v1 as asks},
        subscribe_response::{Version, v1::Response},
    },
};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use super::{Wrong, group_envelope, mls_client, welcome_envelope};
use crate::network::{
    Cursor, GroupEnvelope, V3_WELCOMES, WelcomeEnvelope,
    connection::{Connection, Service, words},
    link::{Frame, Frames, Mutation, Upward, Wire},
    v3_group_id,
};

pub(super) struct V3Wire {
    connection: Arc<Connection>,
    plain: AtomicBool,
}

impl V3Wire {
    pub(super) const fn new(connection: Arc<Connection>, plain: bool) -> Self {
        Self {
            connection,
            plain: AtomicBool::new(plain),
        }
    }

    fn service(&self) -> Result<Service, Status> {
        let service = self.connection.service();
        service.map_err(|error| Status::unavailable(error.to_string()))
    }
}

#[async_trait]
impl Wire for V3Wire {
    async fn open(
        &self,
        first: Mutation,
    ) -> Result<(mpsc::UnboundedSender<Upward>, Frames), Status> {
        let (requests, waiting) = mpsc::unbounded_channel();
        // The first request travels with the call: some servers answer nothing before it.
        let _ = requests.send(Upward::Mutate(first));
        let upward = UnboundedReceiverStream::new(waiting).map(request);
        let service = self.service()?;
        let answer = async { mls_client(service).subscribe(upward).await };
        let answer = self.connection.noticed(answer).await?;
        let frames = answer.into_inner().map(|response| response.map(frames));
        Ok((requests, flatten(frames)))
    }

    async fn open_plain(&self, topics: Vec<(Topic, Cursor)>) -> Result<Frames, Status> {
        let mut groups = mls::SubscribeGroupMessagesRequest::default();
        let mut welcomes = mls::SubscribeWelcomeMessagesRequest::default();
        for (topic, cursor) in topics {
            let name = Bytes::copy_from_slice(topic.identifier());
            let id_cursor = id_cursor(&topic, &cursor);
            if topic.kind() == TopicKind::GroupMessages {
                let filter = mls::subscribe_group_messages_request::Filter {
                    group_id: name,
                    id_cursor,
                };
                groups.filters.push(filter);
            } else {
                let filter = mls::subscribe_welcome_messages_request::Filter {
                    installation_key: name,
                    id_cursor,
                };
                welcomes.filters.push(filter);
            }
        }
        let mut opened: Vec<Frames> = Vec::new();
        if !groups.filters.is_empty() {
            let service = self.service()?;
            let answer = async { mls_client(service).subscribe_group_messages(groups).await };
            let answer = self.connection.noticed(answer).await?;
            let frames = answer.into_inner().map(|message| {
                let envelopes = group_envelope(message?).map_err(skip).into_iter();
                Ok(Frame::Groups(envelopes.collect()))
            });
            opened.push(ending(frames));
        }
        if !welcomes.filters.is_empty() {
            let service = self.service()?;
            let answer = async { mls_client(service).subscribe_welcome_messages(welcomes).await };
            let answer = self.connection.noticed(answer).await?;
            let frames = answer.into_inner().map(|message| {
                let envelopes = welcome_envelope(message?).map_err(skip).into_iter();
                Ok(Frame::Welcomes(envelopes.collect()))
            });
            opened.push(ending(frames));
        }
        let caught_up = stream::iter([Ok(Frame::CaughtUp(0))]);
        Ok(caught_up.chain(stream::select_all(opened)).boxed())
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

/// A stream whose end is an error, so that it shows beside streams that go on.
fn ending(frames: impl futures::Stream<Item = Result<Frame, Status>> + Send + 'static) -> Frames {
    let end = stream::iter([Err(Status::unavailable("the node ended the stream"))]);
    frames.chain(end).boxed()
}

fn id_cursor(topic: &Topic, cursor: &Cursor) -> u64 {
    match topic.kind() {
        TopicKind::GroupMessages => v3_group_id(cursor),
        _ => cursor.last_seen(V3_WELCOMES),
    }
}

fn request(upward: Upward) -> SubscribeRequest {
    let request = match upward {
        Upward::Pong(nonce) => asks::Request::Pong(mls::Pong { nonce }),
        Upward::Mutate(mutation) => {
            let adds = mutation.adds.iter();
            let removes = mutation.removes.iter();
            asks::Request::Mutate(asks::Mutate {
                adds: adds
                    .map(|(topic, cursor)| asks::mutate::Subscription {
                        topic: topic.as_bytes().clone(),
                        id_cursor: id_cursor(topic, cursor),
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

/// What a response holds.
fn frames(response: SubscribeResponse) -> Vec<Frame> {
    let Some(Version::V1(response)) = response.version else {
        return vec![Frame::Alive];
    };
    match response.response {
        Some(Response::Messages(messages)) => {
            let groups = messages.group_messages.into_iter();
            let groups: Vec<GroupEnvelope> = groups
                .filter_map(|one| group_envelope(one).map_err(skip).ok())
                .collect();
            let welcomes = messages.welcome_messages.into_iter();
            let welcomes: Vec<WelcomeEnvelope> = welcomes
                .filter_map(|one| welcome_envelope(one).map_err(skip).ok())
                .collect();
            vec![Frame::Welcomes(welcomes), Frame::Groups(groups)]
        }
        Some(Response::Started(started)) => vec![Frame::Started {
            keepalive: Duration::from_millis(started.keepalive_interval_ms.into()),
        }],
        Some(Response::Ping(ping)) => vec![Frame::Ping(ping.nonce)],
        Some(Response::CatchupComplete(complete)) => vec![Frame::CaughtUp(complete.mutate_id)],
        Some(Response::Pong(_) | Response::TopicsLive(_)) | None => vec![Frame::Alive],
    }
}

/// The frames of each response, one by one.
pub(in crate::network) fn flatten(
    responses: impl futures::Stream<Item = Result<Vec<Frame>, Status>> + Send + 'static,
) -> Frames {
    let frames = responses.flat_map(|response| {
        stream::iter(match response {
            Ok(frames) => frames.into_iter().map(Ok).collect(),
            Err(status) => vec![Err(status)],
        })
    });
    frames.boxed()
}

/// What cannot be read is left out, and told to whoever looks after the program.
pub(in crate::network) fn skip(wrong: Wrong) {
    let Wrong { field, cause } = wrong;
    tracing::warn!(field, cause, "skipped an envelope that cannot be read");
}
