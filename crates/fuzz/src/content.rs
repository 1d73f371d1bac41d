//! What people and apps say, and the archives that keep it.

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};
use bytes::Bytes;
use folkmoot_conversation::{
    ArchiveKey, PlaintextEnvelope,
    archive::{ArchiveReader, ArchiveWriter, Element, MAX_ELEMENT_BYTES},
    content::{Codec as _, Content, ContentTypeId, DeviceSyncContent, EncodedContent, Parts},
};
use rand::{SeedableRng as _, rngs::StdRng};

/// Contents of messages: the whole input, as a plaintext and as a content.
pub fn content(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    match PlaintextEnvelope::decode(bytes.clone()) {
        Ok(PlaintextEnvelope::Message {
            content,
            idempotency_key,
        }) => {
            let plaintext = PlaintextEnvelope::encode(&content, &idempotency_key);
            let again = PlaintextEnvelope::decode(plaintext.into());
            assert!(again.is_ok(), "what was encoded decodes");
            understand(content);
        }
        Ok(PlaintextEnvelope::Obsolete) => {}
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }
    understand(bytes);
}

/// What the installations of one inbox tell each other: the content proper.
pub fn device_sync(data: &[u8]) {
    let parts = Parts::of(DeviceSyncContent::TYPE).content(data.to_vec());
    match DeviceSyncContent::from_parts(&parts) {
        Ok(told) => {
            let encoded = told.encode().expect("what was received can be sent");
            assert_eq!(Content::decode(&encoded), Content::DeviceSync(told));
        }
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }
}

/// Archives: the first byte says whether the rest is a file, or the decrypted elements of one, each
/// with its length in two bytes in front.
pub fn archive(data: &[u8]) {
    let Some((kind, rest)) = crate::first(data) else {
        return;
    };
    match kind % 2 {
        0 => read(rest),
        _ => read(&sealed(rest)),
    }
}

fn understand(bytes: Bytes) {
    let content = Content::from_bytes(bytes.clone());
    match &content {
        Content::Unreadable(kept) => assert_eq!(*kept, bytes),
        Content::Custom(kept) => assert_eq!(*kept.as_bytes(), bytes),
        understood => {
            // What has rules for senders may be refused; what is sent is understood.
            if let Ok(encoded) = understood.encode() {
                assert!(!matches!(Content::decode(&encoded), Content::Custom(_)));
            }
        }
    }
    let Ok(encoded) = EncodedContent::decode(bytes) else {
        return;
    };
    let _ = encoded.reference();
    if let Err(cause) = Content::try_decode(&encoded) {
        assert!(!cause.to_string().is_empty());
    }
    if let Some(id) = encoded.content_type()
        && let Ok(again) = id.to_string().parse::<ContentTypeId>()
    {
        assert_eq!(again.to_string(), id.to_string());
    }
}

fn read(archive: &[u8]) {
    let key = ArchiveKey::from_bytes(KEY);
    let mut reader = match ArchiveReader::open(archive, &key) {
        Ok(reader) => reader,
        Err(cause) => return assert!(!cause.to_string().is_empty()),
    };
    let entropy = &mut StdRng::seed_from_u64(1);
    let metadata = reader.metadata().clone();
    let mut writer =
        ArchiveWriter::create(Vec::new(), &key, &metadata, entropy).expect("memory can be written");
    let mut elements: Vec<Element> = Vec::new();
    for element in &mut reader {
        match element {
            Ok(element) => {
                writer.write(&element).expect("it was small enough before");
                elements.push(element);
            }
            Err(cause) => assert!(!cause.to_string().is_empty()),
        }
    }
    assert!(reader.next().is_none(), "the end is the end");
    let copy = writer.finish().expect("memory can be written");
    let copy = ArchiveReader::open(&copy[..], &key).expect("what was written is read");
    assert_eq!(copy.count(), elements.len());
    assert!(
        archive.len() < MAX_ELEMENT_BYTES as usize,
        "inputs are small"
    );
}

/// An archive with elements that nobody would write.
fn sealed(mut elements: &[u8]) -> Vec<u8> {
    let cipher = Aes256Gcm::new((&KEY).into());
    let mut stream = Vec::new();
    let mut nonce = [0; 12];
    while let Some((length, rest)) = elements.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (plaintext, rest) = rest.split_at(length);
        elements = rest;
        let sealed = cipher.encrypt(&nonce.into(), plaintext);
        let sealed = sealed.expect("an element is short");
        let length = u32::try_from(sealed.len()).expect("an element is short");
        stream.extend(length.to_le_bytes());
        stream.extend(sealed);
        nonce[0] = nonce[0].wrapping_add(1);
        if nonce[0] == 0 {
            nonce[1] = nonce[1].wrapping_add(1);
        }
    }
    let packed = zstd::encode_all(&stream[..], 1).expect("memory can be written");
    [&[0; 14][..], &packed].concat()
}

const KEY: [u8; 32] = [7; 32];
