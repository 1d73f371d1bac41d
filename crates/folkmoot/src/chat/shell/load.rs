//! What the database has, as the model wants it: every text of a stranger is cleaned here.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_client::{
    Client, Conversation, ConversationState, DeliveryStatus, EnrichedMessage, Error, MemberRole,
    MembershipState, Message, MessageQuery, Order,
};
use folkmoot_conversation::content::{Content, RemoteAttachment};
use folkmoot_wire::{InboxId, MessageId};

use super::super::{
    event::History,
    model::{Body, Chat, ChatKey, ChatKind, Delivery, Entry, File, Last, PAGE, Quote, Window},
    text::{Lines, clean, shorten},
    words,
};
use crate::xmtp::{conversation::files::plain_name, follow};

/// Types that are no rows of the history.
const HIDDEN: [&str; 2] = ["readReceipt", "typing"];
/// Types that are not counted as unread.
const QUIET: [&str; 7] = [
    "deleteMessage",
    "editMessage",
    "group_updated",
    "leave_request",
    "reaction",
    "readReceipt",
    "typing",
];
/// Other members of a group whose names may stand for the group's.
const NAMED: usize = 3;
/// Newer messages that are loaded around one that is far back.
const AROUND: usize = 50;
/// A message farther back than this is shown without everything after it.
const FAR: usize = 500;

/// What all copies of a conversation have in common.
pub(super) fn key(conversation: &Conversation) -> ChatKey {
    ChatKey(match conversation.dm_id() {
        Some(dm_id) => dm_id.to_owned(),
        None => conversation.id().to_string(),
    })
}

/// A conversation for the list, and the people that its row names. `read_ns`: up to when it was
/// read.
pub(super) async fn chat(
    client: &Client,
    conversation: &Conversation,
    read_ns: u64,
) -> Result<(Chat, BTreeSet<InboxId>), Error> {
    let me = client.inbox_id();
    let newest = MessageQuery {
        exclude_type_ids: HIDDEN.map(str::to_owned).to_vec(),
        limit: Some(1),
        order: Order::Descending,
        ..MessageQuery::default()
    };
    let newest = conversation.enriched_messages(&newest).await?.pop();
    let last_ns = newest.as_ref().map(|newest| newest.message.sent_ns);
    let last = newest.map(|newest| Last {
        sender: newest.message.sender,
        body: said(&newest),
    });
    let unread = MessageQuery {
        sent_after_ns: Some(read_ns),
        exclude_type_ids: QUIET.map(str::to_owned).to_vec(),
        exclude_senders: vec![me],
        ..MessageQuery::default()
    };
    let mut people = BTreeSet::from_iter(last.iter().map(|last| last.sender));
    let kind = match conversation.peer() {
        Some(peer) => {
            people.insert(peer);
            ChatKind::Dm(peer)
        }
        None => {
            let members = conversation.member_inboxes();
            let others = members.iter().copied().filter(|inbox| *inbox != me);
            let others: Vec<_> = others.take(NAMED).collect();
            people.extend(&others);
            ChatKind::Group {
                members: members.len(),
                others,
            }
        }
    };
    if let Some(Last { body, .. }) = &last {
        people.extend(named(body));
    }
    let name = clean(&conversation.name(), Lines::One);
    let vanish = conversation.disappearing().map(|settings| {
        let seconds = settings.in_ns.div_euclid(1_000_000_000);
        u64::try_from(seconds).unwrap_or(0).max(1)
    });
    let group = conversation.peer().is_none();
    let role = match group {
        true if conversation.is_super_admin(&me) => MemberRole::SuperAdmin,
        true if conversation.is_admin(&me) => MemberRole::Admin,
        _ => MemberRole::Member,
    };
    let chat = Chat {
        key: key(conversation),
        id: conversation.id().clone(),
        name: Some(name).filter(|name| !name.is_empty()),
        kind,
        consent: conversation.consent().await?,
        last_ns: last_ns.unwrap_or_else(|| conversation.created_ns()),
        last,
        unread: conversation.count_messages(&unread).await?,
        trouble: conversation
            .trouble()
            .map(|trouble| clean(&trouble, Lines::One)),
        vanish,
        role,
        leaving: conversation.membership_state() == MembershipState::PendingRemove,
        gone: group && conversation.state() == ConversationState::Inactive,
    };
    Ok((chat, people))
}

/// The messages of a window, and the people that are named there.
pub(super) async fn history(
    client: &Client,
    conversation: &Conversation,
    window: Window,
    read_ns: u64,
) -> Result<(History, BTreeSet<InboxId>), Error> {
    let query = MessageQuery {
        sent_before_ns: window.before_ns,
        exclude_type_ids: HIDDEN.map(str::to_owned).to_vec(),
        limit: Some(window.limit + 1),
        order: Order::Descending,
        ..MessageQuery::default()
    };
    let mut messages = conversation.enriched_messages(&query).await?;
    let more = messages.len() > window.limit;
    messages.truncate(window.limit);
    messages.reverse();
    let seen = conversation.last_read_times().await?;
    let mut entries: Vec<_> = messages.iter().map(entry).collect();
    entries.retain(|entry| !matches!(&entry.body, Body::Update(update) if words::is_half(update)));
    quote(client, &mut entries).await;
    let mut people = BTreeSet::new();
    for entry in &entries {
        people.insert(entry.sender);
        people.extend(named(&entry.body));
        people.extend(entry.reactions.iter().flat_map(|(_, people)| people));
        let quoted = entry.quote.as_ref().and_then(|quote| quote.said.as_ref());
        people.extend(quoted.map(|(sender, _)| *sender));
    }
    let own = seen.get(&client.inbox_id()).copied().unwrap_or(0);
    let history = History {
        key: key(conversation),
        window,
        entries,
        more,
        read_ns: read_ns.max(own),
        seen,
    };
    Ok((history, people))
}

/// The window in which a message is shown with what is around it.
pub(super) async fn around(
    conversation: &Conversation,
    message: &Message,
) -> Result<Window, Error> {
    let after = MessageQuery {
        sent_after_ns: Some(message.sent_ns),
        exclude_type_ids: HIDDEN.map(str::to_owned).to_vec(),
        ..MessageQuery::default()
    };
    let newer = usize::try_from(conversation.count_messages(&after).await?).unwrap_or(usize::MAX);
    if newer <= FAR {
        return Ok(Window {
            before_ns: None,
            limit: PAGE.max(newer + AROUND),
        });
    }
    let some = MessageQuery {
        limit: Some(AROUND),
        ..after
    };
    let last = conversation.messages(&some).await?.pop();
    Ok(Window {
        before_ns: last.map(|last| last.sent_ns.saturating_add(1)),
        limit: PAGE,
    })
}

/// The first messages of a conversation, at most `limit`.
pub(super) async fn first(conversation: &Conversation, limit: usize) -> Result<Window, Error> {
    after(conversation, None, limit, limit).await
}

/// At most `limit` messages of which some come after a time: Unix time in nanoseconds.
pub(super) async fn next(
    conversation: &Conversation,
    newest_ns: u64,
    limit: usize,
) -> Result<Window, Error> {
    after(conversation, Some(newest_ns), PAGE, limit).await
}

/// The window of `limit` messages that ends `step` messages after a time. Where fewer are left it
/// is that of the newest.
async fn after(
    conversation: &Conversation,
    from_ns: Option<u64>,
    step: usize,
    limit: usize,
) -> Result<Window, Error> {
    let query = MessageQuery {
        sent_after_ns: from_ns,
        exclude_type_ids: HIDDEN.map(str::to_owned).to_vec(),
        limit: Some(step + 1),
        ..MessageQuery::default()
    };
    let mut messages = conversation.enriched_messages(&query).await?;
    let rest = messages.split_off(step.min(messages.len()));
    Ok(Window {
        before_ns: rest.first().map(|message| message.message.sent_ns),
        limit,
    })
}

/// Puts what messages answer beside them, as it stands now: what was taken back is not quoted.
async fn quote(client: &Client, entries: &mut [Entry]) {
    let mut said: BTreeMap<MessageId, Option<(InboxId, Body)>> = BTreeMap::new();
    let here = |id: MessageId| entries.iter().find(|entry| entry.id == id);
    for quoted in entries.iter().filter_map(|entry| entry.quote.as_ref()) {
        if said.contains_key(&quoted.id) {
            continue;
        }
        let found = match here(quoted.id) {
            Some(entry) => Some((entry.sender, entry.body.clone())),
            None if quoted.said.is_some() => {
                let found = follow::with_all(client, &quoted.id).await.ok();
                found.map(|found| (found.message.sender, self::said(&found)))
            }
            None => None,
        };
        said.insert(quoted.id, found);
    }
    for quote in entries.iter_mut().filter_map(|entry| entry.quote.as_mut()) {
        quote.said = said.get(&quote.id).cloned().flatten();
    }
}

fn entry(enriched: &EnrichedMessage) -> Entry {
    let message = &enriched.message;
    let quote = match &message.content {
        Content::Reply(reply) if enriched.deleted.is_none() => reply.reference_id(),
        _ => None,
    };
    Entry {
        id: message.id,
        sender: message.sender,
        sent_ns: message.sent_ns,
        body: said(enriched),
        quote: quote.map(|id| Quote {
            id,
            said: enriched
                .in_reply_to
                .as_ref()
                .map(|answered| (answered.sender, body(&answered.content, None))),
        }),
        reactions: reactions(&enriched.reactions),
        edited: enriched.edited.is_some() && enriched.deleted.is_none(),
        delivery: match message.delivery {
            DeliveryStatus::Unpublished => Delivery::Sending,
            DeliveryStatus::Published => Delivery::Sent,
            DeliveryStatus::Failed => Delivery::Failed,
        },
    }
}

fn reactions(reactions: &[Message]) -> Vec<(String, Vec<InboxId>)> {
    let mut given: Vec<(String, Vec<InboxId>)> = Vec::new();
    for one in reactions {
        let Content::Reaction(reaction) = &one.content else {
            continue;
        };
        let emoji = shorten(&clean(&reaction.content, Lines::One), 12);
        match given.iter_mut().find(|(other, _)| *other == emoji) {
            Some((_, people)) => people.push(one.sender),
            None => given.push((emoji, vec![one.sender])),
        }
    }
    given
}

/// What a message says now.
pub(super) fn said(enriched: &EnrichedMessage) -> Body {
    let message = &enriched.message;
    match (&enriched.deleted, &enriched.edited) {
        (Some(deletion), _) => Body::Deleted(match deletion {
            folkmoot_client::Deletion::BySender => None,
            folkmoot_client::Deletion::ByAdmin(admin) => Some(*admin),
        }),
        (None, Some(edited)) => body(edited, None),
        (None, None) => body(&message.content, message.fallback.as_deref()),
    }
}

fn body(content: &Content, fallback: Option<&str>) -> Body {
    let text = |text: &str| Body::Text(clean(text, Lines::Many));
    match content {
        Content::Text(said) => text(&said.0),
        Content::Markdown(said) => text(&said.0),
        Content::Reply(reply) => body(&reply.content(), None),
        Content::Attachment(attachment) => Body::Files(vec![File {
            name: file_name(attachment.filename.as_deref(), &attachment.mime_type),
            bytes: u64::try_from(attachment.data.len()).ok(),
        }]),
        Content::RemoteAttachment(remote) => Body::Files(vec![file(remote)]),
        Content::MultiRemoteAttachment(multi) => {
            Body::Files(multi.attachments.iter().map(file).collect())
        }
        Content::Actions(actions) => {
            let choices = actions.actions.iter();
            let choices = choices.map(|choice| format!("\n[{}]", choice.label));
            text(&format!(
                "{}{}",
                actions.description,
                choices.collect::<String>()
            ))
        }
        Content::Intent(intent) => {
            Body::Act(format!("chose {}", clean(&intent.action_id, Lines::One)))
        }
        Content::GroupUpdated(updated) => Body::Update(updated.clone()),
        Content::GroupMembershipChange(_) => Body::Act("changed who is a member".to_owned()),
        Content::LeaveRequest(_) => Body::Act("asked to leave".to_owned()),
        other => match fallback.map(str::to_owned).or_else(|| other.fallback()) {
            Some(words) => text(&words),
            None => Body::Act("sent something that is not shown here".to_owned()),
        },
    }
}

fn file(remote: &RemoteAttachment) -> File {
    File {
        name: file_name(remote.filename.as_deref(), "file"),
        bytes: remote.content_length.map(u64::from),
    }
}

/// The sender's name of a file as far as it is a plain one.
fn file_name(name: Option<&str>, otherwise: &str) -> String {
    let name = plain_name(name).unwrap_or_else(|| otherwise.to_owned());
    clean(&name, Lines::One)
}

/// People whom a body names.
fn named(body: &Body) -> Vec<InboxId> {
    match body {
        Body::Update(updated) => [
            &updated.added_inboxes,
            &updated.removed_inboxes,
            &updated.left_inboxes,
            &updated.added_admins,
            &updated.removed_admins,
            &updated.added_super_admins,
            &updated.removed_super_admins,
        ]
        .into_iter()
        .flatten()
        .copied()
        .chain([updated.initiated_by])
        .collect(),
        Body::Deleted(by) => by.iter().copied().collect(),
        Body::Text(_) | Body::Files(_) | Body::Act(_) => Vec::new(),
    }
}
