//! The bidirectional `Subscribe` of both generations.

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::{
    mls::api::v1 as v3,
    xmtpv4::{envelopes::Cursor, message_api as d14n},
};
use prost::Message;
use tonic::Code;

use crate::harness::{Case, Method, bad};

const V3: &str = "/xmtp.mls.api.v1.MlsApi/Subscribe";
const D14N: &str = "/xmtp.xmtpv4.message_api.QueryApi/Subscribe";
const GROUP: &[u8] = &[0, 7, 7];

fn several(name: &str, messages: Vec<impl Message>, says: &str) -> Case {
    let messages = messages
        .iter()
        .map(|it| it.encode_to_vec().into())
        .collect();
    Case::messages(name, Code::InvalidArgument, messages, says)
}

pub(crate) fn v3() -> Method {
    use v3::subscribe_request::{
        V1, Version,
        v1::{Mutate, Request, mutate::Subscription},
    };
    let asks = |request| v3::SubscribeRequest {
        version: Some(Version::V1(V1 {
            request: Some(Request::Mutate(request)),
        })),
    };
    let mutate = |topics: &[&[u8]], mutate_id| Mutate {
        adds: topics
            .iter()
            .map(|topic| Subscription {
                topic: Bytes::copy_from_slice(topic),
                id_cursor: 0,
            })
            .collect(),
        mutate_id,
        ..Mutate::default()
    };
    let adds = |topic: &[u8]| asks(mutate(&[topic], 1));
    let removes = asks(Mutate {
        removes: vec![Bytes::from_static(b"x")],
        ..Mutate::default()
    });
    let history = Mutate {
        history_only: true,
        ..mutate(&[GROUP], 2)
    };
    let many = asks(mutate(&vec![GROUP; 100_001], 1));
    let inside = |says: &str| format!("v1.mutate.adds[0].topic: {says}");
    Method::new(
        V3,
        "SubscribeRequest",
        asks(mutate(&[GROUP], 1)),
        vec![
            bad(
                "no version",
                v3::SubscribeRequest::default(),
                "version: is missing or unknown; use v1",
            ),
            Case::new(
                "version 2",
                Code::InvalidArgument,
                vec![0x12, 0],
                "version: is missing or unknown; use v1",
            ),
            bad(
                "an empty topic",
                adds(b""),
                &inside("a topic has 2 to 128 bytes, not 0"),
            ),
            bad(
                "a kind alone",
                adds(&[0]),
                &inside("a topic has 2 to 128 bytes, not 1"),
            ),
            bad(
                "a topic of 129 bytes",
                adds(&[0; 129]),
                &inside("a topic has 2 to 128 bytes, not 129"),
            ),
            bad(
                "an inbox",
                adds(&[2; 33]),
                &inside("is of kind 2 (identity)"),
            ),
            bad(
                "key packages",
                adds(&[3; 33]),
                &inside("is of kind 3 (key_package)"),
            ),
            bad("payer reports", adds(&[4; 5]), &inside("is of kind 4")),
            bad("kind 6", adds(&[6; 17]), &inside("topic kind 6 is unknown")),
            bad(
                "a bad second topic",
                asks(mutate(&[GROUP, b""], 1)),
                "v1.mutate.adds[1].topic",
            ),
            bad("a removal of no topic", removes, "v1.mutate.removes[0]"),
            bad(
                "no number",
                asks(mutate(&[GROUP], 0)),
                "v1.mutate.mutate_id: is 0",
            ),
            bad("100 001 topics", many, "too many adds").with(Code::ResourceExhausted),
            several(
                "history of a live topic",
                vec![asks(mutate(&[GROUP], 1)), asks(history)],
                "v1.mutate",
            ),
            several(
                "a bad second request",
                vec![asks(mutate(&[GROUP], 1)), adds(b"x")],
                "v1.mutate.adds[0].topic",
            ),
        ],
    )
}

pub(crate) fn d14n() -> Method {
    use d14n::subscribe_request::{
        V1, Version,
        v1::{Mutate, Request, mutate::Subscription},
    };
    let asks = |request| d14n::SubscribeRequest {
        version: Some(Version::V1(V1 {
            request: Some(Request::Mutate(request)),
        })),
    };
    let mutate = |topic: &[u8], seen: &[(u32, u64)], mutate_id| Mutate {
        adds: vec![Subscription {
            topic: Bytes::copy_from_slice(topic),
            last_seen: Some(Cursor {
                node_id_to_sequence_id: seen.iter().copied().collect(),
            }),
        }],
        mutate_id,
        ..Mutate::default()
    };
    let adds = |topic: &[u8]| asks(mutate(topic, &[], 1));
    let seen = |seen: &[(u32, u64)]| asks(mutate(GROUP, seen, 1));
    let clock: Vec<_> = (0..101).map(|originator| (originator, 1)).collect();
    Method::new(
        D14N,
        "SubscribeRequest",
        adds(GROUP),
        vec![
            bad(
                "no version",
                d14n::SubscribeRequest::default(),
                "version: is missing or unknown; use v1",
            ),
            bad(
                "an empty topic",
                adds(b""),
                "v1.mutate.adds[0].topic: a topic has 2 to 128 bytes, not 0",
            ),
            bad("a kind alone", adds(&[0]), "v1.mutate.adds[0].topic"),
            bad(
                "kind 6",
                adds(&[6; 17]),
                "v1.mutate.adds[0].topic: topic kind 6 is unknown",
            ),
            bad(
                "a clock of 101 entries",
                seen(&clock),
                "v1.mutate.adds[0].last_seen: has 101 entries; the most is 100",
            ),
            bad(
                "an originator of 32 bits",
                seen(&[(u32::MAX, 1)]),
                "v1.mutate.adds[0].last_seen",
            ),
            bad(
                "a sequence of 64 bits",
                seen(&[(100, u64::MAX)]),
                "v1.mutate.adds[0].last_seen",
            ),
            bad(
                "no number",
                asks(mutate(GROUP, &[], 0)),
                "v1.mutate.mutate_id: is 0",
            ),
            several(
                "a bad second request",
                vec![adds(GROUP), adds(b"x")],
                "v1.mutate.adds[0].topic",
            ),
        ],
    )
}
