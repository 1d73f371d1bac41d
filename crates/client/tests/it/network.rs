use std::{collections::HashSet, sync::Arc, time::Instant};

use bytes::Bytes;
use folkmoot_client::network::{
    Cursor, Environment, GroupEnvelope, Network, NetworkAddress, NetworkError, NetworkOptions,
    OutgoingCommitLogEntry, OutgoingMessage, Welcome, WelcomeContent,
};
use folkmoot_testkit::{
    Person, TestNode,
    mls::{Content, private_message},
};
use folkmoot_wire::{COMMIT_ORIGINATOR, GroupId, InstallationKey};
use tokio::net::TcpListener;

use crate::support::{Generation, Wire, both_generations};

both_generations!(
    an_inbox_is_found_by_its_account,
    key_packages_come_in_order_with_gaps,
    messages_come_back_in_order_and_once,
    many_messages_come_in_pages,
    the_newest_message_of_each_group_is_known,
    welcomes_come_back_as_they_were,
    what_the_node_refuses_is_told_in_its_words,
    a_broken_connection_is_made_anew,
);

pub(crate) fn group(number: u8) -> GroupId {
    GroupId::try_from(vec![number; 16]).unwrap()
}

pub(crate) fn message(number: u8, content: Content, text: &str) -> OutgoingMessage {
    let data = private_message(&[number; 16], 1, content, text.as_bytes());
    OutgoingMessage {
        group_id: group(number),
        data: data.into(),
        sender_hmac: Bytes::from_static(&[9; 32]),
        should_push: true,
        depends_on: Cursor::new(),
    }
}

pub(crate) fn seen(envelopes: &[GroupEnvelope]) -> Cursor {
    let mut cursor = Cursor::new();
    for one in envelopes {
        cursor.advance(one.originator, one.sequence);
    }
    cursor
}

async fn all(network: &Arc<dyn Network>, number: u8) -> Vec<GroupEnvelope> {
    let mut all: Vec<GroupEnvelope> = Vec::new();
    loop {
        let (group, seen) = (group(number), seen(&all));
        let page = network.group_messages(&group, &seen, 100).await.unwrap();
        all.extend(page.envelopes);
        if !page.more {
            return all;
        }
    }
}

async fn an_inbox_is_found_by_its_account(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let (ada, bob) = (Person::new(1), Person::new(2));
    let registration = ada.registration();
    network
        .publish_identity_update(&ada.inbox, registration.clone())
        .await
        .unwrap();
    let asked = [bob.identifier(), ada.identifier()];
    let found = network.inbox_ids(&asked).await.unwrap();
    assert_eq!(found, [None, Some(ada.inbox)]);

    let asked = [(bob.inbox, 0), (ada.inbox, 0)];
    let logs = network.identity_updates(&asked).await.unwrap();
    assert!(logs[0].as_ref().unwrap().is_empty());
    let [update] = &logs[1].as_ref().unwrap()[..] else {
        panic!("there is one update");
    };
    assert_eq!(update.update, registration, "byte for byte");
    assert!(update.created_ns > 0);
    let asked = [(ada.inbox, update.sequence)];
    let later = network.identity_updates(&asked).await.unwrap();
    assert!(later[0].as_ref().unwrap().is_empty());
}

async fn key_packages_come_in_order_with_gaps(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let people = [Person::new(1), Person::new(2), Person::new(3)];
    let keys: Vec<InstallationKey> = people.iter().map(|one| one.installation.key()).collect();
    let mut uploaded = Vec::new();
    for at in [0, 2] {
        let package = people[at].key_package();
        network
            .upload_key_package(&keys[at], package.clone())
            .await
            .unwrap();
        uploaded.push(package);
    }
    let found = network.key_packages(&keys).await.unwrap();
    assert_eq!(
        found,
        [Some(uploaded[0].clone()), None, Some(uploaded[1].clone())]
    );
    let newer = people[0].key_package();
    network
        .upload_key_package(&keys[0], newer.clone())
        .await
        .unwrap();
    assert_eq!(
        network.key_packages(&keys[..1]).await.unwrap(),
        [Some(newer)]
    );
}

async fn messages_come_back_in_order_and_once(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let sent = vec![
        message(1, Content::Commit, "begin"),
        message(1, Content::Application, "hello"),
        message(2, Content::Application, "elsewhere"),
        message(1, Content::Commit, "rename"),
        message(1, Content::Application, "bye"),
    ];
    network.publish_group_messages(sent.clone()).await.unwrap();
    let found = all(&network, 1).await;
    let data: Vec<&Bytes> = found.iter().map(|one| &one.data).collect();
    assert_eq!(
        data,
        [&sent[0].data, &sent[1].data, &sent[3].data, &sent[4].data]
    );
    let commits: Vec<bool> = found.iter().map(|one| one.is_commit).collect();
    assert_eq!(commits, [true, false, true, false]);
    for one in &found {
        assert_eq!(one.group_id, group(1));
        assert_eq!(one.originator == COMMIT_ORIGINATOR, one.is_commit);
        assert_eq!(one.sender_hmac, sent[0].sender_hmac);
        assert!(one.should_push);
    }
    let middle = network
        .group_messages(&group(1), &seen(&found[..2]), 100)
        .await
        .unwrap();
    assert_eq!(middle.envelopes, found[2..]);
    let none = network
        .group_messages(&group(1), &seen(&found), 100)
        .await
        .unwrap();
    assert!(none.envelopes.is_empty());
}

async fn many_messages_come_in_pages(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let text = |number: usize| message(1, Content::Application, &format!("{number:04}"));
    let sent: Vec<_> = (0..1250).map(text).collect();
    network.publish_group_messages(sent.clone()).await.unwrap();
    let found = all(&network, 1).await;
    assert_eq!(found.len(), sent.len());
    assert!(
        found
            .iter()
            .zip(&sent)
            .all(|(got, sent)| got.data == sent.data)
    );
    let numbers: HashSet<u64> = found.iter().map(|one| one.sequence).collect();
    assert_eq!(numbers.len(), sent.len());
}

async fn the_newest_message_of_each_group_is_known(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let sent = vec![
        message(1, Content::Commit, "begin"),
        message(1, Content::Application, "hello"),
        message(3, Content::Commit, "begin"),
    ];
    network.publish_group_messages(sent).await.unwrap();
    let newest = network
        .newest_group_messages(&[group(1), group(2), group(3)])
        .await
        .unwrap();
    let found = all(&network, 1).await;
    assert_eq!(newest[0].unwrap().sequence, found[1].sequence);
    assert_eq!(newest[1], None);
    assert!(newest[0].unwrap().is_after(&seen(&found[..1])));
    assert!(!newest[0].unwrap().is_after(&seen(&found)));
    assert!(newest[2].unwrap().is_after(&Cursor::new()));
}

pub(crate) fn welcome(number: u8, text: &'static str) -> Welcome {
    Welcome {
        destination: InstallationKey::from_bytes([number; 32]),
        content: WelcomeContent::Welcome {
            data: Bytes::from_static(text.as_bytes()),
            hpke_public_key: Bytes::from_static(&[3; 32]),
            wrapper_algorithm: 1,
            metadata: Bytes::from_static(b"metadata"),
        },
    }
}

async fn welcomes_come_back_as_they_were(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let pointer = Welcome {
        destination: InstallationKey::from_bytes([1; 32]),
        content: WelcomeContent::Pointer {
            data: Bytes::from_static(b"over there"),
            hpke_public_key: Bytes::from_static(&[4; 1216]),
            wrapper_algorithm: 2,
        },
    };
    let sent = vec![welcome(1, "come in"), welcome(2, "you too"), pointer];
    network.publish_welcomes(sent.clone()).await.unwrap();
    let mine = InstallationKey::from_bytes([1; 32]);
    let found = network.welcomes(&mine, &Cursor::new(), 100).await.unwrap();
    let welcomes: Vec<&Welcome> = found.envelopes.iter().map(|one| &one.welcome).collect();
    assert_eq!(welcomes, [&sent[0], &sent[2]]);
    let first = &found.envelopes[0];
    let cursor = Cursor::from_iter([(first.originator, first.sequence)]);
    let rest = network.welcomes(&mine, &cursor, 100).await.unwrap();
    assert_eq!(rest.envelopes, found.envelopes[1..]);
}

async fn what_the_node_refuses_is_told_in_its_words(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let mut broken = message(1, Content::Application, "hello");
    broken.data = Bytes::from_static(b"no MLS message");
    let error = network
        .publish_group_messages(vec![broken])
        .await
        .unwrap_err();
    assert!(matches!(error, NetworkError::Refused { .. }), "{error}");
    assert!(!error.is_retryable());
    let ada = Person::new(1);
    let update = Bytes::from_static(b"\x0a\x00");
    let error = network
        .publish_identity_update(&ada.inbox, update)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("was refused"), "{error}");
}

async fn a_broken_connection_is_made_anew(generation: Generation) {
    let node = TestNode::start().await;
    let wire = Wire::to(&node.url).await;
    let network = generation.network(&wire.url);
    let ada = Person::new(1);
    assert_eq!(
        network.inbox_ids(&[ada.identifier()]).await.unwrap(),
        [None]
    );
    for _ in 0..3 {
        wire.cut();
        assert_eq!(
            network.inbox_ids(&[ada.identifier()]).await.unwrap(),
            [None]
        );
    }
}

#[tokio::test]
async fn commit_logs_come_back_in_order() {
    let node = TestNode::start().await;
    let network = Generation::V3.network(&node.url);
    let entry = |number: u8, text: &'static str| OutgoingCommitLogEntry {
        group_id: group(number),
        entry: Bytes::from_static(text.as_bytes()),
        signature: Bytes::from_static(&[5; 64]),
        public_key: Bytes::from_static(&[6; 32]),
    };
    let mut entries: Vec<_> = (0..25).map(|_| entry(1, "one")).collect();
    entries.push(entry(2, "two"));
    network.publish_commit_log(entries).await.unwrap();
    let logs = network
        .commit_log(&[(group(2), 0), (group(1), 0), (group(3), 0)], 100)
        .await
        .unwrap();
    assert_eq!(logs[0].len(), 1);
    assert_eq!(logs[0][0].entry, "two");
    assert_eq!(logs[1].len(), 25);
    assert!(logs[1].is_sorted_by(|one, next| one.sequence < next.sequence));
    assert!(logs[2].is_empty());
    let after = logs[1][23].sequence;
    let rest = network.commit_log(&[(group(1), after)], 100).await.unwrap();
    assert_eq!(rest[0].len(), 1);

    let newer = Generation::D14n.network(&node.url);
    let error = newer
        .publish_commit_log(vec![entry(1, "x")])
        .await
        .unwrap_err();
    assert!(matches!(error, NetworkError::Unsupported { .. }));
    assert_eq!(
        newer.commit_log(&[(group(1), 0)], 1).await.unwrap(),
        [vec![]]
    );
}

#[tokio::test]
async fn a_node_that_is_down_is_told_at_once_with_what_to_do() {
    for generation in [Generation::V3, Generation::D14n] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let network = generation.network(&url);
        let began = Instant::now();
        let error = network
            .inbox_ids(&[Person::new(1).identifier()])
            .await
            .unwrap_err();
        assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
        assert!(matches!(error, NetworkError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
        assert!(error.remedy().unwrap().contains("folkmoot dev"));
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn urls_that_cannot_be_used_are_refused_before_any_call() {
    for url in [
        "",
        "127.0.0.1:5556",
        "ftp://example.org",
        "http://",
        "http://a b",
    ] {
        let options = NetworkOptions::new(NetworkAddress::Node(url.to_owned()));
        let error = options.network().err().expect(url);
        assert!(matches!(error, NetworkError::Address { .. }), "{error}");
        assert!(error.remedy().is_some());
    }
    let mut options = NetworkOptions::new(Environment::Local);
    options.app_version = "line\nbreak".into();
    assert!(options.network().is_err());
}

#[tokio::test]
async fn networks_with_names_have_urls_that_can_be_used() {
    for environment in Environment::ALL {
        assert_eq!(
            environment.name().parse::<Environment>().unwrap(),
            environment
        );
        assert!(NetworkOptions::new(environment).network().is_ok());
    }
    assert!("testnet".parse::<Environment>().is_err());
}
