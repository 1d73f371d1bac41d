//! `folkmoot bot run`: keeps a bot running.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use folkmoot_client::{Client, Message, StreamOptions};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    child,
    event::{Event, Form},
    execute::{Executor, Files},
    feed::{self, Audience, Feed},
    memory::Memory,
    say,
    signature::Secret,
    webhook,
    window::{Acknowledged, Window},
};
use crate::{
    failure::{Exit, Failure},
    signals::Signals,
    xmtp::{
        settings::{ClientArgs, ClientSettings},
        value::object,
    },
};

/// Run a bot: a program that reads and writes lines, or a web server
///
/// The program gets what happens on its standard input, a line of JSON each, and answers with lines
/// on its standard output. When it fails it is started again. What it writes to standard error is
/// printed with `bot: ` before it.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct Run {
    /// The program and its arguments
    #[arg(
        value_name = "CMD",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "webhook",
        conflicts_with = "webhook"
    )]
    command: Vec<String>,
    /// Post events to this web server, and do what its answers say
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    #[command(flatten)]
    web: WebhookArgs,
    /// In which form lines are
    #[arg(
        long,
        value_name = "FORM",
        default_value = "json",
        conflicts_with = "webhook"
    )]
    format: Form,
    /// When an event is done with: as soon as it was written, or when the bot acknowledges it
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "written",
        conflicts_with = "webhook"
    )]
    ack: Acks,
    /// Events on their way at once, with --ack bot
    #[arg(long, value_name = "EVENTS", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    window: u16,
    /// Listen only to people and conversations that were allowed (`folkmoot xmtp preferences`)
    #[arg(long)]
    only_allowed: bool,
    /// Messages that the bot may send in each conversation within a minute; 0: any number
    #[arg(long, value_name = "MESSAGES", default_value_t = 60)]
    max_per_minute: u32,
    /// Give up when the program failed so often in a row [default: never]
    #[arg(long, value_name = "TIMES", conflicts_with = "webhook")]
    max_restarts: Option<u32>,
    /// How long the bot may take to end, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u64,
    #[command(flatten)]
    common: ClientArgs,
}

#[derive(Args, Debug)]
struct WebhookArgs {
    /// File with a secret that signs requests (X-Folkmoot-Signature)
    #[arg(long, value_name = "PATH", conflicts_with = "command")]
    webhook_secret_file: Option<PathBuf>,
    /// Events in one request at most
    #[arg(long, value_name = "EVENTS", default_value_t = 1, conflicts_with = "command", value_parser = clap::value_parser!(u16).range(1..=1000))]
    webhook_batch: u16,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, conflicts_with = "command", value_parser = clap::value_parser!(u64).range(1..=3600))]
    webhook_timeout: u64,
}

/// When an event is done with, so that it is not handed over again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Acks {
    /// As soon as its line was written
    Written,
    /// When the bot writes {"ack":ID}; that acknowledges all events before it, too
    Bot,
}

const HELP: &str = r#"The bot reads lines such as
  {"type":"message","id":"17","messageId":"8f…","conversationId":"4f…","text":"hi",…}
and writes lines such as
  {"type":"reply","messageId":"8f…","text":"hello"}
  {"type":"send","to":"0x…","text":"good morning","id":"morning-2026-01-31"}
Events: ready, message, reaction, member_joined, group_updated, sent, error, caught_up, stop.
Commands: send, reply, react, attach, read, leave, stop; {"ack":"17"} with --ack bot.
docs/bots.md has every field.

Examples:
  folkmoot bot run ./echo.py
  folkmoot bot run --env dev -- node echo.mjs --loud
  folkmoot bot run --format text ./echo.sh
  folkmoot bot run --ack bot --only-allowed ./echo.py
  folkmoot bot run --webhook https://example.org/hook --webhook-secret-file secret

The database is the bot's for as long as it runs; give each bot its own with --db-path.
Exit codes: 0 asked to end, or the program ended with 0; 1 failed, 2 wrong usage, 3 network,
4 no such program, 5 the database is in use, or the installation was revoked."#;

/// Pauses before a bot that failed is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the client may take to close, as when the network is away.
const LONGEST_CLOSE: Duration = Duration::from_secs(10);
/// A bot that ran for so long is well: pauses begin again with the first.
const HEALTHY: Duration = Duration::from_secs(60);
/// So often a bot may end over the same event before that is passed over.
const TRIES: u32 = 5;

/// What all parts of a running bot share.
#[derive(Debug)]
pub(super) struct Bot {
    /// Whoever the bot is.
    pub(super) client: Client,
    /// Does what it says.
    pub(super) executor: Executor,
    window: Mutex<Window>,
    /// Told when the window may have room again.
    pub(super) room: Notify,
    position: watch::Sender<u64>,
    audience: Audience,
    synced: watch::Receiver<u64>,
    /// Ends the program, kindly.
    pub(super) stop: CancellationToken,
    /// Ends it at once.
    pub(super) now: CancellationToken,
    /// How long the bot may take to end.
    pub(super) grace: Duration,
}

impl Bot {
    /// The events from the last acknowledged one on.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn feed(&self) -> Result<Feed, folkmoot_client::Error> {
        let position = self.window.lock().position();
        let client = self.client.clone();
        Feed::after(position, client, self.audience, self.synced.clone()).await
    }

    /// The first line: who the bot is.
    pub(super) fn ready(&self) -> Event {
        Event::new(object! {
            "type" => "ready",
            "protocol" => 1_u32,
            "inboxId" => self.client.inbox_id().to_string(),
            "address" => self.client.identifier().to_string(),
            "installationId" => self.client.installation_key().to_string(),
            "network" => self.client.network().address(),
            "version" => env!("CARGO_PKG_VERSION"),
        })
    }

    /// Makes events of a message, and notes that they are on their way.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn hand_over(
        &self,
        feed: &mut Feed,
        position: u64,
        message: &Message,
    ) -> Result<Vec<(String, Event)>, folkmoot_client::Error> {
        let events = feed.events(position, message).await?;
        let ids = events.iter().map(|(id, _)| id.clone());
        self.window.lock().push(position, ids);
        self.tell_position();
        Ok(events)
    }

    /// Whether another message may be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.window.lock().has_room()
    }

    /// Takes an acknowledgement.
    pub(super) fn acknowledge(&self, id: &str) -> Acknowledged {
        let acknowledged = self.window.lock().acknowledge(id);
        self.tell_position();
        acknowledged
    }

    /// Acknowledges everything that is on its way.
    pub(super) fn acknowledge_all(&self) {
        self.window.lock().acknowledge_all();
        self.tell_position();
    }

    /// Waits until the program is to end and the time for it is over.
    pub(super) async fn gone(&self) {
        self.stop.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(self.grace) => {}
            () = self.now.cancelled() => {}
        }
    }

    fn tell_position(&self) {
        let position = self.window.lock().position();
        self.position.send_if_modified(|known| {
            let is_new = *known != position;
            *known = position;
            is_new
        });
        self.room.notify_one();
    }
}

impl Run {
    /// Runs the bot until somebody ends it.
    ///
    /// # Errors
    ///
    /// A [`Failure`] with its exit code, or whatever went wrong.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let hook = self.hook()?;
        let settings = self.common.settle()?;
        // From here on a signal ends the program kindly.
        let mut signals = Signals::new()?;
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        let listening = {
            let (stop, now) = (stop.clone(), now.clone());
            tokio::spawn(async move {
                signals.next().await;
                stop.cancel();
                signals.next().await;
                now.cancel();
            })
        };
        let opened = tokio::select! {
            opened = settings.open(true) => opened,
            () = stop.cancelled() => return Ok(()),
        };
        let client = opened?;
        let done = self.keep_running(hook, &settings, client.clone(), stop, now);
        let done = done.await;
        listening.abort();
        let rights = match client.is_revoked() {
            true => Err(folkmoot_client::Error::from(client.revoked().await)),
            false => Ok(()),
        };
        // What could not be looked after in this time is at the next start.
        drop(tokio::time::timeout(LONGEST_CLOSE, client.close()).await);
        done?;
        Ok(rights?)
    }

    fn hook(&self) -> anyhow::Result<Option<webhook::Hook>> {
        let Some(url) = &self.webhook else {
            return Ok(None);
        };
        let secret = self.web.webhook_secret_file.as_deref();
        let hook = webhook::Hook::new(
            url,
            secret.map(Secret::read).transpose()?,
            usize::from(self.web.webhook_batch),
            Duration::from_secs(self.web.webhook_timeout),
        )?;
        Ok(Some(hook))
    }

    async fn keep_running(
        &self,
        hook: Option<webhook::Hook>,
        settings: &ClientSettings,
        client: Client,
        stop: CancellationToken,
        now: CancellationToken,
    ) -> anyhow::Result<()> {
        let memory = Memory::open(&client)
            .await
            .map_err(folkmoot_client::Error::from)?;
        let stream = client
            .conversations()
            .stream_all_messages(StreamOptions::default())
            .await?;
        let known = memory
            .position()
            .await
            .map_err(folkmoot_client::Error::from)?;
        // A new bot does not answer what was said before it came.
        let position = known.unwrap_or_else(|| stream.position());
        memory
            .advance(position)
            .await
            .map_err(folkmoot_client::Error::from)?;
        let (synced, has_synced) = watch::channel(0);
        let syncing = tokio::spawn(feed::keep_synced(client.clone(), stream, synced));
        let files = match hook {
            Some(_) => Files::Refused,
            None => Files::Allowed,
        };
        let limit = usize::try_from(self.max_per_minute).unwrap_or(usize::MAX);
        let bot = Arc::new(Bot {
            executor: Executor::new(client.clone(), memory.clone(), limit, files),
            window: Mutex::new(Window::new(position, self.window())),
            room: Notify::new(),
            position: watch::Sender::new(position),
            audience: match self.only_allowed {
                true => Audience::Allowed,
                false => Audience::Everybody,
            },
            synced: has_synced,
            stop,
            now,
            grace: Duration::from_secs(self.grace),
            client,
        });
        let noting = tokio::spawn(keep_position(memory.clone(), bot.position.subscribe()));
        let done = match hook {
            Some(hook) => hook.run(&bot).await,
            None => self.children(&bot, settings).await,
        };
        syncing.abort();
        noting.abort();
        let position = bot.window.lock().position();
        let noted = memory.advance(position).await;
        done?;
        Ok(noted.map_err(folkmoot_client::Error::from)?)
    }

    fn window(&self) -> usize {
        match (&self.webhook, self.ack) {
            // One message may be several events.
            (Some(_), _) => usize::MAX,
            (None, Acks::Written) => usize::MAX,
            (None, Acks::Bot) => usize::from(self.window),
        }
    }

    /// Starts the program, and starts it again whenever it fails.
    async fn children(&self, bot: &Arc<Bot>, settings: &ClientSettings) -> anyhow::Result<()> {
        let program = child::Program {
            command: self.command.clone(),
            form: self.format,
            acks: self.ack,
        };
        if settings.network.verbose {
            say(&format!("starts {:?}", self.command));
        }
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut failures = 0;
        let mut stumbles = Stumbles::default();
        loop {
            let began = Instant::now();
            let how = match child::run(bot, &program).await {
                Ok(child::End::Finished) => {
                    if !bot.stop.is_cancelled() {
                        say("the bot ended by itself, with exit code 0");
                    }
                    return Ok(());
                }
                Ok(child::End::Killed) => {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("the bot did not end within {} s and was killed", self.grace),
                        "end the bot at {\"type\":\"stop\"} or at the end of its input; or a longer --grace",
                    )
                    .into());
                }
                Ok(child::End::Failed(how)) => how,
                // A program that never ran is told at once; later it may be about to be replaced.
                Err(cause) if failures == 0 || !cause.is::<Failure>() => return Err(cause),
                Err(cause) => format!("{cause:#}"),
            };
            if bot.stop.is_cancelled() {
                say(&format!("the bot ended: {how}"));
                return Ok(());
            }
            if began.elapsed() >= HEALTHY {
                backoff.reset();
                failures = 0;
            }
            failures += 1;
            if self.max_restarts.is_some_and(|most| failures > most) {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("the bot failed {failures} times in a row: {how}"),
                    "what it wrote to standard error says why",
                )
                .into());
            }
            {
                let mut window = bot.window.lock();
                if self.ack == Acks::Bot
                    && let Some(position) = stumbles.over(window.oldest())
                {
                    say(&format!(
                        "the bot ended {TRIES} times without acknowledging event {position}, \
                         which is passed over"
                    ));
                    window.skip_oldest();
                }
                window.rewind();
            }
            bot.tell_position();
            let pause = backoff.pause();
            say(&format!(
                "the bot ended: {how}; starting it again in {:.1} s",
                pause.as_secs_f64()
            ));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = bot.stop.cancelled() => return Ok(()),
            }
        }
    }
}

/// Over which event a bot ends again and again.
#[derive(Debug, Default)]
struct Stumbles {
    position: Option<u64>,
    times: u32,
}

impl Stumbles {
    /// The bot ended while this was the oldest event that it had not acknowledged. Gives it back
    /// when that happened too often.
    fn over(&mut self, oldest: Option<u64>) -> Option<u64> {
        if oldest != self.position {
            *self = Self {
                position: oldest,
                times: 0,
            };
        }
        self.times += 1;
        oldest.filter(|_| self.times >= TRIES)
    }
}

/// Writes down how far the bot came. It does not end.
async fn keep_position(memory: Memory, mut position: watch::Receiver<u64>) {
    while position.changed().await.is_ok() {
        let now = *position.borrow_and_update();
        if let Err(cause) = memory.advance(now).await {
            say(&format!("how far the bot came could not be noted: {cause}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_that_ends_over_one_event_again_and_again_stumbles() {
        let mut stumbles = Stumbles::default();
        for _ in 1..TRIES {
            assert_eq!(stumbles.over(Some(4)), None);
        }
        assert_eq!(stumbles.over(Some(4)), Some(4));
        assert_eq!(stumbles.over(Some(5)), None);
        for _ in 0..2 * TRIES {
            assert_eq!(stumbles.over(None), None);
        }
    }
}
