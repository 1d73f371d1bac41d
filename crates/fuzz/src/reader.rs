//! What a client reads of a network, beside what its engine is given: envelopes, what others saw of
//! commits, fetched files, dictionaries of groups.

use bytes::Bytes;
use folkmoot_client::network::pushed;
use folkmoot_conversation::{
    EncryptedAttachment,
    app_data::Dictionary,
    attachment_limit,
    commit_log::{
        CommitLogEntry, RemoteTip, Seen, SignedEntry, consensus_key, follow, fork_state, public_key,
    },
    content::{Attachment, RemoteAttachment},
    open_attachment,
};
use folkmoot_wire::{GroupId, proto::xmtp::mls::message_contents as proto};
use prost::Message as _;
use rand::{SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

/// An envelope of a group message or a welcome, of either generation: a v3 message, or what an
/// originator, a payer and a client wrapped.
pub fn envelope(data: &[u8]) {
    match pushed::group_message(data) {
        Ok(envelope) => assert!(!envelope.group_id.as_bytes().is_empty()),
        Err((field, cause)) => assert!(!field.is_empty() && !cause.is_empty()),
    }
    if let Err((field, cause)) = pushed::welcome(data) {
        assert!(!field.is_empty() && !cause.is_empty());
    }
}

/// Entries of a group's commit log, each with its length in one byte: as strangers sign them, and
/// as the one whose key counts signs them.
pub fn commit_log(mut data: &[u8]) {
    let group = GroupId::try_from(&GROUP[..]).expect("not empty");
    let (mut tip, mut seen, mut strange) = (None, Vec::new(), Vec::new());
    while let Some((length, rest)) = crate::first(data) {
        let (entry, rest) = rest.split_at(length.min(rest.len()));
        data = rest;
        if let Ok(entry) = proto::CommitLogEntry::decode(entry) {
            strange.push(SignedEntry::from_proto(entry));
        }
        let Ok(entry) = CommitLogEntry::decode(entry) else {
            continue;
        };
        assert_eq!(CommitLogEntry::decode(&entry.encode()), Ok(entry.clone()));
        let signed = entry.sign(&KEY);
        if let Ok(taken) = follow(&group, &public_key(&KEY), tip.as_ref(), &signed) {
            assert_eq!(taken, entry);
            let before = tip
                .as_ref()
                .map_or(0, |tip: &RemoteTip| tip.commit_sequence_id);
            assert!(taken.commit_sequence_id > before, "a log goes on");
            seen.insert(
                0,
                Seen {
                    commit_sequence_id: taken.commit_sequence_id,
                    applied_epoch_authenticator: taken.applied_epoch_authenticator.clone(),
                },
            );
            tip = Some(RemoteTip::from(&taken));
        }
        assert!(
            follow(&group, &[1; 32], tip.as_ref(), &signed).is_err(),
            "a stranger's key"
        );
    }
    if let Some(key) = consensus_key(&strange) {
        assert!(
            strange
                .iter()
                .any(|entry| entry.public_key == key && entry.is_signed_by(&key))
        );
    }
    let (ours, theirs) = seen.split_at(seen.len() / 2);
    let _ = (fork_state(ours, theirs), fork_state(&seen, &seen));
}

/// A fetched file and what the message says of it. Bytes: what the file holds; how many of the
/// following bytes change the payload, as a place and what is added there; then three that change
/// the lengths of secret, salt and nonce.
pub fn attachment(data: &[u8]) {
    let Some((changes, rest)) = crate::first(data) else {
        return;
    };
    let (changes, rest) = rest.split_at((changes % 8 * 2).min(rest.len()));
    let (lengths, held) = rest.split_at(rest.len().min(3));
    let file = Attachment {
        filename: Some("a".to_owned()),
        mime_type: "text/plain".to_owned(),
        data: Bytes::copy_from_slice(held),
    };
    let sealed = EncryptedAttachment::seal(&file, &mut StdRng::seed_from_u64(1));
    let sealed = sealed.expect("inputs are small");
    let mut payload = sealed.payload.to_vec();
    for change in changes.chunks_exact(2) {
        let place = usize::from(change[0]) * payload.len() / 256;
        payload[place] = payload[place].wrapping_add(change[1]);
    }
    let genuine = sealed.at("https://example.org/1");
    let mut said = RemoteAttachment {
        // As a sender would who lies about nothing else.
        content_digest: hex::encode(Sha256::digest(&payload)),
        ..genuine.clone()
    };
    if let [secret, salt, nonce] = lengths {
        let mut cut = said.secret.as_bytes().to_vec();
        cut.resize(usize::from(*secret), 0);
        said.secret = cut.into();
        said.salt.resize(usize::from(*salt), 0);
        said.nonce.resize(usize::from(*nonce), 0);
    }
    assert!(attachment_limit(&said) > 0);
    match open_attachment(&said, &payload) {
        Ok(opened) => assert_eq!((opened, &payload[..]), (file, &sealed.payload[..])),
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }
    if payload != sealed.payload[..] {
        assert!(open_attachment(&genuine, &payload).is_err(), "another file");
    }
}

/// The dictionary of a group, outside of any group.
pub fn app_data(data: &[u8]) {
    let dictionary = match Dictionary::decode(data) {
        Ok(dictionary) => dictionary,
        Err(cause) => return assert!(!cause.to_string().is_empty()),
    };
    let encoded = dictionary.encode();
    assert_eq!(Dictionary::decode(&encoded), Ok(dictionary.clone()));
    match dictionary.registry() {
        Ok(registry) => {
            for (component, metadata) in registry.iter() {
                assert!(registry.get(component).is_some());
                let _ = metadata.kind();
            }
        }
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }
    if let Err(cause) = dictionary.context() {
        assert!(!cause.to_string().is_empty());
    }
}

const GROUP: [u8; 16] = [7; 16];
const KEY: [u8; 32] = [7; 32];
