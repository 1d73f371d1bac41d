//! Each example does what it says.

use std::{pin::pin, time::Duration};

use folkmoot_client::{Client, MemberRole, StreamOptions};
use folkmoot_conversation::content::Content;
use folkmoot_identity::WalletSecret;
use folkmoot_testkit::TestNode;
use tokio::sync::oneshot;

#[expect(dead_code, reason = "the test does what `main` does")]
#[path = "../../../../examples/echo_bot.rs"]
mod echo_bot;
#[expect(dead_code, reason = "the test does what `main` does")]
#[path = "../../../../examples/embed.rs"]
mod embed;
#[expect(dead_code, reason = "the test does what `main` does")]
#[path = "../../../../examples/group_admin.rs"]
mod group_admin;
#[expect(dead_code, reason = "the test does what `main` does")]
#[path = "../../../../examples/send.rs"]
mod send;

/// The longest that an answer may take.
const SOON: Duration = Duration::from_secs(60);

async fn person(node: &TestNode) -> Client {
    let wallet = WalletSecret::from_bytes(&rand::random()).unwrap();
    let builder = Client::builder().node(&node.url);
    builder.create(&wallet).await.unwrap()
}

#[tokio::test]
async fn send_says_something_to_an_address() {
    let node = TestNode::start().await;
    let (alice, bob) = (person(&node).await, person(&node).await);
    let address = bob.identifier().to_string();
    let id = send::say(&alice, &address, "See you at noon".to_owned())
        .await
        .unwrap();
    bob.conversations().sync_all(&[]).await.unwrap();
    let (conversations, id) = (bob.conversations(), id.parse().unwrap());
    let message = conversations.message(&id).await.unwrap();
    assert_eq!(message.content, Content::text("See you at noon"));
    let nobody = "0x00000000000000000000000000000000000000aa";
    let refused = send::say(&alice, nobody, "hello?".to_owned()).await;
    let told = refused.unwrap_err().to_string();
    assert_eq!(told, format!("{nobody} is not on this network"));
}

#[tokio::test]
async fn the_echo_bot_answers_with_what_was_said() {
    let node = TestNode::start().await;
    let (bot, alice) = (person(&node).await, person(&node).await);
    let (listening, ready) = oneshot::channel();
    let mut echo = pin!(echo_bot::echo(&bot, listening));
    let talk = async {
        ready.await.unwrap();
        let options = StreamOptions {
            without_own: true,
            without_changes: true,
            ..StreamOptions::default()
        };
        let conversations = alice.conversations();
        let mut heard = conversations.stream_all_messages(options).await.unwrap();
        let dm = conversations.new_dm(bot.inbox_id()).await.unwrap();
        let said = dm.send_text("polo").await.unwrap();
        let answer = heard.next().await.unwrap();
        assert_eq!(answer.reference, Some(said));
        let Content::Reply(reply) = answer.content else {
            panic!("{:?}", answer.content);
        };
        assert_eq!(reply.content(), Content::text("polo"));
    };
    tokio::select! {
        ended = &mut echo => panic!("{ended:?}"),
        talked = tokio::time::timeout(SOON, talk) => talked.unwrap(),
    }
}

#[tokio::test]
async fn a_network_and_two_people_fit_into_one_process() {
    let read = embed::talk().await.unwrap();
    assert_eq!(read, ["hello", "are you there?"]);
}

#[tokio::test]
async fn a_group_admin_shares_out_roles_and_removes_people() {
    let node = TestNode::start().await;
    let (admin, deputy, guest) = (
        person(&node).await,
        person(&node).await,
        person(&node).await,
    );
    let made = group_admin::administer(&admin, deputy.inbox_id(), guest.inbox_id());
    let made = made.await.unwrap();
    for one in [&deputy, &guest] {
        one.conversations().sync_all(&[]).await.unwrap();
    }
    let there = deputy.conversations().get(made.id()).await.unwrap();
    assert_eq!(there.name(), "Picnic on Sunday");
    let members = there.members().await.unwrap();
    let role = |client: &Client| {
        let mut all = members.iter();
        let found = all.find(|member| member.inbox_id == client.inbox_id());
        found.map(|member| member.role)
    };
    assert_eq!(role(&admin), Some(MemberRole::SuperAdmin));
    assert_eq!(role(&deputy), Some(MemberRole::Admin));
    assert_eq!(role(&guest), None);
    let there = guest.conversations().get(made.id()).await.unwrap();
    assert!(!there.is_active());
}
