//! Answers of nodes that are not quite ours: pages that are more than an answer may hold, and
//! envelopes of which not even the outermost layer can be read.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use folkmoot_client::network::{Cursor, Network};
use folkmoot_testkit::{Person, TestNode, mls::Content};
use folkmoot_wire::{
    InstallationKey,
    proto::xmtp::{
        mls::api::v1::{QueryGroupMessagesRequest, QueryWelcomeMessagesRequest},
        xmtpv4::{
            envelopes::OriginatorEnvelope,
            message_api::{GetNewestEnvelopeResponse, QueryEnvelopesResponse},
        },
    },
};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;

use crate::{
    network::{group, message, seen, welcome},
    subscriptions::node_list,
    support::Generation,
};

/// How servers and proxies say that an answer would be too large: the status and the words.
const TOO_LARGE: &[(&str, &str)] = &[
    ("8", "more than max_page_bytes: ask for fewer"),
    ("8", "grpc: received message larger than max (7 vs. 5)"),
    (
        "11",
        "Error, decoded message length too large: found 7 bytes, the limit is: 5 bytes",
    ),
];

/// The most rows that such a node gives in one answer.
const MOST: u32 = 3;

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_again_smaller() {
    let node = TestNode::start().await;
    let direct = Generation::V3.network(&node.url);
    let texts: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let sent = texts
        .iter()
        .map(|text| message(1, Content::Application, text));
    let sent: Vec<_> = sent.collect();
    direct.publish_group_messages(sent.clone()).await.unwrap();
    let welcomes = ["one", "two", "three", "four", "five"].map(|text| welcome(2, text));
    direct.publish_welcomes(welcomes.to_vec()).await.unwrap();

    for (status, words) in TOO_LARGE {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let url = behind(&node, refusing_large_pages(status, words, &asked)).await;
        let network = Generation::V3.network(&url);

        let read = all_of_group_1(&*network).await;
        let data: Vec<_> = read.iter().map(|one| &one.data).collect();
        assert_eq!(data, sent.iter().map(|one| &one.data).collect::<Vec<_>>());
        let halved = [100, 50, 25, 12, 6, 3];
        assert_eq!(asked.lock()[..6], halved, "{words}");

        asked.lock().clear();
        let to = InstallationKey::from_bytes([2; 32]);
        let page = network.welcomes(&to, &Cursor::new(), 12).await.unwrap();
        assert_eq!((page.envelopes.len(), page.more), (3, true), "{words}");
        assert_eq!(*asked.lock(), [12, 6, 3], "{words}");
    }
}

#[tokio::test]
async fn a_single_row_that_is_too_large_is_an_error_and_no_endless_question() {
    let node = TestNode::start().await;
    let (status, words) = TOO_LARGE[0];
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&asked);
    let url = behind(&node, move |path, request| {
        let limit = limit_of(path, request)?;
        noting.lock().push(limit);
        Some(Change::Refuse(status, words))
    });
    let network = Generation::V3.network(&url.await);
    let answer = network.group_messages(&group(1), &Cursor::new(), 8).await;
    let told = answer.unwrap_err();
    assert!(told.to_string().contains(words), "{told}");
    assert_eq!(*asked.lock(), [8, 4, 2, 1]);
}

#[tokio::test]
async fn an_envelope_without_a_readable_outermost_layer_is_passed_over() {
    let node = TestNode::start().await;
    let direct = Generation::D14n.network(&node.url);
    let ada = Person::new(1);
    let registration = ada.registration();
    direct
        .publish_identity_update(&ada.inbox, registration.clone())
        .await
        .unwrap();
    let package = ada.key_package();
    direct
        .upload_key_package(&ada.installation.key(), package.clone())
        .await
        .unwrap();
    let sent = [
        message(1, Content::Commit, "begin"),
        message(1, Content::Application, "hello"),
        message(1, Content::Application, "bye"),
    ];
    direct.publish_group_messages(sent.to_vec()).await.unwrap();
    let welcomes = vec![welcome(2, "one"), welcome(2, "two")];
    direct.publish_welcomes(welcomes).await.unwrap();

    let url = behind(&node, |path, _| {
        path.ends_with("ReplicationApi/QueryEnvelopes")
            .then_some(Change::Answer(with_unreadable_ones))
    });
    let network = Generation::D14n.network(&url.await);
    let read = all_of_group_1(&*network).await;
    let data: Vec<_> = read.iter().map(|one| &one.data).collect();
    assert_eq!(data, sent.iter().map(|one| &one.data).collect::<Vec<_>>());
    // What was read is not read again, and the rest is not waited for.
    let rest = network.group_messages(&group(1), &seen(&read), 100).await;
    assert!(rest.unwrap().envelopes.is_empty());
    let to = InstallationKey::from_bytes([2; 32]);
    let page = network.welcomes(&to, &Cursor::new(), 100).await.unwrap();
    assert_eq!(page.envelopes.len(), 2);
    let logs = network.identity_updates(&[(ada.inbox, 0)]).await.unwrap();
    let [update] = &logs[0].as_ref().unwrap()[..] else {
        panic!("there is one update");
    };
    assert_eq!(update.update, registration);
}

#[tokio::test]
async fn the_newest_envelope_of_a_topic_may_be_unreadable_and_others_are_not() {
    let node = TestNode::start().await;
    let direct = Generation::D14n.network(&node.url);
    let sent = [
        message(1, Content::Application, "unreadable"),
        message(2, Content::Application, "hello"),
    ];
    direct.publish_group_messages(sent.to_vec()).await.unwrap();
    let url = behind(&node, |path, _| {
        path.ends_with("ReplicationApi/GetNewestEnvelope")
            .then_some(Change::Answer(with_an_unreadable_first))
    });
    let network = Generation::D14n.network(&url.await);
    let asked = [group(1), group(2)];
    let newest = network.newest_group_messages(&asked).await.unwrap();
    assert!(newest[0].is_none());
    assert!(newest[1].is_some());
}

async fn all_of_group_1(network: &dyn Network) -> Vec<folkmoot_client::network::GroupEnvelope> {
    let mut all = Vec::new();
    loop {
        let page = network.group_messages(&group(1), &seen(&all), 100).await;
        let page = page.unwrap();
        all.extend(page.envelopes);
        if !page.more {
            return all;
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy)]
enum Change {
    /// It is refused, with this status and these words.
    Refuse(&'static str, &'static str),
    /// Its answer, one message, becomes another one.
    Answer(fn(Bytes) -> Vec<u8>),
}

/// Refuses questions for pages of more than [`MOST`] rows; notes in `asked` how many were asked for.
fn refusing_large_pages(
    status: &'static str,
    words: &'static str,
    asked: &Arc<Mutex<Vec<u32>>>,
) -> impl Fn(&str, Bytes) -> Option<Change> + Send + Sync + 'static {
    let asked = Arc::clone(asked);
    move |path, request| {
        let limit = limit_of(path, request)?;
        asked.lock().push(limit);
        (limit > MOST).then_some(Change::Refuse(status, words))
    }
}

/// How many rows a question for a page of v3 asks for, if it is one.
fn limit_of(path: &str, request: Bytes) -> Option<u32> {
    let paging = if path.ends_with("MlsApi/QueryGroupMessages") {
        QueryGroupMessagesRequest::decode(request)
            .unwrap()
            .paging_info
    } else if path.ends_with("MlsApi/QueryWelcomeMessages") {
        QueryWelcomeMessagesRequest::decode(request)
            .unwrap()
            .paging_info
    } else {
        return None;
    };
    Some(paging.unwrap().limit)
}

/// Rows that say nothing, not even where they stand, around those that are there.
fn with_unreadable_ones(answer: Bytes) -> Vec<u8> {
    let mut answer = QueryEnvelopesResponse::decode(answer).unwrap();
    if !answer.envelopes.is_empty() {
        answer.envelopes.insert(0, unreadable());
        answer.envelopes.insert(2, unreadable());
        answer.envelopes.push(unreadable());
    }
    answer.encode_to_vec()
}

/// The same, in place of the first.
fn with_an_unreadable_first(answer: Bytes) -> Vec<u8> {
    let mut answer = GetNewestEnvelopeResponse::decode(answer).unwrap();
    answer.results[0].originator_envelope = Some(unreadable());
    answer.encode_to_vec()
}

fn unreadable() -> OriginatorEnvelope {
    OriginatorEnvelope {
        // A field that says to be longer than there are bytes.
        unsigned_originator_envelope: Bytes::from_static(&[0x0a, 0xff, 0x7f, 1]),
        proof: None,
    }
}

/// The node under another URL, where calls are changed as `change` says by the path and the
/// request's message.
async fn behind(
    node: &TestNode,
    change: impl Fn(&str, Bytes) -> Option<Change> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (change, here) = (Arc::new(change), url.clone());
    let meddle = move |request: Request, next: Next| {
        let (change, here) = (Arc::clone(&change), here.clone());
        async move {
            let path = request.uri().path().to_owned();
            if path.ends_with("PayerApi/GetNodes") {
                return node_list(&here).into_response();
            }
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            // One message: a byte that says that it is not compressed, and four for its length.
            let change = change(&path, body.slice(body.len().min(5)..));
            if let Some(Change::Refuse(status, words)) = change {
                let headers = [
                    ("content-type", "application/grpc"),
                    ("grpc-status", status),
                    ("grpc-message", words),
                ];
                return headers.into_response();
            }
            let response = next.run(Request::from_parts(parts, Body::from(body))).await;
            match change {
                Some(Change::Answer(change)) => changed(response, change).await,
                _ => response,
            }
        }
    };
    let router = node.node.grpc().into_axum_router();
    let router = router.layer(middleware::from_fn(meddle));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// `response` with another message.
async fn changed(response: Response, change: fn(Bytes) -> Vec<u8>) -> Response {
    assert_eq!(response.status(), StatusCode::OK);
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    let message = change(body.to_bytes().slice(5..));
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let body = http_body_util::Full::new(Bytes::from(framed));
    let body = body.with_trailers(async move { trailers.map(Ok) });
    Response::from_parts(parts, Body::new(body))
}
