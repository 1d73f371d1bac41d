//! Server-streaming subscriptions: a first frame at once, history, live envelopes, and a sign
//! of life after each silence.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use folkmoot_store::{After, Envelope};
use folkmoot_wire::{
    Topic, TopicKind, VectorClock,
    proto::xmtp::xmtpv4::{
        envelopes::OriginatorEnvelope,
        message_api::{
            EnvelopesQuery, SubscribeEnvelopesResponse, SubscribeOriginatorsResponse,
            SubscribeTopicsResponse,
            subscribe_originators_request::OriginatorFilter,
            subscribe_originators_response as by_originator,
            subscribe_topics_request::TopicFilter,
            subscribe_topics_response::{self as by_topic, StatusUpdate, SubscriptionStatus},
        },
    },
};
use futures::{StreamExt, stream};
use prost::Message;
use tonic::Status;

use crate::{
    End, Node, NodeError, Subscription,
    d14n::{
        D14n, clock,
        fields::{MOST_TOPICS, Wanted, originators, topic, wanted},
    },
    follow::{Follow, HISTORY_PAGE, Item},
    subscribe::Answers,
    v3::at_most,
};

/// What a stream says, before it is put into the words of one method.
#[derive(Debug)]
enum Frame {
    /// The stream is open.
    Started,
    /// Some envelopes, together smaller than a message may be.
    Envelopes(Vec<OriginatorEnvelope>),
    /// From here on everything is live.
    CaughtUp,
    /// Nothing happened for a while.
    Waiting,
}

/// Where a stream's envelopes come from.
enum Source {
    /// History and live envelopes of topics.
    Topics(Follow),
    /// Live envelopes only.
    Live(Subscription),
    /// History and live envelopes of originators.
    Originators(FollowOriginators),
}

impl D14n {
    /// `SubscribeEnvelopes`: with a cursor from there on, without one live envelopes only.
    pub(super) fn follow_query(
        &self,
        mut query: EnvelopesQuery,
    ) -> Result<Answers<SubscribeEnvelopesResponse>, NodeError> {
        let seen = query
            .last_seen
            .take()
            .map(|cursor| clock("query.last_seen", cursor))
            .transpose()?;
        let source = match (wanted(query)?, seen) {
            (Wanted::Nothing, _) => {
                return Err(NodeError::field(
                    "query",
                    "names neither topics nor originator_node_ids",
                ));
            }
            (Wanted::Topics(topics), None) => Source::Live(self.node.inner.hub.subscribe(topics)),
            (Wanted::Topics(topics), Some(seen)) => {
                let cursors = topics
                    .into_iter()
                    .map(|topic| (topic, After::Clock(seen.clone())));
                Source::Topics(Follow::new(&self.node, cursors.collect()))
            }
            (Wanted::Originators(ids), seen) => {
                Source::Originators(FollowOriginators::new(&self.node, ids, seen))
            }
        };
        Ok(answer(&self.node, source, envelopes_frame))
    }

    /// `SubscribeTopics`: each topic from its own cursor on.
    pub(super) fn follow_topics(
        &self,
        filters: Vec<TopicFilter>,
    ) -> Result<Answers<SubscribeTopicsResponse>, NodeError> {
        if filters.is_empty() {
            return Err(NodeError::field("filters", "is empty"));
        }
        at_most("filters", filters.len(), MOST_TOPICS)?;
        let mut cursors: HashMap<Topic, After> = HashMap::with_capacity(filters.len());
        for (at, filter) in filters.into_iter().enumerate() {
            let topic = topic(&format!("filters[{at}].topic"), filter.topic)?;
            let seen = clock(
                &format!("filters[{at}].last_seen"),
                filter.last_seen.unwrap_or_default(),
            )?;
            cursors.entry(topic).or_insert(After::Clock(seen));
        }
        let follow = Follow::new(&self.node, cursors.into_iter().collect());
        Ok(answer(&self.node, Source::Topics(follow), topics_frame))
    }

    /// `SubscribeOriginators`: what other nodes replicate.
    pub(super) fn follow_originators(
        &self,
        filter: Option<OriginatorFilter>,
    ) -> Result<Answers<SubscribeOriginatorsResponse>, NodeError> {
        let Some(filter) = filter else {
            return Err(NodeError::field("filter", "is missing"));
        };
        if filter.originator_node_ids.is_empty() {
            return Err(NodeError::field("filter.originator_node_ids", "is empty"));
        }
        let ids = originators("filter.originator_node_ids", filter.originator_node_ids)?;
        let Some(last_seen) = filter.last_seen else {
            return Err(NodeError::field("filter.last_seen", "is missing"));
        };
        let seen = clock("filter.last_seen", last_seen)?;
        let follow = FollowOriginators::new(&self.node, ids, Some(seen));
        let source = Source::Originators(follow);
        Ok(answer(&self.node, source, originators_frame))
    }

    /// `SubscribeAllEnvelopes`: everything, from now on.
    pub(super) fn follow_all(&self) -> Answers<SubscribeEnvelopesResponse> {
        let everything = self.node.inner.hub.subscribe_all(&TopicKind::ALL);
        answer(&self.node, Source::Live(everything), envelopes_frame)
    }
}

impl Source {
    /// The next item. Cancel safe.
    async fn next(&mut self) -> Result<Item, NodeError> {
        match self {
            Self::Topics(follow) => follow.next().await,
            Self::Live(subscription) => Ok(Item::Envelopes(subscription.next().await?)),
            Self::Originators(follow) => follow.next().await,
        }
    }
}

/// Reads originators, each by ascending sequence: first the store, then what is committed.
struct FollowOriginators {
    node: Node,
    subscription: Subscription,
    wanted: HashSet<u32>,
    seen: VectorClock,
    /// Originators whose history is still to be read; envelopes up to `up_to` belong to it.
    unread: Vec<u32>,
    up_to: u64,
    told: bool,
    heard: bool,
}

impl FollowOriginators {
    /// Begins to follow each of `originators` from `seen` on, or from now on.
    fn new(node: &Node, originators: Vec<u32>, seen: Option<VectorClock>) -> Self {
        let subscription = node.inner.hub.subscribe_all(&TopicKind::ALL);
        Self {
            node: node.clone(),
            up_to: subscription.began(),
            subscription,
            wanted: originators.iter().copied().collect(),
            told: seen.is_none(),
            heard: seen.is_none(),
            unread: if seen.is_some() {
                originators
            } else {
                Vec::new()
            },
            seen: seen.unwrap_or_default(),
        }
    }

    /// The next item. Cancel safe.
    async fn next(&mut self) -> Result<Item, NodeError> {
        loop {
            if let Some(originator) = self.unread.last().copied() {
                let store = &self.node.inner.store;
                let mut page = store
                    .unseen_by_originator(&[originator], &self.seen, HISTORY_PAGE)
                    .await?;
                let read = page.len();
                page.retain(|one| one.id <= self.up_to);
                if page.len() < read || read == 0 {
                    self.unread.pop();
                }
                if let Some(last) = page.last() {
                    self.seen.advance(originator, last.sequence);
                    return Ok(Item::Envelopes(page.into_iter().map(Arc::new).collect()));
                }
                continue;
            }
            if !self.told {
                self.told = true;
                return Ok(Item::CaughtUp);
            }
            match self.subscription.next().await {
                Ok(mut envelopes) => {
                    self.heard = true;
                    envelopes.retain(|one| self.wanted.contains(&one.originator));
                    if !envelopes.is_empty() {
                        return Ok(Item::Envelopes(envelopes));
                    }
                }
                // More was committed during a long history than a queue holds: that is not the
                // reader's fault, and the store has it.
                Err(End::Lagged) if !self.heard => {
                    self.up_to = self.subscription.begin_again()?;
                    self.unread = self.wanted.iter().copied().collect();
                }
                Err(end) => return Err(end.into()),
            }
        }
    }
}

/// One open stream.
struct Answering {
    node: Node,
    source: Source,
    ready: VecDeque<Frame>,
}

impl Answering {
    /// The next frame; `None` when the node shuts down, which ends these streams cleanly.
    async fn next(&mut self) -> Result<Option<Frame>, NodeError> {
        let keepalive = self.node.inner.config.keepalive;
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            let frames = match tokio::time::timeout(keepalive, self.source.next()).await {
                Err(_) => return Ok(Some(Frame::Waiting)),
                Ok(Ok(Item::CaughtUp)) => return Ok(Some(Frame::CaughtUp)),
                Ok(Ok(Item::Envelopes(envelopes))) => self.frames(&envelopes).await?,
                Ok(Err(NodeError::Closing)) => return Ok(None),
                Ok(Err(error)) => return Err(error),
            };
            self.ready.extend(frames);
        }
    }

    /// The envelopes in signed form, in frames that a message can hold.
    async fn frames(&self, envelopes: &[Arc<Envelope>]) -> Result<Vec<Frame>, NodeError> {
        let config = &self.node.inner.config;
        let signed = self.node.inner.signer.signed(envelopes).await?;
        Ok(split(
            signed,
            config.max_page_bytes,
            config.max_message_bytes,
        ))
    }
}

/// Frames of at most `frame` bytes each. A larger envelope goes alone; one that is larger than a
/// message may be is left out, since no client could ever receive it.
fn split(envelopes: Vec<OriginatorEnvelope>, frame: usize, message: usize) -> Vec<Frame> {
    /// Tags and lengths around one envelope.
    const AROUND: usize = 16;
    let mut frames = Vec::new();
    let mut open = Vec::new();
    let mut size = 0;
    for envelope in envelopes {
        let more = envelope.encoded_len() + AROUND;
        if more > message {
            tracing::warn!(
                bytes = more,
                "an envelope too large for any message is left out"
            );
            continue;
        }
        if !open.is_empty() && size + more > frame {
            frames.push(Frame::Envelopes(std::mem::take(&mut open)));
            size = 0;
        }
        size += more;
        open.push(envelope);
    }
    if !open.is_empty() {
        frames.push(Frame::Envelopes(open));
    }
    frames
}

/// A stream over `source`, with `write` for the frames; it may leave some out.
fn answer<T: Send + 'static>(
    node: &Node,
    source: Source,
    write: fn(Frame) -> Option<T>,
) -> Answers<T> {
    let answering = Answering {
        node: node.clone(),
        source,
        ready: VecDeque::from([Frame::Started]),
    };
    stream::try_unfold(answering, move |mut answering| async move {
        loop {
            let Some(frame) = answering.next().await? else {
                return Ok::<_, Status>(None);
            };
            if let Some(response) = write(frame) {
                return Ok(Some((response, answering)));
            }
        }
    })
    .boxed()
}

/// An empty frame is the first one and the sign of life.
fn envelopes_frame(frame: Frame) -> Option<SubscribeEnvelopesResponse> {
    let envelopes = match frame {
        Frame::Started | Frame::Waiting => Vec::new(),
        Frame::Envelopes(envelopes) => envelopes,
        Frame::CaughtUp => return None,
    };
    Some(SubscribeEnvelopesResponse { envelopes })
}

fn topics_frame(frame: Frame) -> Option<SubscribeTopicsResponse> {
    let status = |status: SubscriptionStatus| {
        let status = status as i32;
        by_topic::Response::StatusUpdate(StatusUpdate { status })
    };
    let response = match frame {
        Frame::Started => status(SubscriptionStatus::Started),
        Frame::Envelopes(envelopes) => {
            by_topic::Response::Envelopes(by_topic::Envelopes { envelopes })
        }
        Frame::CaughtUp => status(SubscriptionStatus::CatchupComplete),
        Frame::Waiting => status(SubscriptionStatus::Waiting),
    };
    Some(SubscribeTopicsResponse {
        response: Some(response),
    })
}

/// An empty frame is the first one and the sign of life.
fn originators_frame(frame: Frame) -> Option<SubscribeOriginatorsResponse> {
    let response = match frame {
        Frame::Started | Frame::Waiting => None,
        Frame::Envelopes(envelopes) => Some(by_originator::Response::Envelopes(
            by_originator::Envelopes { envelopes },
        )),
        Frame::CaughtUp => return None,
    };
    Some(SubscribeOriginatorsResponse { response })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn envelope(bytes: usize) -> OriginatorEnvelope {
        OriginatorEnvelope {
            unsigned_originator_envelope: Bytes::from(vec![7; bytes]),
            proof: None,
        }
    }

    fn sizes(frames: Vec<Frame>) -> Vec<usize> {
        let sizes = frames.into_iter().map(|frame| match frame {
            Frame::Envelopes(envelopes) => envelopes.len(),
            other => panic!("only envelopes are expected, not {other:?}"),
        });
        sizes.collect()
    }

    #[test]
    fn frames_stay_below_their_size() {
        let envelopes = vec![envelope(400), envelope(400), envelope(400), envelope(1200)];
        assert_eq!(sizes(split(envelopes, 1000, 2000)), [2, 1, 1]);
    }

    #[test]
    fn an_envelope_that_no_message_can_hold_is_left_out() {
        let envelopes = vec![envelope(10), envelope(3000), envelope(10)];
        assert_eq!(sizes(split(envelopes, 1000, 2000)), [2]);
    }
}
