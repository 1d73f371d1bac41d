//! `MlsApi`, without its bidirectional stream.

use bytes::Bytes;
use folkmoot_testkit::{
    Person,
    mls::{Content, input, private_message, says, welcomes},
};
use folkmoot_wire::proto::xmtp::{
    identity::associations::RecoverableEd25519Signature,
    mls::api::v1::{
        BatchPublishCommitLogRequest, BatchQueryCommitLogRequest, FetchKeyPackagesRequest,
        GetIdentityUpdatesRequest, GetNewestGroupMessageRequest, GroupMessageInput,
        KeyPackageUpload, PagingInfo, PublishCommitLogRequest, QueryCommitLogRequest,
        QueryGroupMessagesRequest, QueryWelcomeMessagesRequest, RevokeInstallationRequest,
        SendGroupMessagesRequest, SendWelcomeMessagesRequest, SortDirection,
        SubscribeGroupMessagesRequest, SubscribeWelcomeMessagesRequest, UploadKeyPackageRequest,
        WelcomeMessageInput, subscribe_group_messages_request, subscribe_welcome_messages_request,
        welcome_message_input::{V1, Version, WelcomePointer},
    },
};
use tonic::Code;

use crate::harness::{Case, Method, bad};

pub(crate) const GROUP: [u8; 16] = [0xa1; 16];
const KEY: [u8; 32] = [0xee; 32];
/// One byte more than an envelope may have, and less than a message may have.
const OVERSIZED: usize = (25 << 20) - (64 << 10) + 1;
/// As long as no identifier of a topic.
const TOO_LONG: [u8; 128] = [7; 128];

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Broken MLS messages, and what is said of each.
pub(crate) fn broken_group_messages() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let sound = private_message(&GROUP, 1, Content::Application, b"at noon");
    let with = |at: usize, byte: u8| {
        let mut message = sound.clone();
        message[at] = byte;
        message
    };
    // Version and wire format, the group id with its length, epoch, content type.
    let content_type = 2 + 2 + 17 + 8;
    let mut public = vec![0, 1, 0, 1, 16];
    public.extend(GROUP);
    public.extend([0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
    let mut no_sender = public.clone();
    no_sender[4 + 17 + 8] = 9;
    let two_byte_length = [&[0, 1, 0, 2, 0x40, 16], &sound[5..]].concat();
    vec![
        ("no bytes", vec![], "version at byte 0 is cut short"),
        ("one byte", vec![0], "version at byte 0 is cut short"),
        ("only zeros", vec![0; 64], "version at byte 0 is 0"),
        ("version 2", with(1, 2), "version at byte 0 is 2"),
        ("wire format 0", with(3, 0), "wire_format at byte 2 is 0"),
        ("a welcome", with(3, 3), "wire_format at byte 2 is 3"),
        ("a group info", with(3, 4), "wire_format at byte 2 is 4"),
        ("a key package", with(3, 5), "wire_format at byte 2 is 5"),
        (
            "wire format 65280",
            with(2, 0xff),
            "wire_format at byte 2 is",
        ),
        (
            "an empty group id",
            private_message(b"", 1, Content::Commit, b"x"),
            "group_id at byte 4 is empty",
        ),
        ("a group id past the end", with(4, 63), "is cut short"),
        (
            "a length in a longer form",
            two_byte_length,
            "group_id at byte 4 is not in its shortest form",
        ),
        (
            "a reserved length",
            with(4, 0xc0),
            "group_id at byte 4 has the reserved prefix 11",
        ),
        (
            "content type 0",
            with(content_type, 0),
            "content_type at byte 29 has the unknown value 0",
        ),
        (
            "content type 4",
            with(content_type, 4),
            "content_type at byte 29 has the unknown value 4",
        ),
        (
            "cut in the epoch",
            sound[..24].to_vec(),
            "epoch at byte 21 is cut short",
        ),
        (
            "cut before the ciphertext",
            sound[..40].to_vec(),
            "is cut short",
        ),
        (
            "a byte after the end",
            [&sound[..], &[0]].concat(),
            "1 bytes follow the end",
        ),
        (
            "two messages in one",
            sound.repeat(2),
            "bytes follow the end",
        ),
        (
            "text in the clear",
            public,
            "content_type at byte 35 is application",
        ),
        ("a sender of no kind", no_sender, "sender_type"),
        (
            "text, not MLS",
            b"hello".to_vec(),
            "version at byte 0 is 26725",
        ),
        (
            "a group id of 128 bytes",
            private_message(&TOO_LONG, 1, Content::Commit, b"x"),
            "a topic has 2 to 128 bytes, not 129",
        ),
    ]
}

pub(crate) fn send_group_messages() -> Method {
    let request = |messages: Vec<GroupMessageInput>| SendGroupMessagesRequest { messages };
    let mut cases: Vec<_> = broken_group_messages()
        .into_iter()
        .map(|(name, data, says)| {
            bad(name, request(vec![input(data)]), "messages[0].v1.data").also(says)
        })
        .collect();
    let broken = || input(b"broken".to_vec());
    cases.extend([
        bad("no messages", request(vec![]), "messages: is empty"),
        bad(
            "1001 messages",
            request(vec![says(&GROUP, "x"); 1001]),
            "messages: has 1001 entries; the most is 1000",
        ),
        bad(
            "no version",
            request(vec![GroupMessageInput { version: None }]),
            "messages[0].v1: is missing",
        ),
        bad(
            "a second one that is broken",
            request(vec![says(&GROUP, "x"), broken()]),
            "messages[1].v1.data: not an MLS group message",
        ),
        bad(
            "an oversized message",
            request(vec![input(vec![0; OVERSIZED])]),
            "messages[0].v1.data: has 26148865 bytes; the most is",
        ),
        bad(
            "a message for no call",
            request(vec![input(vec![0; 26 << 20])]),
            "limit",
        )
        .with(Code::ResourceExhausted),
    ]);
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/SendGroupMessages",
        "SendGroupMessagesRequest.messages",
        request(vec![says(&GROUP, "at noon")]),
        cases,
    )
}

fn pointer() -> WelcomePointer {
    WelcomePointer {
        installation_key: bytes(&KEY),
        welcome_pointer: bytes(b"sealed"),
        hpke_public_key: bytes(&[3; 32]),
        wrapper_algorithm: 2,
    }
}

/// Broken welcomes, and what is said of each.
pub(crate) fn broken_welcomes() -> Vec<(&'static str, WelcomeMessageInput, &'static str)> {
    let welcome = |edit: fn(&mut V1)| {
        let Some(Version::V1(mut welcome)) = welcomes(&KEY, "come in").version else {
            panic!("the kit makes whole welcomes");
        };
        edit(&mut welcome);
        WelcomeMessageInput {
            version: Some(Version::V1(welcome)),
        }
    };
    let pointer = |edit: fn(&mut WelcomePointer)| {
        let mut pointer = pointer();
        edit(&mut pointer);
        WelcomeMessageInput {
            version: Some(Version::WelcomePointer(pointer)),
        }
    };
    vec![
        (
            "no version",
            WelcomeMessageInput { version: None },
            "version: is missing; set v1 or welcome_pointer",
        ),
        (
            "no installation",
            welcome(|it| it.installation_key.clear()),
            "v1.installation_key: is missing or empty",
        ),
        (
            "an installation of 128 bytes",
            welcome(|it| it.installation_key = bytes(&TOO_LONG)),
            "v1.installation_key: a topic has",
        ),
        (
            "no data",
            welcome(|it| it.data.clear()),
            "v1.data: is missing or empty",
        ),
        (
            "no key",
            welcome(|it| it.hpke_public_key.clear()),
            "v1.hpke_public_key: is missing or empty",
        ),
        (
            "no key and no algorithm",
            welcome(|it| {
                it.hpke_public_key.clear();
                it.wrapper_algorithm = 0
            }),
            "v1.hpke_public_key",
        ),
        (
            "a symmetric key without data",
            welcome(|it| {
                it.data.clear();
                it.wrapper_algorithm = 3
            }),
            "v1.data",
        ),
        (
            "a pointer from nobody",
            pointer(|it| it.installation_key.clear()),
            "welcome_pointer.installation_key: is missing or empty",
        ),
        (
            "a pointer to 128 bytes",
            pointer(|it| it.installation_key = bytes(&TOO_LONG)),
            "welcome_pointer.installation_key: a topic has",
        ),
        (
            "a pointer to nothing",
            pointer(|it| it.welcome_pointer.clear()),
            "welcome_pointer.welcome_pointer: is missing or empty",
        ),
        (
            "a pointer without a key",
            pointer(|it| it.hpke_public_key.clear()),
            "welcome_pointer.hpke_public_key: is missing or empty",
        ),
        (
            "a pointer of algorithm 0",
            pointer(|it| it.wrapper_algorithm = 0),
            "welcome_pointer.wrapper_algorithm: is 0; pointers are wrapped with 2",
        ),
        (
            "a pointer of algorithm 1",
            pointer(|it| it.wrapper_algorithm = 1),
            "welcome_pointer.wrapper_algorithm: is 1",
        ),
        (
            "a pointer of algorithm -1",
            pointer(|it| it.wrapper_algorithm = -1),
            "welcome_pointer.wrapper_algorithm: is -1",
        ),
    ]
}

pub(crate) fn send_welcome_messages() -> Method {
    let request = |messages: Vec<WelcomeMessageInput>| SendWelcomeMessagesRequest { messages };
    let sound = || welcomes(&KEY, "come in");
    let mut cases: Vec<_> = broken_welcomes()
        .into_iter()
        .map(|(name, input, says)| bad(name, request(vec![input]), &format!("messages[0].{says}")))
        .collect();
    let large = "x".repeat(OVERSIZED);
    cases.extend([
        bad("no messages", request(vec![]), "messages: is empty"),
        bad(
            "1001 messages",
            request(vec![sound(); 1001]),
            "messages: has 1001 entries; the most is 1000",
        ),
        bad(
            "a second one that is broken",
            request(vec![sound(), WelcomeMessageInput { version: None }]),
            "messages[1].version",
        ),
        bad(
            "an oversized welcome",
            request(vec![welcomes(&KEY, &large)]),
            "messages[0].version: has",
        ),
    ]);
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/SendWelcomeMessages",
        "SendWelcomeMessagesRequest.messages",
        request(vec![sound()]),
        cases,
    )
}

/// Broken key packages, and what is said of each.
pub(crate) fn broken_key_packages() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let sound = Person::new(1).key_package().to_vec();
    let with = |at: usize, byte: u8| {
        let mut package = sound.clone();
        package[at] = byte;
        package
    };
    let last = sound.len() - 1;
    vec![
        ("no bytes", vec![], "version at byte 0 is cut short"),
        ("version 0", with(1, 0), "version is 0"),
        ("version 2", with(1, 2), "version is 2"),
        ("suite 1", with(3, 1), "cipher_suite is 1"),
        ("suite 0xff03", with(2, 0xff), "cipher_suite is 65283"),
        ("an init key of 31 bytes", with(4, 31), ""),
        (
            "another init key",
            with(10, !sound[10]),
            "signature does not verify",
        ),
        (
            "another encryption key",
            with(45, !sound[45]),
            "signature does not verify",
        ),
        (
            "another signature",
            with(last, !sound[last]),
            "signature does not verify",
        ),
        (
            "cut in half",
            sound[..sound.len() / 2].to_vec(),
            "is cut short",
        ),
        (
            "the last byte missing",
            sound[..last].to_vec(),
            "is cut short",
        ),
        (
            "a byte after the end",
            [&sound[..], &[0]].concat(),
            "1 bytes follow the end",
        ),
        (
            "an MLSMessage around it",
            [&[0, 1, 0, 5], &sound[..]].concat(),
            "",
        ),
        (
            "zeros",
            vec![0; 1 << 20],
            "leaf_node.leaf_node_source at byte 15",
        ),
        ("ones", vec![0xff; 4096], ""),
        (
            "a group message",
            private_message(&GROUP, 1, Content::Commit, b"x"),
            "",
        ),
    ]
}

pub(crate) fn upload_key_package() -> Method {
    let upload = |package: &[u8]| UploadKeyPackageRequest {
        key_package: Some(KeyPackageUpload {
            key_package_tls_serialized: bytes(package),
        }),
        is_inbox_id_credential: true,
    };
    let mut cases: Vec<_> = broken_key_packages()
        .into_iter()
        .map(|(name, package, says)| {
            let field = "key_package.key_package_tls_serialized: not a valid key package";
            bad(name, upload(&package), field).also(says)
        })
        .collect();
    cases.extend([
        bad(
            "nothing",
            UploadKeyPackageRequest::default(),
            "key_package: is missing",
        ),
        bad(
            "an oversized one",
            upload(&vec![0; OVERSIZED]),
            "key_package.key_package_tls_serialized: has 26148865 bytes",
        ),
    ]);
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/UploadKeyPackage",
        "UploadKeyPackageRequest.key_package",
        upload(&Person::new(1).key_package()),
        cases,
    )
}

/// The two requests have the same fields.
pub(crate) fn register_installation() -> Method {
    let mut method = upload_key_package().at("/xmtp.mls.api.v1.MlsApi/RegisterInstallation");
    method.cases.remove(1);
    method
}

pub(crate) fn fetch_key_packages() -> Method {
    let request = |keys: &[&[u8]]| FetchKeyPackagesRequest {
        installation_keys: keys.iter().map(|key| bytes(key)).collect(),
    };
    let many = FetchKeyPackagesRequest {
        installation_keys: vec![bytes(&KEY); 10_001],
    };
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/FetchKeyPackages",
        "FetchKeyPackagesRequest.installation_keys",
        request(&[&KEY]),
        vec![
            bad("no keys", request(&[]), "installation_keys: is empty"),
            bad(
                "10 001 keys",
                many,
                "installation_keys: has 10001 entries; the most is 10000",
            ),
            bad("an empty key", request(&[b""]), "installation_keys[0]"),
            bad("31 bytes", request(&[&KEY[..31]]), "installation_keys[0]"),
            bad("33 bytes", request(&[&[7; 33]]), "installation_keys[0]"),
            bad(
                "a key as hex",
                request(&["ee".repeat(32).as_bytes()]),
                "installation_keys[0]",
            ),
            bad(
                "a bad second key",
                request(&[&KEY, &[7; 64]]),
                "installation_keys[1]",
            ),
        ],
    )
}

pub(crate) fn revoke_installation() -> Method {
    let words = "installations are revoked by an identity update";
    let request = RevokeInstallationRequest {
        installation_key: bytes(&KEY),
        wallet_signature: None,
    };
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/RevokeInstallation",
        "RevokeInstallationRequest.installation_key",
        RevokeInstallationRequest::default(),
        vec![bad("what old clients sent", request, words).with(Code::Unimplemented)],
    )
    .refusing_all()
}

pub(crate) fn get_identity_updates() -> Method {
    let request = GetIdentityUpdatesRequest {
        account_addresses: vec!["0x12".to_owned()],
        start_time_ns: 0,
    };
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/GetIdentityUpdates",
        "GetIdentityUpdatesRequest.account_addresses",
        GetIdentityUpdatesRequest::default(),
        vec![
            bad(
                "what old clients sent",
                request,
                "IdentityApi/GetIdentityUpdates",
            )
            .with(Code::Unimplemented),
            Case::new(
                "no UTF-8",
                Code::InvalidArgument,
                vec![0x0a, 2, 0xff, 0xfe],
                "account_addresses",
            ),
        ],
    )
    .refusing_all()
}

pub(crate) fn query_group_messages() -> Method {
    let request = |group: &[u8]| QueryGroupMessagesRequest {
        group_id: bytes(group),
        paging_info: None,
    };
    let paging = vec![0x12, 2, 0x0a, 0];
    let large_limit = vec![
        0x0a, 1, 1, 0x12, 12, 0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 127,
    ];
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/QueryGroupMessages",
        "QueryGroupMessagesRequest.group_id",
        request(&GROUP),
        vec![
            bad("no group", request(b""), "group_id: is missing or empty"),
            bad(
                "a group of 128 bytes",
                request(&TOO_LONG),
                "group_id: a topic has 2 to 128 bytes, not 129",
            ),
            bad(
                "a group of 1 MiB",
                request(&vec![7; 1 << 20]),
                "group_id: a topic has 2 to 128 bytes",
            ),
            Case::new(
                "a direction that is text",
                Code::InvalidArgument,
                paging,
                "direction",
            ),
            Case::new(
                "a limit of 70 bits",
                Code::InvalidArgument,
                large_limit,
                "decode",
            ),
        ],
    )
}

pub(crate) fn query_welcome_messages() -> Method {
    let request = |key: &[u8]| QueryWelcomeMessagesRequest {
        installation_key: bytes(key),
        paging_info: None,
    };
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/QueryWelcomeMessages",
        "QueryWelcomeMessagesRequest.installation_key",
        request(&KEY),
        vec![
            bad(
                "no installation",
                request(b""),
                "installation_key: is missing or empty",
            ),
            bad(
                "an installation of 128 bytes",
                request(&TOO_LONG),
                "installation_key: a topic has 2 to 128 bytes, not 129",
            ),
            Case::new(
                "paging that is text",
                Code::InvalidArgument,
                vec![0x12, 3, b'a', b's', b'c'],
                "paging_info",
            ),
        ],
    )
}

pub(crate) fn subscribe_group_messages() -> Method {
    let request = |groups: &[&[u8]]| SubscribeGroupMessagesRequest {
        filters: groups
            .iter()
            .map(|group| subscribe_group_messages_request::Filter {
                group_id: bytes(group),
                id_cursor: 0,
            })
            .collect(),
    };
    let many = request(&vec![&GROUP[..]; 100_001]);
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/SubscribeGroupMessages",
        "SubscribeGroupMessagesRequest.filters",
        request(&[&GROUP]),
        vec![
            bad(
                "an empty group",
                request(&[b""]),
                "filters[0].group_id: is missing or empty",
            ),
            bad(
                "a group of 128 bytes",
                request(&[&TOO_LONG]),
                "filters[0].group_id: a topic has",
            ),
            bad(
                "a bad second group",
                request(&[&GROUP, b""]),
                "filters[1].group_id",
            ),
            bad(
                "100 001 filters",
                many,
                "filters: has 100001 entries; the most is 100000",
            ),
            Case::new(
                "a cursor that is text",
                Code::InvalidArgument,
                vec![0x0a, 3, 0x12, 1, b'1'],
                "id_cursor",
            ),
        ],
    )
}

pub(crate) fn subscribe_welcome_messages() -> Method {
    let request = |keys: &[&[u8]]| SubscribeWelcomeMessagesRequest {
        filters: keys
            .iter()
            .map(|key| subscribe_welcome_messages_request::Filter {
                installation_key: bytes(key),
                id_cursor: 0,
            })
            .collect(),
    };
    let many = request(&vec![&KEY[..]; 100_001]);
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/SubscribeWelcomeMessages",
        "SubscribeWelcomeMessagesRequest.filters",
        request(&[&KEY]),
        vec![
            bad("no filters", request(&[]), "filters: is empty"),
            bad(
                "an empty key",
                request(&[b""]),
                "filters[0].installation_key: is missing or empty",
            ),
            bad(
                "a key of 128 bytes",
                request(&[&TOO_LONG]),
                "filters[0].installation_key: a topic has",
            ),
            bad(
                "a bad second key",
                request(&[&KEY, b""]),
                "filters[1].installation_key",
            ),
            bad(
                "100 001 filters",
                many,
                "filters: has 100001 entries; the most is 100000",
            ),
        ],
    )
}

fn entry() -> PublishCommitLogRequest {
    PublishCommitLogRequest {
        group_id: bytes(&GROUP),
        serialized_commit_log_entry: bytes(b"entry"),
        signature: Some(RecoverableEd25519Signature::default()),
    }
}

pub(crate) fn batch_publish_commit_log() -> Method {
    let request =
        |requests: Vec<PublishCommitLogRequest>| BatchPublishCommitLogRequest { requests };
    let with = |edit: fn(&mut PublishCommitLogRequest)| {
        let mut entry = entry();
        edit(&mut entry);
        entry
    };
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/BatchPublishCommitLog",
        "BatchPublishCommitLogRequest.requests",
        request(vec![entry()]),
        vec![
            bad("no entries", request(vec![]), "requests: is empty"),
            bad(
                "11 entries",
                request(vec![entry(); 11]),
                "requests: has 11 entries; the most is 10",
            ),
            bad(
                "no group",
                request(vec![with(|it| it.group_id.clear())]),
                "requests[0].group_id: is missing or empty",
            ),
            bad(
                "no entry",
                request(vec![with(|it| it.serialized_commit_log_entry.clear())]),
                "requests[0].serialized_commit_log_entry",
            ),
            bad(
                "no signature",
                request(vec![with(|it| it.signature = None)]),
                "requests[0].signature: is missing",
            ),
            bad(
                "a bad second entry",
                request(vec![entry(), with(|it| it.signature = None)]),
                "requests[1].signature",
            ),
        ],
    )
}

pub(crate) fn batch_query_commit_log() -> Method {
    let query = |group: &[u8], direction: SortDirection| QueryCommitLogRequest {
        group_id: bytes(group),
        paging_info: Some(PagingInfo {
            direction: direction as i32,
            limit: 0,
            id_cursor: 0,
        }),
    };
    let request = |requests: Vec<QueryCommitLogRequest>| BatchQueryCommitLogRequest { requests };
    let sound = || query(&GROUP, SortDirection::Ascending);
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/BatchQueryCommitLog",
        "BatchQueryCommitLogRequest.requests",
        request(vec![sound()]),
        vec![
            bad("no queries", request(vec![]), "requests: is empty"),
            bad(
                "21 queries",
                request(vec![sound(); 21]),
                "requests: has 21 entries; the most is 20",
            ),
            bad(
                "no group",
                request(vec![query(b"", SortDirection::Ascending)]),
                "requests[0].group_id: is missing or empty",
            ),
            bad(
                "newest first",
                request(vec![query(&GROUP, SortDirection::Descending)]),
                "requests[0].paging_info.direction: commit logs are read in ascending order",
            ),
            bad(
                "a bad second query",
                request(vec![sound(), query(b"", SortDirection::Ascending)]),
                "requests[1].group_id",
            ),
        ],
    )
}

pub(crate) fn get_newest_group_message() -> Method {
    let request = |groups: &[&[u8]]| GetNewestGroupMessageRequest {
        group_ids: groups.iter().map(|group| bytes(group)).collect(),
        include_content: true,
    };
    Method::new(
        "/xmtp.mls.api.v1.MlsApi/GetNewestGroupMessage",
        "GetNewestGroupMessageRequest.group_ids",
        request(&[&GROUP]),
        vec![
            bad("no groups", request(&[]), "group_ids: is empty"),
            bad(
                "an empty group",
                request(&[b""]),
                "group_ids[0]: is missing or empty",
            ),
            bad(
                "a group of 128 bytes",
                request(&[&TOO_LONG]),
                "group_ids[0]: a topic has",
            ),
            bad(
                "a bad second group",
                request(&[&GROUP, b""]),
                "group_ids[1]",
            ),
            bad(
                "10 001 groups",
                request(&vec![&GROUP[..]; 10_001]),
                "group_ids: has 10001 entries; the most is 10000",
            ),
        ],
    )
}
