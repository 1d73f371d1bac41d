//! Our side of the comparison: `folkmoot bench client-worker NODE`, hidden from people. One JSON
//! request per line comes in, one answer per line goes out; `interop/bench/driver.mjs` does the
//! same with the official SDK.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use folkmoot_client::{
    Client, Conversation, DeviceSync, GroupOptions, ListOptions, LiveState, MessageKind,
    MessageQuery, StreamOptions, db::DatabaseKey, network::ConnectionState,
};
use folkmoot_conversation::content::Content;
use folkmoot_identity::WalletSecret;
use folkmoot_wire::{GroupId, InboxId};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// For how long processor time is counted after a request was answered.
const AFTERWARDS: Duration = Duration::from_millis(30);
/// For how long a message may be on its way.
const PATIENCE: Duration = Duration::from_secs(30);
/// Groups that are made at the same time, when that is not what is measured.
const AT_ONCE: usize = 8;

/// Works off requests from standard input until it ends.
pub(crate) async fn run(node: String, out: &mut impl Write) -> anyhow::Result<()> {
    let mut worker = Worker {
        node,
        people: BTreeMap::new(),
    };
    writeln!(out, "{}", json!({ "ready": cpu_ms() }))?;
    out.flush()?;
    loop {
        let reading = tokio::task::spawn_blocking(|| io::stdin().lock().lines().next());
        let Some(line) = reading.await.context("read a request")? else {
            break;
        };
        let request: Request = serde_json::from_str(&line?).context("a request")?;
        let (began, cpu) = (Instant::now(), cpu_ms());
        let outcome = worker.perform(&request.op, request.args).await;
        let wall_ms = began.elapsed().as_secs_f64() * 1e3;
        let answer = match outcome {
            Ok(result) => {
                sleep(AFTERWARDS).await;
                json!({ "result": result, "wall_ms": wall_ms, "cpu_ms": cpu_ms() - cpu })
            }
            Err(cause) => json!({ "error": format!("{cause:#}") }),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    for (_, client) in worker.people {
        client.close().await;
    }
    Ok(())
}

/// Processor time of this process until now, in milliseconds.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// One line of standard input.
#[derive(Deserialize)]
struct Request {
    op: String,
    #[serde(default)]
    args: Value,
}

struct Worker {
    node: String,
    people: BTreeMap<String, Client>,
}

/// What requests say; each uses its part.
#[derive(Deserialize)]
struct In {
    who: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    inboxes: Vec<String>,
    #[serde(default)]
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct Open {
    who: String,
    /// The wallet's key, in hex digits.
    key: String,
    /// The database's file; in memory without.
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Crowd {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Groups {
    who: String,
    count: usize,
    inboxes: Vec<String>,
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct Between {
    who: String,
    whom: String,
    #[serde(default)]
    id: String,
    texts: Vec<String>,
}

impl Worker {
    async fn perform(&mut self, op: &str, args: Value) -> anyhow::Result<Value> {
        match op {
            "open" => self.open(take(args)?).await,
            "meet" => self.meet(take(args)?).await,
            "ping" => self.ping(take(args)?).await,
            "groups" => self.groups(take(args)?).await,
            "crowd" => self.crowd(take(args)?).await,
            _ => self.simple(op, take(args)?).await,
        }
    }

    /// Registers somebody.
    async fn open(&mut self, args: Open) -> anyhow::Result<Value> {
        let signer = wallet(&args.key)?;
        let mut builder = Client::builder()
            .node(self.node.clone())
            .device_sync(DeviceSync::Off);
        if let Some(path) = args.path {
            builder = builder.database(path, DatabaseKey::Raw([7; 32]));
        }
        let client = builder.create(&signer).await?;
        let inbox = client.inbox_id().to_string();
        self.people.insert(args.who, client);
        Ok(json!({ "inbox": inbox }))
    }

    /// Registers people who are never heard of again: others can add them.
    async fn crowd(&self, args: Crowd) -> anyhow::Result<Value> {
        let inboxes: Vec<String> = stream::iter(args.keys)
            .map(|key| async move {
                let client = Client::builder()
                    .node(self.node.clone())
                    .device_sync(DeviceSync::Off)
                    .create(&wallet(&key)?)
                    .await?;
                let inbox = client.inbox_id().to_string();
                client.close().await;
                anyhow::Ok(inbox)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(json!(inboxes))
    }

    /// A new DM, the first words in it, and what the other then reads.
    async fn meet(&self, args: Between) -> anyhow::Result<Value> {
        let (one, other) = (self.person(&args.who)?, self.person(&args.whom)?);
        let dm = one.conversations().new_dm(other.inbox_id()).await?;
        for text in args.texts {
            dm.send_text(text).await?;
        }
        other.conversations().sync_all(&[]).await?;
        let there = other.conversations().get(dm.id()).await?;
        Ok(json!({ "id": dm.id().to_string(), "texts": texts(&there).await? }))
    }

    /// Says one text after the other, each when the one before was heard. Returns what was heard
    /// and how long each took, in milliseconds.
    async fn ping(&self, args: Between) -> anyhow::Result<Value> {
        let (one, other) = (self.person(&args.who)?, self.person(&args.whom)?);
        let mut heard = other
            .conversations()
            .stream_all_messages(StreamOptions::default())
            .await?;
        let mut states = heard.watch_state();
        timeout(PATIENCE, states.wait_for(is_live))
            .await
            .context("the stream does not come up")??;
        let here = one.conversations().get(&args.id.parse()?).await?;
        let (mut received, mut took) = (Vec::new(), Vec::new());
        for text in args.texts {
            let began = Instant::now();
            let sending = {
                let here = here.clone();
                tokio::spawn(async move { here.send_text(text).await })
            };
            let message = timeout(PATIENCE, heard.next())
                .await
                .context("the message is not heard")??;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            sending.await??;
            let Content::Text(text) = message.content else {
                bail!("heard something that is no text");
            };
            received.push(text.0);
        }
        Ok(json!({ "texts": received, "took": took }))
    }

    /// Makes several groups with the same people and the same texts in each.
    async fn groups(&self, args: Groups) -> anyhow::Result<Value> {
        let client = self.person(&args.who)?;
        let ids: Vec<String> = stream::iter(0..args.count)
            .map(|_| async {
                let members = inboxes(&args.inboxes)?;
                let group = client
                    .conversations()
                    .new_group(members, GroupOptions::default())
                    .await?;
                say_all(&group, args.texts.clone()).await?;
                anyhow::Ok(group.id().to_string())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(json!(ids))
    }

    async fn simple(&self, op: &str, args: In) -> anyhow::Result<Value> {
        let client = self.person(&args.who)?;
        let here = async || -> anyhow::Result<Conversation> {
            let id: GroupId = args.id.parse()?;
            Ok(client.conversations().get(&id).await?)
        };
        match op {
            "group" => {
                let group = client
                    .conversations()
                    .new_group(inboxes(&args.inboxes)?, GroupOptions::default())
                    .await?;
                Ok(json!({ "id": group.id().to_string() }))
            }
            "members" => Ok(json!(here().await?.member_inboxes().len())),
            "say" => {
                let here = here().await?;
                let count = args.texts.len();
                for text in args.texts {
                    here.send_text(text).await?;
                }
                Ok(json!(count))
            }
            "say_all" => {
                let count = args.texts.len();
                say_all(&here().await?, args.texts).await?;
                Ok(json!(count))
            }
            "add" | "remove" => {
                let mut here = here().await?;
                if op == "add" {
                    here.add_members(inboxes(&args.inboxes)?).await?;
                } else {
                    here.remove_members(inboxes(&args.inboxes)?).await?;
                }
                Ok(json!(true))
            }
            // Everything that is new, by conversation.
            "catch_up" => {
                client.conversations().sync_all(&[]).await?;
                let mut read = BTreeMap::new();
                for one in client.conversations().list(&ListOptions::default()).await? {
                    read.insert(one.id().to_string(), texts(&one).await?);
                }
                Ok(json!(read))
            }
            "sync" => {
                client.conversations().sync_all(&[]).await?;
                Ok(json!(true))
            }
            // One conversation as it is here, without asking the network.
            "texts" => Ok(json!(texts(&here().await?).await?)),
            "idle" => {
                let all = client.conversations().list(&ListOptions::default()).await?;
                client.conversations().sync_all(&[]).await?;
                Ok(json!(all.len()))
            }
            "rest" => Ok(json!(true)),
            other => bail!("there is no request {other}"),
        }
    }

    fn person(&self, who: &str) -> anyhow::Result<&Client> {
        let person = self.people.get(who);
        person.with_context(|| format!("nobody opened a client as {who}"))
    }
}

/// Says all texts without waiting for any, and then for all.
async fn say_all(here: &Conversation, texts: Vec<String>) -> anyhow::Result<()> {
    let sends = texts.into_iter().map(|text| here.send_text(text));
    futures::future::try_join_all(sends).await?;
    Ok(())
}

/// The texts of a conversation, the oldest first.
async fn texts(here: &Conversation) -> anyhow::Result<Vec<String>> {
    let query = MessageQuery {
        kind: Some(MessageKind::Application),
        ..MessageQuery::default()
    };
    let messages = here.messages(&query).await?;
    let mut texts = Vec::with_capacity(messages.len());
    for message in messages {
        let Content::Text(text) = message.content else {
            bail!("a message is no text");
        };
        ensure!(!text.0.is_empty(), "a message is empty");
        texts.push(text.0);
    }
    Ok(texts)
}

fn is_live(state: &LiveState) -> bool {
    matches!(
        state,
        LiveState::On {
            connection: ConnectionState::Live,
            caught_up: true,
        }
    )
}

fn inboxes(texts: &[String]) -> anyhow::Result<Vec<InboxId>> {
    let parsed = texts.iter().map(|text| text.parse());
    Ok(parsed.collect::<Result<_, _>>()?)
}

/// A wallet from the hex digits of its key.
fn wallet(key: &str) -> anyhow::Result<WalletSecret> {
    let key: [u8; 32] = hex::decode(key)?
        .try_into()
        .map_err(|_| anyhow::anyhow!("a wallet's key has 32 bytes"))?;
    Ok(WalletSecret::from_bytes(&key)?)
}

fn take<T: DeserializeOwned>(args: Value) -> anyhow::Result<T> {
    serde_json::from_value(args).context("what the request says")
}
