//! The terminal: taken over, and given back as it was, however the program ends.

use std::{
    io::{self, Write as _},
    panic, thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{
            DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
        },
        execute,
        style::Print,
        terminal::{
            self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, SetTitle,
            disable_raw_mode, enable_raw_mode,
        },
    },
    layout::Rect,
};

use super::super::model::Size;

/// The terminal while it is ours. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Canvas,
    size: Size,
    mouse: bool,
}

/// What is drawn on.
type Canvas = Terminal<CrosstermBackend<io::BufWriter<io::Stdout>>>;

/// Puts the title of the window aside (xterm), and back.
const KEEP_TITLE: &str = "\x1b[22;2t";
const TITLE_BACK: &str = "\x1b[23;2t";
/// A frame is written in one go.
const BUFFER: usize = 64 << 10;

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter(mouse: bool) -> io::Result<Self> {
        give_back_on_panic();
        let size = size()?;
        // From here on whatever fails gives it back.
        let mut screen = Self {
            terminal: canvas(size)?,
            size,
            mouse,
        };
        screen.come_back()?;
        Ok(screen)
    }

    /// Takes it over again.
    pub(super) fn come_back(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(
            io::stdout(),
            Print(KEEP_TITLE),
            EnterAlternateScreen,
            EnableBracketedPaste
        )?;
        if self.mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        self.size = size()?;
        self.clear()
    }

    /// Gives it back, to take it over again later.
    pub(super) fn leave(&self) {
        give_back();
    }

    /// How large it is.
    pub(super) const fn size(&self) -> Size {
        self.size
    }

    /// Draws what changed since the last frame, for a terminal of this size.
    pub(super) fn draw(
        &mut self,
        size: Size,
        paint: impl FnOnce(&mut Frame<'_>),
    ) -> io::Result<()> {
        if size != self.size {
            self.size = size;
            self.clear()?;
        }
        self.terminal.draw(paint)?;
        Ok(())
    }

    /// Tells in the title of the window how many messages are unread, and rings the bell if wanted.
    pub(super) fn title(&self, unread: u64, bell: bool) -> io::Result<()> {
        let title = match unread {
            0 => "folkmoot".to_owned(),
            new => format!("folkmoot ({new})"),
        };
        let mut out = io::stdout();
        execute!(out, SetTitle(title))?;
        if bell {
            out.write_all(b"\x07")?;
        }
        out.flush()
    }

    /// Asks the terminal to put a text where other programs paste it from (OSC 52). In base64 no
    /// text does anything else.
    pub(super) fn copy(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout();
        let text = BASE64_STANDARD.encode(text);
        write!(out, "\x1b]52;c;{text}\x07")?;
        out.flush()
    }

    /// Forgets what is on the screen, so that all of it is drawn. (The library's own way asks the
    /// terminal where its cursor is, and fails when the answer takes two seconds.)
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal = canvas(self.size)?;
        execute!(io::stdout(), Clear(ClearType::All))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// How large the terminal is now.
fn size() -> io::Result<Size> {
    let (columns, rows) = terminal::size()?;
    Ok(Size { columns, rows })
}

/// An empty canvas of this size.
fn canvas(size: Size) -> io::Result<Canvas> {
    let out = io::BufWriter::with_capacity(BUFFER, io::stdout());
    let viewport = Viewport::Fixed(Rect::new(0, 0, size.columns, size.rows));
    Terminal::with_options(CrosstermBackend::new(out), TerminalOptions { viewport })
}

/// Nobody is left to tell when this fails.
fn give_back() {
    let mut out = io::stdout();
    drop(execute!(
        out,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Print(TITLE_BACK),
        Show
    ));
    drop(out.flush());
    drop(disable_raw_mode());
}

/// A panic of this thread ends the program, and is to be read on a terminal that works. Those of
/// other threads do not end it, and would be written over the screen.
fn give_back_on_panic() {
    let ours = thread::current().id();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |information| {
        if thread::current().id() == ours {
            give_back();
            before(information);
        } else {
            tracing::error!(%information, "some work of the chat was cut off");
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Says to a test of this program that it has a terminal of its own now.
    const ON_STAGE: &str = "FOLKMOOT_TEST_ON_STAGE";

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_told_after_that() {
        if std::env::var_os(ON_STAGE).is_some() {
            let _screen = Screen::enter(true).unwrap();
            panic!("the lamp fell");
        }
        let program = std::env::current_exe().unwrap();
        let name = "chat::shell::terminal::tests::\
                    a_panic_gives_the_terminal_back_and_is_told_after_that";
        let play = format!(
            "stty rows 24 cols 80; echo before=$(stty -g); \
             '{}' --exact --nocapture {name}; echo after=$(stty -g)",
            program.display()
        );
        // util-linux gives it a terminal, and tells what was written there.
        let script = Command::new("script")
            .args(["-qec", &play, "/dev/null"])
            .env(ON_STAGE, "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&script.stdout);
        let at = |what: &str| {
            let place = shown.find(what);
            place.unwrap_or_else(|| panic!("{what:?} is not in {shown:?}"))
        };
        let told = at("the lamp fell");
        assert!(at("\x1b[?1049h") < at("\x1b[?1049l"), "{shown:?}");
        for given_back in ["\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l", "\x1b[?1000l"] {
            assert!(at(given_back) < told, "{given_back:?} in {shown:?}");
        }
        let mode = |when: &str| shown[at(when) + when.len()..].lines().next().unwrap();
        assert_eq!(mode("before="), mode("after="), "{shown:?}");
    }
}
