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
    Cursor, V3_WELCOMES,
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
        let answer = self.connection.opened("MlsApi/Subscribe", answer).await?;
        let frames = answer.into_inner().map(|response| frames(response?));
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
            let answer = self
                .connection
                .opened("MlsApi/SubscribeGroupMessages", answer)
                .await?;
            let frames = answer
                .into_inner()
                .map(|message| Ok(Frame::Groups(readable([group_envelope(message?)])?)));
            opened.push(ending(frames));
        }
        if !welcomes.filters.is_empty() {
            let service = self.service()?;
            let answer = async {
                mls_client(service)
                    .subscribe_welcome_messages(welcomes)
                    .await
            };
            let answer = self
                .connection
                .opened("MlsApi/SubscribeWelcomeMessages", answer)
                .await?;
            let frames = answer
                .into_inner()
                .map(|message| Ok(Frame::Welcomes(readable([welcome_envelope(message?)])?)));
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
fn frames(response: SubscribeResponse) -> Result<Vec<Frame>, Status> {
    let Some(Version::V1(response)) = response.version else {
        return Ok(vec![Frame::Alive]);
    };
    Ok(match response.response {
        Some(Response::Messages(messages)) => {
            let groups = readable(messages.group_messages.into_iter().map(group_envelope))?;
            let welcomes = readable(messages.welcome_messages.into_iter().map(welcome_envelope))?;
            vec![Frame::Welcomes(welcomes), Frame::Groups(groups)]
        }
        Some(Response::Started(started)) => vec![Frame::Started {
            keepalive: Duration::from_millis(started.keepalive_interval_ms.into()),
        }],
        Some(Response::Ping(ping)) => vec![Frame::Ping(ping.nonce)],
        Some(Response::CatchupComplete(complete)) => vec![Frame::CaughtUp(complete.mutate_id)],
        Some(Response::Pong(_) | Response::TopicsLive(_)) | None => vec![Frame::Alive],
    })
}

/// Those envelopes that can be read. One that claims an impossible place ends the stream: behind it
/// nothing would be new.
fn readable<T>(envelopes: impl IntoIterator<Item = Result<T, Wrong>>) -> Result<Vec<T>, Status> {
    let mut all = Vec::new();
    for envelope in envelopes {
        match envelope {
            Ok(envelope) => all.push(envelope),
            Err(wrong) if wrong.is_about_place() => {
                let Wrong { field, cause } = wrong;
                return Err(Status::data_loss(format!(
                    "an envelope has a bad {field}: {cause}"
                )));
            }
            Err(wrong) => skip(wrong),
        }
    }
    Ok(all)
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

#[cfg(test)]
mod tests {
    use folkmoot_wire::proto::xmtp::mls::api::v1::{
        GroupMessage, group_message,
        subscribe_response::{V1, v1::Messages},
    };

    use super::*;

    fn response(messages: Vec<GroupMessage>) -> SubscribeResponse {
        SubscribeResponse {
            version: Some(Version::V1(V1 {
                response: Some(Response::Messages(Messages {
                    group_messages: messages,
                    ..Default::default()
                })),
            })),
        }
    }

    fn message(id: u64) -> GroupMessage {
        GroupMessage {
            version: Some(group_message::Version::V1(group_message::V1 {
                id,
                group_id: Bytes::from_static(&[1; 16]),
                ..Default::default()
            })),
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_what_stands_nowhere_ends_the_stream() {
        let unreadable = GroupMessage::default();
        let read = frames(response(vec![message(1), unreadable, message(2)])).unwrap();
        let groups = read.into_iter().find_map(|frame| match frame {
            Frame::Groups(groups) => Some(groups),
            _ => None,
        });
        let places = groups.unwrap().into_iter().map(|one| one.sequence);
        assert_eq!(places.collect::<Vec<_>>(), [1, 2]);
        let lie = frames(response(vec![message(1), message(1 << 60)]));
        assert!(lie.unwrap_err().message().contains("bad id"));
    }
}
