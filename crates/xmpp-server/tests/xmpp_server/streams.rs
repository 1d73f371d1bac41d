//! What may not be in a stream, and what ends it.

use crate::{client::HEADER, world::World};

#[tokio::test]
async fn what_xmpp_forbids_ends_the_stream() {
    let world = World::start().await;
    let nested = "<a>".repeat(100);
    let many = format!("<message>{}", "<a/>".repeat(2000));
    let long = format!("<message><body>{}", "x".repeat(300_000));
    for (text, condition) in [
        ("<!-- hi -->", "restricted-xml"),
        ("<?php ?>", "restricted-xml"),
        ("<message><body>&lol;</body></message>", "restricted-xml"),
        ("<message></presence>", "not-well-formed"),
        ("<message><x:y/></message>", "not-well-formed"),
        ("hello<a/>", "bad-format"),
        ("<message from='juliet@localhost/x'/>", "invalid-from"),
        ("<hello xmlns='urn:x'/>", "unsupported-stanza-type"),
        (nested.as_str(), "not-authorized"),
        (many.as_str(), "policy-violation"),
        (long.as_str(), "policy-violation"),
    ] {
        let mut client = world.bound("romeo", "phone").await;
        if text == nested {
            client = world.connect().await;
            client.open().await;
            client.send("<message to='juliet@localhost'/>").await;
        } else {
            client.send(text).await;
        }
        client.until(&format!("<{condition}")).await;
        client.expect_end().await;
    }
}

#[tokio::test]
async fn a_document_type_is_refused_before_anything_else() {
    let world = World::start().await;
    let mut client = world.connect().await;
    client
        .send("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]>")
        .await;
    client.expect("<restricted-xml").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_stream_for_another_domain_is_refused() {
    let world = World::start().await;
    let mut client = world.connect().await;
    client
        .send(&HEADER.replace("to='localhost'", "to='elsewhere.example'"))
        .await;
    client.expect("<host-unknown").await;
    client.expect_end().await;
}

#[tokio::test]
async fn what_was_written_before_tls_is_forgotten() {
    let world = World::start().await;
    // An attacker puts a login and a stanza behind the client's request for TLS.
    let more = format!("{HEADER}<iq type='get' id='injected'><ping xmlns='urn:xmpp:ping'/></iq>");
    let mut client = world.connect().await.start_tls_and(&more).await;
    client.log_in("romeo", "PLAIN").await;
    client.bind("phone").await;
    assert!(client.sync().await.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_sent_away() {
    let world = World::with(|options| options.backlog = 200_000).await;
    let mut lazy = world.available("juliet", "lazy").await;
    let mut romeo = world.bound("romeo", "phone").await;
    let body = "x".repeat(50_000);
    for _ in 0..400 {
        romeo
            .send(&format!(
                "<message to='juliet@localhost/lazy' type='headline'><body>{body}</body></message>"
            ))
            .await;
        if world.server.sessions() == 1 {
            break;
        }
    }
    romeo.sync().await;
    while !matches!(lazy.next().await.as_str(), "</stream>" | "(cut)") {}
    assert!(romeo.sync().await.is_empty(), "nobody else is held up");
}

#[tokio::test]
async fn a_client_that_is_silent_is_asked_and_then_given_up() {
    let world =
        World::with(|options| options.silence = std::time::Duration::from_millis(300)).await;
    let mut client = world.bound("romeo", "phone").await;
    client.expect("<ping xmlns='urn:xmpp:ping'/>").await;
    client.expect("<connection-timeout").await;
    client.expect_end().await;
}
