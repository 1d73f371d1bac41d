//! The terminal: taken over, and given back as it was, however the program ends.

use std::{
    io::{self, Write as _},
    panic, thread,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{
            DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
        },
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

use super::super::model::Size;

/// The terminal while it is ours. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<io::BufWriter<io::Stdout>>>,
    mouse: bool,
}

/// A frame is written in one go.
const BUFFER: usize = 64 << 10;

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter(mouse: bool) -> io::Result<Self> {
        give_back_on_panic();
        let out = io::BufWriter::with_capacity(BUFFER, io::stdout());
        // From here on whatever fails gives it back.
        let mut screen = Self {
            terminal: Terminal::new(CrosstermBackend::new(out))?,
            mouse,
        };
        screen.come_back()?;
        Ok(screen)
    }

    /// Takes it over again.
    pub(super) fn come_back(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
        if self.mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        self.terminal.clear()
    }

    /// Gives it back, to take it over again later.
    pub(super) fn leave(&self) {
        give_back();
    }

    /// How large it is.
    pub(super) fn size(&self) -> io::Result<Size> {
        let size = self.terminal.size()?;
        Ok(Size {
            columns: size.width,
            rows: size.height,
        })
    }

    /// Draws what changed since the last frame.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(paint)?;
        Ok(())
    }

    /// Forgets what is on the screen, so that all of it is drawn.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Nobody is left to tell when this fails.
fn give_back() {
    let mut out = io::stdout();
    drop(execute!(
        out,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
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
