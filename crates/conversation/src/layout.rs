//! Reading the presentation language of MLS: integers, and vectors with a length in front.
//!
//! [`Reader`] borrows from its input, allocates nothing and counts offsets from the start of
//! the whole message, so that every error can say where.
//!
//! Specification: RFC 9420 §2.1 and, for the lengths, §2.1.2.

/// Why bytes are not the structure that they should be.
///
/// Offsets are in bytes from the start of the message; fields have the names of RFC 9420.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LayoutError {
    /// The bytes, or the vector around the field, end before the field does.
    #[error("{field} at byte {offset} is cut short")]
    CutShort {
        /// The field that should stand there.
        field: &'static str,
        /// Where the field, or its length, begins.
        offset: usize,
    },
    /// A length takes more bytes than it needs.
    #[error("the length of {field} at byte {offset} is not in its shortest form")]
    LongLength {
        /// The field with this length.
        field: &'static str,
        /// Where the length begins.
        offset: usize,
    },
    /// A length begins with the two bits that no length begins with.
    #[error("the length of {field} at byte {offset} has the reserved prefix 11")]
    ReservedLength {
        /// The field with this length.
        field: &'static str,
        /// Where the length begins.
        offset: usize,
    },
    /// The structure is complete, but the bytes go on.
    #[error("{count} bytes follow the end of the structure at byte {offset}")]
    Trailing {
        /// Where the structure ends.
        offset: usize,
        /// How many bytes follow.
        count: usize,
    },
    /// A field that decides what follows has a value without a known layout.
    #[error("{field} at byte {offset} has the unknown value {value}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// Where it begins.
        offset: usize,
        /// What it says.
        value: u16,
    },
}

/// A place in a message, or in a vector inside it.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self {
            rest: message,
            offset: 0,
        }
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, LayoutError> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, LayoutError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, LayoutError> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, LayoutError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// A vector of bytes, `opaque field<V>`.
    pub(crate) fn opaque(&mut self, field: &'static str) -> Result<&'a [u8], LayoutError> {
        self.vector(field).map(|vector| vector.rest)
    }

    /// A vector of structures, to be read until it is empty.
    pub(crate) fn vector(&mut self, field: &'static str) -> Result<Self, LayoutError> {
        let start = self.offset;
        let length = self.length(field)?;
        let offset = self.offset;
        let rest = self.take(length).ok_or(LayoutError::CutShort {
            field,
            offset: start,
        })?;
        Ok(Self { rest, offset })
    }

    /// A vector of 16-bit numbers.
    pub(crate) fn numbers(&mut self, field: &'static str) -> Result<Vec<u16>, LayoutError> {
        let mut vector = self.vector(field)?;
        let mut numbers = Vec::with_capacity(vector.rest.len() / 2);
        while !vector.is_empty() {
            numbers.push(vector.u16(field)?);
        }
        Ok(numbers)
    }

    /// The 0 or 1 in front of an optional structure.
    pub(crate) fn presence(&mut self, field: &'static str) -> Result<bool, LayoutError> {
        let offset = self.offset;
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(LayoutError::UnknownValue {
                field,
                offset,
                value: value.into(),
            }),
        }
    }

    /// Ends the reading of a message: nothing may follow.
    pub(crate) const fn finish(&self) -> Result<(), LayoutError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(LayoutError::Trailing {
                offset: self.offset,
                count: self.rest.len(),
            })
        }
    }

    /// A length: the two high bits of the first byte say how many bytes it takes.
    pub(crate) fn length(&mut self, field: &'static str) -> Result<usize, LayoutError> {
        let offset = self.offset;
        let cut_short = LayoutError::CutShort { field, offset };
        let first = *self.rest.first().ok_or(cut_short)?;
        let (bytes, least) = match first >> 6 {
            0 => (1, 0),
            1 => (2, 1 << 6),
            2 => (4, 1 << 14),
            _ => return Err(LayoutError::ReservedLength { field, offset }),
        };
        let encoded = self.take(bytes).ok_or(cut_short)?;
        let length = encoded[1..]
            .iter()
            .fold(usize::from(first & 0x3f), |length, byte| {
                length << 8 | usize::from(*byte)
            });
        if length < least {
            return Err(LayoutError::LongLength { field, offset });
        }
        Ok(length)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], LayoutError> {
        let offset = self.offset;
        self.take(N)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(LayoutError::CutShort { field, offset })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        self.offset += count;
        Some(taken)
    }
}

/// Writes a length in its shortest form.
///
/// Whatever is written here stays below the 2^30 bytes that four bytes can count; more is cut to
/// that, which no reader takes.
pub(crate) fn write_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX).min((1 << 30) - 1);
    let bytes = length.to_be_bytes();
    match length {
        0..0x40 => out.push(bytes[3]),
        0x40..0x4000 => out.extend([bytes[2] | 0x40, bytes[3]]),
        _ => out.extend([bytes[0] | 0x80, bytes[1], bytes[2], bytes[3]]),
    }
}

/// Writes a vector of bytes, `opaque field<V>`.
pub(crate) fn write_opaque(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length_of(bytes: &[u8]) -> Result<usize, LayoutError> {
        Reader::new(bytes).length("f")
    }

    #[test]
    fn lengths_are_read_as_the_rfc_shows_them() {
        // The examples of RFC 9420 §2.1.2.
        assert_eq!(length_of(&[0x9d, 0x7f, 0x3e, 0x7d]), Ok(494_878_333));
        assert_eq!(length_of(&[0x7b, 0xbd]), Ok(15_293));
        assert_eq!(length_of(&[0x25]), Ok(37));
    }

    #[test]
    fn a_length_takes_no_more_bytes_than_it_needs() {
        let long = Err(LayoutError::LongLength {
            field: "f",
            offset: 0,
        });
        assert_eq!(length_of(&[0x40, 0x3f]), long);
        assert_eq!(length_of(&[0x40, 0x40]), Ok(64));
        assert_eq!(length_of(&[0x80, 0x00, 0x3f, 0xff]), long);
        assert_eq!(length_of(&[0x80, 0x00, 0x40, 0x00]), Ok(16_384));
        assert_eq!(
            length_of(&[0xc0, 0, 0, 0, 0, 0, 0, 1]),
            Err(LayoutError::ReservedLength {
                field: "f",
                offset: 0
            })
        );
    }

    #[test]
    fn a_vector_that_promises_a_gigabyte_is_cut_short() {
        assert_eq!(
            Reader::new(&[0xbf, 0xff, 0xff, 0xff, 1]).opaque("f"),
            Err(LayoutError::CutShort {
                field: "f",
                offset: 0
            })
        );
    }

    #[test]
    fn offsets_inside_a_vector_count_from_the_start_of_the_message() {
        let mut reader = Reader::new(&[7, 3, 0, 1, 0]);
        reader.u8("first").unwrap();
        assert_eq!(
            reader.numbers("second"),
            Err(LayoutError::CutShort {
                field: "second",
                offset: 4
            })
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 63, 64, 16_383, 16_384, 70_000] {
            let mut out = Vec::new();
            write_opaque(&mut out, &vec![7; length]);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.opaque("f").unwrap().len(), length);
            reader.finish().unwrap();
        }
    }
}
