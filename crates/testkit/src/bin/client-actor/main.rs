//! Our client as a program that the scripts in `interop/` drive, beside official SDKs: one JSON
//! request per line comes in on standard input (`{number, name, args}`), one reply per line goes
//! out (`{number, result}` or `{number, error}`), `{"ready": true}` first. Requests run side by
//! side. The operations, and what they take and give, are those of `interop/actor/ops.mjs`.

mod contents;
mod operations;
mod policies;
mod stream;
mod wallet;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::mpsc,
};

use self::operations::Actor;

/// Whatever went wrong goes back as text.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One line of standard input.
#[derive(Deserialize)]
struct Request {
    number: u64,
    name: String,
    #[serde(default)]
    args: Value,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(cause) => return failed(&cause.to_string()),
    };
    match runtime.block_on(serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => failed(&cause.to_string()),
    }
}

fn failed(why: &str) -> ExitCode {
    // Nobody is left to tell if this fails too.
    let _ = writeln!(io::stderr(), "client-actor: {why}");
    ExitCode::FAILURE
}

/// Works off requests until standard input ends.
async fn serve() -> Result<(), Failure> {
    let (say, replies) = mpsc::unbounded_channel();
    let writer = tokio::task::spawn_blocking(move || write(replies));
    let actor = Arc::new(Actor::default());
    // Only the other end could have gone; then reading ends as well.
    let _ = say.send(json!({ "ready": true }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Request = serde_json::from_str(&line)?;
        let (actor, say) = (Arc::clone(&actor), say.clone());
        tokio::spawn(async move {
            let number = request.number;
            let reply = match actor.perform(&request.name, request.args).await {
                Ok(result) => json!({ "number": number, "result": result }),
                Err(cause) => json!({ "number": number, "error": in_full(&*cause) }),
            };
            let _ = say.send(reply);
        });
    }
    drop(say);
    // Requests that still run are cut off, as they are in the other actor.
    actor.close_all().await;
    writer.abort();
    Ok(())
}

fn write(mut replies: mpsc::UnboundedReceiver<Value>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while let Some(reply) = replies.blocking_recv() {
        writeln!(out, "{reply}")?;
        out.flush()?;
    }
    Ok(())
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}
