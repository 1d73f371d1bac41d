//! Below the methods: frames, headers, content types, and bytes that are no HTTP at all.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Status};

use folkmoot_testkit::mls::says;
use folkmoot_wire::proto::xmtp::mls::api::v1::SendGroupMessagesRequest;

use crate::{
    harness::{DEADLINE, Server},
    mls::GROUP,
};

const SEND: &str = "/xmtp.mls.api.v1.MlsApi/SendGroupMessages";
const GRPC: (&str, &str) = ("content-type", "application/grpc");
const WEB: (&str, &str) = ("content-type", "application/grpc-web+proto");
const WEB_TEXT: (&str, &str) = ("content-type", "application/grpc-web-text");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("grpc-encoding", "gzip");

/// A bad request on the level of HTTP, and the answer to it.
struct Raw {
    name: &'static str,
    version: Version,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    /// Of HTTP, and of gRPC where the call got that far.
    status: (u16, Option<Code>),
    says: &'static str,
}

fn message() -> Vec<u8> {
    let messages = vec![says(&GROUP, "at noon")];
    SendGroupMessagesRequest { messages }.encode_to_vec()
}

/// Flag and length as given, then the bytes.
fn frame(flag: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
    [&[flag], &length.to_be_bytes()[..], bytes].concat()
}

fn sound() -> Vec<u8> {
    frame(0, message().len() as u32, &message())
}

/// A gzip stream of a few hundred KiB that grows to 32 MiB of zeros.
fn bomb() -> Vec<u8> {
    // One block with the fixed codes (RFC 1951 section 3.2.6): the byte 0, then over and over "the
    // last byte 258 times". Codes begin with their highest bit, all other fields with their lowest.
    const LAST_BLOCK: &[u8] = &[1, 1, 0];
    const ZERO: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0];
    const REPEATED: &[u8] = &[1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let repeated = REPEATED.repeat((32 << 20) / 258);
    let bits = [LAST_BLOCK, ZERO, &repeated].concat();
    let packed = bits.chunks(8).map(|bits| {
        let bits = bits.iter().enumerate();
        bits.fold(0, |byte, (at, bit)| byte | (bit << at))
    });
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    header.into_iter().chain(packed).collect()
}

fn grpc(
    name: &'static str,
    headers: &[(&'static str, &'static str)],
    body: Vec<u8>,
    code: Code,
    says: &'static str,
) -> Raw {
    Raw {
        name,
        version: Version::HTTP_2,
        path: SEND,
        headers: headers.to_vec(),
        body,
        status: (200, Some(code)),
        says,
    }
}

fn web(
    name: &'static str,
    headers: &[(&'static str, &'static str)],
    body: Vec<u8>,
    code: Code,
    says: &'static str,
) -> Raw {
    Raw {
        version: Version::HTTP_11,
        ..grpc(name, headers, body, code, says)
    }
}

fn plain(
    name: &'static str,
    version: Version,
    path: &'static str,
    headers: &[(&'static str, &'static str)],
    status: u16,
    says: &'static str,
) -> Raw {
    Raw {
        name,
        version,
        path,
        headers: headers.to_vec(),
        body: sound(),
        status: (status, None),
        says,
    }
}

fn json(
    name: &'static str,
    path: &'static str,
    body: &str,
    status: u16,
    says: &'static str,
) -> Raw {
    Raw {
        body: body.as_bytes().to_vec(),
        ..plain(name, Version::HTTP_11, path, &[JSON], status, says)
    }
}

fn cases() -> Vec<Raw> {
    use Code::{InvalidArgument as Bad, ResourceExhausted as TooMuch, Unimplemented};
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    let cut = |bytes: usize| sound()[..bytes].to_vec();
    let base64 = |bytes: &[u8]| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into_bytes()
    };
    let mut cases = vec![
        grpc(
            "no body",
            &[GRPC],
            vec![],
            Bad,
            "request body: it is empty; this method takes one message",
        ),
        grpc(
            "half a frame header",
            &[GRPC],
            cut(3),
            Bad,
            "request frame: it ends after 3 of the 5 bytes",
        ),
        grpc(
            "a header alone",
            &[GRPC],
            cut(5),
            Bad,
            "request frame: it ends after 0 of the",
        ),
        grpc(
            "half a message",
            &[GRPC],
            cut(20),
            Bad,
            "request frame: it ends after 15 of the",
        ),
        grpc(
            "two messages",
            &[GRPC],
            sound().repeat(2),
            Bad,
            "request body: a second message; this method takes one",
        ),
        grpc(
            "bytes after the message",
            &[GRPC],
            [sound(), vec![0]].concat(),
            Bad,
            "request frame: it ends after 1 of the 5 bytes",
        ),
        grpc(
            "a flag of 2",
            &[GRPC],
            frame(2, 0, b""),
            Bad,
            "request frame: the flag is 2",
        ),
        grpc(
            "a flag of 255",
            &[GRPC],
            frame(255, 0, b""),
            Bad,
            "request frame: the flag is 255",
        ),
        grpc(
            "25 MiB and a byte",
            &[GRPC],
            frame(0, (25 << 20) + 1, b""),
            TooMuch,
            "request frame: the message has 26214401 bytes; the limit is 26214400",
        ),
        grpc(
            "4 GiB",
            &[GRPC],
            frame(0, u32::MAX, b""),
            TooMuch,
            "request frame: the message has 4294967295 bytes",
        ),
        grpc(
            "compressed without saying how",
            &[GRPC],
            frame(1, 4, b"\x1f\x8b\x08\x00"),
            Bad,
            "grpc-encoding does not say how",
        ),
        grpc(
            "compressed, and called identity",
            &[GRPC, ("grpc-encoding", "identity")],
            frame(1, 1, b"x"),
            Bad,
            "grpc-encoding does not say how",
        ),
        grpc(
            "no gzip in the gzip",
            &[GRPC, GZIP],
            frame(1, 4, b"text"),
            Bad,
            "decompress",
        ),
        grpc(
            "gzip cut short",
            &[GRPC, GZIP],
            frame(1, 12, b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\xff"),
            Bad,
            "decompress",
        ),
        grpc(
            "gzip that grows beyond all limits",
            &[GRPC, GZIP],
            frame(1, bomb().len() as u32, &bomb()),
            TooMuch,
            "limit",
        ),
        grpc(
            "an encoding of no name",
            &[GRPC, ("grpc-encoding", "snappy")],
            frame(1, 1, b"x"),
            Unimplemented,
            "snappy",
        ),
        grpc(
            "no protobuf",
            &[GRPC],
            frame(0, 3, &[0xff; 3]),
            Bad,
            "decode",
        ),
        grpc(
            "a timeout of words",
            &[GRPC, ("grpc-timeout", "soon")],
            sound(),
            Bad,
            "header grpc-timeout: expected at most 8 digits",
        ),
        grpc(
            "a timeout of nine digits",
            &[GRPC, ("grpc-timeout", "123456789S")],
            sound(),
            Bad,
            "header grpc-timeout",
        ),
        grpc(
            "a timeout without unit",
            &[GRPC, ("grpc-timeout", "100")],
            sound(),
            Bad,
            "header grpc-timeout",
        ),
        grpc(
            "a timeout of no time",
            &[GRPC, ("grpc-timeout", "0n")],
            sound(),
            Code::DeadlineExceeded,
            "the deadline of the call has passed",
        ),
        Raw {
            path: "/xmtp.mls.api.v1.MlsApi/Nothing",
            ..grpc(
                "an unknown method",
                &[GRPC],
                sound(),
                Unimplemented,
                "this node has no method /xmtp.mls.api.v1.MlsApi/Nothing",
            )
        },
        Raw {
            path: "/",
            ..grpc(
                "no method",
                &[GRPC],
                sound(),
                Unimplemented,
                "this node has no method /",
            )
        },
        web("no body", &[WEB], vec![], Bad, "request body: it is empty"),
        web(
            "half a frame header",
            &[WEB],
            cut(3),
            Bad,
            "request frame: it ends after 3 of the 5 bytes",
        ),
        web(
            "half a message",
            &[WEB],
            cut(20),
            Bad,
            "request frame: it ends after 15 of the",
        ),
        web(
            "4 GiB",
            &[WEB],
            frame(0, u32::MAX, b""),
            TooMuch,
            "request frame: the message has 4294967295 bytes",
        ),
        web(
            "trailers as a request",
            &[WEB],
            frame(0x80, 3, b"a:b"),
            Bad,
            "request frame: the flag is 128",
        ),
        web(
            "compressed without saying how",
            &[WEB],
            frame(1, 4, b"\x1f\x8b\x08\x00"),
            Bad,
            "grpc-encoding does not say how",
        ),
        web(
            "no protobuf",
            &[WEB],
            frame(0, 3, &[0xff; 3]),
            Bad,
            "decode",
        ),
        web(
            "no base64 in the text form",
            &[WEB_TEXT],
            b"!!!!".to_vec(),
            Bad,
            "request body",
        ),
        web(
            "half a message in the text form",
            &[WEB_TEXT],
            base64(&cut(20)),
            Bad,
            "request",
        ),
    ];
    let mirror = "/mls/v1/send-group-messages";
    cases.extend([
        plain(
            "gRPC over HTTP/1.1",
            h1,
            SEND,
            &[GRPC],
            426,
            "gRPC needs HTTP/2",
        ),
        plain(
            "gRPC with JSON",
            h2,
            SEND,
            &[("content-type", "application/grpc+json")],
            415,
            "",
        ),
        plain(
            "gRPC-Web with JSON",
            h1,
            SEND,
            &[("content-type", "application/grpc-web+json")],
            415,
            "",
        ),
        plain(
            "no content type",
            h2,
            SEND,
            &[],
            415,
            "this is a gRPC method",
        ),
        plain(
            "a form",
            h1,
            SEND,
            &[("content-type", "multipart/form-data")],
            415,
            "this is a gRPC method",
        ),
        plain(
            "Connect",
            h1,
            SEND,
            &[("content-type", "application/proto")],
            400,
            "failed_precondition",
        ),
        plain(
            "streaming Connect",
            h2,
            SEND,
            &[("content-type", "application/connect+proto")],
            400,
            "failed_precondition",
        ),
        plain(
            "a path of nothing",
            h1,
            "/nothing",
            &[],
            404,
            "nothing has this path",
        ),
        plain(
            "a path out of the tree",
            h1,
            "/../../etc/passwd",
            &[],
            404,
            "nothing has this path",
        ),
        json(
            "no JSON",
            mirror,
            "hello",
            400,
            "not a SendGroupMessagesRequest in JSON",
        ),
        json(
            "JSON cut short",
            mirror,
            r#"{"messages":[{"v1":"#,
            400,
            "not a SendGroupMessagesRequest in JSON",
        ),
        json(
            "more after the JSON",
            mirror,
            "{} {}",
            400,
            "not a SendGroupMessagesRequest in JSON",
        ),
        json(
            "an unknown field",
            mirror,
            r#"{"letters":[]}"#,
            400,
            "letters",
        ),
        json(
            "a list that is a number",
            mirror,
            r#"{"messages":1}"#,
            400,
            "not a SendGroupMessagesRequest in JSON",
        ),
        json(
            "bytes that are no base64",
            mirror,
            r#"{"messages":[{"v1":{"data":"*"}}]}"#,
            400,
            "not a SendGroupMessagesRequest in JSON",
        ),
        json("no messages", mirror, "{}", 400, "messages: is empty"),
        json(
            "a broken message",
            mirror,
            r#"{"messages":[{"v1":{"data":"AAEC"}}]}"#,
            400,
            "messages[0].v1.data: not an MLS group message",
        ),
        json(
            "deep JSON",
            mirror,
            DEEP,
            400,
            "not a SendGroupMessagesRequest in JSON",
        ),
        json(
            "a number out of range",
            "/mls/v1/query-group-messages",
            r#"{"groupId":"oQ==","pagingInfo":{"limit":4294967296}}"#,
            400,
            "not a QueryGroupMessagesRequest in JSON",
        ),
        json(
            "a kind of no name",
            "/identity/v1/get-inbox-ids",
            r#"{"requests":[{"identifier":"0x12","identifierKind":"BADGE"}]}"#,
            400,
            "not a GetInboxIdsRequest in JSON",
        ),
        json(
            "no protobuf",
            "/mls/v1/send-group-messages",
            "{",
            400,
            "not a SendGroupMessagesRequest in JSON",
        ),
    ]);
    cases
}

/// Deeper than anybody needs.
const DEEP: &str = const {
    const BYTES: [u8; 4096] = [b'['; 4096];
    match str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("brackets are text"),
    }
};

struct Answer {
    status: StatusCode,
    grpc: Option<Status>,
    text: String,
}

async fn send(server: &Server, raw: &Raw) -> Answer {
    let client = HttpClient::builder(TokioExecutor::new())
        .http2_only(raw.version == Version::HTTP_2)
        .build_http();
    let mut request = http::Request::builder()
        .method(Method::POST)
        .uri(format!("{}{}", server.url, raw.path));
    for (name, value) in &raw.headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(raw.body.clone())))
        .unwrap();
    let answer = timeout(DEADLINE, client.request(request)).await;
    let (head, body) = answer.expect("the node answers").unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let body = body.to_bytes();
    let grpc = Status::from_header_map(&head.headers)
        .or_else(|| Status::from_header_map(&trailers))
        .or_else(|| Status::from_header_map(&trailers_in(&body)));
    let mut text = String::from_utf8_lossy(&body).into_owned();
    if let Some(status) = &grpc {
        text.push_str(status.message());
    }
    Answer {
        status: head.status,
        grpc,
        text,
    }
}

/// The trailers of gRPC-Web, which are the last frame of a body.
fn trailers_in(body: &[u8]) -> HeaderMap {
    let Some(body) = body.strip_prefix(&[0x80]) else {
        return HeaderMap::new();
    };
    let text = String::from_utf8_lossy(&body[4..]);
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let pairs = pairs.filter_map(|(name, value)| {
        let name = http::HeaderName::try_from(name.trim()).ok()?;
        Some((name, value.trim().parse().ok()?))
    });
    pairs.collect()
}

async fn still_takes_messages(server: &Server) {
    let good = grpc("a good one", &[GRPC], sound(), Code::Ok, "");
    let answer = send(server, &good).await;
    assert_eq!(answer.grpc.map(|status| status.code()), Some(Code::Ok));
}

#[tokio::test]
async fn what_is_wrong_below_the_methods_is_said_in_words() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    for raw in cases() {
        let answer = send(&server, &raw).await;
        let code = answer.grpc.as_ref().map(Status::code);
        let (status, expected) = raw.status;
        let is_as_expected = answer.status == status
            && (expected.is_none() || code == expected)
            && answer.text.contains(raw.says);
        if !is_as_expected {
            wrong.push(format!(
                "{}: {} {code:?} {:?}, not {:?} {:?}",
                raw.name, answer.status, answer.text, raw.status, raw.says
            ));
        }
        assert_eq!(server.stored().await, (0, 0), "{} was stored", raw.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    still_takes_messages(&server).await;
}

/// Bytes that are no HTTP, or not for long.
fn noise() -> Vec<(&'static str, Vec<u8>)> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let after_preface = |bytes: &[u8]| [&preface[..], bytes].concat();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let open_and = |bytes: &[u8]| after_preface(&[&settings[..], bytes].concat());
    vec![
        ("nothing", vec![]),
        ("zeros", vec![0; 4096]),
        (
            "a TLS greeting",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        ("half a preface", preface[..10].to_vec()),
        ("a preface alone", preface.to_vec()),
        (
            "a frame that is larger than allowed",
            open_and(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
        ),
        (
            "data on a stream that is not open",
            open_and(&[0, 0, 1, 0, 0, 0, 0, 0, 1, 7]),
        ),
        (
            "headers that do not decompress",
            open_and(&[0, 0, 4, 1, 5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "headers on an even stream",
            open_and(&[0, 0, 1, 1, 5, 0, 0, 0, 2, 0x82]),
        ),
        (
            "a continuation of nothing",
            open_and(&[0, 0, 1, 9, 4, 0, 0, 0, 1, 0x82]),
        ),
        (
            "a window of zero",
            open_and(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ),
        (
            "a ping of seven bytes",
            open_and(&[0, 0, 7, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7]),
        ),
        (
            "settings of five bytes",
            after_preface(&[0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]),
        ),
        (
            "a thousand resets",
            open_and(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8].repeat(1000)),
        ),
        ("a method of 1 MiB", vec![b'A'; 1 << 20]),
        (
            "headers without end",
            [&b"GET / HTTP/1.1\r\n"[..], &b"a: b\r\n".repeat(50_000)].concat(),
        ),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"
                .to_vec(),
        ),
        (
            "a chunk of no size",
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        ),
    ]
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_only() {
    let server = Server::start().await;
    let address = server.url.trim_start_matches("http://").to_owned();
    for (name, bytes) in noise() {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        // The node may close before everything is sent, which is fine.
        let sending = async {
            socket.write_all(&bytes).await.ok();
            socket.shutdown().await.ok();
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.ok();
        };
        let ended = timeout(Duration::from_secs(10), sending).await;
        assert!(ended.is_ok(), "{name}: the connection stays open");
        assert_eq!(server.stored().await, (0, 0), "{name} was stored");
    }
    still_takes_messages(&server).await;
}
