//! A text that is being written, and the cursor in it.

use unicode_segmentation::UnicodeSegmentation as _;

use super::text;

/// A text and a cursor, which stands before a letter or at the end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Editor {
    text: String,
    cursor: usize,
}

/// Where the cursor goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Move {
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
}

/// The longest text, in bytes: far below what a message may have.
pub(crate) const MOST_BYTES: usize = 64 << 10;

impl Editor {
    /// This text, with the cursor at its end.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let cursor = text.len();
        Self { text, cursor }
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Puts `more` at the cursor. What would make the text too long is left out.
    pub(crate) fn insert(&mut self, more: &str) {
        for letter in more.graphemes(true) {
            // Line ends come in three spellings; of other controls nothing can be made.
            let letter = match letter {
                "\r\n" | "\r" => "\n",
                other => other,
            };
            // Nor of marks that turn the direction of writing around.
            let control = |one: char| match one {
                '\n' | '\t' => false,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
                other => other.is_control(),
            };
            if self.text.len() + letter.len() > MOST_BYTES || letter.contains(control) {
                continue;
            }
            self.text.insert_str(self.cursor, letter);
            self.cursor += letter.len();
        }
    }

    /// Takes away the letter before the cursor.
    pub(crate) fn backspace(&mut self) {
        let end = self.cursor;
        self.go(Move::Left);
        self.text.drain(self.cursor..end);
    }

    /// Takes away the letter after the cursor.
    pub(crate) fn delete(&mut self) {
        let end = self.right();
        self.text.drain(self.cursor..end);
    }

    /// Takes away the word before the cursor.
    pub(crate) fn delete_word(&mut self) {
        let end = self.cursor;
        self.go(Move::WordLeft);
        self.text.drain(self.cursor..end);
    }

    /// Takes away everything before the cursor on its line.
    pub(crate) fn delete_line(&mut self) {
        let end = self.cursor;
        self.go(Move::Home);
        self.text.drain(self.cursor..end);
    }

    fn right(&self) -> usize {
        let after = self.text[self.cursor..].graphemes(true).next();
        self.cursor + after.map_or(0, str::len)
    }

    /// Moves the cursor. `false`: it is there already.
    pub(crate) fn go(&mut self, to: Move) -> bool {
        let (before, after) = self.text.split_at(self.cursor);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let end = self.cursor + after.find('\n').unwrap_or(after.len());
        let new = match to {
            Move::Left => {
                let letter = before.graphemes(true).next_back();
                self.cursor - letter.map_or(0, str::len)
            }
            Move::Right => self.right(),
            Move::WordLeft => {
                let word = |(_, word): &(usize, &str)| word.chars().any(char::is_alphanumeric);
                let mut words = before.split_word_bound_indices().filter(word);
                words.next_back().map_or(0, |(at, _)| at)
            }
            Move::WordRight => {
                let word = |(_, word): &(usize, &str)| word.chars().any(char::is_alphanumeric);
                let next = after.split_word_bound_indices().find(word);
                next.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
            }
            Move::Home => line,
            Move::End => end,
            Move::Up if line == 0 => self.cursor,
            Move::Up => {
                let above = before[..line - 1].rfind('\n').map_or(0, |at| at + 1);
                self.below(above, line - 1, text::width(&before[line..]))
            }
            Move::Down if end == self.text.len() => self.cursor,
            Move::Down => {
                let next = end + 1;
                let next_end = self.text[next..]
                    .find('\n')
                    .map_or(self.text.len(), |at| next + at);
                self.below(next, next_end, text::width(&before[line..]))
            }
        };
        std::mem::replace(&mut self.cursor, new) != new
    }

    /// The place on the line from `begin` to `end` that is `columns` from its start.
    fn below(&self, begin: usize, end: usize, columns: usize) -> usize {
        let mut used = 0;
        for (at, letter) in self.text[begin..end].grapheme_indices(true) {
            if used >= columns {
                return begin + at;
            }
            used += text::width(letter);
        }
        end
    }

    /// The lines for `columns` columns, with the line and the column of the cursor. Tabs count as
    /// one column.
    pub(crate) fn lines(&self, columns: usize) -> (Vec<String>, (usize, usize)) {
        // The cursor behind the last letter needs a column too.
        let shown = self.text.replace('\t', " ");
        let mut lines = Vec::new();
        let mut cursor = (0, 0);
        for (begin, end) in text::breaks(&shown, columns.saturating_sub(1)) {
            if (begin..=end).contains(&self.cursor) {
                let before = text::clean(&shown[begin..self.cursor], text::Lines::Many);
                cursor = (lines.len(), text::width(&before));
            }
            lines.push(text::clean(&shown[begin..end], text::Lines::Many));
        }
        (lines, cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_by_what_people_see_as_letters() {
        let mut editor = Editor::new("ae\u{301}👍🏽");
        editor.go(Move::Left);
        editor.backspace();
        assert_eq!(editor.text(), "a👍🏽");
        editor.delete();
        assert_eq!(editor.text(), "a");
        assert!(!editor.go(Move::Right));
    }

    #[test]
    fn up_and_down_keep_the_column() {
        let mut editor = Editor::new("one\ntwelve\nxy");
        assert!(editor.go(Move::Up));
        editor.insert("|");
        assert_eq!(editor.text(), "one\ntw|elve\nxy");
        assert!(editor.go(Move::Up));
        assert!(!editor.go(Move::Up));
        editor.go(Move::Home);
        editor.insert("|");
        assert_eq!(editor.text(), "|one\ntw|elve\nxy");
        editor.go(Move::End);
        editor.go(Move::Down);
        editor.go(Move::Down);
        assert!(!editor.go(Move::Down));
        editor.insert("!");
        assert_eq!(editor.text(), "|one\ntw|elve\nxy!");
    }

    #[test]
    fn words_and_lines_are_taken_away_whole() {
        let mut editor = Editor::new("at the lake, ");
        editor.delete_word();
        assert_eq!(editor.text(), "at the ");
        editor.insert("\nx y");
        editor.delete_line();
        assert_eq!(editor.text(), "at the \n");
        editor.go(Move::WordLeft);
        editor.go(Move::WordRight);
        editor.insert("!");
        assert_eq!(editor.text(), "at the! \n");
    }

    #[test]
    fn what_is_pasted_keeps_its_lines_and_loses_its_controls() {
        let mut editor = Editor::default();
        editor.insert("a\r\nb\rc\u{1b}[31m\td\u{202e}\u{9b}");
        assert_eq!(editor.text(), "a\nb\nc[31m\td");
        editor.insert(&"x".repeat(MOST_BYTES));
        assert_eq!(editor.text().len(), MOST_BYTES);
    }

    #[test]
    fn the_cursor_is_found_in_broken_lines() {
        let mut editor = Editor::new("hello world");
        assert_eq!(
            editor.lines(8),
            (vec!["hello ".to_owned(), "world".to_owned()], (1, 5))
        );
        editor.go(Move::WordLeft);
        assert_eq!(editor.lines(8).1, (1, 0));
        assert_eq!(Editor::default().lines(5), (vec![String::new()], (0, 0)));
        // It stands behind what is seen, not behind what was written.
        assert_eq!(Editor::new("❤\u{fe0f}👩\u{200d}💻").lines(9).1, (0, 5));
    }
}
