//! What a push server hands on: envelopes as a node wrote them, of either generation.

use folkmoot_wire::proto::xmtp::{mls::api::v1 as mls, xmtpv4::envelopes::OriginatorEnvelope};
use prost::Message;

use super::{
    GroupEnvelope, WelcomeEnvelope,
    d14n::Opened,
    v3::{self, Wrong},
};

/// The most bytes that an envelope may have: no network takes larger ones.
const MOST_BYTES: usize = 32 << 20;

/// The message of a group, from an encoded `GroupMessage` or `OriginatorEnvelope`.
///
/// # Errors
///
/// The field, and what is wrong with it.
pub fn group_message(bytes: &[u8]) -> Result<GroupEnvelope, (&'static str, String)> {
    let by_v3 = || {
        let message =
            mls::GroupMessage::decode(bytes).map_err(|cause| Wrong::new("envelope", cause))?;
        v3::group_envelope(message)
    };
    check_size(bytes)?;
    by_v3().or_else(|wrong| {
        let opened = open(bytes).and_then(Opened::group_envelope);
        opened.ok_or((wrong.field, wrong.cause))
    })
}

/// The welcome, from an encoded `WelcomeMessage` or `OriginatorEnvelope`.
///
/// # Errors
///
/// As of [`group_message`].
pub fn welcome(bytes: &[u8]) -> Result<WelcomeEnvelope, (&'static str, String)> {
    let by_v3 = || {
        let message =
            mls::WelcomeMessage::decode(bytes).map_err(|cause| Wrong::new("envelope", cause))?;
        v3::welcome_envelope(message)
    };
    check_size(bytes)?;
    by_v3().or_else(|wrong| {
        let opened = open(bytes).and_then(Opened::welcome_envelope);
        opened.ok_or((wrong.field, wrong.cause))
    })
}

/// The two generations cannot be taken for each other: field 3 of what is inside is a name in one
/// and a time in the other.
fn open(bytes: &[u8]) -> Option<Opened> {
    Opened::open(OriginatorEnvelope::decode(bytes).ok()?).ok()
}

fn check_size(bytes: &[u8]) -> Result<(), (&'static str, String)> {
    match bytes.len() {
        0 => Err(("envelope", "it is empty".to_owned())),
        1..=MOST_BYTES => Ok(()),
        more => Err((
            "envelope",
            format!("it has {more} bytes, of {MOST_BYTES} at most"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_envelope_is_told_by_its_field() {
        for bytes in [&b""[..], b"junk", &[0; 64], &[0x0a, 0x02, 0x08, 0x01]] {
            let (field, cause) = group_message(bytes).unwrap_err();
            assert!(!field.is_empty() && !cause.is_empty());
            assert!(welcome(bytes).is_err());
        }
        let message = mls::GroupMessage {
            version: Some(mls::group_message::Version::V1(mls::group_message::V1 {
                id: 7,
                group_id: vec![1; 16].into(),
                data: vec![2; 16].into(),
                ..Default::default()
            })),
        };
        let read = group_message(&message.encode_to_vec()).unwrap();
        assert_eq!(
            (read.originator, read.sequence),
            (super::super::V3_MESSAGES, 7)
        );
        assert!(welcome(&message.encode_to_vec()).is_err());
    }
}
