//! Lines from a bot, none of them longer than is allowed.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// The longest line that a bot may write, in bytes: 4 MiB.
pub(super) const LONGEST_LINE: usize = 4 << 20;

/// A line, or why it is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// It was longer than allowed, and was passed over.
    TooLong,
}

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    limit: usize,
    number: u64,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Reads lines of at most `limit` bytes.
    pub(super) const fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            limit,
            number: 0,
        }
    }

    /// The number of the line that was read last; the first is 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The next line; none at the end. A last line without an end counts. Not cancel safe.
    ///
    /// # Errors
    ///
    /// What the reader says.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let mut begun = false;
        let mut too_long = false;
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                if !begun {
                    return Ok(None);
                }
                break;
            }
            begun = true;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if line.len() + part.len() > self.limit {
                too_long = true;
                line = Vec::new();
            }
            if !too_long {
                line.extend_from_slice(part);
            }
            let read = end.map_or(bytes.len(), |end| end + 1);
            self.reader.consume(read);
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        if too_long {
            return Ok(Some(Line::TooLong));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(Line::Whole(line)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    async fn read(text: &[u8], buffer: usize) -> Vec<Line> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text), 5);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        assert_eq!(lines.number(), u64::try_from(all.len()).unwrap());
        all
    }

    #[tokio::test]
    async fn lines_do_not_depend_on_how_they_arrive() {
        let whole = |text: &str| Line::Whole(text.into());
        for buffer in [1, 2, 3, 100] {
            let found = read(b"one\r\n\ntoo long\nabcde\nend", buffer).await;
            let wanted = [
                whole("one"),
                whole(""),
                Line::TooLong,
                whole("abcde"),
                whole("end"),
            ];
            assert_eq!(found, wanted, "{buffer}");
        }
    }

    #[tokio::test]
    async fn a_long_last_line_ends_too() {
        assert_eq!(read(b"123456", 4).await, [Line::TooLong]);
        assert_eq!(read(b"", 4).await, []);
    }
}
