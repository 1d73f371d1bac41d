//! Text of strangers, made fit for a terminal: harmless, measured in columns, broken into lines.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::xmtp::value::visible;

/// How many columns `text` takes: the sum of its letters, each of which has cells of its own.
/// (The width of a whole text takes ligatures into account that terminals do not make.)
pub(crate) fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.graphemes(true).map(|letter| letter.width()).sum(),
    }
}

/// The text with nothing in it that commands a terminal, hides, or stands outside of its cell.
/// Line ends stay, with [`Lines::Many`].
pub(crate) fn clean(text: &str, lines: Lines) -> String {
    let cleaned: Vec<_> = text.split('\n').map(clean_line).collect();
    match lines {
        Lines::Many => cleaned.join("\n"),
        Lines::One => {
            let cleaned: Vec<_> = cleaned
                .iter()
                .map(|line| line.trim())
                .filter(|line| !line.is_empty())
                .collect();
            cleaned.join(" ")
        }
    }
}

/// What becomes of line ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lines {
    /// They are spaces.
    One,
    /// They stay.
    Many,
}

fn clean_line(line: &str) -> String {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let line = visible(&line.replace('\t', "    "));
    let mut shown = String::with_capacity(line.len());
    let mut marks = 0;
    let mut before = None;
    for character in line.chars() {
        let columns = character.width().unwrap_or(0);
        if is_invisible(character) || stands_apart(character, before) {
            continue;
        }
        if columns == 0 {
            // Heaps of accents reach into the lines above and below.
            marks += 1;
            if marks > MOST_MARKS {
                continue;
            }
        } else {
            marks = 0;
            before = Some(character);
        }
        shown.push(character);
    }
    shown
}

/// Takes no room and says nothing: such characters make equal texts of different ones.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// What makes one picture of several, or a picture of a letter. Terminals disagree about how wide
/// the result is, and one of them would be wrong about the whole line.
fn stands_apart(character: char, before: Option<char>) -> bool {
    let picture = before.is_some_and(|before| {
        matches!(before, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
            || before.width() == Some(2)
    });
    match character {
        '\u{fe0e}' | '\u{fe0f}' => true,
        '\u{200d}' | '\u{1f3fb}'..='\u{1f3ff}' => picture,
        _ => false,
    }
}

/// The text in at most `columns` columns; what does not fit gives way to an ellipsis.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut shown = cut(text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        shown.push('…');
    }
    shown
}

/// The longest beginning of `text` that takes at most `columns` columns.
fn cut(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, letter) in text.grapheme_indices(true) {
        used += letter.width();
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// The text followed by spaces, in exactly `columns` columns.
pub(crate) fn fill(text: &str, columns: usize) -> String {
    let mut shown = shorten(text, columns);
    let missing = columns.saturating_sub(width(&shown));
    shown.extend(std::iter::repeat_n(' ', missing));
    shown
}

/// Where each line of `text` begins and ends when it is broken for `columns` columns, in bytes.
/// Lines are broken at spaces, which stay at the end of their line, and beside letters of two
/// columns; longer words anywhere.
pub(crate) fn breaks(text: &str, columns: usize) -> Vec<(usize, usize)> {
    first_breaks(text, columns, usize::MAX)
}

/// The same for the first lines of `text`: some more than `most` at most, so that a text without
/// end takes no time without end.
fn first_breaks(text: &str, columns: usize, most: usize) -> Vec<(usize, usize)> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split('\n') {
        if lines.len() > most {
            break;
        }
        let end = start + line.len();
        let mut begin = start;
        let mut used = 0;
        let mut space = None;
        for (at, letter) in line.grapheme_indices(true) {
            let at = start + at;
            let wide = letter.width();
            let blank = letter == " ";
            if wide > 1 {
                space = Some(at);
            }
            if used + wide > columns && !blank {
                if lines.len() > most {
                    return lines;
                }
                let cut = space.filter(|space| *space > begin).unwrap_or(at);
                if cut > begin {
                    lines.push((begin, cut));
                    used = width(&text[cut..at]);
                    begin = cut;
                }
                space = None;
            }
            used += wide;
            if blank || wide > 1 {
                space = Some(at + letter.len());
            }
        }
        lines.push((begin, end));
        start = end + 1;
    }
    lines
}

/// The lines of `text` when it is broken for `columns` columns.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let lines = breaks(text, columns).into_iter();
    lines
        .map(|(begin, end)| text[begin..end].trim_end().to_owned())
        .collect()
}

/// The first lines of `text` when it is broken for `columns` columns, and how many bytes do not
/// stand there. A text of hardly more than `most` lines is whole.
pub(crate) fn fold(text: &str, columns: usize, most: usize) -> (Vec<String>, u64) {
    let mut lines = first_breaks(text, columns, most.saturating_add(FOLDED_LINES));
    if lines.len() > most.saturating_add(FOLDED_LINES) {
        lines.truncate(most);
    }
    // The last of all lines ends where the text does.
    let end = lines.last().map_or(0, |(_, end)| *end);
    let lines = lines.into_iter();
    let lines = lines.map(|(begin, end)| text[begin..end].trim_end().to_owned());
    let left = text.len().saturating_sub(end);
    (lines.collect(), u64::try_from(left).unwrap_or(u64::MAX))
}

/// Lines that are not worth to be folded away.
const FOLDED_LINES: usize = 4;

/// The beginning of a text, for places that show a line of it: at most so many bytes.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A number of bytes in a unit that people read.
pub(crate) fn size(bytes: u64) -> String {
    let tenths = |unit: u64| (bytes * 10).div_ceil(unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", tenths(1_000) / 10, tenths(1_000) % 10),
        _ => format!("{}.{} MB", tenths(1_000_000) / 10, tenths(1_000_000) % 10),
    }
}

/// Accents on one letter that are shown.
const MOST_MARKS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_stranger_writes_commands_the_terminal() {
        let text = clean("hi\u{1b}[2J\u{7}\r\nyou\u{202e}\u{9b}31m", Lines::Many);
        assert_eq!(text, "hi\\u{1b}[2J\\u{7}\nyou\\u{202e}\\u{9b}31m");
    }

    #[test]
    fn what_cannot_be_seen_is_left_out() {
        assert_eq!(clean("a\u{200b}d\u{ad}min\u{feff}", Lines::One), "admin");
        assert_eq!(clean("e\u{301}", Lines::One), "e\u{301}");
        let heap = format!("e{}", "\u{301}".repeat(50));
        assert_eq!(clean(&heap, Lines::One).chars().count(), 4);
    }

    #[test]
    fn a_picture_is_as_wide_everywhere() {
        assert_eq!(clean("❤\u{fe0f}", Lines::One), "❤");
        assert_eq!(clean("👩\u{200d}💻", Lines::One), "👩💻");
        assert_eq!(clean("👍\u{1f3fd} ✌\u{1f3fd}", Lines::One), "👍 ✌");
        assert_eq!(clean("🏳\u{fe0f}\u{200d}🌈", Lines::One), "🏳🌈");
        // Between letters the joiner changes their form and has to stay.
        assert_eq!(clean("क\u{94d}\u{200d}ष", Lines::One), "क\u{94d}\u{200d}ष");
    }

    #[test]
    fn letters_are_as_wide_as_their_cells() {
        // Four letters that a font may draw as three.
        assert_eq!(width("سلام"), 4);
        assert_eq!(width("e\u{301}日本👍"), 7);
        assert_eq!(width("🇩🇪"), 2);
        assert_eq!(fill("سلام", 6), "سلام  ");
        assert_eq!(shorten("日本語", 5), "日本…");
        assert_eq!(shorten("日本語", 4), "日…");
    }

    #[test]
    fn a_long_text_is_folded_and_a_little_longer_one_is_not() {
        let text = "one two three four five six seven eight nine ten".replace(' ', "\n");
        assert_eq!(fold(&text, 10, 6), (wrap(&text, 10), 0));
        let (lines, left) = fold(&text, 10, 3);
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(left, 35);
        let endless = "x".repeat(4 << 20);
        let (lines, left) = fold(&endless, 50, 24);
        assert_eq!((lines.len(), left), (24, (4 << 20) - 24 * 50));
        assert_eq!(beginning("aé", 2), "a");
    }

    #[test]
    fn lines_become_one() {
        assert_eq!(clean("a\n\n  b\t c", Lines::One), "a b     c");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("no 日本語text", 8), ["no 日本", "語text"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("日本", 1), ["日", "本"]);
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(shorten("picnic", 6), "picnic");
        assert_eq!(shorten("picnics", 6), "picni…");
        assert_eq!(shorten("日本語", 4), "日…");
        assert_eq!(fill("日本語", 4), "日… ");
        assert_eq!(shorten("x", 0), "");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(2_000_000), "2.0 MB");
    }
}
