use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use folkmoot_wire::{GroupId, MessageId};

use super::*;
use crate::message_id;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/content.json")).unwrap()
}

fn unhex(value: &Value) -> Bytes {
    hex::decode(value.as_str().unwrap()).unwrap().into()
}

fn content(vector: &Value) -> EncodedContent {
    EncodedContent::decode(unhex(&vector["encoded_content_hex"])).unwrap()
}

fn samples(vectors: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = vectors["vectors"].as_array().unwrap().iter();
    all.filter(|sample| sample["encoded_content_hex"].is_string())
        .map(|sample| (sample["name"].as_str().unwrap(), sample))
}

fn sample(name: &str) -> Content {
    let vectors = vectors();
    let (_, sample) = samples(&vectors).find(|(one, _)| *one == name).unwrap();
    Content::decode(&content(sample))
}

#[test]
fn every_sample_of_the_official_client_is_understood_and_written_alike() {
    let vectors = vectors();
    let mut count = 0;
    for (name, sample) in samples(&vectors) {
        let received = content(sample);
        let understood = Content::decode(&received);
        assert_eq!(
            matches!(understood, Content::Custom(_)),
            name == "custom_deflate_field",
            "{name}"
        );
        let written = understood.encode().unwrap();
        assert!(
            written.parts() == received.parts(),
            "{name}: {understood:?}"
        );
        if received.parts().parameters.len() < 2 {
            assert_eq!(written.as_bytes(), received.as_bytes(), "{name}");
        }
        assert_eq!(Content::decode(&written), understood, "{name}");
        let push = sample["sdk_should_push"].as_bool().unwrap();
        assert_eq!(understood.should_push(), push, "{name}");
        assert_eq!(
            understood.fallback().as_deref(),
            received.fallback(),
            "{name}"
        );
        count += 1;
    }
    assert_eq!(count, 23);
}

#[test]
fn the_fields_of_every_sample_are_those_that_were_recorded() {
    let vectors = vectors();
    for (name, sample) in samples(&vectors) {
        let received = content(sample);
        let parts = received.parts();
        let recorded = &sample["decoded"];
        let id = parts.content_type.as_ref().unwrap();
        assert_eq!(recorded["type"]["authority_id"], *id.authority_id, "{name}");
        assert_eq!(recorded["type"]["type_id"], *id.type_id, "{name}");
        assert_eq!(
            recorded["type"]["version_major"], id.version_major,
            "{name}"
        );
        assert_eq!(
            recorded["type"]["version_minor"], id.version_minor,
            "{name}"
        );
        let parameters = serde_json::to_value(&parts.parameters).unwrap();
        assert_eq!(recorded["parameters"], parameters, "{name}");
        assert_eq!(recorded["fallback"].as_str(), received.fallback(), "{name}");
        assert_eq!(unhex(&recorded["content_hex"]), parts.content, "{name}");
    }
}

#[test]
fn ids_and_references_are_those_that_were_recorded() {
    let vectors = vectors();
    let group: GroupId = vectors["meta"]["group_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for (name, sample) in samples(&vectors) {
        let received = content(sample);
        let key = sample["idempotency_key"].as_str().unwrap();
        let id = message_id(&group, key, received.as_bytes());
        assert_eq!(
            id.to_string(),
            sample["message_id"].as_str().unwrap(),
            "{name}"
        );
        let reference = received.reference().map(|id| id.to_string());
        assert_eq!(
            reference.as_deref(),
            sample["reference_id"].as_str(),
            "{name}"
        );
    }
}

#[test]
fn the_message_id_of_a_hello_is_the_recorded_one() {
    let group: GroupId = "4fbbaa46de9b6afcc13a9caa35c1b156".parse().unwrap();
    let content = Content::text("hello dm").encode().unwrap();
    assert_eq!(content.as_bytes().len(), 49);
    let id = message_id(&group, "1795254093794035176", content.as_bytes());
    assert_eq!(
        id.to_string(),
        "c59b7a892305e23cc5eefda72010a777d084869ca6617e1b22f82ca47d4c4969"
    );
    let plaintext = crate::PlaintextEnvelope::encode(content.as_bytes(), "1795254093794035176");
    assert_eq!(plaintext.len(), 74);
    assert_eq!(plaintext[..4], [0x0a, 0x48, 0x0a, 0x31]);
    let crate::PlaintextEnvelope::Message {
        content: inner,
        idempotency_key,
    } = crate::PlaintextEnvelope::decode(plaintext.into()).unwrap()
    else {
        panic!("a message");
    };
    assert_eq!(inner, content.as_bytes());
    assert_eq!(idempotency_key, "1795254093794035176");
}

#[test]
fn what_the_official_client_refuses_to_send_is_refused() {
    let choices = |ids: &[&str]| Actions {
        id: "poll".to_owned(),
        description: "Pick one".to_owned(),
        actions: ids
            .iter()
            .map(|id| Action {
                id: (*id).to_owned(),
                label: (*id).to_owned(),
                image_url: None,
                style: None,
                expires_at_ms: None,
            })
            .collect(),
        expires_at_ms: None,
    };
    let ids: Vec<_> = ('a'..='k').map(String::from).collect();
    let eleven: Vec<_> = ids.iter().map(String::as_str).collect();
    assert_eq!(choices(&[]).encode(), Err(EncodeError::NoActions));
    assert_eq!(
        choices(&eleven).encode(),
        Err(EncodeError::TooManyActions(11))
    );
    assert_eq!(
        choices(&["a", "b", "a"]).encode(),
        Err(EncodeError::DuplicateAction(3))
    );
    assert!(choices(&eleven[..10]).encode().is_ok());

    let metadata = |letters: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(letters));
    let intent = |letters| Intent {
        id: "poll".to_owned(),
        action_id: "a".to_owned(),
        metadata: Some(metadata(letters).parse().unwrap()),
    };
    assert!(intent(10_232).encode().is_ok());
    assert_eq!(
        intent(10_233).encode(),
        Err(EncodeError::MetadataTooLarge(10_241))
    );

    let mut later = choices(&["a"]);
    later.expires_at_ms = Some(i64::MAX);
    assert_eq!(later.encode(), Err(EncodeError::Time("expiresAt")));
    let Content::TransactionReference(mut payment) = sample("transaction_reference") else {
        panic!("a transaction");
    };
    payment.metadata.as_mut().unwrap().amount = f64::NAN;
    assert_eq!(
        payment.encode(),
        Err(EncodeError::NotFinite("metadata.amount"))
    );
}

#[test]
fn contents_made_by_hand_are_read_as_the_official_client_reads_them() {
    let vectors = vectors();
    let mut count = 0;
    for case in vectors["decode_vectors"]["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let received = content(case);
        let understood = Content::decode(&received);
        let expected = match name {
            // Unlike the official client, contents that older ones compressed are unpacked.
            "text_deflate" | "text_gzip" => "Text",
            _ => case["sdk_enriched_as"].as_str().unwrap(),
        };
        let right = match (expected, &understood) {
            ("Text", Content::Text(_))
            | ("TransactionReference", Content::TransactionReference(_))
            | ("LeaveRequest", Content::LeaveRequest(_))
            | ("Actions", Content::Actions(_))
            | ("Reply", Content::Reply(_))
            | ("Custom", Content::Custom(_))
            | ("reaction attached to target", Content::Reaction(_)) => true,
            ("not shown as a row", _) => received.kind().is_attached(),
            _ => false,
        };
        assert!(right, "{name} is {understood:?}, not {expected}");
        let kind = case["sdk_stored_content_type_enum"].as_u64().unwrap();
        assert_eq!(u64::from(received.kind().number()), kind, "{name}");
        let reference = received.reference().map(|id| id.to_string());
        assert_eq!(
            reference.as_deref(),
            case["sdk_reference_id"].as_str(),
            "{name}"
        );
        count += 1;
    }
    assert_eq!(count, 17);
}

#[test]
fn the_other_spellings_of_json_keys_are_read() {
    let vectors = vectors();
    let cases = vectors["decode_vectors"]["cases"].as_array().unwrap();
    let read = |name: &str| {
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        Content::decode(&content(case))
    };
    let Content::Actions(actions) = read("actions_snake") else {
        panic!("actions");
    };
    assert_eq!(actions.actions[0].image_url.as_deref(), Some("u"));
    assert_eq!(actions.actions[0].expires_at_ms, Some(1_735_689_600_000));
    let Content::TransactionReference(payment) = read("txref_numeric_network") else {
        panic!("a transaction");
    };
    assert_eq!(payment.network_id, "8453");
    assert_eq!(read("text_deflate"), Content::text("compressed text"));
    assert_eq!(read("text_gzip"), Content::text("compressed text"));
    let Content::Reaction(reaction) = read("reaction_v1_json") else {
        panic!("a reaction");
    };
    assert_eq!(reaction.content, "🔥");
    assert_eq!(reaction.schema, ReactionSchema::Unicode);
    let json = "{\"id\":\"poll\",\"action_id\":\"a\",\"metadata\":{\"z\":1,\"a\": 2}}";
    let parts = Parts::of(Intent::TYPE).content(json);
    let intent = Intent::from_parts(&parts).unwrap();
    assert_eq!(intent.action_id, "a");
    assert_eq!(intent.metadata.unwrap().as_str(), "{\"z\":1,\"a\": 2}");
}

#[test]
fn the_older_form_of_a_reaction_has_its_keys_in_order() {
    let reaction = Reaction {
        reference_inbox_id: Some("bb".to_owned()),
        ..Reaction::emoji(MessageId::from_bytes([0xaa; 32]), "👍")
    };
    let encoded = reaction.encode_v1().unwrap();
    let reference = "aa".repeat(32);
    assert_eq!(
        encoded.parts().content,
        format!(
            "{{\"action\":\"added\",\"reference\":\"{reference}\",\"referenceInboxId\":\"bb\",\
             \"schema\":\"unicode\",\"content\":\"👍\"}}"
        )
    );
    assert_eq!(Content::decode(&encoded), Content::Reaction(reaction));
}

#[test]
fn drafts_tell_older_apps_what_they_mean() {
    let edit = EditMessage {
        message_id: MessageId::from_bytes([1; 32]),
        edited: Content::text("at one").encode().unwrap(),
    };
    let encoded = edit.encode().unwrap();
    assert_eq!(
        encoded.fallback(),
        Some("Edited an earlier message: \"at one\"")
    );
    assert_eq!(
        Content::decode(&encoded),
        Content::EditMessage(edit.clone())
    );
    assert_eq!(edit.content(), Content::text("at one"));
    for typing in [Typing::Started, Typing::Stopped] {
        let encoded = typing.encode().unwrap();
        assert_eq!(encoded.fallback(), Some("(typing)"));
        assert_eq!(Content::decode(&encoded), Content::Typing(typing));
    }
}

#[test]
fn a_reply_in_a_reply_says_so_and_costs_nothing() {
    let to = MessageId::from_bytes([2; 32]);
    let mut reply = Reply::new(to, &Content::text("sure")).unwrap();
    for _ in 0..100 {
        reply = Reply::new(to, &reply.into()).unwrap();
    }
    let encoded = reply.encode().unwrap();
    assert_eq!(encoded.fallback(), Some("Replied to an earlier message"));
    assert_eq!(encoded.reference(), Some(to));
    assert_eq!(Content::decode(&encoded), Content::Reply(reply));
}

#[test]
fn contents_lie_in_each_other_three_deep_at_most() {
    let to = MessageId::from_bytes([2; 32]);
    let reply = |to_say: &Content| Content::from(Reply::new(to, to_say).unwrap());
    let edit = |to_say: &Content| {
        Content::from(EditMessage {
            message_id: to,
            edited: to_say.encode().unwrap(),
        })
    };
    let inside = |said: &Content| match said {
        Content::Reply(reply) => reply.content(),
        Content::EditMessage(edit) => edit.content(),
        other => panic!("nothing is in {other:?}"),
    };
    let text = Content::text("sure");
    // The edit of a reply.
    let edited = edit(&reply(&text));
    assert_eq!(inside(&inside(&edited)), text);
    for (outer, inner) in [
        (reply(&reply(&text)), reply(&text)),
        (reply(&edit(&text)), edit(&text)),
        (edit(&edit(&text)), edit(&text)),
    ] {
        let left = Content::Custom(inner.encode().unwrap());
        assert_eq!(inside(&outer), left);
    }
}

#[test]
fn a_transcript_reads_as_it_was_written() {
    let [alice, bob] = [1, 2].map(|byte| folkmoot_wire::InboxId::from_bytes([byte; 32]));
    let updated = GroupUpdated {
        added_inboxes: vec![bob],
        left_inboxes: vec![alice, bob],
        metadata_field_changes: vec![MetadataFieldChange {
            field_name: "group_name".to_owned(),
            old_value: None,
            new_value: Some("picnic".to_owned()),
        }],
        ..GroupUpdated::by(alice)
    };
    let encoded = updated.encode().unwrap();
    assert_eq!(encoded.kind(), ContentKind::GroupUpdated);
    assert_eq!(Content::decode(&encoded), Content::GroupUpdated(updated));
    let old = GroupMembershipChange {
        members_added: vec![MembershipChange {
            installation_ids: vec![Bytes::from_static(&[3; 32])],
            account_address: "0xa".to_owned(),
            initiated_by_account_address: "0xb".to_owned(),
        }],
        ..GroupMembershipChange::default()
    };
    assert_eq!(
        Content::decode(&old.encode().unwrap()),
        Content::GroupMembershipChange(old)
    );
}

#[test]
fn bytes_that_are_no_content_stay_what_they_are() {
    let noise = Bytes::from_static(&[0xff, 0xff, 0xff]);
    let content = Content::from_bytes(noise.clone());
    assert_eq!(content, Content::Unreadable(noise));
    assert_eq!(content.encode(), Err(EncodeError::Unreadable));
    let huge = Bytes::from(vec![0; MAX_ENCODED_BYTES + 1]);
    assert_eq!(
        EncodedContent::decode(huge),
        Err(DecodeError::TooLarge(MAX_ENCODED_BYTES + 1))
    );
}

#[test]
fn nothing_that_was_said_is_in_what_is_printed_about_it() {
    let encoded = Content::text("at noon, by the oak").encode().unwrap();
    let printed = format!("{encoded:?} {:?}", encoded.parts());
    assert!(
        !printed.contains("oak") && printed.contains("xmtp.org/text:1.0"),
        "{printed}"
    );
    let parts = Parts::of(Intent::TYPE).content("{\"id\": 5, \"oak\": 1}");
    let cause = Intent::from_parts(&parts).unwrap_err().to_string();
    assert!(
        !cause.contains("oak") && cause.contains("column 8"),
        "{cause}"
    );
}

/// Anything that could come under the name of a type of ours.
fn any_parts() -> impl Strategy<Value = Parts> {
    let types: Vec<_> = ContentKind::ALL
        .into_iter()
        .filter_map(ContentKind::type_id)
        .chain([EditMessage::TYPE, Typing::TYPE, DeviceSyncContent::TYPE])
        .chain([ContentTypeId::xmtp("reaction", 1)])
        .collect();
    let names = prop::sample::select(vec![
        "encoding",
        "reference",
        "contentType",
        "secret",
        "salt",
        "nonce",
        "contentLength",
        "state",
    ]);
    let values = prop_oneof![Just("UTF-8".to_owned()), "[0-9a-f]{0,66}", ".*"];
    let bodies = prop_oneof![
        vec(any::<u8>(), 0..80),
        "\\{\"id\":.*\\}".prop_map(String::into_bytes)
    ];
    let compressions = prop::option::of(prop_oneof![
        Just(Compression::Deflate),
        Just(Compression::Gzip),
        any::<i32>()
            .prop_filter("known", |n| !(0..2).contains(n))
            .prop_map(Compression::Unknown),
    ]);
    (
        prop::sample::select(types),
        prop::collection::btree_map(names.prop_map(str::to_owned), values, 0..4),
        prop::option::of(".*"),
        bodies,
        compressions,
    )
        .prop_map(|(id, parameters, fallback, content, compression)| Parts {
            content_type: Some(id),
            parameters,
            fallback,
            content: content.into(),
            compression,
        })
}

proptest! {
    #[test]
    fn any_bytes_are_a_content_of_some_kind(bytes in vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        match Content::from_bytes(bytes.clone()) {
            Content::Unreadable(kept) => prop_assert_eq!(kept, bytes),
            Content::Custom(kept) => prop_assert_eq!(kept.as_bytes(), &bytes),
            _ => {}
        }
    }

    #[test]
    fn whatever_is_said_under_a_known_name_is_understood_or_kept(parts in any_parts()) {
        let encoded = parts.seal().unwrap();
        let again = EncodedContent::decode(encoded.as_bytes().clone());
        prop_assert_eq!(again.as_ref(), Ok(&encoded));
        let content = Content::decode(&encoded);
        if let Ok(written) = content.encode() {
            prop_assert_eq!(Content::decode(&written), content);
        }
        let _ = encoded.reference();
    }

    #[test]
    fn any_text_is_read_as_it_was_written(text in ".*") {
        for content in [Content::text(text.clone()), Content::Markdown(Markdown(text))] {
            prop_assert_eq!(Content::decode(&content.encode().unwrap()), content);
        }
    }
}
