//! `MessageApi` and `D14nMigrationApi`.

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::message_api::v1::{
    Envelope, PublishRequest, SubscribeAllRequest, SubscribeRequest,
};
use tonic::Code;

use crate::harness::{Case, Method, bad};

pub(crate) fn publish() -> Method {
    let request = PublishRequest {
        envelopes: vec![Envelope {
            content_topic: "/xmtp/0/dm/proto".to_owned(),
            timestamp_ns: 1,
            message: Bytes::from_static(b"v2"),
        }],
    };
    Method::new(
        "/xmtp.message_api.v1.MessageApi/Publish",
        "PublishRequest.envelopes",
        PublishRequest::default(),
        vec![
            bad("what old clients sent", request, "the v2 network is closed")
                .with(Code::Unavailable),
        ],
    )
    .refusing_all()
}

pub(crate) fn subscribe() -> Method {
    let request = |topics: &[&str]| SubscribeRequest {
        content_topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
    };
    let sound = "/xmtp/mls/1/g-a1a1/proto";
    let long = format!("/xmtp/mls/1/g-{}/proto", "a1".repeat(128));
    Method::new(
        "/xmtp.message_api.v1.MessageApi/Subscribe",
        "SubscribeRequest.content_topics",
        request(&[sound]),
        vec![
            bad(
                "no topics",
                request(&[]),
                "content_topics: is empty; name a topic or *",
            ),
            bad(
                "an empty topic",
                request(&[""]),
                "content_topics[0]: \"\" is not /xmtp/mls/1/g-<hex>/proto",
            ),
            bad(
                "a topic of version 2",
                request(&["/xmtp/0/dm/proto"]),
                "content_topics[0]",
            ),
            bad(
                "a group without id",
                request(&["/xmtp/mls/1/g-/proto"]),
                "content_topics[0]",
            ),
            bad(
                "an unknown kind",
                request(&["/xmtp/mls/1/x-a1/proto"]),
                "content_topics[0]",
            ),
            bad(
                "half a byte",
                request(&["/xmtp/mls/1/g-a/proto"]),
                "content_topics[0]",
            ),
            bad(
                "an id that is no hex",
                request(&["/xmtp/mls/1/w-zz/proto"]),
                "content_topics[0]",
            ),
            bad(
                "no end",
                request(&["/xmtp/mls/1/g-a1"]),
                "content_topics[0]",
            ),
            bad("an id of 128 bytes", request(&[&long]), "content_topics[0]"),
            bad(
                "a topic of 1 MiB",
                request(&[&"/".repeat(1 << 20)]),
                "content_topics[0]",
            ),
            bad(
                "a bad second one",
                request(&[sound, "x"]),
                "content_topics[1]",
            ),
            bad(
                "100 001 topics",
                request(&vec![sound; 100_001]),
                "content_topics: has 100001 entries; the most is 100000",
            ),
            Case::new(
                "no UTF-8",
                Code::InvalidArgument,
                vec![0x0a, 1, 0xff],
                "content_topics",
            ),
        ],
    )
}

pub(crate) fn subscribe_all() -> Method {
    Method::without_fields(
        "/xmtp.message_api.v1.MessageApi/SubscribeAll",
        SubscribeAllRequest {},
    )
}

pub(crate) fn fetch_d14n_cutover() -> Method {
    Method::without_fields(
        "/xmtp.migration.api.v1.D14nMigrationApi/FetchD14nCutover",
        (),
    )
}
