//! What happens by itself: messages, changes, the connection.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use folkmoot_client::{
    Change, Client, Clock as _, LiveState, Message, StreamOptions, SystemClock,
    network::ConnectionState,
};
use folkmoot_conversation::content::{Content, Typing};
use folkmoot_wire::GroupId;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    time::sleep,
};

use super::{
    super::{
        event::Event,
        model::Link,
        text::{Lines, clean},
    },
    act::Hands,
    load,
};

/// Something that has to be read again.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Touched {
    /// A conversation.
    One(GroupId),
    /// Messages of the conversation that is shown.
    Shown,
    /// Everything.
    All,
}

/// What happens shortly after each other is read once.
const TOGETHER: Duration = Duration::from_millis(25);

/// Tells of messages, and how the network is connected, until the program ends.
pub(super) async fn messages(
    client: Client,
    touched: UnboundedSender<Touched>,
    events: UnboundedSender<Event>,
) {
    let conversations = client.conversations();
    let started = conversations
        .stream_all_messages(StreamOptions::default())
        .await;
    let mut stream = match started {
        Ok(stream) => stream,
        Err(cause) => {
            tracing::warn!(%cause, "messages cannot be followed");
            return;
        }
    };
    let mut state = stream.watch_state();
    state.mark_changed();
    loop {
        let news = tokio::select! {
            message = stream.next() => match message {
                Ok(message) => match message.content {
                    Content::Typing(typing) => {
                        if let Some(event) = writes(&client, &message, typing).await {
                            drop(events.send(event));
                        }
                        continue;
                    }
                    _ => Touched::One(message.conversation_id),
                },
                Err(cause) if cause.is_revoked() => {
                    let (what, remedy) = (cause.to_string(), cause.remedy());
                    drop(events.send(Event::Failed { what, remedy }));
                    return;
                }
                Err(cause) => {
                    tracing::warn!(%cause, "a message could not be read");
                    // The database said no; it is asked again, and not in a hurry.
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            },
            Ok(()) = state.changed() => {
                let link = link(state.borrow_and_update().clone());
                if events.send(Event::Link(link)).is_err() {
                    return;
                }
                continue;
            }
        };
        if touched.send(news).is_err() {
            return;
        }
    }
}

/// Somebody else began to write just now, or stopped.
async fn writes(client: &Client, message: &Message, typing: Typing) -> Option<Event> {
    let age_ns = SystemClock.now_ns().saturating_sub(message.sent_ns);
    if message.sender == client.inbox_id() || age_ns > MOST_TYPING_AGE_NS {
        return None;
    }
    let conversation = client.conversations().get(&message.conversation_id).await;
    Some(Event::Typing {
        key: load::key(&conversation.ok()?),
        inbox: message.sender,
        started: typing == Typing::Started,
    })
}

/// How old the news that somebody writes may be.
const MOST_TYPING_AGE_NS: u64 = 10 * 1_000_000_000;

fn link(state: LiveState) -> Link {
    let LiveState::On {
        connection,
        caught_up,
    } = state
    else {
        return Link::Connecting;
    };
    match connection {
        ConnectionState::Connecting => Link::Connecting,
        ConnectionState::Live if caught_up => Link::Live,
        ConnectionState::Live => Link::CatchingUp,
        ConnectionState::Interrupted { reason, retry_in } => {
            let retry_in = u64::try_from(retry_in.as_nanos()).unwrap_or(u64::MAX);
            Link::Interrupted {
                // Whoever answers at the node's address may have written it.
                reason: clean(&reason, Lines::One),
                retry_ns: SystemClock.now_ns().saturating_add(retry_in),
            }
        }
    }
}

/// Tells what changed, until the program ends.
pub(super) async fn changes(client: Client, touched: UnboundedSender<Touched>) {
    let Ok(mut stream) = client.conversations().stream_changes().await else {
        return;
    };
    loop {
        let news = match stream.next().await {
            Some(Change::ConversationAdded(id) | Change::ConversationUpdated(id)) => {
                Touched::One(id)
            }
            Some(Change::MessagesUpdated(_)) => Touched::Shown,
            Some(Change::MessagesDeleted(_) | Change::Consent(_)) | None => Touched::All,
            Some(Change::Preferences | Change::PushKeys(_)) => continue,
        };
        if touched.send(news).is_err() {
            return;
        }
    }
}

/// Reads what was touched, until the program ends.
pub(super) async fn refresh(hands: Arc<Hands>, mut touched: UnboundedReceiver<Touched>) {
    while let Some(first) = touched.recv().await {
        sleep(TOGETHER).await;
        let mut all = BTreeSet::from([first]);
        while let Ok(more) = touched.try_recv() {
            all.insert(more);
        }
        if all.contains(&Touched::All) {
            hands.tell_all().await;
            hands.tell(Event::Changed);
            continue;
        }
        let mut told = BTreeSet::new();
        for one in all {
            match one {
                Touched::One(id) => hands.tell_chat(&id, &mut told).await,
                Touched::Shown => hands.tell(Event::Changed),
                Touched::All => {}
            }
        }
    }
}
