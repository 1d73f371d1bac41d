//! A bot that is a program: lines on its standard input and output.
//!
//! Three things go on at the same time: events are written, commands are read and done one after the
//! other, and what it says on standard error is printed. A program that does not read is waited for.

use std::{
    io::{ErrorKind, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    time::timeout,
};

use super::{
    command::{self, Action, Line},
    event::{Code, Event, Form, Trouble},
    execute::pause_after,
    feed::Next,
    lines::{self, LONGEST_LINE, Lines},
    run::{Acks, Bot},
    window::Acknowledged,
};
use crate::failure::{Exit, Failure};

/// How a program is run.
#[derive(Debug)]
pub(super) struct Program {
    /// It and its arguments.
    pub(super) command: Vec<String>,
    /// The form of lines.
    pub(super) form: Form,
    /// When events are done with.
    pub(super) acks: Acks,
}

/// How a program ended.
#[derive(Debug)]
pub(super) enum End {
    /// With exit code 0, or as it was asked to.
    Finished,
    /// In another way, told in words.
    Failed(String),
    /// It was asked to end, and did not.
    Killed,
}

/// Answers to commands that wait because the program does not read. Beyond them no more commands
/// are read.
const OUTCOMES: usize = 4096;
/// How long a program has to end after it was told to by a signal.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long commands are still done that a program wrote before it failed, at least.
const LAST_COMMANDS: Duration = Duration::from_secs(10);
/// The longest line of standard error that is printed whole, in bytes.
const LONGEST_NOTE: usize = 64 << 10;
/// Secrets of ours that are none of the bot's business.
const SECRETS: [&str; 2] = ["XMTP_WALLET_KEY", "XMTP_DB_ENCRYPTION_KEY"];

/// Runs the program to its end.
///
/// # Errors
///
/// A [`Failure`] when it cannot be started; what the database says.
pub(super) async fn run(bot: &Arc<Bot>, program: &Program) -> anyhow::Result<End> {
    let mut child = start(&program.command)?;
    let stdin = child.stdin.take().context("the bot's standard input")?;
    let stdout = child.stdout.take().context("the bot's standard output")?;
    let stderr = child.stderr.take().context("the bot's standard error")?;
    let (tell, outcomes) = mpsc::channel(OUTCOMES);
    let (form, acks) = (program.form, program.acks);
    let mut writing = tokio::spawn(write(Arc::clone(bot), stdin, outcomes, form, acks));
    let reading = tokio::spawn(read(Arc::clone(bot), stdout, tell, form, acks));
    let printing = tokio::spawn(print(stderr));
    let ended = tokio::select! {
        ended = wait(bot, &mut child) => ended,
        // Nothing but an error ends it while the program runs.
        Err(cause) = async { (&mut writing).await.unwrap_or_else(|cause| Err(cause.into())) } => {
            drop(child.kill().await);
            Err(cause)
        }
    };
    // What it said last is still done, unless something else keeps its output open.
    let mut reading = reading;
    let patience = match bot.stop.is_cancelled() {
        true => bot.grace,
        false => bot.grace.max(LAST_COMMANDS),
    };
    tokio::select! {
        _ = timeout(patience, &mut reading) => {}
        () = bot.now.cancelled() => {}
    }
    reading.abort();
    writing.abort();
    drop(timeout(LAST_WORDS, printing).await);
    ended
}

/// Starts the program, in a process group of its own so that Ctrl-C does not reach it before it is
/// asked to end.
fn start(command: &[String]) -> anyhow::Result<Child> {
    let (program, arguments) = command.split_first().context("a program to run")?;
    let mut child = Command::new(program);
    child
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for name in SECRETS {
        child.env_remove(name);
    }
    child.spawn().map_err(|cause| {
        let (exit, remedy) = match cause.kind() {
            ErrorKind::NotFound if program.contains('/') => (
                Exit::NotFound,
                "the path of a program, whose first line names one that is there",
            ),
            ErrorKind::NotFound => (
                Exit::NotFound,
                "./NAME for a file in this folder; arguments stand apart: -- python3 bot.py",
            ),
            ErrorKind::PermissionDenied => (Exit::Refused, "chmod +x, or -- python3 bot.py"),
            _ => (Exit::Failed, "another program"),
        };
        let what = format!("{program:?} cannot be started");
        Failure::new(exit, what, remedy).because(cause).into()
    })
}

/// Waits until the program ends, and sees to it that it does when it was asked to.
async fn wait(bot: &Bot, child: &mut Child) -> anyhow::Result<End> {
    let status = tokio::select! {
        status = child.wait() => status,
        () = bot.stop.cancelled() => {
            let asked = tokio::select! {
                ended = timeout(bot.grace, child.wait()) => ended,
                () = bot.now.cancelled() => return kill(child).await,
            };
            match asked {
                Ok(status) => status,
                Err(_) => return kill(child).await,
            }
        }
    };
    let status = status.context("wait for the bot")?;
    Ok(match status.success() {
        true => End::Finished,
        false => End::Failed(told(status)),
    })
}

async fn kill(child: &mut Child) -> anyhow::Result<End> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = id.and_then(Pid::from_raw);
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group
            && let Err(cause) = kill_process_group(group, signal)
        {
            tracing::debug!(%cause, "the bot ended before the signal came");
        }
        if timeout(LAST_WORDS, child.wait()).await.is_ok() {
            break;
        }
    }
    Ok(End::Killed)
}

fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Writes events until the program is to end.
async fn write(
    bot: Arc<Bot>,
    mut stdin: ChildStdin,
    mut outcomes: mpsc::Receiver<Event>,
    form: Form,
    acks: Acks,
) -> anyhow::Result<()> {
    let mut feed = bot.feed().await?;
    if put(&mut stdin, &bot.ready(), form).await.is_err() {
        // The program has ended, which somebody else notices.
        return Ok(());
    }
    loop {
        let has_room = bot.has_room();
        let next = tokio::select! {
            biased;
            () = bot.stop.cancelled() => break,
            Some(outcome) = outcomes.recv() => {
                if put(&mut stdin, &outcome, form).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            () = bot.room.notified(), if !has_room => continue,
            next = feed.next(), if has_room => next,
            cause = bot.client.revoked() => Err(cause.into()),
        };
        let next = match next {
            Err(cause) if cause.is_revoked() => {
                drop(put(&mut stdin, &Event::revoked(&cause), form).await);
                bot.stop.cancel();
                break;
            }
            next => next?,
        };
        let events = match next {
            Next::CaughtUp => vec![(String::new(), Event::caught_up())],
            Next::Message(position, message) => {
                bot.hand_over(&mut feed, position, &message).await?
            }
        };
        for (id, event) in events {
            if put(&mut stdin, &event, form).await.is_err() {
                return Ok(());
            }
            if acks == Acks::Written && !id.is_empty() {
                bot.acknowledge(&id);
            }
        }
    }
    while let Ok(outcome) = outcomes.try_recv() {
        if put(&mut stdin, &outcome, form).await.is_err() {
            return Ok(());
        }
    }
    // Its input ends here; whether it reads this line is up to it.
    drop(put(&mut stdin, &Event::stop(), form).await);
    Ok(())
}

async fn put(stdin: &mut ChildStdin, event: &Event, form: Form) -> std::io::Result<()> {
    stdin.write_all(event.line(form).as_bytes()).await?;
    stdin.flush().await
}

/// Reads lines, and does what they say, one after the other.
async fn read(
    bot: Arc<Bot>,
    stdout: ChildStdout,
    tell: mpsc::Sender<Event>,
    form: Form,
    acks: Acks,
) {
    let mut lines = Lines::new(BufReader::new(stdout), LONGEST_LINE);
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(cause) => {
                tracing::warn!(%cause, "the bot's output cannot be read");
                return;
            }
        };
        let number = lines.number();
        let parsed = match &line {
            lines::Line::TooLong => Err(command::LineError::TooLong),
            lines::Line::Whole(line) => command::parse(line, form),
        };
        let outcome = match parsed {
            Ok(None) => continue,
            Ok(Some(Line::Acknowledge(id))) => match acknowledged(&bot, &id, acks) {
                Ok(()) => continue,
                Err(trouble) => Event::error(trouble, None, Some(number)),
            },
            Ok(Some(Line::Command(command))) => {
                if command.action == Action::Stop {
                    bot.stop.cancel();
                    continue;
                }
                bot.executor.run(command, Some(number)).await
            }
            Err(cause) => {
                let id = match &line {
                    lines::Line::TooLong => None,
                    lines::Line::Whole(line) => command::id_of(line, form),
                };
                Event::error(cause.trouble(form), id, Some(number))
            }
        };
        let pause = pause_after(&outcome);
        // Nobody writes any more when the program is to end; what it says is done all the same.
        drop(tell.send(outcome).await);
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

fn acknowledged(bot: &Bot, id: &str, acks: Acks) -> Result<(), Trouble> {
    if acks == Acks::Written {
        return Err(Trouble::new(
            Code::Refused,
            "events are done with as soon as they were written",
            "--ack bot, so that acknowledgements count",
        ));
    }
    match bot.acknowledge(id) {
        Acknowledged::Now | Acknowledged::Before => Ok(()),
        Acknowledged::Unknown => Err(Trouble::new(
            Code::NotFound,
            format!("no event {id:?} is waiting to be acknowledged"),
            "the \"id\" of a message, reaction, member_joined or group_updated",
        )),
    }
}

/// Prints what the program says on standard error, with a word before each line.
async fn print(stderr: impl AsyncRead + Unpin) {
    let mut lines = Lines::new(BufReader::new(stderr), LONGEST_NOTE);
    while let Ok(Some(line)) = lines.next().await {
        let mut note = b"bot: ".to_vec();
        match line {
            lines::Line::Whole(line) => note.extend(line),
            lines::Line::TooLong => note.extend(b"(a line that is too long to print)"),
        }
        note.push(b'\n');
        // Nobody is left to tell when standard error is gone.
        drop(std::io::stderr().write_all(&note));
    }
}
