//! A node that listens, a client that sends any bytes, and what is expected of both.

use std::{fmt::Write, time::Duration};

use axum::Router;
use bytes::{Buf, BufMut, Bytes};
use folkmoot_node::EdgeConfig;
use folkmoot_testkit::TestNode;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

/// How long anybody waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// All bad requests to one method.
pub(crate) struct Method {
    pub(crate) path: &'static str,
    pub(crate) cases: Vec<Case>,
    /// Calls that make the scene before the first case.
    before: Vec<(&'static str, Bytes)>,
    /// What the method takes; `None` if it takes nothing.
    good: Option<Bytes>,
}

/// A bad request and what it is told.
pub(crate) struct Case {
    name: String,
    messages: Vec<Bytes>,
    code: Code,
    /// Words of the message, or of the answer where the code is OK.
    says: Vec<String>,
}

/// A request that is refused with `INVALID_ARGUMENT` and these words.
pub(crate) fn bad(name: &str, request: impl Message, says: &str) -> Case {
    Case::new(name, Code::InvalidArgument, request.encode_to_vec(), says)
}

impl Case {
    pub(crate) fn new(name: &str, code: Code, request: impl Into<Bytes>, says: &str) -> Self {
        Self::messages(name, code, vec![request.into()], says)
    }

    /// Several messages, for a method that takes a stream.
    pub(crate) fn messages(name: &str, code: Code, messages: Vec<Bytes>, says: &str) -> Self {
        Self {
            name: name.to_owned(),
            messages,
            code,
            says: vec![says.to_owned()],
        }
    }

    /// The same request, which these words answer as well.
    pub(crate) fn also(mut self, says: &str) -> Self {
        self.says.push(says.to_owned());
        self
    }

    /// The same request with another status.
    pub(crate) fn with(self, code: Code) -> Self {
        Self { code, ..self }
    }
}

impl Method {
    /// A method whose field 1 is called `field` and is no number.
    pub(crate) fn new(
        path: &'static str,
        field: &str,
        good: impl Message,
        cases: Vec<Case>,
    ) -> Self {
        let mut method = Self::without_fields(path, good);
        let number = Bytes::from_static(&[0x08, 1]);
        let mistyped = Case::new("a number in field 1", Code::InvalidArgument, number, field);
        let short = Bytes::from_static(&[0x0a, 100, 1]);
        let cut = Case::new("field 1 cut short", Code::InvalidArgument, short, "decode");
        method.cases.extend([mistyped, cut]);
        method.cases.extend(cases);
        method
    }

    /// A method whose request is empty.
    pub(crate) fn without_fields(path: &'static str, good: impl Message) -> Self {
        let noise = Bytes::from_static(&[0xff; 11]);
        Self {
            path,
            cases: vec![Case::new(
                "no protobuf",
                Code::InvalidArgument,
                noise,
                "decode",
            )],
            before: Vec::new(),
            good: Some(good.encode_to_vec().into()),
        }
    }

    /// The same method under another path.
    pub(crate) fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// The same method, of which nobody takes anything.
    pub(crate) fn refusing_all(self) -> Self {
        Self { good: None, ..self }
    }

    /// The same method after another call.
    pub(crate) fn after(mut self, path: &'static str, request: impl Message) -> Self {
        self.before.push((path, request.encode_to_vec().into()));
        self
    }

    /// Sends every case to one node.
    pub(crate) async fn run(self) {
        let server = Server::start().await;
        let client = server.client().await;
        for (path, request) in self.before {
            client.call(path, vec![request]).await.unwrap();
        }
        let mut wrong = String::new();
        for case in self.cases {
            let before = server.stored().await;
            let told = client.call(self.path, case.messages).await;
            let (code, words) = match told {
                Ok(answers) => (Code::Ok, text_of(&answers)),
                Err(status) => (status.code(), status.message().to_owned()),
            };
            if code != case.code || !case.says.iter().all(|it| words.contains(it)) {
                let (name, expected, says) = (case.name, case.code, case.says);
                writeln!(
                    wrong,
                    "{name}: {code:?} {words:?}, not {expected:?} {says:?}"
                )
                .unwrap();
            }
            if server.stored().await != before {
                writeln!(wrong, "{}: something was stored", self.path).unwrap();
            }
        }
        assert!(wrong.is_empty(), "{}:\n{wrong}", self.path);
        if let Some(good) = self.good {
            let answered = client.open(self.path, vec![good]).await;
            answered.expect("a good request passes after all the bad ones");
        }
    }
}

/// What an answer says, as far as it is text.
fn text_of(answers: &[Bytes]) -> String {
    answers
        .iter()
        .map(|answer| String::from_utf8_lossy(answer).into_owned())
        .collect()
}

/// A whole node behind its edge, on a free port.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) node: TestNode,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let node = TestNode::start().await;
        let edge = node.node.edge(EdgeConfig::default());
        let (url, serving) = serve(edge.router().merge(edge.json())).await;
        Self { url, node, serving }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::to(&self.url).await
    }

    /// Envelopes and entries that the node keeps.
    pub(crate) async fn stored(&self) -> (u64, usize) {
        let store = self.node.node.store();
        let log = store.commit_log(&[0xa1; 16], 0, 1000).await.unwrap();
        (store.stats().await.unwrap().envelopes, log.len())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves on a free port until the task is stopped.
pub(crate) async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    });
    (url, serving)
}

/// Sends any bytes as messages.
#[derive(Clone)]
pub(crate) struct Client(Grpc<Channel>);

impl Client {
    pub(crate) async fn to(url: &str) -> Self {
        let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
        let client = Grpc::new(endpoint.connect().await.unwrap());
        Self(client.max_decoding_message_size(25 << 20))
    }

    /// Sends the messages and waits for the answer's headers.
    pub(crate) async fn open(
        &self,
        path: &'static str,
        messages: Vec<Bytes>,
    ) -> Result<Streaming<Bytes>, Status> {
        let mut client = self.0.clone();
        client.ready().await.unwrap();
        let request = Request::new(tokio_stream::iter(messages));
        let path = PathAndQuery::from_static(path);
        let opened = timeout(DEADLINE, client.streaming(request, path, Raw)).await;
        Ok(opened.expect("the node answers")?.into_inner())
    }

    /// Sends the messages and collects the answers until the end.
    pub(crate) async fn call(
        &self,
        path: &'static str,
        messages: Vec<Bytes>,
    ) -> Result<Vec<Bytes>, Status> {
        let mut stream = self.open(path, messages).await?;
        let mut answers = Vec::new();
        while let Some(answer) = timeout(DEADLINE, stream.message())
            .await
            .map_err(|_| Status::deadline_exceeded("the stream stays open"))??
        {
            answers.push(answer);
        }
        Ok(answers)
    }
}

/// Bytes as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
