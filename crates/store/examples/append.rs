//! Measures the embedded store beside the disk that carries it:
//! `cargo run --release -p folkmoot-store --example append -- [MESSAGES] [FOLDER]`.
//!
//! Payloads are 1 KB of noise in 1000 topics, each with a fingerprint, as a node writes them.

#![expect(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::{
    error::Error,
    fs::File,
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use folkmoot_store::{
    Address, AddressChange, AddressIndex, AddressKind, After, Draft, Maintenance, Order, Page,
    Retention, Signatures, SqliteOptions, SqliteStore, TopicLog,
};
use folkmoot_wire::{InboxId, Topic, TopicKind};
use rand::RngExt as _;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const TOPICS: usize = 1000;
const PAYLOAD: usize = 1024;
const IN_FLIGHT: usize = 64;
const PAGE: Page = Page {
    envelopes: 100,
    bytes: 4 << 20,
};

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let messages: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let folder = match arguments.next() {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let path = folder.path().join("store.sqlite");
    floor(folder.path())?;

    let began = Instant::now();
    let store = open(&path)?;
    say("open, empty", millis(began.elapsed()), "ms");

    let (rate, longest_log) = fill(&store, &path, messages).await?;
    say("append, 64 in flight", rate, "messages/s");
    say("largest write-ahead log meanwhile", mib(longest_log), "MiB");
    let alone = repeat(1000, async |number| {
        store.append(vec![message(number)]).await.map(drop)
    });
    report("append, 1 in flight", alone.await?);
    say("write-ahead log after it", mib(size(&path, "-wal")), "MiB");
    let began = Instant::now();
    store.close().await?;
    say("close", millis(began.elapsed()), "ms");
    let bytes = (size(&path, "") + size(&path, "-wal")) as f64;
    say(
        "disk, each message",
        bytes / (messages + 1000) as f64,
        "bytes",
    );

    let began = Instant::now();
    let store = open(&path)?;
    say("open, full", millis(began.elapsed()), "ms");
    read(&store).await?;
    addresses(&store).await?;
    let kept = repeat(200, async |number| {
        let signatures = vec![(number as u64, Bytes::from_static(&[7; 65]))];
        store.keep_signatures(signatures).await
    });
    report("keep a signature", kept.await?);
    prune(&store, messages).await?;
    store.close().await?;
    Ok(())
}

fn open(path: &Path) -> Outcome<Arc<SqliteStore>> {
    let store = SqliteStore::open(path, SqliteOptions::default(), Arc::new(|_| ()))?;
    Ok(Arc::new(store))
}

/// What the disk does without a database.
fn floor(folder: &Path) -> Outcome {
    let mut file = File::create(folder.join("floor"))?;
    let mut took = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        file.write_all(&[1; 16 << 10])?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    report("fdatasync of 16 KiB", took);
    std::fs::remove_file(folder.join("floor"))?;
    Ok(())
}

/// Appends from many tasks at once; answers the rate and how long the log became.
async fn fill(store: &Arc<SqliteStore>, path: &Path, messages: usize) -> Outcome<(f64, u64)> {
    let began = Instant::now();
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|task| {
            let (store, path) = (Arc::clone(store), path.to_owned());
            tokio::spawn(async move {
                let mut longest = 0;
                for number in (task..messages).step_by(IN_FLIGHT) {
                    store.append(vec![message(number)]).await?;
                    if number % 1024 == 0 {
                        longest = longest.max(size(&path, "-wal"));
                    }
                }
                Ok::<_, folkmoot_store::StoreError>(longest)
            })
        })
        .collect();
    let mut longest = 0;
    for task in tasks {
        longest = longest.max(task.await??);
    }
    Ok((messages as f64 / began.elapsed().as_secs_f64(), longest))
}

async fn read(store: &SqliteStore) -> Outcome {
    let newest = store.newest_id().await?;
    let pages = repeat(3000, async |number| {
        let cursor = rand::rng().random_range(0..newest);
        let topic = topic(number);
        let page = store.page(&topic, cursor, Order::Ascending, PAGE);
        page.await.map(drop)
    });
    report("page of 100 at a random place", pages.await?);
    for topics in [1, 10, TOPICS] {
        let cursors = |after| -> Vec<_> {
            (0..topics)
                .map(|number| (topic(number), After::Id(after)))
                .collect()
        };
        let idle = cursors(newest);
        let merges = repeat(50, async |_| {
            store.merged(&idle, 0, u64::MAX, PAGE).await.map(drop)
        });
        report(&format!("merge of {topics} without news"), merges.await?);
        let (all, mut after, mut read) = (cursors(0), 0, 0);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) && read < 100_000 {
            let page = Page {
                envelopes: 1000,
                ..PAGE
            };
            let envelopes = store.merged(&all, after, newest, page).await?;
            let Some(last) = envelopes.last() else { break };
            after = last.id;
            read += envelopes.len();
        }
        let rate = read as f64 / began.elapsed().as_secs_f64();
        say(&format!("catch up on {topics}"), rate, "messages/s");
    }
    Ok(())
}

async fn addresses(store: &SqliteStore) -> Outcome {
    let address = |number: usize| Address {
        kind: AddressKind::Ethereum,
        text: format!("0x{number:040x}"),
    };
    let update = |number: usize| {
        let mut inbox = [0; 32];
        inbox[..8].copy_from_slice(&number.to_be_bytes());
        let inbox = InboxId::from_bytes(inbox);
        Draft {
            addresses: vec![AddressChange::Added(address(number))],
            inbox: Some(inbox),
            ..Draft::new(Topic::identity(&inbox), 1, Bytes::from_static(b"update"))
        }
    };
    store.append((0..10_000).map(update).collect()).await?;
    let looked_up = repeat(5000, async |number| {
        let asked = [address(number * 7 % 20_000)];
        store.inboxes(&asked).await.map(drop)
    });
    report("look up an address", looked_up.await?);
    Ok(())
}

async fn prune(store: &Arc<SqliteStore>, messages: usize) -> Outcome {
    let retention = Retention {
        messages: Some(Duration::ZERO),
        ..Retention::default()
    };
    let pruning = {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let began = Instant::now();
            let pruned = store.prune(retention, u64::MAX).await?;
            Ok::<_, folkmoot_store::StoreError>((pruned.messages, began.elapsed()))
        })
    };
    let mut meanwhile = Vec::new();
    let mut number = messages + 1000;
    while !pruning.is_finished() && meanwhile.len() < 100_000 {
        let began = Instant::now();
        store.append(vec![message(number)]).await?;
        meanwhile.push(began.elapsed());
        number += 1;
    }
    let (pruned, took) = pruning.await??;
    let rate = pruned as f64 / took.as_secs_f64();
    say("prune", rate, "messages/s");
    report("append while pruning", meanwhile);
    Ok(())
}

async fn repeat<E: Error + 'static>(
    times: usize,
    mut action: impl AsyncFnMut(usize) -> Result<(), E>,
) -> Outcome<Vec<Duration>> {
    let mut took = Vec::with_capacity(times);
    for number in 0..times {
        let began = Instant::now();
        action(number).await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

fn topic(number: usize) -> Topic {
    let name = format!("group {}", number % TOPICS);
    Topic::new(TopicKind::GroupMessages, name.as_bytes()).expect("a short name is a topic")
}

fn message(number: usize) -> Draft {
    let mut payload = vec![0; PAYLOAD];
    rand::rng().fill(payload.as_mut_slice());
    Draft {
        fingerprint: Some(rand::random()),
        ..Draft::new(topic(number * 7), 100, payload.into())
    }
}

fn size(path: &Path, suffix: &str) -> u64 {
    let mut path = path.to_path_buf().into_os_string();
    path.push(suffix);
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |part: usize| {
        let place = (took.len() * part / 1000).min(took.len().saturating_sub(1));
        took.get(place).map_or(0.0, |took| millis(*took))
    };
    let line = format!(
        "p50 {:.3}  p99 {:.3}  worst {:.3} ms",
        at(500),
        at(990),
        at(1000)
    );
    println!("{what:<36} {line}");
}

fn say(what: &str, number: f64, unit: &str) {
    println!("{what:<36} {number:.1} {unit}");
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
