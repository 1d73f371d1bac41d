//! Envelopes that push servers bring.

use folkmoot_client::{Client, ConversationError, Error, MessageKind, network::GroupEnvelope};
use folkmoot_conversation::content::Content;
use folkmoot_wire::{
    GroupId, Topic, TopicKind, VectorClock,
    proto::xmtp::{
        mls::api::v1 as mls,
        xmtpv4::envelopes::{
            AuthenticatedData, ClientEnvelope, OriginatorEnvelope, PayerEnvelope,
            UnsignedOriginatorEnvelope, client_envelope::Payload,
        },
    },
};
use prost::Message;

use crate::people::{Generation, World, both_generations, group, synced, text, texts};

both_generations!(
    a_pushed_text_is_read_once_and_before_the_log_shows_it,
    what_is_missing_before_a_pushed_message_comes_with_the_next_sync,
    a_pushed_commit_has_the_group_read,
    a_pushed_welcome_leads_into_its_conversation,
    what_a_push_server_makes_up_does_no_harm,
);

async fn a_pushed_text_is_read_once_and_before_the_log_shows_it(world: World) {
    let [alice, bob] = world.clients().await;
    let picnic = group(&alice, &[&bob]).await;
    let bobs = synced(&bob, picnic.id()).await;
    picnic.send_text("see you at noon").await.unwrap();
    let mut pushed = newest(&world, picnic.id()).await;
    let (true_ns, true_place) = (pushed.created_ns, (pushed.originator, pushed.sequence));

    // What the push server says of the place and the time is not believed for good.
    pushed.created_ns += 7;
    pushed.sequence += 1000;
    let before = bobs.cursor().await.unwrap();
    let envelope = encoded(&world, &pushed);
    let read = bobs.process_streamed_message(&envelope).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(text(&read[0]).unwrap(), "see you at noon");
    assert_eq!(read[0].sender, alice.inbox_id());
    // Nothing was asked for: the log would have moved the cursor and named the place.
    assert_eq!(bobs.cursor().await.unwrap(), before);
    assert_eq!(read[0].place, None);
    // The same notification twice, also for those who do not know whose it is.
    let conversations = bob.conversations();
    let again = conversations.process_streamed_message(&envelope).await;
    assert_eq!(again.unwrap()[0].id, read[0].id);

    picnic.send_text("bring bread").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["see you at noon", "bring bread"]);
    let settled = conversations.message(&read[0].id).await.unwrap();
    assert_eq!(
        (settled.sent_ns, settled.place),
        (true_ns, Some(true_place))
    );
    assert_eq!(bobs.trouble(), None);
    let late = bobs.process_streamed_message(&envelope).await.unwrap();
    assert!(late.len() <= 1, "{late:?}");
    assert_eq!(texts(&bobs).await.len(), 2);
}

async fn what_is_missing_before_a_pushed_message_comes_with_the_next_sync(world: World) {
    let [alice, bob] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    let bobs = synced(&bob, picnic.id()).await;
    picnic.send_text("one").await.unwrap();
    picnic.send_text("two").await.unwrap();
    let pushed = newest(&world, picnic.id()).await;
    picnic.set_name("Picnic").await.unwrap();
    let pushed = encoded(&world, &pushed);
    let read = bobs.process_streamed_message(&pushed).await;
    assert_eq!(text(&read.unwrap()[0]).unwrap(), "two");
    // A message after a commit that is not here yet has the group read.
    picnic.send_text("three").await.unwrap();
    let pushed = newest(&world, picnic.id()).await;
    let pushed = encoded(&world, &pushed);
    let read = bobs.process_streamed_message(&pushed).await;
    assert_eq!(text(&read.unwrap()[0]).unwrap(), "three");
    assert_eq!(texts(&bobs).await.len(), 3);
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["one", "two", "three"]);
    assert_eq!(bobs.name(), "Picnic");
}

async fn a_pushed_commit_has_the_group_read(world: World) {
    let [alice, bob] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    let bobs = synced(&bob, picnic.id()).await;
    picnic.set_name("Picnic").await.unwrap();
    let pushed = encoded(&world, &newest(&world, picnic.id()).await);
    for _ in 0..2 {
        let read = bobs.process_streamed_message(&pushed).await.unwrap();
        assert_eq!(read[0].kind, MessageKind::MembershipChange);
        assert!(matches!(read[0].content, Content::GroupUpdated(_)));
    }
}

async fn a_pushed_welcome_leads_into_its_conversation(world: World) {
    let [alice, bob] = world.clients().await;
    let picnic = alice.conversations();
    let picnic = picnic.new_group([bob.inbox_id()], Default::default());
    let picnic = picnic.await.unwrap();
    let pushed = welcome(&world, &bob).await;
    for _ in 0..2 {
        let joined = bob.conversations().process_welcome_message(&pushed).await;
        let joined: Vec<_> = joined.unwrap().iter().map(|one| one.id().clone()).collect();
        assert_eq!(joined, [picnic.id().clone()]);
    }
    let other = alice.conversations().process_welcome_message(&pushed).await;
    assert!(
        matches!(
            other,
            Err(Error::Conversation(ConversationError::OtherInstallation(_)))
        ),
        "{other:?}"
    );
}

async fn what_a_push_server_makes_up_does_no_harm(world: World) {
    let [alice, bob] = world.clients().await;
    let (picnic, other) = (group(&alice, &[&bob]).await, group(&alice, &[&bob]).await);
    let bobs = synced(&bob, picnic.id()).await;
    for junk in [&b""[..], b"junk", &[10, 2, 8, 1]] {
        let read = bobs.process_streamed_message(junk).await;
        let is_told = matches!(
            read,
            Err(Error::Conversation(ConversationError::Envelope { .. }))
        );
        assert!(is_told, "{read:?}");
        let read = bob.conversations().process_welcome_message(junk).await;
        assert!(read.is_err());
    }
    other.send_text("elsewhere").await.unwrap();
    let elsewhere = newest(&world, other.id()).await;
    let read = bobs
        .process_streamed_message(&encoded(&world, &elsewhere))
        .await;
    let is_told = matches!(
        read,
        Err(Error::Conversation(ConversationError::OtherConversation(_)))
    );
    assert!(is_told, "{read:?}");

    picnic.send_text("hello").await.unwrap();
    let mut broken = newest(&world, picnic.id()).await;
    let mut data = broken.data.to_vec();
    *data.last_mut().unwrap() ^= 1;
    broken.data = data.into();
    broken.sequence += 1_000_000;
    let broken = encoded(&world, &broken);
    let read = bobs.process_streamed_message(&broken).await;
    assert_eq!(read.unwrap(), []);
    picnic.send_text("again").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["hello", "again"]);
    assert_eq!(bobs.trouble(), None);
}

/// The newest envelope of a group.
async fn newest(world: &World, group: &GroupId) -> GroupEnvelope {
    let (network, start) = (world.network(), VectorClock::new());
    let log = network.group_messages(group, &start, 100).await;
    let mut log = log.unwrap().envelopes;
    log.sort_by_key(|one| one.created_ns);
    log.pop().unwrap()
}

/// An envelope as a push server hands it on.
fn encoded(world: &World, envelope: &GroupEnvelope) -> Vec<u8> {
    match world.generation() {
        Generation::V3 => mls::GroupMessage {
            version: Some(mls::group_message::Version::V1(mls::group_message::V1 {
                id: envelope.sequence,
                created_ns: envelope.created_ns,
                group_id: envelope.group_id.as_bytes().to_vec().into(),
                data: envelope.data.clone(),
                sender_hmac: envelope.sender_hmac.clone(),
                should_push: envelope.should_push,
                is_commit: envelope.is_commit,
            })),
        }
        .encode_to_vec(),
        Generation::D14n => wrapped(
            (envelope.originator, envelope.sequence, envelope.created_ns),
            &Topic::new(TopicKind::GroupMessages, envelope.group_id.as_bytes()).unwrap(),
            Payload::GroupMessage(mls::GroupMessageInput {
                version: Some(mls::group_message_input::Version::V1(
                    mls::group_message_input::V1 {
                        data: envelope.data.clone(),
                        sender_hmac: envelope.sender_hmac.clone(),
                        should_push: envelope.should_push,
                    },
                )),
            }),
        ),
    }
}

/// The first welcome to a client.
async fn welcome(world: &World, client: &Client) -> Vec<u8> {
    use folkmoot_client::network::WelcomeContent;
    let (network, key) = (world.network(), client.installation_key());
    let log = network.welcomes(&key, &VectorClock::new(), 100).await;
    let envelope = log.unwrap().envelopes.remove(0);
    let WelcomeContent::Welcome {
        data,
        hpke_public_key,
        wrapper_algorithm,
        metadata,
    } = envelope.welcome.content
    else {
        panic!("a welcome itself");
    };
    match world.generation() {
        Generation::V3 => mls::WelcomeMessage {
            version: Some(mls::welcome_message::Version::V1(
                mls::welcome_message::V1 {
                    id: envelope.sequence,
                    created_ns: envelope.created_ns,
                    installation_key: key.as_bytes().to_vec().into(),
                    data,
                    hpke_public_key,
                    wrapper_algorithm,
                    welcome_metadata: metadata,
                },
            )),
        }
        .encode_to_vec(),
        Generation::D14n => wrapped(
            (envelope.originator, envelope.sequence, envelope.created_ns),
            &Topic::new(TopicKind::WelcomeMessages, key.as_bytes()).unwrap(),
            Payload::WelcomeMessage(mls::WelcomeMessageInput {
                version: Some(mls::welcome_message_input::Version::V1(
                    mls::welcome_message_input::V1 {
                        installation_key: key.as_bytes().to_vec().into(),
                        data,
                        hpke_public_key,
                        wrapper_algorithm,
                        welcome_metadata: metadata,
                    },
                )),
            }),
        ),
    }
}

fn wrapped(
    (originator, sequence, created_ns): (u32, u64, u64),
    topic: &Topic,
    payload: Payload,
) -> Vec<u8> {
    let inner = ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic: topic.as_bytes().clone(),
            depends_on: None,
        }),
        payload: Some(payload),
    };
    let paid = PayerEnvelope {
        unsigned_client_envelope: inner.encode_to_vec().into(),
        ..Default::default()
    };
    let numbered = UnsignedOriginatorEnvelope {
        originator_node_id: originator,
        originator_sequence_id: sequence,
        originator_ns: i64::try_from(created_ns).unwrap(),
        payer_envelope_bytes: paid.encode_to_vec().into(),
        ..Default::default()
    };
    OriginatorEnvelope {
        unsigned_originator_envelope: numbered.encode_to_vec().into(),
        ..Default::default()
    }
    .encode_to_vec()
}
