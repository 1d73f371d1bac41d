//! A bot that is a web server: events are posted to it, and its answers are commands.
//!
//! One request is under way at a time. What was answered with 2xx is done with; everything else is
//! tried again, so that a server may be away for a while. A server that is there and fails again and
//! again over the same events gets them passed over: nobody should be able to silence a bot with one
//! message.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use folkmoot_client::Error;
use futures::FutureExt as _;
use reqwest::{Client as Http, StatusCode, Url, header, redirect};
use serde::Deserialize;

use super::{
    backoff::Backoff,
    command::{self, Action, Line, LineError},
    event::{Code, Event, Form, Trouble},
    execute::pause_after,
    feed::{Feed, Next},
    lines::LONGEST_LINE,
    run::Bot,
    say,
    signature::Secret,
};
use crate::{
    failure::{Exit, Failure},
    xmtp::value::{Value, object},
};

/// The web server, and how to talk to it.
#[derive(Debug)]
pub(super) struct Hook {
    url: Url,
    http: Http,
    secret: Option<Secret>,
    /// Events in one request at most.
    batch: usize,
}

/// Commands in one answer at most.
const MOST_COMMANDS: usize = 1000;
/// Pauses before a request is sent again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Messages are not added to a request that says so much already.
const FULL_BYTES: usize = 8 << 20;
/// So often events are posted to a server that answers and does not take them.
const TRIES: u32 = 8;

/// What came of a request.
enum Answer {
    /// 2xx, with the body if it is JSON.
    Taken(Option<Vec<u8>>),
    /// The server is not there, or not now.
    Away(String),
    /// The server does not want it.
    Refused(String),
}

/// The body of an answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Commands {
    /// `{"commands":[…]}`, also without any.
    Named(Named),
    /// `[…]`
    List(Vec<serde_json::Value>),
    /// One command.
    One(serde_json::Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    commands: Vec<serde_json::Value>,
}

/// Events that are posted together.
#[derive(Default)]
struct Batch {
    events: Vec<Value>,
    /// It has something that happened, and not only answers to commands.
    has_news: bool,
    /// Bytes of what the messages say.
    bytes: usize,
}

impl Hook {
    /// The server at `url`, which has `timeout` for each answer.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when `url` is none.
    pub(super) fn new(
        url: &str,
        secret: Option<Secret>,
        batch: usize,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let wrong = || {
            let what = format!("--webhook {url:?} is no address of a web server");
            Failure::new(Exit::Usage, what, "https://example.org/hook")
        };
        let parsed = Url::parse(url).map_err(|_| wrong())?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(wrong().into());
        }
        if parsed.scheme() == "http" && !is_loopback(&parsed) {
            say("the webhook is not https: everybody on the way can read the messages");
        }
        // It fails when the program did it before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Http::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .user_agent(concat!("folkmoot/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("prepare HTTP")?;
        Ok(Self {
            url: parsed,
            http,
            secret,
            batch,
        })
    }

    /// Posts events until somebody ends the program.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn run(&self, bot: &Arc<Bot>) -> anyhow::Result<()> {
        let mut feed = bot.feed().await?;
        let mut outcomes = VecDeque::from([bot.ready()]);
        // Answers to answers: a server that always says something would go round in circles.
        let mut circles = Backoff::new(Duration::from_millis(250), LONGEST_PAUSE);
        let mut has_news = true;
        // When the program is to end, everything has the same time left, and not each thing anew.
        let gone = bot.gone().shared();
        while !bot.stop.is_cancelled() {
            let batch = tokio::select! {
                biased;
                () = bot.stop.cancelled() => break,
                cause = bot.client.revoked() => Err(Error::from(cause).into()),
                batch = self.gather(bot, &mut feed, &mut outcomes, has_news, &mut circles) => batch,
            };
            let batch = match batch {
                Err(cause) if cause.downcast_ref().is_some_and(Error::is_revoked) => {
                    outcomes.extend(cause.downcast_ref().map(Event::revoked));
                    bot.stop.cancel();
                    break;
                }
                batch => batch?,
            };
            has_news = batch.has_news;
            if has_news {
                circles.reset();
            }
            let (mut is_done, answers) = self.deliver(&gone, bot, batch).await;
            for answer in answers {
                let obeyed = self.obey(&gone, bot, answer, has_news, &mut outcomes);
                is_done &= obeyed.await;
            }
            // Only now: what an answer says is as much part of an event as that it was taken.
            if is_done {
                bot.acknowledge_all();
            }
        }
        let mut last = Batch::default();
        last.events
            .extend(outcomes.into_iter().map(Event::into_value));
        last.events.push(Event::stop().into_value());
        // Whether the server hears of it is up to it.
        let body = body(&last.events);
        tokio::select! {
            _ = tokio::time::timeout(bot.grace, self.post(&body)) => {}
            () = bot.now.cancelled() => {}
        }
        Ok(())
    }

    /// What to post next; waits until there is something. Not cancel safe, but what is lost then is
    /// not acknowledged.
    async fn gather(
        &self,
        bot: &Bot,
        feed: &mut Feed,
        outcomes: &mut VecDeque<Event>,
        had_news: bool,
        circles: &mut Backoff,
    ) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        if !had_news && !outcomes.is_empty() {
            // Something that happens ends the pause.
            tokio::select! {
                () = tokio::time::sleep(circles.pause()) => {}
                next = feed.next() => self.add(bot, feed, next?, &mut batch).await?,
            }
        }
        while let Some(outcome) = outcomes.pop_front() {
            batch.has_news |= outcome.is_ready();
            batch.events.push(outcome.into_value());
        }
        while batch.events.is_empty() {
            let next = feed.next().await?;
            self.add(bot, feed, next, &mut batch).await?;
        }
        while batch.events.len() < self.batch && batch.bytes < FULL_BYTES {
            match feed.next_now().await? {
                Some(next) => self.add(bot, feed, next, &mut batch).await?,
                None => break,
            }
        }
        Ok(batch)
    }

    async fn add(
        &self,
        bot: &Bot,
        feed: &mut Feed,
        next: Next,
        batch: &mut Batch,
    ) -> anyhow::Result<()> {
        let events = match next {
            Next::CaughtUp => vec![(String::new(), Event::caught_up())],
            Next::Message(position, message) => {
                batch.bytes += message.encoded.len();
                bot.hand_over(feed, position, &message).await?
            }
        };
        for (_, event) in events {
            batch.has_news = true;
            batch.events.push(event.into_value());
        }
        Ok(())
    }

    /// Posts events until they are taken or given up, and hands back the answers. `false`: the
    /// program ended before.
    async fn deliver(
        &self,
        gone: &(impl Future<Output = ()> + Clone),
        bot: &Bot,
        batch: Batch,
    ) -> (bool, Vec<Vec<u8>>) {
        let mut answers = Vec::new();
        let mut waiting = VecDeque::from([batch.events]);
        while let Some(events) = waiting.pop_front() {
            match self.insist(gone, bot, &events).await {
                Insisted::Taken(answer) => answers.extend(answer),
                Insisted::Interrupted => return (false, answers),
                // One of them may be the reason: each gets its own chance.
                Insisted::GivenUp(_) if events.len() > 1 => {
                    waiting = events.into_iter().map(|event| vec![event]).collect();
                }
                Insisted::GivenUp(why) => {
                    let name = |name| events[0].field(name).map(Value::to_json);
                    let which = [name("type"), name("id")].into_iter().flatten();
                    let which = which.collect::<Vec<_>>().join(" ");
                    say(&format!(
                        "the webhook {why}; the event {which} is passed over"
                    ));
                }
            }
        }
        (true, answers)
    }

    async fn insist(
        &self,
        gone: &(impl Future<Output = ()> + Clone),
        bot: &Bot,
        events: &[Value],
    ) -> Insisted {
        let body = body(events);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        // Together events get one chance, and so do those that need no acknowledgement.
        let tries = match events {
            [event] if !is_notice(event) => TRIES,
            _ => 1,
        };
        let mut refused = 0;
        loop {
            let answer = tokio::select! {
                answer = self.post(&body) => answer,
                // A request that is under way may still be taken.
                () = gone.clone() => return Insisted::Interrupted,
            };
            let why = match answer {
                Answer::Taken(answer) => return Insisted::Taken(answer),
                Answer::Away(why) => why,
                Answer::Refused(why) => {
                    refused += 1;
                    if refused >= tries {
                        return Insisted::GivenUp(why);
                    }
                    why
                }
            };
            let pause = backoff.pause();
            say(&format!(
                "the webhook {why}; trying again in {:.1} s",
                pause.as_secs_f64()
            ));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = bot.stop.cancelled() => return Insisted::Interrupted,
            }
        }
    }

    async fn post(&self, body: &[u8]) -> Answer {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = now.map_or(0, |now| now.as_secs());
        let mut request = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-folkmoot-timestamp", seconds.to_string());
        if let Some(secret) = &self.secret {
            request = request.header("x-folkmoot-signature", secret.sign(seconds, body));
        }
        let response = match request.body(body.to_vec()).send().await {
            Ok(response) => response,
            Err(cause) => return Answer::Away(unreachable(cause)),
        };
        let status = response.status();
        if !status.is_success() {
            let why = format!("answers {status}");
            return match status {
                StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => Answer::Away(why),
                _ => Answer::Refused(why),
            };
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_json = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
        match read(response).await {
            Ok(answer) => Answer::Taken(Some(answer).filter(|_| is_json)),
            Err(why) => Answer::Away(why),
        }
    }

    /// Does what an answer says. Without news before it, what is wrong with it is told to the
    /// operator alone. `false`: the program ended before everything was done.
    async fn obey(
        &self,
        gone: &(impl Future<Output = ()> + Clone),
        bot: &Bot,
        answer: Vec<u8>,
        has_news: bool,
        outcomes: &mut VecDeque<Event>,
    ) -> bool {
        if answer.trim_ascii().is_empty() {
            return true;
        }
        let commands = match serde_json::from_slice(&answer) {
            Ok(Commands::Named(Named { commands })) | Ok(Commands::List(commands)) => commands,
            Ok(Commands::One(serde_json::Value::Object(fields))) if fields.is_empty() => {
                return true;
            }
            Ok(Commands::One(command)) => vec![command],
            Err(cause) => {
                say(&format!("the webhook's answer is no JSON: {cause}"));
                if has_news {
                    let trouble = LineError::Json(cause.to_string()).trouble(Form::Json);
                    outcomes.push_back(Event::error(trouble, None, None));
                }
                return true;
            }
        };
        let many = commands.len() > MOST_COMMANDS;
        for (index, command) in commands.into_iter().take(MOST_COMMANDS).enumerate() {
            let number = u64::try_from(index + 1).ok();
            let id = command::id_in(&command);
            let outcome = match command::from_json(command) {
                Ok(Line::Command(command)) if command.action == Action::Stop => {
                    bot.stop.cancel();
                    continue;
                }
                Ok(Line::Command(command)) => tokio::select! {
                    outcome = bot.executor.run(command, number) => outcome,
                    () = gone.clone() => return false,
                },
                Ok(Line::Acknowledge(_)) => {
                    let message = "events of a webhook are acknowledged by the status";
                    let trouble = Trouble::new(Code::Refused, message, "2xx for what was done");
                    Event::error(trouble, None, number)
                }
                Err(cause) => Event::error(cause.trouble(Form::Json), id, number),
            };
            let pause = pause_after(&outcome);
            outcomes.push_back(outcome);
            if let Some(pause) = pause {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = gone.clone() => return false,
                }
            }
        }
        if many {
            let message = format!("an answer has more than {MOST_COMMANDS} commands");
            let trouble = Trouble::new(Code::BadLine, message, "fewer; the rest was not done");
            outcomes.push_back(Event::error(trouble, None, None));
        }
        true
    }
}

/// What came of trying again and again.
enum Insisted {
    Taken(Option<Vec<u8>>),
    GivenUp(String),
    Interrupted,
}

/// Whether an event is about the bot itself, and nothing is lost without it.
fn is_notice(event: &Value) -> bool {
    let Some(Value::Text(kind)) = event.field("type") else {
        return false;
    };
    matches!(&**kind, "ready" | "caught_up" | "sent" | "error" | "stop")
}

fn body(events: &[Value]) -> Vec<u8> {
    let events = Value::list(events.iter().cloned());
    object! { "events" => events }.to_json().into_bytes()
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > LONGEST_LINE {
            // It was taken; only what it says is lost.
            say("the webhook's answer is longer than 4 MiB, and is passed over");
            return Ok(Vec::new());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn unreachable(cause: reqwest::Error) -> String {
    if cause.is_timeout() {
        return "does not answer in time".to_owned();
    }
    let cause = anyhow::Error::from(cause.without_url());
    format!("cannot be reached: {cause:#}")
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let hook = Hook::new(url, None, 1, Duration::from_secs(1));
        hook.unwrap_err().to_string()
    }

    #[test]
    fn an_address_is_one_of_a_web_server() {
        for wrong in ["", "example.org", "ftp://example.org", "file:///etc/passwd"] {
            let told = refused(wrong);
            assert!(told.ends_with("is no address of a web server"), "{told}");
        }
        assert!(is_loopback(&Url::parse("http://[::1]:80/").unwrap()));
        assert!(is_loopback(&Url::parse("http://localhost/").unwrap()));
        assert!(!is_loopback(&Url::parse("http://10.0.0.1/").unwrap()));
    }

    #[test]
    fn an_answer_is_one_command_or_many() {
        let count = |json: &str| match serde_json::from_str(json).unwrap() {
            Commands::Named(Named { commands }) | Commands::List(commands) => commands.len(),
            Commands::One(_) => 1,
        };
        assert_eq!(count(r#"{"commands":[{"type":"stop"},{}]}"#), 2);
        assert_eq!(count(r#"[{"type":"stop"}]"#), 1);
        assert_eq!(count(r#"{"type":"stop"}"#), 1);
    }
}
