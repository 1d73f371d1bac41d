//! Writes the seeds of all fuzz targets to `fuzz/corpus/`, from the published vectors and the
//! test kit. Files of other names stay: they are inputs that once failed.

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use folkmoot_conversation::{
    ArchiveKey, ConsentEntity, ConsentRecord, ConsentState, ContextExtensions, PushRootKey,
    app_data::{self, AppDataWriter, Component, Dictionary, bootstrap},
    archive::ArchiveOptions,
    commit_log::{CommitLogEntry, CommitResult},
    content::{Codec as _, DeviceSyncContent},
    context::{AdminChange, Attribute, NewConversation},
    device_sync::{HistoryReply, HistoryRequest, HmacKeyUpdate, PreferenceUpdate},
    permissions::PolicySet,
};
use folkmoot_fuzz::METHODS;
use folkmoot_testkit::{Person, mls};
use folkmoot_wire::{
    DESCRIPTORS, InboxId,
    proto::xmtp::{
        identity::api::v1::PublishIdentityUpdateRequest,
        mls::{
            api::v1::{
                GroupMessage, GroupMessageInput, KeyPackageUpload, SendGroupMessagesRequest,
                SendWelcomeMessagesRequest, UploadKeyPackageRequest, WelcomeMessage, group_message,
                group_message_input, welcome_message,
            },
            message_contents,
        },
        xmtpv4::{
            envelopes::{
                AuthenticatedData, ClientEnvelope, OriginatorEnvelope, PayerEnvelope,
                UnsignedOriginatorEnvelope, client_envelope::Payload,
            },
            payer_api::PublishClientEnvelopesRequest,
        },
    },
};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};
use serde_json::Value as Json;

const GROUP: [u8; 16] = [0xa1; 16];
const ADDRESS: &str = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a";

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let vectors = |path: &str| -> Result<Json, Box<dyn Error>> {
        let text = fs::read_to_string(root.join("crates").join(path))?;
        Ok(serde_json::from_str(&text)?)
    };
    let corpus = Corpus(root.join("fuzz/corpus"));

    files_and_lines(&corpus)?;
    xmpp(&corpus)?;
    what_a_client_reads(&corpus)?;

    for (at, kind) in (0..=6).enumerate() {
        let identifier = &[kind; 32][..1 + 31 * (at % 2)];
        corpus.seed(
            "topic",
            &format!("kind-{kind}"),
            &[&[kind], identifier].concat(),
        )?;
    }

    let recorded = vectors("conversation/tests/vectors/group_messages.json")?;
    for at in [1, 3, 8] {
        let message = hex(&recorded[at]["data"])?;
        corpus.seed("group_message", &format!("recorded-{at}"), &message)?;
    }
    for content in [
        mls::Content::Application,
        mls::Content::Proposal,
        mls::Content::Commit,
    ] {
        let message = mls::private_message(&GROUP, 1, content, b"at noon");
        corpus.seed("group_message", &format!("private-{content:?}"), &message)?;
    }
    corpus.seed("group_message", "public-commit", &public_commit())?;

    let recorded = vectors("conversation/tests/vectors/mls.json")?;
    let message = hex(&recorded["group_group_messages_in_order"][1]["data"])?;
    corpus.seed("group", "of-another", &[&[0], &message[..]].concat())?;
    corpus.seed("group", "genuine", &[2])?;
    corpus.seed("group", "changed", &[2, 100, 1, 0x80, 20, 2, 1])?;
    corpus.seed("group", "ciphertext", &[&[1], &message[40..]].concat())?;
    let steps: [(&str, &[[u8; 3]]); 4] = [
        (
            "talk",
            &[[0, 0, 1], [6, 1, 0], [6, 2, 0], [6, 1, 0], [5, 2, 0]],
        ),
        (
            "a-race",
            &[
                [1, 0, 0],
                [2, 1, 7],
                [6, 0, 0],
                [6, 1, 0],
                [6, 2, 1],
                [6, 2, 0],
                [6, 1, 1],
            ],
        ),
        (
            "forgotten-and-late",
            &[
                [0, 1, 1],
                [1, 0, 0],
                [6, 0, 1],
                [4, 2, 0],
                [6, 2, 1],
                [6, 2, 0],
            ],
        ),
        (
            "removed",
            &[[3, 0, 1], [6, 0, 0], [6, 1, 0], [6, 2, 0], [0, 1, 1]],
        ),
    ];
    for (name, steps) in steps {
        corpus.seed("engine", name, steps.as_flattened())?;
    }
    for (kind, name) in [(1, "x-wing"), (0, "x25519"), (2, "pointer")] {
        let sealed = hex(&recorded["dm_welcome_v1_for_joiner"]["data"])?;
        corpus.seed("welcome", name, &[&[kind], &sealed[..]].concat())?;
    }
    let opened = hex(&recorded["dm_welcome_plaintext"])?;
    corpus.seed("welcome", "opened", &[&[3], &opened[..]].concat())?;
    corpus.seed(
        "welcome",
        "opened-cut-short",
        &[&[3], &opened[..300]].concat(),
    )?;

    let recorded = vectors("conversation/tests/vectors/key_packages.json")?;
    let package = hex(&recorded["key_packages"][0]["tls"])?;
    corpus.seed("key_package", "recorded", &package)?;
    corpus.seed("key_package", "cut-short", &package[..900])?;
    corpus.seed("key_package", "made", &Person::new(1).key_package())?;

    for (name, seed) in group_contexts() {
        corpus.seed("group_context", name, &seed)?;
    }

    let recorded = vectors("conversation/tests/vectors/content.json")?;
    let samples = recorded["vectors"].as_array().into_iter().flatten();
    let cases = recorded["decode_vectors"]["cases"]
        .as_array()
        .into_iter()
        .flatten();
    for sample in samples.chain(cases) {
        if let Ok(content) = hex(&sample["encoded_content_hex"]) {
            let name = sample["name"].as_str().unwrap_or("unnamed");
            corpus.seed("content", name, &content)?;
        }
    }
    corpus.seed("content", "plaintext", b"\x0a\x07\x0a\x02\x22\x00\x12\x017")?;
    let file = hex(&recorded["archives"][1]["file_hex"])?;
    corpus.seed("archive", "file", &[&[0], &file[..]].concat())?;
    corpus.seed("archive", "cut-short", &[&[0], &file[..200]].concat())?;
    let mut elements = vec![1];
    for at in [0, 1, 2, 9, 25, 27] {
        let element = hex(&recorded["archives"][0]["elements_hex"][at])?;
        elements.extend(u16::try_from(element.len())?.to_le_bytes());
        elements.extend(element);
    }
    corpus.seed("archive", "elements", &elements)?;
    for (name, told) in device_sync() {
        let encoded = told.encode()?;
        corpus.seed("device_sync", name, &encoded.parts().content)?;
    }

    let recorded = vectors("identity/tests/vectors/identity.json")?;
    for chain in recorded["chains"].as_array().into_iter().flatten() {
        let name = chain["name"].as_str().unwrap_or("unnamed");
        if !CHAINS.contains(&name) {
            continue;
        }
        for (at, update) in chain["updates"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let update = hex(&update["identity_update_hex"])?;
            corpus.seed("identity_update", &format!("{name}-{at}"), &update)?;
        }
    }

    for account in [
        &format!("eip155:1:{ADDRESS}"),
        "eip155:18446744073709551616:0x12",
        "a:b:c:d",
    ] {
        let length = u8::try_from(account.len())?;
        let seed = [
            &[length],
            account.as_bytes(),
            &[7; 32],
            &[0x64, 0x92].repeat(16),
        ]
        .concat();
        let name = account.replace(':', "-");
        corpus.seed("contract_account", &name, &seed)?;
    }

    let account = format!("eip155:1:{ADDRESS}");
    let length = u8::try_from(account.len())?;
    let wrapped = [&[length], account.as_bytes(), &[7; 32], &wrapped()].concat();
    corpus.seed("contract_account", "wrapped", &wrapped)?;

    for (method, message) in filled().into_iter().chain(good()) {
        let name = METHODS[usize::from(method)]
            .rsplit_once('.')
            .map_or("", |it| it.1);
        let name = format!("{}-{}", name.replace('/', "-"), message.len());
        let is_stream = name.contains("-Subscribe-") && !name.contains("MessageApi");
        let length = u16::try_from(message.len())?.to_be_bytes();
        let prefix = if is_stream { &length[..] } else { &[] };
        let seed = [&[method], prefix, &message].concat();
        corpus.seed("grpc_request", &name, &seed)?;
    }

    let (method, message) = &good()[0];
    let frame = [&[0, 0, 0, 0], &[u8::try_from(message.len())?][..], message].concat();
    for form in 0..6 {
        let seed = [&[*method, form, 7][..], &frame].concat();
        corpus.seed("grpc_body", &format!("form-{form}"), &seed)?;
    }
    for (name, body) in [
        ("flag", &[9, 0, 0, 0, 0][..]),
        ("too-long", &[0, 255, 255, 255, 255]),
        ("half", &[0, 0, 0, 0, 9, 1]),
        ("two", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (
            "gzip",
            &[
                1, 0, 0, 0, 20, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
        ),
    ] {
        let seed = [&[*method, 0x40, 200][..], body].concat();
        corpus.seed("grpc_body", name, &seed)?;
    }

    for (path, body) in JSON {
        let seed = [&[*path], body.as_bytes()].concat();
        corpus.seed(
            "json_request",
            &format!("path-{path}-{}", body.len()),
            &seed,
        )?;
    }

    let example = fs::read_to_string(root.join("folkmoot.example.toml"))?;
    let keys: Vec<_> = example
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    corpus.seed("config", "example", keys.join("\n").as_bytes())?;
    for (name, text) in CONFIGS {
        corpus.seed("config", name, text.as_bytes())?;
    }

    for (name, seed) in [
        ("upload", &b"\x00\x04an archive of a person's messages"[..]),
        ("upload-nothing", b"\x00\x04"),
        ("upload-lies", b"\x01\x04an archive"),
        ("upload-much", &[[0, 64], [7; 2]].concat().repeat(150)),
        (
            "file",
            b"\x020000000000000000000000000000000000000000000000000000000000000000",
        ),
        ("file-parent", b"\x02../../etc/passwd"),
        ("file-escaped", b"\x02%2e%2e%2f%2e%2e%2fpartial-0"),
        ("path", b"\x03/upload?x=1"),
    ] {
        corpus.seed("history", name, seed)?;
    }
    Ok(())
}

/// Chains of the identity vectors that show every kind of action and signature.
const CHAINS: &[&str] = &[
    "change_recovery_to_passkey",
    "create_add_chrec_revoke_in_one_update",
    "create_eoa_add_installation",
    "create_legacy_delegated",
    "create_scw_inbox",
    "passkey_adds_installation",
    "revoke_installation",
    "unknown_action_kind",
];

/// Paths of the mirror by their place, with bodies; past the paths stands the query.
const JSON: &[(u8, &str)] = &[
    (
        0,
        r#"{"messages":[{"v1":{"data":"AAEAAhChoaGhoaGhoaGhoaGhoaGhAAAAAAAAAAEBAAAA","shouldPush":true}}]}"#,
    ),
    (
        1,
        r#"{"messages":[{"v1":{"installationKey":"AQI=","data":"AQ==","hpkePublicKey":"AQ==","wrapperAlgorithm":"WELCOME_WRAPPER_ALGORITHM_CURVE25519"}}]}"#,
    ),
    (
        2,
        r#"{"keyPackage":{"keyPackageTlsSerialized":"AAEAAw=="},"isInboxIdCredential":true}"#,
    ),
    (
        3,
        r#"{"installationKeys":["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]}"#,
    ),
    (
        4,
        r#"{"groupId":"oaGhoaGhoaGhoaGhoaGhoQ==","pagingInfo":{"direction":2,"limit":5,"idCursor":"18446744073709551615"}}"#,
    ),
    (6, r#"{"filters":[{"groupId":"oQ==","idCursor":1e3}]}"#),
    (
        7,
        r#"{"requests":[{"groupId":"oQ==","serializedCommitLogEntry":"oQ==","signature":{"bytes":"","publicKey":""}}]}"#,
    ),
    (
        10,
        r#"{"requests":[{"inboxId":"1b814a0b4a7d3871d695ac17439012c3809f3bdcb4d4ea8726a5b3a8df569893","sequenceId":"0"}]}"#,
    ),
    (
        11,
        r#"{"requests":[{"identifier":"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a","identifierKind":"IDENTIFIER_KIND_ETHEREUM"}]}"#,
    ),
    (13, r#"{"content_topics":["/xmtp/mls/1/g-a1a1/proto","*"]}"#),
    (15, "group_ids=oaGhoQ&groupIds=oQ==&include_content=true"),
];

/// Configurations, and what is wrong with them.
const CONFIGS: &[(&str, &str)] = &[
    ("unknown-key", "[listen]\nport = 5556\n"),
    ("unknown-section", "[bridge]\n"),
    ("no-toml", "[listen\n"),
    ("wrong-type", "[node]\nid = \"100\"\n"),
    ("wrong-id", "[node]\nid = 150\n"),
    (
        "large-numbers",
        "[listen]\ndrain_seconds = 9223372036854775807\n[history]\nkeep_days = 9223372036854775807\n",
    ),
    (
        "variables",
        "[limits]\nenabled = true\n\0FOLKMOOT_LISTEN__ADDRESSES=127.0.0.1:1,[::1]:2\nFOLKMOOT_NODE__ID=200\n",
    ),
];

struct Corpus(std::path::PathBuf);

impl Corpus {
    fn seed(&self, target: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let directory = self.0.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(
            directory.join(format!("seed-{}", name.to_lowercase())),
            bytes,
        )?;
        Ok(())
    }
}

/// What XMPP clients and servers write.
fn xmpp(corpus: &Corpus) -> Result<(), Box<dyn Error>> {
    let sasl: [(&str, &[u8]); 6] = [
        ("plain", b"\0\0ann\0tea4two"),
        ("external", b"\x01="),
        ("ht", b"\x02ann\x000123456789abcdef0123456789abcdef"),
        (
            "scram-sha-256",
            b"\x07n,,n=ann,r=fyko+d2lbbFgONRv9qkxdawL\nc=biws,r=fyko+d2lbbFgONRv9qkxdawLnonce,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        ),
        ("scram-sha-1-plus", b"\x06p=tls-exporter,a=bob,n=a=2Cnn,r=r\nc=,r=,p="),
        ("name", b"\x03SCRAM-SHA-512-PLUS"),
    ];
    for (name, bytes) in sasl {
        corpus.seed("xmpp_sasl", name, bytes)?;
    }
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
        <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
        <field var='pubsub#max_items' type='list-single'><value>max</value><option label='a'><value>1</value></option>\
        </field></x>";
    let payloads = [
        ("message", "<message to='b@b' type='chat' id='1' xml:lang='en'><body>hi &amp; ho</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>".to_owned()),
        ("presence", "<presence><priority>-1</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/><x xmlns='vcard-temp:x:update'/></presence>".to_owned()),
        ("roster", "<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='b@b' name='B'><group>g</group></item></query></iq>".to_owned()),
        ("block", "<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='b@b'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/></item></block></iq>".to_owned()),
        ("publish", format!("<iq type='set' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='i'><a xmlns='urn:a'/></item></publish><publish-options>{form}</publish-options></pubsub></iq>")),
        ("form", format!("<message>{form}</message>")),
        ("mam", "<iq type='set' id='1'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='start'><value>2026-01-31T12:00:00Z</value></field></x><set xmlns='http://jabber.org/protocol/rsm'><max>5</max><before/></set></query></iq>".to_owned()),
        ("disco", "<iq type='result' id='1'><query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/><feature var='urn:a'/></query></iq>".to_owned()),
        ("vcard", "<iq type='set' id='1'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>iVBORw0KGgo=</BINVAL></PHOTO></vCard></iq>".to_owned()),
        ("displayed", "<message to='b@b'><displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a@a'/></displayed></message>".to_owned()),
        ("resume", "<resume xmlns='urn:xmpp:sm:3' previd='p' h='4294967295'/>".to_owned()),
        ("verify", "<verify xmlns='jabber:server:dialback' from='a' to='b' id='1'>00</verify>".to_owned()),
    ];
    for (name, text) in payloads {
        corpus.seed("xmpp_stanza", name, text.as_bytes())?;
    }
    let head = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a' version='1.0'>";
    let streams = [
        ("stream", format!("\u{3}{head}<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq> \n<presence/></stream:stream>")),
        ("prefix", format!("\u{1}{head}<p:message xmlns:p='jabber:client'><p:body p:a='1'>\u{e9}<![CDATA[<x>]]></p:body></p:message>")),
        ("entity", format!("\u{7}{head}<message>&lt;&#x41;&other;</message>")),
        ("comment", format!("\u{5}{head}<!-- x -->")),
        ("doctype", "\u{2}<!DOCTYPE a [<!ENTITY b 'c'>]><a/>".to_owned()),
        ("open", "\u{9}<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a' version='1.0'/>".to_owned()),
        ("body", "\u{8}<body xmlns='http://jabber.org/protocol/httpbind' rid='7' sid='s' xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'><presence xmlns='jabber:client'/></body>".to_owned()),
    ];
    for (name, text) in streams {
        corpus.seed("xmpp_xml", name, text.as_bytes())?;
    }
    Ok(())
}

/// What people and bots write.
fn files_and_lines(corpus: &Corpus) -> Result<(), Box<dyn Error>> {
    let (group, message) = ("a1".repeat(16), "b2".repeat(32));
    let json = [
        ("ack", r#"{"ack":"1"}"#.to_owned()),
        (
            "send",
            format!(r#"{{"type":"send","id":"1","conversationId":"{group}","text":"hi"}}"#),
        ),
        (
            "markdown",
            r##"{"type":"send","to":"bob","markdown":"# hi"}"##.to_owned(),
        ),
        (
            "reply",
            format!(r#"{{"type":"reply","messageId":"{message}","text":"yes"}}"#),
        ),
        (
            "react",
            format!(
                r#"{{"type":"react","messageId":"{message}","emoji":"👍","action":"removed"}}"#
            ),
        ),
        (
            "attach",
            r#"{"type":"attach","to":"bob","data":"aGk=","filename":"a","mimeType":"text/plain"}"#
                .to_owned(),
        ),
        (
            "leave",
            format!(r#"{{"type":"leave","conversationId":"{group}"}}"#),
        ),
        ("stop", r#"{"type":"stop"}"#.to_owned()),
    ];
    for (name, line) in json {
        let line = [&[0], line.as_bytes()].concat();
        corpus.seed("bot_line", &format!("json-{name}"), &line)?;
    }
    let text = [
        ("ack", "ack\t1".to_owned()),
        ("send", format!("send\t{group}\thi\\tthere")),
        ("reply", format!("reply\t{message}\tyes")),
        ("react", format!("react\t{message}\t👍")),
        ("attach", "attach\tbob\tmap.txt".to_owned()),
        ("read", format!("read\t{group}")),
    ];
    for (name, line) in text {
        let line = [&[1], line.as_bytes()].concat();
        corpus.seed("bot_line", &format!("text-{name}"), &line)?;
    }
    let file =
        "# keys\nexport XMTP_ENV=dev # mine\nA='one'\nB=\"two\\nthree\"\nC=`four\nfive`\nnot one\n";
    corpus.seed("env_file", "quotes", file.as_bytes())?;
    let plain = format!(
        "\u{feff}XMTP_WALLET_KEY=0x{}\r\n\r\nXMTP_ENV=local",
        "ab".repeat(32)
    );
    corpus.seed("env_file", "plain", plain.as_bytes())?;
    let file = format!(
        "[alice]\naddress = \"{ADDRESS}\"\n\n[bob]\ninbox = \"{}\"\n\n[\"the club\"]\nconversation = \"{group}\"\n",
        "ab".repeat(32)
    );
    corpus.seed("contacts", "three", file.as_bytes())?;
    corpus.seed("contacts", "unknown-field", b"[a]\nphone = 1\n")
}

/// What comes from a network, beside messages.
fn what_a_client_reads(corpus: &Corpus) -> Result<(), Box<dyn Error>> {
    let v1 = group_message::V1 {
        id: 7,
        group_id: GROUP.to_vec().into(),
        data: mls::private_message(&GROUP, 1, mls::Content::Application, b"at noon").into(),
        ..Default::default()
    };
    let message = GroupMessage {
        version: Some(group_message::Version::V1(v1.clone())),
    };
    corpus.seed("envelope", "v3-message", &message.encode_to_vec())?;
    let pointer = welcome_message::WelcomePointer {
        id: 8,
        installation_key: vec![1; 32].into(),
        welcome_pointer: vec![2; 40].into(),
        hpke_public_key: vec![3; 32].into(),
        ..Default::default()
    };
    let welcome = WelcomeMessage {
        version: Some(welcome_message::Version::WelcomePointer(pointer)),
    };
    corpus.seed("envelope", "v3-pointer", &welcome.encode_to_vec())?;
    let input = GroupMessageInput {
        version: Some(group_message_input::Version::V1(group_message_input::V1 {
            data: v1.data,
            ..Default::default()
        })),
    };
    let client = ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic: [&[0], &GROUP[..]].concat().into(),
            depends_on: None,
        }),
        payload: Some(Payload::GroupMessage(input)),
    };
    let paid = PayerEnvelope {
        unsigned_client_envelope: client.encode_to_vec().into(),
        ..Default::default()
    };
    let numbered = UnsignedOriginatorEnvelope {
        originator_node_id: 100,
        originator_sequence_id: 9,
        originator_ns: 1,
        payer_envelope_bytes: paid.encode_to_vec().into(),
        ..Default::default()
    };
    let ordered = OriginatorEnvelope {
        unsigned_originator_envelope: numbered.encode_to_vec().into(),
        proof: None,
    };
    corpus.seed("envelope", "d14n-message", &ordered.encode_to_vec())?;

    let entry = |commit, epoch: u64, result| CommitLogEntry {
        group_id: vec![7; 16].into(),
        commit_sequence_id: commit,
        last_epoch_authenticator: vec![u8::try_from(epoch).unwrap_or(0); 32].into(),
        result,
        applied_epoch: epoch + 1,
        applied_epoch_authenticator: vec![u8::try_from(epoch + 1).unwrap_or(0); 32].into(),
    };
    let failed = CommitLogEntry {
        applied_epoch: 2,
        applied_epoch_authenticator: vec![2; 32].into(),
        ..entry(3, 2, CommitResult::Invalid)
    };
    let entries = [
        entry(1, 0, CommitResult::Applied),
        entry(2, 1, CommitResult::Applied),
        failed,
        entry(4, 2, CommitResult::Applied),
    ];
    let mut log = Vec::new();
    for entry in &entries {
        let bytes = entry.encode();
        log.push(u8::try_from(bytes.len())?);
        log.extend_from_slice(&bytes);
    }
    corpus.seed("commit_log", "four", &log)?;
    let signed = entries[0].sign(&[7; 32]);
    let signed = message_contents::CommitLogEntry {
        sequence_id: 1,
        serialized_commit_log_entry: signed.serialized.clone(),
        signature: Some(signed.signature_message()),
    };
    let signed = signed.encode_to_vec();
    let length = u8::try_from(signed.len())?;
    corpus.seed("commit_log", "signed", &[&[length], &signed[..]].concat())?;

    corpus.seed("attachment", "genuine", &[0, 32, 32, 12, b'h', b'i'])?;
    corpus.seed(
        "attachment",
        "changed",
        &[1, 100, 1, 32, 32, 12, b'h', b'i'],
    )?;
    corpus.seed("attachment", "short-nonce", &[0, 32, 32, 11, b'h', b'i'])?;

    let policies = PolicySet::all_members();
    let group = NewConversation::group(InboxId::from_bytes([1; 32]), policies, [9; 32]);
    let migrated = app_data::converted(&group.extensions())?;
    let dictionary = Dictionary::of(&migrated)?.ok_or("a converted group has a dictionary")?;
    corpus.seed("app_data", "converted", &dictionary.encode())?;
    corpus.seed("app_data", "empty", &Dictionary::default().encode())
}

/// Contexts with parts of several kinds: a slot, the length, the data.
fn group_contexts() -> Vec<(&'static str, Vec<u8>)> {
    let inbox = |id| InboxId::from_bytes([id; 32]);
    let part = |slot: u8, data: &[u8]| {
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX).to_le_bytes();
        [&[slot], &length[..], data].concat()
    };
    let all = |slots: u8, context: &ContextExtensions| {
        let numbers = [0xf000, 0xff00, 0xff01, 0xff02];
        let parts = (slots..).zip(numbers);
        parts
            .flat_map(|(slot, number)| {
                part(slot, context.data(number).map_or(&[][..], |data| data))
            })
            .collect::<Vec<_>>()
    };
    let group = NewConversation::group(inbox(1), PolicySet::all_members(), [9; 32]).extensions();
    let dm = NewConversation::dm(inbox(1), inbox(2), [9; 32]).extensions();
    let mut membership = group.membership().unwrap_or_default();
    membership.members.insert(inbox(1), 2);
    let member = part(0x82, &membership.encode());
    let (converted, changes) = bootstrap(&group, &BTreeMap::new()).unwrap_or_default();
    let mut conversion = Vec::new();
    for number in 0x80..0x84 {
        conversion.extend(part(number, &[]));
    }
    conversion.extend(part(0x85, converted.data(3).map_or(&[][..], |data| data)));
    let mut dictionary = Dictionary::default();
    for change in changes {
        let update = change.update.unwrap_or_default();
        let numbered = [&change.component.to_be_bytes()[..], &update].concat();
        conversion.extend(part(7, &numbered));
        dictionary.set(Component(change.component), change.value);
    }
    let dictionary = dictionary.encode();
    let rename = [&[0x80, 0x04][..], b"picnic"].concat();
    let renamed = [
        part(4, &dictionary),
        part(0x84, &dictionary),
        part(7, &rename),
    ]
    .concat();
    let mut ruled = renamed.clone();
    let writer = app_data::converted(&group).ok();
    let writer = writer.and_then(|context| AppDataWriter::new(&context).ok());
    let changes = writer.and_then(|writer| {
        let writer = writer.set_permissions(&PolicySet::admins_only()).ok()?;
        let writer = writer.change_admins(AdminChange::AddAdmin, inbox(2)).ok()?;
        let writer = writer.set(Attribute::DisappearInNs, "60").ok()?;
        Some(writer.remove(Component::APP_DATA).finish())
    });
    for change in changes.unwrap_or_default() {
        let update = change.update.unwrap_or_default();
        let numbered = [&change.component.to_be_bytes()[..], &update].concat();
        ruled.extend(part(7, &numbered));
    }
    vec![
        (
            "group",
            [all(0, &group), all(0x80, &group), member.clone()].concat(),
        ),
        ("dm", [all(0, &dm), all(0x80, &dm), member].concat()),
        ("conversion", conversion),
        ("converted", renamed),
        ("ruled", ruled),
    ]
}

fn hex(text: &Json) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(hex::decode(
        text.as_str().ok_or("the vectors have hex here")?,
    )?)
}

/// The number of a method.
fn number(path: &str) -> u8 {
    let at = METHODS.iter().position(|method| method.ends_with(path));
    at.and_then(|at| u8::try_from(at).ok())
        .expect("a method's path")
}

/// One of each of what the installations of one inbox tell each other.
fn device_sync() -> [(&'static str, DeviceSyncContent); 4] {
    let options = ArchiveOptions::everything();
    let consent = ConsentRecord {
        entity: ConsentEntity::Inbox(Person::new(1).inbox),
        state: ConsentState::Allowed,
        consented_at_ns: 1,
    };
    let hmac = HmacKeyUpdate {
        key: PushRootKey::from_bytes([1; 42]),
        cycled_at_ns: 1,
    };
    [
        (
            "request",
            DeviceSyncContent::Request(HistoryRequest {
                pin: "a1B2c".to_owned(),
                server_url: "http://localhost:5558".to_owned(),
                options: Some(options.clone()),
            }),
        ),
        (
            "acknowledge",
            DeviceSyncContent::Acknowledge {
                request_id: "a1B2c".to_owned(),
            },
        ),
        (
            "reply",
            DeviceSyncContent::Reply(HistoryReply {
                request_id: "a1B2c".to_owned(),
                url: "http://localhost:5558/files/1".to_owned(),
                key: Some(ArchiveKey::from_bytes([7; 32])),
                metadata: Some(options.metadata(1)),
                kind: 0,
            }),
        ),
        (
            "preferences",
            DeviceSyncContent::PreferenceUpdates(vec![
                PreferenceUpdate::Consent(consent),
                PreferenceUpdate::Hmac(hmac),
            ]),
        ),
    ]
}

/// Requests that the node takes.
fn good() -> Vec<(u8, Vec<u8>)> {
    let person = Person::new(1);
    let says = mls::says(&GROUP, "at noon");
    let upload = UploadKeyPackageRequest {
        key_package: Some(KeyPackageUpload {
            key_package_tls_serialized: person.key_package(),
        }),
        is_inbox_id_credential: true,
    };
    let sends = SendGroupMessagesRequest {
        messages: vec![says.clone(), mls::commits(&GROUP, 1, "c")],
    };
    let welcomes = SendWelcomeMessagesRequest {
        messages: vec![mls::welcomes(&[0xee; 32], "come in")],
    };
    let registers = PublishIdentityUpdateRequest {
        identity_update: person.registration(),
    };
    let envelope = ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic: [&[0], &GROUP[..]].concat().into(),
            depends_on: None,
        }),
        payload: Some(Payload::GroupMessage(says)),
    };
    let publishes = PublishClientEnvelopesRequest {
        envelopes: vec![envelope.encode_to_vec().into()],
    };
    vec![
        (number("SendGroupMessages"), sends.encode_to_vec()),
        (number("SendWelcomeMessages"), welcomes.encode_to_vec()),
        (number("UploadKeyPackage"), upload.encode_to_vec()),
        (number("PublishIdentityUpdate"), registers.encode_to_vec()),
        (
            number("PayerApi/PublishClientEnvelopes"),
            publishes.encode_to_vec(),
        ),
    ]
}

/// A message for each method with every field filled, so that the fuzzer knows them all.
fn filled() -> Vec<(u8, Vec<u8>)> {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the descriptors decode");
    let methods = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .map(|method| {
            let path = format!("{}/{}", method.parent_service().full_name(), method.name());
            (number(&path), fill(&method.input(), 0).encode_to_vec())
        })
        .collect()
}

fn fill(descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields().filter(|_| depth < 5) {
        let value = sample(&field, depth);
        let value = match () {
            () if field.is_map() => {
                let Kind::Message(entry) = field.kind() else {
                    continue;
                };
                let value = sample(&entry.map_entry_value_field(), depth);
                let key = match sample(&entry.map_entry_key_field(), depth) {
                    Value::U32(key) => MapKey::U32(key),
                    Value::String(key) => MapKey::String(key),
                    _ => continue,
                };
                Value::Map([(key, value)].into())
            }
            () if field.is_list() => Value::List(vec![value]),
            () => value,
        };
        message.set_field(&field, value);
    }
    message
}

fn sample(field: &FieldDescriptor, depth: usize) -> Value {
    match field.kind() {
        Kind::Message(descriptor) => Value::Message(fill(&descriptor, depth + 1)),
        Kind::Bytes if field.name().contains("topic") => {
            Value::Bytes([&[0], &GROUP[..]].concat().into())
        }
        Kind::Bytes if field.name().contains("key") => Value::Bytes(vec![0xee; 32].into()),
        Kind::Bytes => Value::Bytes(GROUP.to_vec().into()),
        Kind::String if field.name().contains("inbox") => {
            Value::String(Person::new(1).inbox.to_string())
        }
        Kind::String if field.name().contains("topics") => {
            Value::String(format!("/xmtp/mls/1/g-{}/proto", "a1".repeat(16)))
        }
        Kind::String => Value::String(ADDRESS.to_owned()),
        Kind::Bool => Value::Bool(true),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(1),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(1),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(1),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(1),
        Kind::Float => Value::F32(1.0),
        Kind::Double => Value::F64(1.0),
    }
}

/// A signature as ERC-6492 wraps it: factory, calldata and signature, and the suffix.
fn wrapped() -> Vec<u8> {
    let word = |number: u8| [&[0; 31][..], &[number]].concat();
    let padded = |bytes: &[u8]| [bytes, &[0; 32]].concat()[..32].to_vec();
    [
        [&[0; 12][..], &[9; 20]].concat(),
        word(96),
        word(160),
        word(4),
        padded(b"make"),
        word(5),
        padded(b"signs"),
        [0x64, 0x92].repeat(16),
    ]
    .concat()
}

/// A public message: framed as RFC 9420 §6.2 has it, up to the content type.
fn public_commit() -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 1, 16];
    bytes.extend(GROUP);
    bytes.extend(1u64.to_be_bytes());
    bytes.extend([1, 0, 0, 0, 0, 0, 3, 0, 0]);
    bytes
}
