//! The shell: terminal, network and database around the pure core.
//!
//! One loop takes events, lets the core change the state, starts what the core asks for, and draws
//! when something changed, at most so many times a second. What takes time runs beside it and
//! answers with events.

mod act;
mod files;
mod groups;
mod load;
mod marks;
mod people;
mod say;
mod tell;
mod terminal;
mod transfers;
mod watch;

use std::time::Duration;

use folkmoot_client::{Clock as _, SystemClock};
use futures::StreamExt as _;
use jiff::tz::TimeZone;
use ratatui::crossterm::event::EventStream;
use rustix::process::{Signal, kill_current_process_group};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{act::Hands, terminal::Screen};
use super::{
    Chat,
    event::{Effect, Event},
    model::{Model, Tells},
    update::update,
    view::{self, Theme},
    when::Clock,
};
use crate::{signals::Signals, xmtp::run::Me};

/// The time between two frames, at least.
const FRAME: Duration = Duration::from_millis(33);
/// How often the state learns what time it is.
const TICK: Duration = Duration::from_secs(1);
/// Events that are taken in before the next frame is drawn.
const MOST_EVENTS: usize = 256;

/// Runs the chat until the person ends it.
///
/// # Errors
///
/// What the terminal or the database says.
pub(super) async fn run(command: Chat, me: &Me) -> anyhow::Result<()> {
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut signals = Signals::new()?;
    let mut go_on = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    let hands = Hands::new(&command, me, sender)?;
    let theme = Theme {
        colours: command.colours(),
    };
    let mut screen = Screen::enter(command.mouse)?;
    let mut model = Model::new(me.client.inbox_id(), clock(), screen.size());
    model.tells = Tells {
        reading: command.read_receipts,
        typing: command.typing,
    };
    hands.start(command.name.clone());

    let mut keys = EventStream::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed = true;
    let mut next_frame = Instant::now();
    loop {
        let event = tokio::select! {
            key = keys.next() => match key {
                Some(key) => Event::Terminal(key?),
                // The terminal went away.
                None => Event::Terminate,
            },
            Some(event) = events.recv() => event,
            _ = tick.tick() => {
                hands.store_marks();
                Event::Time(SystemClock.now_ns())
            }
            _ = signals.next() => Event::Terminate,
            Some(()) = go_on.recv() => {
                // The shell, or whoever stopped us, may have changed the terminal and its size.
                screen.come_back()?;
                model.size = screen.size();
                Event::Resumed
            }
            () = sleep_until(next_frame), if changed => {
                screen.draw(model.size, |frame| view::draw(&model, theme, frame))?;
                changed = false;
                next_frame = Instant::now() + FRAME;
                continue;
            }
        };
        changed = true;
        let unread = model.unread();
        let mut effects = update(&mut model, event);
        for _ in 0..MOST_EVENTS {
            let Ok(event) = events.try_recv() else { break };
            effects.extend(update(&mut model, event));
        }
        if model.unread() != unread {
            screen.title(model.unread(), command.bell && model.unread() > unread)?;
        }
        for effect in effects {
            match effect {
                Effect::Quit => {
                    drop(screen);
                    hands.end().await;
                    return Ok(());
                }
                Effect::Suspend => {
                    screen.leave();
                    // Nothing happens where no shell is there that could let us go on.
                    kill_current_process_group(Signal::TSTP)?;
                    screen.come_back()?;
                    model.size = screen.size();
                }
                Effect::Redraw => screen.clear()?,
                Effect::Copy(text) => {
                    screen.copy(&text)?;
                    let said = "copied, if your terminal allows it".to_owned();
                    hands.tell(Event::Begun);
                    hands.tell(Event::Done(Some(said)));
                }
                other => hands.run(other),
            }
        }
    }
}

fn clock() -> Clock {
    Clock {
        now_ns: SystemClock.now_ns(),
        zone: TimeZone::try_system().unwrap_or(TimeZone::UTC),
    }
}
