//! Ways in.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use folkmoot_xmpp::sasl::Hash;

use crate::{client::attribute, world::World};

#[tokio::test]
async fn every_mechanism_works_behind_starttls_and_direct_tls() {
    let world = World::start().await;
    for mechanism in [
        "SCRAM-SHA-1",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-256-PLUS",
        "PLAIN",
    ] {
        let mut over = world.connect().await.start_tls().await;
        over.log_in("romeo", mechanism).await;
        over.bind("over").await;
        let mut direct = world.connect_tls().await;
        direct.log_in("romeo", mechanism).await;
        direct.bind("direct").await;
        assert!(direct.sync().await.is_empty());
    }
}

#[tokio::test]
async fn a_token_lets_in_the_next_time_and_is_replaced() {
    let world = World::start().await;
    let mut client = world.connect_tls().await;
    client.open().await;
    let plain = STANDARD.encode("\0romeo\0secret");
    let user_agent = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>app</software></user-agent>";
    let wish = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";
    let bind = "<bind xmlns='urn:xmpp:bind:0'><tag>app</tag></bind>";
    client
        .send(&format!("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{plain}</initial-response>{user_agent}{wish}{bind}</authenticate>"))
        .await;
    let success = client.expect("<success").await;
    let address = success.split("identifier>").nth(1).unwrap().to_owned();
    let mut token = attribute(&success, "token").to_owned();
    for again in [true, false] {
        let mut client = world.connect_tls().await;
        client.open().await;
        let mut message = b"romeo\0".to_vec();
        message.extend(Hash::Sha256.hmac(token.as_bytes(), &[b"Initiator"]));
        let response = STANDARD.encode(message);
        let wish = if again { wish } else { "" };
        client
            .send(&format!("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>{response}</initial-response>{user_agent}<fast xmlns='urn:xmpp:fast:0'/>{wish}{bind}</authenticate>"))
            .await;
        let success = client.expect("<success").await;
        let proof = STANDARD.encode(Hash::Sha256.hmac(token.as_bytes(), &[b"Responder"]));
        assert!(success.contains(&proof), "{success}");
        assert!(
            success.contains(&address),
            "the same client gets the same resource: {success}"
        );
        if again {
            let next = attribute(&success, "token").to_owned();
            assert_ne!(next, token);
            token = next;
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_tries_are_counted() {
    let world = World::start().await;
    let mut client = world.connect_tls().await;
    client.open().await;
    for attempt in 1..=5 {
        for name in [["romeo", "nobody"][attempt % 2]] {
            let plain = STANDARD.encode(format!("\0{name}\0wrong"));
            client
                .send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"))
                .await;
            client.expect("<not-authorized").await;
        }
    }
    client.expect("<policy-violation").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_resource_that_is_taken_goes_to_who_comes_last() {
    let world = World::start().await;
    let mut first = world.available("romeo", "phone").await;
    let mut watcher = world.available("romeo", "watch").await;
    first.sync().await;
    let mut second = world.bound("romeo", "phone").await;
    first.until("<conflict").await;
    first.expect_end().await;
    watcher.until("type='unavailable'").await;
    assert!(second.sync().await.is_empty());
}

#[tokio::test]
async fn the_server_says_goodbye_when_it_ends() {
    let world = World::start().await;
    let mut client = world.available("romeo", "phone").await;
    tokio::join!(world.server.shutdown(), async {
        client.until("<system-shutdown").await;
        client.expect_end().await;
    });
}
