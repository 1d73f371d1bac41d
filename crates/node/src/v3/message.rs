//! `MessageApi`: the live feed that push-notification servers read.

use std::{collections::HashSet, pin::Pin};

use folkmoot_store::Envelope;
use folkmoot_wire::{
    Topic, TopicKind,
    proto::xmtp::message_api::v1::{
        self as api, PublishRequest, PublishResponse, SubscribeAllRequest, SubscribeRequest,
        message_api_server::MessageApi,
    },
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::{Node, NodeError, Subscription, envelope, publish::shortened, v3::identity::at_most};

/// Most topics of one subscription.
const MOST_TOPICS: usize = 100_000;
/// What the feed carries.
const KINDS: [TopicKind; 2] = [TopicKind::GroupMessages, TopicKind::WelcomeMessages];

pub(crate) struct Push(pub(crate) Node);

type Feed = Pin<Box<dyn Stream<Item = Result<api::Envelope, Status>> + Send>>;

#[tonic::async_trait]
impl MessageApi for Push {
    type SubscribeStream = Feed;
    type SubscribeAllStream = Feed;

    async fn publish(
        &self,
        _: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        Err(Status::unavailable(
            "the v2 network is closed; publish through MlsApi",
        ))
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Feed>, Status> {
        let names = request.into_inner().content_topics;
        if names.is_empty() {
            return Err(NodeError::field("content_topics", "is empty; name a topic or *").into());
        }
        at_most("content_topics", names.len(), MOST_TOPICS)?;
        if names.iter().any(|name| name == "*") {
            return Ok(Response::new(feed(self.0.inner.hub.subscribe_all(&KINDS))));
        }
        let topics = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                topic(name).ok_or_else(|| {
                    NodeError::field(
                        format!("content_topics[{at}]"),
                        format!(
                            "{:?} is not /xmtp/mls/1/g-<hex>/proto or /xmtp/mls/1/w-<hex>/proto",
                            shortened(name)
                        ),
                    )
                })
            })
            .collect::<Result<HashSet<_>, _>>()?;
        Ok(Response::new(feed(self.0.inner.hub.subscribe(topics))))
    }

    async fn subscribe_all(
        &self,
        _: Request<SubscribeAllRequest>,
    ) -> Result<Response<Feed>, Status> {
        Ok(Response::new(feed(self.0.inner.hub.subscribe_all(&KINDS))))
    }
}

fn feed(subscription: Subscription) -> Feed {
    stream::try_unfold(subscription, |mut subscription| async move {
        let envelopes = subscription.next().await.map_err(NodeError::from)?;
        Ok::<_, Status>(Some((envelopes, subscription)))
    })
    .map_ok(|envelopes| {
        stream::iter(envelopes).map(|envelope| pushed(&envelope).map_err(Status::from))
    })
    .try_flatten()
    .boxed()
}

fn pushed(stored: &Envelope) -> Result<api::Envelope, NodeError> {
    let (letter, message) = if stored.topic.kind() == TopicKind::GroupMessages {
        ('g', envelope::group_message(stored)?.encode_to_vec())
    } else {
        ('w', envelope::welcome_message(stored)?.encode_to_vec())
    };
    Ok(api::Envelope {
        content_topic: format!(
            "/xmtp/mls/1/{letter}-{}/proto",
            hex::encode(stored.topic.identifier())
        ),
        timestamp_ns: stored.time_ns,
        message: message.into(),
    })
}

fn topic(name: &str) -> Option<Topic> {
    let name = name.strip_prefix("/xmtp/mls/1/")?.strip_suffix("/proto")?;
    let (kind, id) = name.split_once('-')?;
    let kind = match kind {
        "g" => TopicKind::GroupMessages,
        "w" => TopicKind::WelcomeMessages,
        _ => return None,
    };
    Topic::new(kind, &hex::decode(id).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_topics_are_read_as_they_are_written() {
        let group = Topic::new(TopicKind::GroupMessages, &[0xab; 16]).unwrap();
        let name = "/xmtp/mls/1/g-abababababababababababababababab/proto";
        assert_eq!(topic(name), Some(group));
        assert_eq!(topic("/xmtp/mls/1/x-ab/proto"), None);
        assert_eq!(topic("/xmtp/mls/1/g-/proto"), None);
        assert_eq!(topic("g-ab"), None);
    }
}
