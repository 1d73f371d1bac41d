//! What an MLS application message carries: a content, and the key that tells it from its equals.
//!
//! Facts: the protobuf message `PlaintextEnvelope` as libxmtp 1.10 to 1.12 writes and reads it.

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::message_contents::{self as proto, plaintext_envelope};
use prost::Message as _;

/// The plaintext of an application message.
#[derive(Clone, Eq, PartialEq)]
pub enum PlaintextEnvelope {
    /// What is said.
    Message {
        /// The bytes of an encoded content, exactly as they came; they may be no content at all.
        content: Bytes,
        /// Tells apart messages with equal contents: usually the sender's time in nanoseconds since
        /// the Unix epoch, in decimal.
        idempotency_key: String,
    },
    /// What device sync wrote before 2025. Clients read past it.
    Obsolete,
}

impl PlaintextEnvelope {
    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] when the bytes are no envelope, or the envelope is empty.
    pub fn decode(bytes: Bytes) -> Result<Self, EnvelopeError> {
        let message =
            proto::PlaintextEnvelope::decode(bytes).map_err(|_| EnvelopeError::Protobuf)?;
        match message.content.ok_or(EnvelopeError::Empty)? {
            plaintext_envelope::Content::V1(v1) => Ok(Self::Message {
                content: v1.content,
                idempotency_key: v1.idempotency_key,
            }),
            plaintext_envelope::Content::V2(_) => Ok(Self::Obsolete),
        }
    }

    /// Writes the plaintext of a message.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use folkmoot_conversation::PlaintextEnvelope;
    ///
    /// let plaintext = PlaintextEnvelope::encode(b"hi", "7");
    /// assert_eq!(&plaintext[..], b"\x0a\x07\x0a\x02hi\x12\x017");
    /// # Ok::<(), folkmoot_conversation::EnvelopeError>(())
    /// ```
    #[must_use]
    pub fn encode(content: &[u8], idempotency_key: &str) -> Vec<u8> {
        let v1 = plaintext_envelope::V1 {
            content: Bytes::copy_from_slice(content),
            idempotency_key: idempotency_key.to_owned(),
        };
        let message = proto::PlaintextEnvelope {
            content: Some(plaintext_envelope::Content::V1(v1)),
        };
        message.encode_to_vec()
    }
}

impl std::fmt::Debug for PlaintextEnvelope {
    /// Writes sizes, and not what was said.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message { content, .. } => {
                write!(formatter, "Message({} bytes)", content.len())
            }
            Self::Obsolete => formatter.write_str("Obsolete"),
        }
    }
}

/// Why a plaintext is not an envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes are not a protobuf message.
    #[error("the plaintext is not the protobuf message PlaintextEnvelope")]
    Protobuf,
    /// Neither v1 nor v2 is there.
    #[error("the plaintext envelope is empty")]
    Empty,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_device_sync_is_read_past() {
        let v2 = plaintext_envelope::V2::default();
        let bytes = proto::PlaintextEnvelope {
            content: Some(plaintext_envelope::Content::V2(v2)),
        };
        let envelope = PlaintextEnvelope::decode(bytes.encode_to_vec().into());
        assert_eq!(envelope, Ok(PlaintextEnvelope::Obsolete));
    }

    #[test]
    fn nothing_is_not_an_envelope() {
        assert_eq!(
            PlaintextEnvelope::decode(Bytes::new()),
            Err(EnvelopeError::Empty)
        );
        let noise = Bytes::from_static(&[0xff; 9]);
        assert_eq!(
            PlaintextEnvelope::decode(noise),
            Err(EnvelopeError::Protobuf)
        );
    }
}
