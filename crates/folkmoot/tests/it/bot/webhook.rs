//! Bots that are web servers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::support::{SOON, World};

const BOT: u8 = 1;

/// A web server that answers as it is told, and shows what it was asked.
struct Server {
    url: String,
    requests: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
    answers: Arc<Mutex<VecDeque<(StatusCode, Value)>>>,
}

#[derive(Clone)]
struct Shared {
    requests: mpsc::UnboundedSender<(HeaderMap, Bytes)>,
    answers: Arc<Mutex<VecDeque<(StatusCode, Value)>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        let answers = Arc::default();
        let shared = Shared {
            requests: sender,
            answers: Arc::clone(&answers),
        };
        let router = Router::new()
            .route("/hook", post(hook))
            .route("/elsewhere", post(async || StatusCode::OK))
            .with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            requests,
            answers,
        }
    }

    /// Answers the next requests so; all others with nothing.
    fn answer(&self, answers: impl IntoIterator<Item = (StatusCode, Value)>) {
        self.answers.lock().unwrap().extend(answers);
    }

    async fn request(&mut self) -> (HeaderMap, Bytes) {
        let next = tokio::time::timeout(SOON, self.requests.recv());
        next.await.expect("nothing is posted").unwrap()
    }

    /// The events of the next request.
    async fn events(&mut self) -> Vec<Value> {
        let (_, body) = self.request().await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["events"].as_array().unwrap().clone()
    }

    /// The next event of this type; those of others are passed over.
    async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let mut found = self.events().await.into_iter();
            if let Some(event) = found.find(|event| event["type"] == kind) {
                return event;
            }
        }
    }
}

async fn hook(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = shared.answers.lock().unwrap().pop_front();
    shared.requests.send((headers, body)).unwrap();
    match answer {
        None => StatusCode::NO_CONTENT.into_response(),
        Some((status, answer)) if status.is_redirection() => (
            status,
            [(header::LOCATION, answer.as_str().unwrap().to_owned())],
        )
            .into_response(),
        Some((status, answer)) => (status, axum::Json(answer)).into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_posted_and_answers_are_done() {
    let world = World::new().await;
    let mut server = Server::start().await;
    let mut running = world.run(BOT, &["--webhook", &server.url]);
    assert_eq!(server.events().await[0]["type"], "ready");
    assert_eq!(server.events().await[0]["type"], "caught_up");
    let mut ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    let joined = server.next_of("member_joined").await;
    assert_eq!(joined["isSelf"], true);

    let send =
        json!({"type": "send", "id": "a", "conversationId": dm.id().to_string(), "text": "hi"});
    let read =
        json!({"type": "attach", "conversationId": dm.id().to_string(), "file": "/etc/passwd"});
    server.answer([(
        StatusCode::OK,
        json!({"commands": [send, read, {"type": "dance"}]}),
    )]);
    dm.send_text("hello").await.unwrap();
    assert_eq!(server.next_of("message").await["text"], "hello");
    assert_eq!(ann.hears_text().await, "hi");
    let outcomes = server.events().await;
    assert_eq!(outcomes[0]["type"], "sent");
    assert_eq!(outcomes[0]["id"], "a");
    assert_eq!(outcomes[1]["code"], "refused", "no file of this machine");
    assert_eq!(
        (&outcomes[2]["code"], &outcomes[2]["line"]),
        (&json!("bad_line"), &json!(3))
    );

    assert_eq!(running.end().await, Some(0), "{}", running.notes());
    assert_eq!(server.events().await, [json!({"type": "stop"})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_posted_again() {
    let world = World::new().await;
    let mut server = Server::start().await;
    let mut running = world.run(BOT, &["--webhook", &server.url]);
    server.next_of("caught_up").await;
    let ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    server.next_of("member_joined").await;
    let elsewhere = json!(server.url.replace("/hook", "/elsewhere"));
    server.answer([
        (StatusCode::SERVICE_UNAVAILABLE, json!({})),
        (StatusCode::TEMPORARY_REDIRECT, elsewhere),
    ]);
    dm.send_text("one").await.unwrap();
    let first = server.events().await;
    assert_eq!(server.events().await, first);
    assert_eq!(server.events().await, first, "a redirect is not followed");
    let notes = running.notes_with("307 Temporary Redirect").await;
    assert!(notes.contains("the webhook answers 503 Service Unavailable; trying again in 0.5 s"));

    // What nobody took before the end is posted by the next run.
    server.answer([(StatusCode::SERVICE_UNAVAILABLE, json!({}))]);
    dm.send_text("two").await.unwrap();
    let two = server.events().await;
    assert_eq!(running.end().await, Some(0));
    let mut running = world.run(BOT, &["--webhook", &server.url]);
    let again = server.next_of("message").await;
    assert_eq!(again, two[0]);
    assert_eq!(running.end().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_nothing_but_messages_gets_them_at_once() {
    let world = World::new().await;
    let mut server = Server::start().await;
    let nothing = || (StatusCode::NOT_FOUND, json!({}));
    server.answer([nothing(), nothing()]);
    let mut running = world.run(BOT, &["--webhook", &server.url]);
    assert_eq!(server.events().await[0]["type"], "ready");
    assert_eq!(server.events().await[0]["type"], "caught_up");
    let ann = world.person(2).await;
    ann.dm(BOT).await.send_text("hello").await.unwrap();
    assert_eq!(server.events().await[0]["type"], "member_joined");
    assert_eq!(server.events().await[0]["text"], "hello");
    let notes = running.notes();
    assert!(
        notes.contains("404 Not Found; the event \"ready\" is passed over"),
        "{notes}"
    );
    assert_eq!(running.end().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed() {
    let world = World::new().await;
    let mut server = Server::start().await;
    std::fs::write(world.path("secret"), "0123456789abcdef\n").unwrap();
    let arguments = ["--webhook", &server.url, "--webhook-secret-file", "secret"];
    let _running = world.run(BOT, &arguments);
    let (headers, body) = server.request().await;
    assert_eq!(headers["content-type"], "application/json");
    let time = headers["x-folkmoot-timestamp"].to_str().unwrap();
    let signature = headers["x-folkmoot-signature"].to_str().unwrap();
    let mut signed = time.as_bytes().to_vec();
    signed.push(b'.');
    signed.extend(&body);
    use hmac::{Hmac, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"0123456789abcdef").unwrap();
    mac.update(&signed);
    let wanted = hex::encode(mac.finalize().into_bytes());
    assert_eq!(signature, format!("sha256={wanted}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_wait_are_posted_together_if_that_is_wanted() {
    let world = World::new().await;
    let mut server = Server::start().await;
    let url = server.url.clone();
    let arguments = ["--webhook", &url, "--webhook-batch", "10"];
    let mut running = world.run(BOT, &arguments);
    server.next_of("caught_up").await;
    let ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    server.next_of("member_joined").await;
    assert_eq!(running.end().await, Some(0));
    for number in 0..3 {
        dm.send_text(number.to_string()).await.unwrap();
    }
    let client = world.open(BOT).await;
    client.conversations().sync_all(&[]).await.unwrap();
    client.close().await;
    assert_eq!(server.next_of("stop").await, json!({"type": "stop"}));
    let mut running = world.run(BOT, &arguments);
    let events = server.events().await;
    let texts: Vec<_> = events.iter().map(|event| event["text"].clone()).collect();
    assert_eq!(texts, [json!(null), json!("0"), json!("1"), json!("2")]);
    assert_eq!(running.end().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_done_with_when_its_answer_is() {
    let world = World::new().await;
    let mut server = Server::start().await;
    // Each command over the limit costs a quarter of a second: this answer takes minutes.
    let url = server.url.clone();
    let arguments = ["--webhook", &url, "--max-per-minute", "1", "--grace", "1"];
    let mut running = world.run(BOT, &arguments);
    server.next_of("caught_up").await;
    let mut ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    server.next_of("member_joined").await;
    let send = json!({"type": "send", "conversationId": dm.id().to_string(), "text": "hi"});
    server.answer([(StatusCode::OK, json!(vec![send.clone(); 1000]))]);
    dm.send_text("hello").await.unwrap();
    let asked = server.next_of("message").await;
    assert_eq!(ann.hears_text().await, "hi");
    running.child.kill().unwrap();
    running.ended().await;

    let mut running = world.run(BOT, &arguments);
    let mut posted = Vec::new();
    while !["message", "caught_up"]
        .iter()
        .all(|kind| posted.iter().any(|event: &Value| event["type"] == *kind))
    {
        posted.extend(server.events().await);
    }
    assert!(posted.contains(&asked), "{posted:?}");
    server.answer([(StatusCode::OK, json!(vec![send; 1000]))]);
    dm.send_text("and again").await.unwrap();
    assert_eq!(ann.hears_text().await, "hi");
    // Whoever ends the program does not wait for minutes either.
    assert_eq!(running.end().await, Some(0));
}
