//! One client at its limits does not slow another.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{extract::Request, middleware, middleware::Next};
use bytes::Bytes;
use folkmoot_node::{Backlog, ClientAddr, EdgeConfig, LimitsConfig, NodeConfig, Rate, Rates};
use folkmoot_store::{SqliteOptions, SqliteStore};
use folkmoot_testkit::{TestNode, mls::says};
use folkmoot_wire::proto::xmtp::mls::api::v1::{
    GroupMessage, SendGroupMessagesRequest, SubscribeGroupMessagesRequest, group_message,
    subscribe_group_messages_request::Filter,
};
use prost::Message;
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tonic::{Code, Streaming};

use crate::harness::{Client, DEADLINE, serve};

const SEND: &str = "/xmtp.mls.api.v1.MlsApi/SendGroupMessages";
const SUBSCRIBE: &str = "/xmtp.mls.api.v1.MlsApi/SubscribeGroupMessages";
const QUIET: [u8; 16] = [1; 16];
const LOUD: [u8; 16] = [2; 16];
/// What the quiet one says while the loud one is at its limits.
const SAID: u64 = 60;
/// Far more than a message takes on a slow machine under load, far less than a queue of the
/// loud one's would cost.
const PATIENCE: Duration = Duration::from_secs(3);

/// A node over SQLite, with a port for each of two addresses.
struct Scene {
    loud: String,
    quiet: String,
    _node: TestNode,
    _directory: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.db");
        let backlog = Backlog {
            envelopes: 64,
            bytes: 1 << 20,
        };
        let node = TestNode::over(NodeConfig::default(), backlog, |on_commit| {
            Arc::new(SqliteStore::open(path, SqliteOptions::default(), on_commit).unwrap())
        })
        .await;
        let edge = node.node.edge(EdgeConfig {
            limits: LimitsConfig {
                rates: Some(Rates {
                    publishes: Rate {
                        per_minute: 600,
                        burst: 200,
                    },
                    ..Rates::default()
                }),
                ..LimitsConfig::default()
            },
        });
        let mut urls = Vec::new();
        for address in ["192.0.2.1", "192.0.2.2"] {
            let client = ClientAddr(address.parse::<IpAddr>().unwrap());
            let router = edge.router().layer(middleware::from_fn(
                move |mut request: Request, next: Next| async move {
                    request.extensions_mut().insert(client);
                    next.run(request).await
                },
            ));
            urls.push(serve(router).await.0);
        }
        Self {
            quiet: urls.remove(1),
            loud: urls.remove(0),
            _node: node,
            _directory: directory,
        }
    }
}

fn sends(group: &[u8], text: &str) -> Bytes {
    let messages = vec![says(group, text)];
    SendGroupMessagesRequest { messages }.encode_to_vec().into()
}

fn follows(group: &[u8]) -> Bytes {
    let filter = Filter {
        group_id: Bytes::copy_from_slice(group),
        id_cursor: 0,
    };
    SubscribeGroupMessagesRequest {
        filters: vec![filter],
    }
    .encode_to_vec()
    .into()
}

async fn next_id(stream: &mut Streaming<Bytes>) -> u64 {
    let message = timeout(DEADLINE, stream.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    match GroupMessage::decode(message).unwrap().version {
        Some(group_message::Version::V1(message)) => message.id,
        None => panic!("the version is set"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_at_its_limits_does_not_slow_another() {
    let scene = Scene::set().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicU64::new(0));
    let at_limits = Arc::new(Notify::new());
    let mut crowd = JoinSet::new();

    // The loud one opens streams and never reads them.
    let lazy = Client::to(&scene.loud).await;
    let mut unread = Vec::new();
    for _ in 0..50 {
        unread.push(lazy.open(SUBSCRIBE, vec![follows(&LOUD)]).await.unwrap());
    }
    // And publishes as fast as it can, over several connections.
    for flooder in 0..8 {
        let client = Client::to(&scene.loud).await;
        let (is_over, refused) = (Arc::clone(&is_over), Arc::clone(&refused));
        let at_limits = Arc::clone(&at_limits);
        crowd.spawn(async move {
            let large = "x".repeat(50_000);
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let text = format!("{flooder} {number} {large}");
                match client.call(SEND, vec![sends(&LOUD, &text)]).await {
                    Ok(_) => {}
                    Err(status) => {
                        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                        refused.fetch_add(1, Ordering::Relaxed);
                        at_limits.notify_one();
                    }
                }
            }
        });
    }
    timeout(DEADLINE, at_limits.notified())
        .await
        .expect("the loud one reaches its limits");

    // Meanwhile the quiet one talks and listens.
    let quiet = Client::to(&scene.quiet).await;
    let mut stream = quiet.open(SUBSCRIBE, vec![follows(&QUIET)]).await.unwrap();
    let mut ids = Vec::new();
    let mut slowest = Duration::ZERO;
    for number in 0..SAID {
        let begun = Instant::now();
        quiet
            .call(SEND, vec![sends(&QUIET, &number.to_string())])
            .await
            .unwrap();
        ids.push(next_id(&mut stream).await);
        slowest = slowest.max(begun.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(flooder) = crowd.join_next().await {
        flooder.unwrap();
    }

    assert!(
        ids.is_sorted_by(|earlier, later| earlier < later),
        "{ids:?}"
    );
    assert_eq!(ids.len() as u64, SAID);
    assert!(slowest < PATIENCE, "the slowest took {slowest:?}");
    assert!(
        refused.load(Ordering::Relaxed) > 0,
        "the loud one was stopped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_fell_behind_is_cut_and_reads_on_from_its_cursor() {
    let scene = Scene::set().await;
    let writer = Client::to(&scene.quiet).await;
    let lazy = Client::to(&scene.loud).await;
    let mut stream = lazy.open(SUBSCRIBE, vec![follows(&LOUD)]).await.unwrap();
    writer
        .call(SEND, vec![sends(&LOUD, "first")])
        .await
        .unwrap();
    let first = next_id(&mut stream).await;
    // More than the connection's windows and the node's queue for one reader hold.
    let large = "x".repeat(100_000);
    for number in 0..180 {
        let text = format!("{number} {large}");
        writer.call(SEND, vec![sends(&LOUD, &text)]).await.unwrap();
    }
    let mut newest = first;
    let ended = loop {
        match timeout(DEADLINE, stream.message()).await.unwrap() {
            Ok(Some(message)) => match GroupMessage::decode(message).unwrap().version {
                Some(group_message::Version::V1(message)) => newest = message.id,
                None => panic!("the version is set"),
            },
            Ok(None) => panic!("a reader that fell behind is told so"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Aborted, "{ended}");
    assert!(ended.message().contains("subscribe again"), "{ended}");

    let filter = Filter {
        group_id: LOUD.to_vec().into(),
        id_cursor: newest,
    };
    let request = SubscribeGroupMessagesRequest {
        filters: vec![filter],
    };
    let mut again = lazy
        .open(SUBSCRIBE, vec![request.encode_to_vec().into()])
        .await
        .unwrap();
    assert!(next_id(&mut again).await > newest);
}
