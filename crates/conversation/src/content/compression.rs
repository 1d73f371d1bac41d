//! Undoing the compression that older clients put on contents. Nothing here compresses.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::{Compression, DecodeError, MAX_ENCODED_BYTES};

/// Unpacks `packed`, to no more than a message could have carried, and no more than sixty-four
/// times its size and a little.
pub(super) fn unpack(compression: Compression, packed: &[u8]) -> Result<Bytes, DecodeError> {
    let limit = packed
        .len()
        .saturating_mul(MOST_GAIN)
        .saturating_add(ALWAYS_ALLOWED)
        .min(MAX_ENCODED_BYTES);
    match compression {
        Compression::Deflate => read(ZlibDecoder::new(packed), limit),
        Compression::Gzip => read(MultiGzDecoder::new(packed), limit),
        Compression::Unknown(number) => Err(DecodeError::UnknownCompression(number)),
    }
}

fn read(unpacked: impl Read, limit: usize) -> Result<Bytes, DecodeError> {
    let mut bytes = Vec::new();
    unpacked
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| DecodeError::Compressed)?;
    if bytes.len() > limit {
        return Err(DecodeError::CompressionBomb(limit));
    }
    Ok(bytes.into())
}

/// Text that people write shrinks to a third, a page of one letter to a thousandth.
const MOST_GAIN: usize = 64;

const ALWAYS_ALLOWED: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression as Level, write::ZlibEncoder};

    use super::*;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Level::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let bomb = zlib(&vec![b'a'; 2 << 20]);
        let limit = bomb.len() * MOST_GAIN + ALWAYS_ALLOWED;
        assert_eq!(
            unpack(Compression::Deflate, &bomb),
            Err(DecodeError::CompressionBomb(limit))
        );
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let packed = zlib(b"see you at the lake");
        assert_eq!(
            unpack(Compression::Deflate, &packed).unwrap(),
            "see you at the lake"
        );
        let half = &packed[..packed.len() / 2];
        assert_eq!(
            unpack(Compression::Deflate, half),
            Err(DecodeError::Compressed)
        );
        assert_eq!(
            unpack(Compression::Gzip, &packed),
            Err(DecodeError::Compressed)
        );
    }
}
