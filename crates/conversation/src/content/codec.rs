//! How values of a content type are put into messages and read from them.

use super::{ContentTypeId, DecodeError, EncodeError, EncodedContent, Parts};

/// A content type. The built-in ones implement it, and so may an app for its own:
///
/// ```
/// use folkmoot_conversation::content::{
///     Codec, Content, ContentTypeId, DecodeError, EncodeError, Parts,
/// };
///
/// #[derive(Debug, PartialEq)]
/// struct DiceRoll(u8);
///
/// impl Codec for DiceRoll {
///     const TYPE: ContentTypeId = ContentTypeId::new("example.org", "diceRoll", 1, 0);
///     const SHOULD_PUSH: bool = false;
///
///     fn to_parts(&self) -> Result<Parts, EncodeError> {
///         Ok(Parts::of(Self::TYPE).content(vec![self.0]))
///     }
///
///     fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
///         match parts.content[..] {
///             [eyes @ 1..=6] => Ok(Self(eyes)),
///             _ => Err(DecodeError::Field { field: "content", expected: "a number from 1 to 6" }),
///         }
///     }
///
///     fn fallback(&self) -> Option<String> {
///         Some(format!("Rolled a {}", self.0))
///     }
/// }
///
/// let encoded = DiceRoll(4).encode()?;
/// assert_eq!(encoded.fallback(), Some("Rolled a 4"));
/// let Content::Custom(received) = Content::decode(&encoded) else { panic!() };
/// assert_eq!(DiceRoll::decode(&received), Ok(DiceRoll(4)));
/// # Ok::<(), EncodeError>(())
/// ```
pub trait Codec: Sized {
    /// The type, in the version that is written.
    const TYPE: ContentTypeId;

    /// Whether such a message asks for the recipients' phones to be notified.
    const SHOULD_PUSH: bool;

    /// The fields of the encoded content; the fallback is filled in by [`Codec::encode`].
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the value breaks a rule of its type.
    fn to_parts(&self) -> Result<Parts, EncodeError>;

    /// Reads the fields of an encoded content. Its type was checked, its compression undone.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the fields are not what the type says.
    fn from_parts(parts: &Parts) -> Result<Self, DecodeError>;

    /// The text for apps that do not know the type. It comes from the sender: apps show it as
    /// text, and nothing else.
    fn fallback(&self) -> Option<String> {
        None
    }

    /// Whether this codec reads contents of the type `id`.
    #[must_use]
    fn reads(id: &ContentTypeId) -> bool {
        Self::TYPE.matches(id)
    }

    /// The content as it travels.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the value breaks a rule of its type, or is too large.
    fn encode(&self) -> Result<EncodedContent, EncodeError> {
        let mut parts = self.to_parts()?;
        parts.fallback = self.fallback();
        parts.seal()
    }

    /// Reads a content.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the content is of another type, or is not what its type says.
    fn decode(encoded: &EncodedContent) -> Result<Self, DecodeError> {
        let found = encoded.content_type().ok_or(DecodeError::NoType)?;
        if !Self::reads(found) {
            return Err(DecodeError::OtherType {
                found: found.clone(),
                wanted: Self::TYPE,
            });
        }
        Self::from_parts(&*encoded.parts().unpack()?)
    }
}
