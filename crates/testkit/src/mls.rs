//! Group messages and key packages that pass a node's checks.

use folkmoot_wire::proto::xmtp::mls::api::v1::{
    GroupMessageInput, WelcomeMessageInput, WelcomeWrapperAlgorithm, group_message_input,
    welcome_message_input,
};

/// The content types of RFC 9420 §6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Content {
    /// What a person says.
    Application = 1,
    /// A suggested change.
    Proposal = 2,
    /// A change.
    Commit = 3,
}

/// A private message of a group: framed as RFC 9420 §6.3 has it, with `text` where the
/// ciphertext stands.
#[must_use]
pub fn private_message(group_id: &[u8], epoch: u64, content: Content, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 2];
    opaque(&mut bytes, group_id);
    bytes.extend(epoch.to_be_bytes());
    bytes.push(content as u8);
    opaque(&mut bytes, b"");
    opaque(&mut bytes, &[0x5e; 28]);
    opaque(&mut bytes, text);
    bytes
}

/// An application message as clients send it.
#[must_use]
pub fn says(group_id: &[u8], text: &str) -> GroupMessageInput {
    input(private_message(
        group_id,
        1,
        Content::Application,
        text.as_bytes(),
    ))
}

/// A commit as clients send it; `text` tells commits of one epoch apart.
#[must_use]
pub fn commits(group_id: &[u8], epoch: u64, text: &str) -> GroupMessageInput {
    input(private_message(
        group_id,
        epoch,
        Content::Commit,
        text.as_bytes(),
    ))
}

/// Wraps an MLS message as clients send it.
#[must_use]
pub fn input(data: Vec<u8>) -> GroupMessageInput {
    GroupMessageInput {
        version: Some(group_message_input::Version::V1(group_message_input::V1 {
            data: data.into(),
            sender_hmac: vec![7; 32].into(),
            should_push: true,
        })),
    }
}

/// A welcome for an installation, with `text` where the sealed part stands.
#[must_use]
pub fn welcomes(installation_key: &[u8], text: &str) -> WelcomeMessageInput {
    WelcomeMessageInput {
        version: Some(welcome_message_input::Version::V1(
            welcome_message_input::V1 {
                installation_key: installation_key.to_vec().into(),
                data: text.as_bytes().to_vec().into(),
                hpke_public_key: vec![3; 32].into(),
                wrapper_algorithm: WelcomeWrapperAlgorithm::Curve25519 as i32,
                welcome_metadata: vec![4; 18].into(),
            },
        )),
    }
}

/// A vector with its length before it, as RFC 9420 §2.1.2 has it.
fn opaque(bytes: &mut Vec<u8>, content: &[u8]) {
    let length = content.len();
    match length {
        0..64 => bytes.push(u8::try_from(length).expect("below 64")),
        64..16384 => {
            let length = u16::try_from(length).expect("below 2^14");
            bytes.extend((length | 0x4000).to_be_bytes());
        }
        _ => {
            let length = u32::try_from(length).expect("test messages are small");
            bytes.extend((length | 0x8000_0000).to_be_bytes());
        }
    }
    bytes.extend(content);
}
