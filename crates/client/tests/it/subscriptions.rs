use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{http::Request, middleware, response::IntoResponse};
use bytes::Bytes;
use folkmoot_client::network::{
    ConnectionState, Cursor, Event, Network, NetworkOptions, Subscription, Topics, Welcome,
    WelcomeContent,
};
use folkmoot_testkit::{TestNode, mls::Content};
use folkmoot_wire::{GroupId, InstallationKey};
use tokio::net::TcpListener;

use crate::{
    network::{group, message, seen},
    support::{Generation, Wire, both_generations, soon},
};

both_generations!(
    history_and_live_messages_meet_without_a_seam,
    a_cut_is_bridged,
    plain_streams_serve_where_a_node_has_no_others,
    plain_streams_can_be_asked_for,
    what_was_removed_is_not_delivered,
);

fn groups(numbers: impl IntoIterator<Item = u8>) -> Topics {
    let groups = numbers.into_iter();
    Topics {
        groups: groups
            .map(|number| (group(number), Cursor::new()))
            .collect(),
        welcomes: Vec::new(),
    }
}

/// Publishes texts `from..to` to the group.
async fn publish(network: &dyn Network, number: u8, texts: std::ops::Range<usize>) {
    let messages = texts.map(|text| message(number, Content::Application, &format!("{text:05}")));
    let messages = messages.collect();
    network.publish_group_messages(messages).await.unwrap();
}

/// What arrives, as text by group.
#[derive(Default)]
struct Heard(BTreeMap<GroupId, Vec<usize>>);

impl Heard {
    async fn until(&mut self, subscription: &mut Subscription, counts: &[(u8, usize)]) {
        let enough = |heard: &Self| {
            counts
                .iter()
                .all(|(number, count)| heard.of(*number).len() >= *count)
        };
        while !enough(self) {
            match soon(subscription.next()).await.expect("it goes on") {
                Event::Groups(envelopes) => {
                    for one in envelopes {
                        let tail = &one.data[one.data.len() - 5..];
                        let text = std::str::from_utf8(tail).unwrap().parse().unwrap();
                        self.0.entry(one.group_id).or_default().push(text);
                    }
                }
                Event::Welcomes(_) | Event::CaughtUp | Event::State(_) => {}
            }
        }
    }

    fn of(&self, number: u8) -> &[usize] {
        self.0.get(&group(number)).map_or(&[], Vec::as_slice)
    }
}

async fn state(subscription: &Subscription, wanted: impl Fn(&ConnectionState) -> bool) {
    let mut states = subscription.control().watch();
    soon(states.wait_for(|state| wanted(state))).await.unwrap();
}

async fn history_and_live_messages_meet_without_a_seam(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    publish(&*network, 1, 0..250).await;
    let mut subscription = network.subscribe(groups([1]));
    let control = subscription.control();
    let mut heard = Heard::default();
    let writing = async {
        for part in 0..10 {
            publish(&*network, 1, 250 + part * 10..260 + part * 10).await;
            publish(&*network, 2, part * 10..part * 10 + 10).await;
            if part == 4 {
                control.add(groups([2]));
                control.add(groups([1, 2]));
            }
        }
    };
    tokio::join!(
        writing,
        heard.until(&mut subscription, &[(1, 350), (2, 100)])
    );
    assert_eq!(heard.of(1), (0..350).collect::<Vec<_>>());
    assert_eq!(heard.of(2), (0..100).collect::<Vec<_>>());
    assert_eq!(control.state(), ConnectionState::Live);

    let me = InstallationKey::from_bytes([7; 32]);
    control.add(Topics {
        groups: Vec::new(),
        welcomes: vec![(me, Cursor::new())],
    });
    let welcome = Welcome {
        destination: me,
        content: WelcomeContent::Welcome {
            data: Bytes::from_static(b"come in"),
            hpke_public_key: Bytes::from_static(&[3; 32]),
            wrapper_algorithm: 1,
            metadata: Bytes::new(),
        },
    };
    network
        .publish_welcomes(vec![welcome.clone()])
        .await
        .unwrap();
    loop {
        if let Event::Welcomes(welcomes) = soon(subscription.next()).await.unwrap() {
            assert_eq!(welcomes.len(), 1);
            assert_eq!(welcomes[0].welcome, welcome);
            break;
        }
    }
}

async fn a_cut_is_bridged(generation: Generation) {
    let node = TestNode::start().await;
    let direct = generation.network(&node.url);
    // A gateway names the node's own address, so the cut goes through v3 and through a gateway
    // whose node is behind the wire.
    let wire = Wire::to(&node.url).await;
    let network = match generation {
        Generation::V3 => generation.network(&wire.url),
        Generation::D14n => {
            let url = wire.url.clone();
            let gateway = answering(
                &node,
                move |path| path.ends_with("PayerApi/GetNodes"),
                Some(url),
            )
            .await;
            generation.network(&gateway)
        }
    };
    let mut subscription = network.subscribe(groups([1]));
    let mut heard = Heard::default();
    publish(&*direct, 1, 0..10).await;
    heard.until(&mut subscription, &[(1, 10)]).await;

    wire.close();
    state(&subscription, |state| {
        matches!(state, ConnectionState::Interrupted { .. })
    })
    .await;
    publish(&*direct, 1, 10..20).await;
    publish(&*direct, 2, 0..5).await;
    subscription.control().add(groups([2]));
    wire.open();
    heard.until(&mut subscription, &[(1, 20), (2, 5)]).await;
    state(&subscription, |state| *state == ConnectionState::Live).await;

    wire.cut();
    publish(&*direct, 1, 20..30).await;
    heard.until(&mut subscription, &[(1, 30)]).await;
    assert_eq!(heard.of(1), (0..30).collect::<Vec<_>>());
    assert_eq!(heard.of(2), (0..5).collect::<Vec<_>>());
}

async fn plain_streams_serve_where_a_node_has_no_others(generation: Generation) {
    let node = TestNode::start().await;
    let direct = generation.network(&node.url);
    let url = without_bidirectional_streams(&node).await;
    let network = generation.network(&url);
    publish(&*direct, 1, 0..150).await;
    let mut subscription = network.subscribe(groups([1]));
    let mut heard = Heard::default();
    heard.until(&mut subscription, &[(1, 150)]).await;
    // More changes than there may be streams beside each other.
    for number in 2..40 {
        publish(&*direct, number, 0..2).await;
        subscription.control().add(groups([number]));
        heard.until(&mut subscription, &[(number, 2)]).await;
        publish(&*direct, number, 2..3).await;
    }
    publish(&*direct, 1, 150..160).await;
    let mut expected: Vec<(u8, usize)> = (2..40).map(|number| (number, 3)).collect();
    expected.push((1, 160));
    heard.until(&mut subscription, &expected).await;
    assert_eq!(heard.of(1), (0..160).collect::<Vec<_>>());
    assert!((2..40).all(|number| heard.of(number) == [0, 1, 2]));
}

async fn plain_streams_can_be_asked_for(generation: Generation) {
    let node = TestNode::start().await;
    let bidirectional = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&bidirectional);
    let look = move |path: &str| {
        if path.ends_with("Api/Subscribe") {
            seen.store(true, Ordering::Relaxed);
        }
        false
    };
    let url = answering(&node, look, None).await;
    let options = NetworkOptions {
        plain_streams: true,
        ..NetworkOptions::new(generation.address(&url))
    };
    let network = options.network().unwrap();
    publish(&*network, 1, 0..3).await;
    let mut subscription = network.subscribe(groups([1]));
    let mut heard = Heard::default();
    heard.until(&mut subscription, &[(1, 3)]).await;
    publish(&*network, 1, 3..5).await;
    heard.until(&mut subscription, &[(1, 5)]).await;
    assert_eq!(heard.of(1), [0, 1, 2, 3, 4]);
    assert!(!bidirectional.load(Ordering::Relaxed));
}

async fn what_was_removed_is_not_delivered(generation: Generation) {
    let node = TestNode::start().await;
    let network = generation.network(&node.url);
    let mut subscription = network.subscribe(groups([1, 2]));
    let mut heard = Heard::default();
    publish(&*network, 1, 0..1).await;
    heard.until(&mut subscription, &[(1, 1)]).await;
    subscription.control().remove(groups([1]));
    subscription.control().add(groups([3]));
    publish(&*network, 3, 0..1).await;
    heard.until(&mut subscription, &[(3, 1)]).await;
    publish(&*network, 1, 1..2).await;
    publish(&*network, 2, 0..1).await;
    heard.until(&mut subscription, &[(2, 1)]).await;
    assert_eq!(heard.of(1), [0]);
}

#[tokio::test]
async fn the_end_of_history_is_told_and_cursors_are_kept() {
    let node = TestNode::start().await;
    let network = Generation::V3.network(&node.url);
    publish(&*network, 1, 0..30).await;
    let (id, start) = (group(1), Cursor::new());
    let page = network.group_messages(&id, &start, 10).await.unwrap();
    assert!(page.more);
    let topics = Topics {
        groups: vec![(group(1), seen(&page.envelopes))],
        welcomes: Vec::new(),
    };
    let mut subscription = network.subscribe(topics);
    let mut messages = 0;
    loop {
        match soon(subscription.next()).await.unwrap() {
            Event::Groups(envelopes) => messages += envelopes.len(),
            Event::CaughtUp => break,
            Event::Welcomes(_) | Event::State(_) => {}
        }
    }
    assert_eq!(messages, 20);
}

#[tokio::test]
async fn a_subscription_waits_for_a_node_that_is_not_there_yet() {
    let node = TestNode::start().await;
    let wire = Wire::to(&node.url).await;
    wire.close();
    let network = Generation::V3.network(&wire.url);
    let mut subscription = network.subscribe(groups([1]));
    state(&subscription, |state| {
        matches!(state, ConnectionState::Interrupted { .. })
    })
    .await;
    publish(&*Generation::V3.network(&node.url), 1, 0..3).await;
    wire.open();
    let mut heard = Heard::default();
    heard.until(&mut subscription, &[(1, 3)]).await;
}

/// The node under another URL, which lacks bidirectional streams.
async fn without_bidirectional_streams(node: &TestNode) -> String {
    answering(node, |path| path.ends_with("Api/Subscribe"), None).await
}

/// The node under another URL. Paths that match are answered otherwise: as a list of nodes that
/// has this one URL, or as methods that are not there.
async fn answering(
    node: &TestNode,
    matches: impl Fn(&str) -> bool + Clone + Send + Sync + 'static,
    nodes: Option<String>,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // A gateway must name this door, or readers would go around it.
    let here = nodes.unwrap_or_else(|| url.clone());
    let answer = move |request: Request<axum::body::Body>, next: middleware::Next| {
        let (matches, here) = (matches.clone(), here.clone());
        async move {
            let path = request.uri().path().to_owned();
            if path.ends_with("PayerApi/GetNodes") {
                return node_list(&here).into_response();
            }
            if matches(&path) {
                let headers = [("content-type", "application/grpc"), ("grpc-status", "12")];
                return headers.into_response();
            }
            next.run(request).await
        }
    };
    let router = node.node.grpc().into_axum_router();
    let router = router.layer(middleware::from_fn(answer));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// The gRPC answer `GetNodesResponse` with one node.
pub(crate) fn node_list(url: &str) -> impl IntoResponse + use<> {
    use folkmoot_wire::proto::xmtp::xmtpv4::payer_api::GetNodesResponse;
    use prost::Message;
    let list = GetNodesResponse {
        nodes: [(100, url.to_owned())].into(),
    };
    let message = list.encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    let trailers = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        http::HeaderValue::from_static("0"),
    )]);
    let body = http_body_util::Full::new(Bytes::from(body));
    let body = http_body_util::BodyExt::with_trailers(body, async move { Some(Ok(trailers)) });
    let headers = [("content-type", "application/grpc")];
    (headers, axum::body::Body::new(body))
}
