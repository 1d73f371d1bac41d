//! The frames of a gRPC request, checked while they stream by.
//!
//! A frame is a flag (0 plain, 1 compressed), a length as u32 big-endian, and as many bytes. What
//! is wrong with a request at this level is answered here, with the status and the words that
//! help its sender, before anything is decoded or collected. The same pass counts the bytes
//! that the request occupies and the messages that it publishes; nothing is copied.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status};

use crate::{
    limits::{Cost, Held, Limits},
    methods::Method,
};

/// Bytes before a message: flag and length.
const HEADER: usize = 5;
/// Compressed messages cannot be counted without decompressing them; a published message
/// takes at least this many bytes, being encrypted.
const SMALLEST_COMPRESSED: usize = 48;
/// By how much the compression of gzip can shrink bytes at most.
const MOST_EXPANSION: usize = 1032;

/// A request body that ends in an error as soon as its frames do not hold.
pub(crate) struct CheckedFrames {
    body: tonic::body::Body,
    rules: Rules,
    frame: Position,
    messages: u64,
    /// What the request occupies, shared with the call that waits for its answer.
    held: Arc<Held>,
    silence: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

/// What the frames of one request are held against.
pub(crate) struct Rules {
    pub(crate) method: &'static Method,
    pub(crate) client: IpAddr,
    pub(crate) limits: Arc<Limits>,
    /// Largest message, in bytes.
    pub(crate) max_message_bytes: usize,
    /// Whether the request says how compressed messages are compressed.
    pub(crate) names_encoding: bool,
}

#[derive(Debug)]
enum Position {
    Header { read: usize, bytes: [u8; HEADER] },
    Message(Open),
}

/// A message of which some bytes are still to come.
#[derive(Debug)]
struct Open {
    length: usize,
    left: usize,
    is_compressed: bool,
    count: FieldCount,
}

impl Rules {
    pub(crate) fn names_encoding(headers: &HeaderMap) -> bool {
        headers
            .get("grpc-encoding")
            .is_some_and(|encoding| encoding != "identity")
    }
}

impl CheckedFrames {
    pub(crate) const fn new(body: tonic::body::Body, rules: Rules, held: Arc<Held>) -> Self {
        Self {
            body,
            rules,
            frame: START,
            messages: 0,
            held,
            silence: None,
            is_over: false,
        }
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        self.held.grow(bytes.len())?;
        loop {
            match &mut self.frame {
                Position::Header {
                    read,
                    bytes: header,
                } => {
                    let more = bytes.len().min(HEADER - *read);
                    header[*read..*read + more].copy_from_slice(&bytes[..more]);
                    *read += more;
                    bytes = &bytes[more..];
                    if *read < HEADER {
                        return Ok(());
                    }
                    let header = *header;
                    let message = self.begin(header)?;
                    let is_empty = message.length == 0;
                    self.frame = Position::Message(message);
                    if is_empty {
                        self.end()?;
                    }
                }
                Position::Message(message) => {
                    let more = bytes.len().min(message.left);
                    if self.rules.method.publishes && !message.is_compressed {
                        message.count.read(&bytes[..more]);
                    }
                    message.left -= more;
                    bytes = &bytes[more..];
                    if message.left > 0 {
                        return Ok(());
                    }
                    self.end()?;
                }
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    fn begin(&mut self, header: [u8; HEADER]) -> Result<Open, Status> {
        let [flag, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        let is_compressed = match flag {
            0 => false,
            1 if self.rules.names_encoding => true,
            1 => {
                return Err(Status::invalid_argument(
                    "request frame: the message is marked as compressed, but the header \
                     grpc-encoding does not say how",
                ));
            }
            other => {
                return Err(Status::invalid_argument(format!(
                    "request frame: the flag is {other}; 0 is a plain message, 1 a compressed one"
                )));
            }
        };
        if length > self.rules.max_message_bytes {
            return Err(Status::resource_exhausted(format!(
                "request frame: the message has {length} bytes; the limit is {} bytes",
                self.rules.max_message_bytes
            )));
        }
        if is_compressed {
            // What it may grow to, since it is unpacked before anybody can look at it.
            let unpacked = length.saturating_mul(MOST_EXPANSION);
            self.held.grow(unpacked.min(self.rules.max_message_bytes))?;
        }
        self.messages += 1;
        if self.messages > 1 && !self.rules.method.client_streams {
            return Err(Status::invalid_argument(
                "request body: a second message; this method takes one",
            ));
        }
        Ok(Open {
            length,
            left: length,
            is_compressed,
            count: FieldCount::default(),
        })
    }

    fn end(&mut self) -> Result<(), Status> {
        let Position::Message(message) = std::mem::replace(&mut self.frame, START) else {
            return Ok(());
        };
        if self.rules.method.publishes {
            let messages = if message.is_compressed {
                message.length.div_ceil(SMALLEST_COMPRESSED)
            } else {
                message.count.found
            };
            let messages = u32::try_from(messages.max(1)).unwrap_or(u32::MAX);
            self.rules
                .limits
                .check(self.rules.client, Cost::Publish(messages))?;
        }
        if self.rules.method.client_streams {
            // Whoever reads the stream has this message now, and one at a time.
            self.held.release();
        }
        Ok(())
    }

    /// What is wrong with a request that ends here.
    fn check_end(&self) -> Result<(), Status> {
        match &self.frame {
            Position::Header { read: 0, .. } if self.messages > 0 => Ok(()),
            Position::Header { read: 0, .. } if self.rules.method.client_streams => Ok(()),
            Position::Header { read: 0, .. } => Err(Status::invalid_argument(
                "request body: it is empty; this method takes one message",
            )),
            Position::Header { read, .. } => Err(Status::invalid_argument(format!(
                "request frame: it ends after {read} of the {HEADER} bytes before a message"
            ))),
            Position::Message(message) => Err(Status::invalid_argument(format!(
                "request frame: it ends after {} of the {} bytes of its message",
                message.length - message.left,
                message.length
            ))),
        }
    }

    /// Gives a request up that was silent for too long with a message half sent.
    fn check_silence(&mut self, context: &mut Context<'_>) -> Result<(), Status> {
        let is_waiting = matches!(self.frame, Position::Header { read: 0, .. });
        if is_waiting && self.rules.method.client_streams {
            self.silence = None;
            return Ok(());
        }
        let patience = self.rules.limits.config().patience;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if silence.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        Err(Status::deadline_exceeded(format!(
            "no bytes of the request came for {} s",
            patience.as_secs()
        )))
    }

    fn poll_checked(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => match self.check_silence(context) {
                Ok(()) => Poll::Pending,
                Err(status) => Poll::Ready(Some(Err(status))),
            },
            Poll::Ready(None) => Poll::Ready(self.check_end().err().map(Err)),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(silence) = &mut self.silence {
                    let patience = self.rules.limits.config().patience;
                    silence.as_mut().reset(Instant::now() + patience);
                }
                let read = frame.data_ref().map_or(Ok(()), |bytes| self.read(bytes));
                Poll::Ready(Some(read.map(|()| frame)))
            }
            // What decodes gRPC-Web's text form calls bad base64 an internal error.
            Poll::Ready(Some(Err(status))) if status.code() == Code::Internal => {
                Poll::Ready(Some(Err(Status::invalid_argument(format!(
                    "request body: {}",
                    status.message()
                )))))
            }
            Poll::Ready(Some(Err(status))) => Poll::Ready(Some(Err(status))),
        }
    }
}

impl Body for CheckedFrames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let checked = self.get_mut();
        if checked.is_over {
            return Poll::Ready(None);
        }
        let polled = checked.poll_checked(context);
        checked.is_over = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

const START: Position = Position::Header {
    read: 0,
    bytes: [0; HEADER],
};

/// Counts how often field 1 occurs in a protobuf message, while the message streams by. Stops
/// counting where the message stops making sense; the decoder will say so.
#[derive(Debug, Default)]
struct FieldCount {
    found: usize,
    at: Protobuf,
}

#[derive(Clone, Copy, Debug)]
enum Protobuf {
    Tag { value: u64, shift: u32 },
    Varint,
    Length { value: u64, shift: u32 },
    Skip(u64),
    Nonsense,
}

impl Default for Protobuf {
    fn default() -> Self {
        Self::Tag { value: 0, shift: 0 }
    }
}

impl FieldCount {
    fn read(&mut self, mut bytes: &[u8]) {
        while let [byte, rest @ ..] = bytes {
            let is_last = byte & 0x80 == 0;
            let bits = u64::from(byte & 0x7f);
            bytes = rest;
            self.at = match self.at {
                Protobuf::Tag { shift, .. } | Protobuf::Length { shift, .. } if shift > 63 => {
                    Protobuf::Nonsense
                }
                Protobuf::Tag { value, shift } if is_last => self.field(value | bits << shift),
                Protobuf::Tag { value, shift } => Protobuf::Tag {
                    value: value | bits << shift,
                    shift: shift + 7,
                },
                Protobuf::Varint if is_last => Protobuf::default(),
                Protobuf::Varint => Protobuf::Varint,
                Protobuf::Length { value, shift } if is_last => match value | bits << shift {
                    0 => Protobuf::default(),
                    length => Protobuf::Skip(length),
                },
                Protobuf::Length { value, shift } => Protobuf::Length {
                    value: value | bits << shift,
                    shift: shift + 7,
                },
                Protobuf::Skip(left) => {
                    // This byte, and as many of the rest as there are.
                    let skipped = (rest.len() as u64).min(left - 1);
                    bytes = &rest[skipped as usize..];
                    match left - 1 - skipped {
                        0 => Protobuf::default(),
                        left => Protobuf::Skip(left),
                    }
                }
                Protobuf::Nonsense => return,
            };
        }
    }

    fn field(&mut self, tag: u64) -> Protobuf {
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number == 1 {
            self.found += 1;
        }
        match wire_type {
            0 => Protobuf::Varint,
            1 => Protobuf::Skip(8),
            2 => Protobuf::Length { value: 0, shift: 0 },
            5 => Protobuf::Skip(4),
            _ => Protobuf::Nonsense,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

    use folkmoot_wire::proto::xmtp::mls::api::v1::{
        GroupMessageInput, SendGroupMessagesRequest, group_message_input,
    };
    use futures::StreamExt;
    use http_body_util::{BodyExt, StreamBody};
    use prost::Message;

    use super::*;
    use crate::limits::LimitsConfig;

    const SEND: &str = "/xmtp.mls.api.v1.MlsApi/SendGroupMessages";
    const SUBSCRIBE: &str = "/xmtp.mls.api.v1.MlsApi/Subscribe";

    fn rules(path: &str, limits: &Arc<Limits>) -> Rules {
        Rules {
            method: Method::at(path).unwrap(),
            client: Ipv4Addr::LOCALHOST.into(),
            limits: Arc::clone(limits),
            max_message_bytes: 1000,
            names_encoding: false,
        }
    }

    fn checked(rules: Rules, chunks: &[&[u8]]) -> CheckedFrames {
        let held = Arc::new(rules.limits.hold(rules.client));
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Bytes::copy_from_slice(chunk))
            .collect();
        let stream =
            futures::stream::iter(chunks).map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
        CheckedFrames::new(tonic::body::Body::new(StreamBody::new(stream)), rules, held)
    }

    async fn verdict(path: &str, chunks: &[&[u8]]) -> Result<usize, Status> {
        let limits = Limits::new(LimitsConfig::default());
        let body = checked(rules(path, &limits), chunks);
        body.collect().await.map(|all| all.to_bytes().len())
    }

    #[tokio::test]
    async fn sound_frames_pass_wherever_they_are_cut() {
        let frame = [0, 0, 0, 0, 3, 9, 9, 9];
        for cut in 0..frame.len() {
            let (first, second) = frame.split_at(cut);
            assert_eq!(verdict(SEND, &[first, second]).await.unwrap(), 8);
        }
        assert_eq!(verdict(SEND, &[&[0, 0, 0, 0, 0]]).await.unwrap(), 5);
        assert_eq!(verdict(SUBSCRIBE, &[]).await.unwrap(), 0);
        assert_eq!(verdict(SUBSCRIBE, &[&frame, &frame]).await.unwrap(), 16);
    }

    #[tokio::test]
    async fn frames_that_do_not_hold_are_refused_in_words() {
        let cases: [(&[u8], Code, &str); 7] = [
            (&[], Code::InvalidArgument, "empty"),
            (&[0, 0], Code::InvalidArgument, "after 2 of the 5 bytes"),
            (
                &[0, 0, 0, 0, 4, 9],
                Code::InvalidArgument,
                "after 1 of the 4 bytes",
            ),
            (&[7, 0, 0, 0, 0], Code::InvalidArgument, "the flag is 7"),
            (&[1, 0, 0, 0, 0], Code::InvalidArgument, "grpc-encoding"),
            (
                &[0, 0, 0, 3, 233],
                Code::ResourceExhausted,
                "1001 bytes; the limit is 1000",
            ),
            (
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                Code::InvalidArgument,
                "a second message",
            ),
        ];
        for (bytes, code, words) in cases {
            let status = verdict(SEND, &[bytes]).await.unwrap_err();
            assert_eq!(status.code(), code, "{bytes:?}");
            assert!(status.message().contains(words), "{}", status.message());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_stays_half_sent_is_given_up() {
        let limits = Limits::new(LimitsConfig::default());
        let rules = rules(SEND, &limits);
        let held = Arc::new(limits.hold(rules.client));
        let first =
            futures::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0])))]);
        let body = StreamBody::new(first.chain(futures::stream::pending()));
        let body = CheckedFrames::new(tonic::body::Body::new(body), rules, held);
        let status = tokio::time::timeout(Duration::from_secs(90), body.collect())
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn publishing_costs_by_the_number_of_messages() {
        let limits = Limits::new(LimitsConfig::public());
        let message = GroupMessageInput {
            version: Some(group_message_input::Version::V1(group_message_input::V1 {
                data: Bytes::from_static(b"\x0a\x0a\x0a"),
                ..Default::default()
            })),
        };
        let request = SendGroupMessagesRequest {
            messages: vec![message; 60],
        };
        let mut bytes = vec![0, 0, 0];
        bytes.extend((request.encoded_len() as u16).to_be_bytes());
        bytes.extend(request.encode_to_vec());
        for _ in 0..50 {
            let chunks: Vec<&[u8]> = bytes.chunks(7).collect();
            let body = checked(rules(SEND, &limits), &chunks);
            body.collect().await.unwrap();
        }
        let status = checked(rules(SEND, &limits), &[&bytes])
            .collect()
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(
            status.message().contains("too many messages"),
            "{}",
            status.message()
        );
    }

    #[tokio::test]
    async fn a_stream_of_messages_holds_one_at_a_time() {
        let limits = Limits::new(LimitsConfig::default());
        let rules = rules(SUBSCRIBE, &limits);
        let held = Arc::new(limits.hold(rules.client));
        let frame = Bytes::from_static(&[0, 0, 0, 0, 3, 9, 9, 9]);
        let stream = futures::stream::iter([frame.clone(), frame, Bytes::from_static(&[0, 0])])
            .map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
        let body = tonic::body::Body::new(StreamBody::new(stream));
        let mut body = CheckedFrames::new(body, rules, Arc::clone(&held));
        for _ in 0..2 {
            body.frame().await.unwrap().unwrap();
            assert_eq!(held.bytes(), 0);
        }
        body.frame().await.unwrap().unwrap();
        assert_eq!(held.bytes(), 2);
    }

    #[tokio::test]
    async fn a_compressed_message_holds_what_it_may_grow_to() {
        let limits = Limits::new(LimitsConfig::default());
        let mut rules = rules(SEND, &limits);
        rules.names_encoding = true;
        let held = Arc::new(limits.hold(rules.client));
        let chunk = Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[1, 0, 0, 0, 9])));
        let body = StreamBody::new(futures::stream::iter([chunk]));
        let mut body = CheckedFrames::new(tonic::body::Body::new(body), rules, Arc::clone(&held));
        body.frame().await.unwrap().unwrap();
        assert_eq!(held.bytes(), 5 + 1000);
    }

    #[test]
    fn counting_takes_any_bytes() {
        let mut count = FieldCount::default();
        count.read(&[0xff; 40]);
        assert_eq!(count.found, 0);
        let mut count = FieldCount::default();
        count.read(&[0x0a, 0, 0x0a, 2, 0x0a, 0x0a, 0x10, 0x80, 1, 0x0a, 0xff]);
        assert_eq!(count.found, 3);
    }
}
