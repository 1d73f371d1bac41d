//! Bad input: every method gets requests that are broken at each level, and answers each with a
//! status that blames the sender. Nothing broken is stored, and the node lives on.

use std::collections::HashMap;

use bytes::Bytes;
use folkmoot_node::{Edge, EdgeConfig};
use folkmoot_testkit::TestNode;
use http_body_util::{BodyExt, Full};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    MethodDescriptor, Value, prost::Message,
};
use tonic::{Code, Status, body::Body};
use tower::ServiceExt;

/// Bodies whose frames do not hold, or whose message is none, with what the answer must say.
const BROKEN: &[(&str, &[u8], Code, &str)] = &[
    (
        "no message",
        &[],
        Code::InvalidArgument,
        "takes one message",
    ),
    (
        "half a header",
        &[0, 0],
        Code::InvalidArgument,
        "after 2 of the 5 bytes",
    ),
    (
        "half a message",
        &[0, 0, 0, 0, 9, 10],
        Code::InvalidArgument,
        "after 1 of the 9 bytes",
    ),
    (
        "no message after its header",
        &[0, 0, 0, 1, 0],
        Code::InvalidArgument,
        "after 0 of the 256",
    ),
    (
        "one byte too large",
        &[0, 1, 0x90, 0, 1],
        Code::ResourceExhausted,
        "limit is 26214400",
    ),
    (
        "4 GiB",
        &[0, 255, 255, 255, 255],
        Code::ResourceExhausted,
        "limit is 26214400",
    ),
    (
        "a strange flag",
        &[128, 0, 0, 0, 0],
        Code::InvalidArgument,
        "flag is 128",
    ),
    (
        "unannounced compression",
        &[1, 0, 0, 0, 0],
        Code::InvalidArgument,
        "grpc-encoding",
    ),
    (
        "field number 0",
        &[0, 0, 0, 0, 2, 2, 0],
        Code::InvalidArgument,
        "decode",
    ),
    (
        "wire type 7",
        &[0, 0, 0, 0, 2, 0x7f, 0],
        Code::InvalidArgument,
        "decode",
    ),
    (
        "an endless varint",
        &[
            0, 0, 0, 0, 11, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        ],
        Code::InvalidArgument,
        "decode",
    ),
    (
        "a field longer than its message",
        &[0, 0, 0, 0, 3, 0xfa, 1, 9],
        Code::InvalidArgument,
        "decode",
    ),
    (
        "an end without a group",
        &[0, 0, 0, 0, 1, 12],
        Code::InvalidArgument,
        "decode",
    ),
];
/// Random requests per method.
const SHAPES: u64 = 60;

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(folkmoot_wire::DESCRIPTORS).expect("sound descriptors");
    let methods = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.collect()
}

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

async fn headers(edge: &Edge, path: &str, body: Vec<u8>) -> http::Response<Body> {
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .body(Body::new(Full::new(Bytes::from(body))))
        .expect("a path is a URI");
    let Ok(response) = edge.clone().oneshot(request).await;
    response
}

/// The status at the end of the answer.
async fn status(edge: &Edge, path: &str, body: Vec<u8>) -> Status {
    let response = headers(edge, path, body).await;
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    match response.into_body().collect().await {
        Ok(answer) => answer
            .trailers()
            .and_then(Status::from_header_map)
            .expect("an answer ends with a status"),
        Err(status) => status,
    }
}

#[tokio::test]
async fn every_method_says_what_is_wrong_with_a_broken_request() {
    let node = TestNode::start().await.node.clone();
    let edge = node.edge(EdgeConfig::default());
    let mut cases = 0;
    let mut wrong = Vec::new();
    for method in methods() {
        let path = path(&method);
        for (what, body, code, words) in BROKEN {
            if body.is_empty() && method.is_client_streaming() {
                continue;
            }
            let status = status(&edge, &path, body.to_vec()).await;
            if status.code() != *code || !status.message().contains(words) {
                wrong.push(format!("{what} to {path}: {status:?}"));
            }
            cases += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}: {wrong:#?}", wrong.len());
    assert!(cases > 400, "{cases}");
    assert_eq!(
        node.store().newest_id().await.unwrap(),
        0,
        "something was stored"
    );
}

#[tokio::test]
async fn no_shape_of_message_is_an_internal_error() {
    let node = TestNode::start().await.node.clone();
    let edge = node.edge(EdgeConfig::default());
    let mut wrong = Vec::new();
    let unary = |method: &MethodDescriptor| !method.is_client_streaming();
    for method in methods().into_iter().filter(unary) {
        let path = path(&method);
        for seed in 1..=SHAPES {
            let message = Shapes(seed).message(&method.input(), 0).encode_to_vec();
            let mut body = vec![0];
            body.extend((message.len() as u32).to_be_bytes());
            body.extend(message);
            let response = headers(&edge, &path, body).await;
            if let Some(status) = Status::from_header_map(response.headers())
                && (blames_the_node(status.code()) || status.message().is_empty())
            {
                wrong.push(format!("seed {seed} to {path}: {status:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
    node.store().check().await.unwrap();
}

const fn blames_the_node(code: Code) -> bool {
    matches!(
        code,
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Cancelled
    )
}

/// Makes messages of any shape that a type allows, the same ones for the same seed.
struct Shapes(u64);

impl Shapes {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64, which is good enough for any seed.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if depth < 8 && self.below(4) > 0 {
                let value = self.field(&field, depth);
                message.set_field(&field, value);
            }
        }
        message
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let many = self.one_of(&[0, 1, 1, 2, 3, 30]);
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else {
                panic!("maps are lists of messages");
            };
            let entries = (0..many).map(|_| {
                let key = match entry.map_entry_key_field().kind() {
                    Kind::String => MapKey::String(self.text()),
                    Kind::Uint32 => MapKey::U32(self.number() as u32),
                    other => panic!("no map in proto/ has keys of {other:?}"),
                };
                (
                    key,
                    self.value(&entry.map_entry_value_field().kind(), depth + 1),
                )
            });
            return Value::Map(entries.collect::<HashMap<_, _>>());
        }
        if field.is_list() {
            let many = if depth > 2 { many.min(2) } else { many };
            return Value::List(
                (0..many)
                    .map(|_| self.value(&field.kind(), depth + 1))
                    .collect(),
            );
        }
        self.value(&field.kind(), depth + 1)
    }

    fn value(&mut self, kind: &Kind, depth: usize) -> Value {
        match kind {
            Kind::Message(descriptor) => Value::Message(self.message(descriptor, depth)),
            Kind::Bytes => Value::Bytes(self.bytes()),
            Kind::String => Value::String(self.text()),
            Kind::Bool => Value::Bool(self.below(2) == 1),
            Kind::Enum(_) => Value::EnumNumber(self.one_of(&[-1, 0, 1, 2, 3, 4, i32::MAX])),
            Kind::Uint32 => Value::U32(self.number() as u32),
            Kind::Uint64 => Value::U64(self.number()),
            Kind::Int64 => Value::I64(self.number() as i64),
            Kind::Int32 => Value::I32(self.number() as i32),
            other => panic!("no field in proto/ is of {other:?}"),
        }
    }

    fn number(&mut self) -> u64 {
        self.one_of(&[
            0,
            1,
            2,
            10,
            100,
            4096,
            u64::from(u32::MAX),
            i64::MAX as u64,
            u64::MAX,
        ])
    }

    fn bytes(&mut self) -> Bytes {
        let length = self.one_of(&[0, 1, 2, 16, 17, 32, 33, 64, 65, 200, 3000]);
        // MLS messages, topics and the like begin with small numbers.
        let begin: &[u8] =
            self.one_of(&[&[], &[0], &[1], &[2, 9], &[0, 1, 0, 2, 16], &[0, 1, 0, 1]]);
        let mut bytes = begin.to_vec();
        bytes.extend((0..length).map(|_| self.below(256) as u8));
        bytes.truncate(length);
        bytes.into()
    }

    fn text(&mut self) -> String {
        self.one_of(&[
            "",
            "*",
            "0x00000000000000000000000000000000000000aa",
            "0X00000000000000000000000000000000000000AA",
            "eip155:1:0x00000000000000000000000000000000000000aa",
            "eip155:18446744073709551616:0x00",
            "37268eeaf8f2e7d8a6ab4c2f9c2d1b7b3d6f0e5a4c3b2a190817263544536271",
            "/xmtp/mls/1/g-a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1/proto",
            "not what anybody expects here: \u{1f333}\0\n",
        ])
        .to_owned()
    }
}
