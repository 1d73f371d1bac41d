//! What is done to a server: the rows X1 to X6 of the table, each checked answer by answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use tokio::task::JoinSet;

use super::{
    Plan,
    link::{Door, Link, Over},
    servers::{ROOMS, Server},
};
use crate::{
    bench::load::{Timings, schedule},
    dev::CROWD_PASSWORD,
};

/// Messages of a pair that are on their way at most.
const WINDOW: u64 = 10;
/// Logins at the same time.
const LOGINS: usize = 8;
/// Accounts and sessions that are made at the same time, when that is not what is measured.
const AT_ONCE: usize = 32;

/// What a workload found: names and values, in the order of the table.
pub(super) type Found = Vec<(&'static str, f64, &'static str)>;

/// People who have accounts on a server: `user0`, `user1` and so on.
pub(super) struct People {
    count: usize,
}

impl People {
    /// Makes accounts.
    pub(super) async fn register(door: &Door, count: usize) -> anyhow::Result<Self> {
        in_turns(count, AT_ONCE, |number| {
            let door = door.clone();
            async move { door.register(&user(number), CROWD_PASSWORD).await }
        })
        .await
        .context("make accounts")?;
        Ok(Self { count })
    }

    /// Has the first `count` logged in, each ready for messages.
    async fn sessions(&self, door: &Door, over: Over, count: usize) -> anyhow::Result<Vec<Link>> {
        let people = self.count;
        in_turns(count, AT_ONCE, |number| {
            let door = door.clone();
            async move {
                let (user, resource) = (user(number % people), format!("r{number}"));
                let mut link = door.log_in(over, &user, CROWD_PASSWORD, &resource).await?;
                link.appear().await?;
                Ok(link)
            }
        })
        .await
        .context("log in")
    }
}

/// Runs `make` for 0 to `count`, `at_once` of them at a time; the answers come in order.
async fn in_turns<T, F, Fut>(count: usize, at_once: usize, make: F) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(usize) -> Fut,
    Fut: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let mut all: Vec<Option<T>> = Vec::new();
    all.resize_with(count, || None);
    let mut running = JoinSet::new();
    let mut next = 0;
    while next < count || !running.is_empty() {
        while next < count && running.len() < at_once {
            let made = make(next);
            let number = next;
            running.spawn(async move { made.await.map(|one| (number, one)) });
            next += 1;
        }
        if let Some(done) = running.join_next().await {
            let (number, one) = done.context("a task of the load")??;
            all[number] = Some(one);
        }
    }
    Ok(all.into_iter().flatten().collect())
}

/// X1 and X2: pairs that talk, each with a window.
pub(super) async fn talk(
    server: &Server,
    people: &People,
    plan: &Plan,
    over: Over,
    archived: bool,
) -> anyhow::Result<Found> {
    let pairs = plan.pairs;
    let mut links = people.sessions(&server.door, over, 2 * pairs).await?;
    let cpu = server.cpu_seconds();
    let began = Instant::now();
    let mut talks = JoinSet::new();
    for number in 0..pairs {
        let listener = links.pop().context("a session is missing")?;
        let speaker = links.pop().context("a session is missing")?;
        // Taken from the end: the listener of the last pair is the last of all.
        let to = user(2 * (pairs - number) - 1);
        talks.spawn(pair(speaker, listener, to, plan.talk, archived));
    }
    let mut messages = 0;
    while let Some(done) = talks.join_next().await {
        messages += done.context("a pair")??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let each = cpu
        .zip(server.cpu_seconds())
        .map_or(0.0, |(before, after)| {
            (after - before) * 1e6 / messages as f64
        });
    let (rate_name, cpu_name) = match (over, archived) {
        (Over::Plain, false) => ("messages", "messages, CPU of each"),
        (Over::Tls, false) => ("messages over TLS", "messages over TLS, CPU of each"),
        (_, true) => ("messages archived", "messages archived, CPU of each"),
    };
    Ok(vec![
        (rate_name, messages as f64 / seconds, "msg/s"),
        (cpu_name, each, "us"),
    ])
}

/// One says numbered messages to the other for `length`; returns how many arrived.
async fn pair(
    mut speaker: Link,
    mut listener: Link,
    to: String,
    length: Duration,
    archived: bool,
) -> anyhow::Result<u64> {
    let hint = if archived {
        ""
    } else {
        "<no-store xmlns='urn:xmpp:hints'/>"
    };
    let began = Instant::now();
    let (mut said, mut heard) = (0, 0);
    let mut text = String::new();
    while heard < said || began.elapsed() < length {
        text.clear();
        while said < heard + WINDOW && began.elapsed() < length {
            text.push_str(&format!(
                "<message to='{to}@localhost' type='chat' id='m{said}'><body>{said} {FILL}</body>\
                 {hint}</message>"
            ));
            said += 1;
        }
        if !text.is_empty() {
            speaker.send(&text).await?;
        }
        listener
            .bodies(|body| {
                let number = body.split_once(' ').and_then(|(number, fill)| {
                    (fill == FILL).then(|| number.parse::<u64>().ok())?
                });
                ensure!(
                    number == Some(heard),
                    "message {heard} is expected, not {body:?}"
                );
                heard += 1;
                Ok(())
            })
            .await?;
    }
    speaker.close().await?;
    listener.close().await?;
    Ok(heard)
}

const FILL: &str = "the quick brown fox jumps over the lazy dog and then does it all over again";

/// X3: logins, each with a connection of its own.
pub(super) async fn logins(
    server: &Server,
    people: &People,
    plan: &Plan,
    over: Over,
) -> anyhow::Result<Found> {
    // The first login of each derives its key; that is not the server's work.
    let count = people.count;
    let few = LOGINS.min(count);
    drop(people.sessions(&server.door, over, few).await?);
    let cpu = server.cpu_seconds();
    let began = Instant::now();
    in_turns(plan.logins, LOGINS, |number| {
        let door = server.door.clone();
        async move {
            let name = user(number % few);
            let link = door
                .log_in(over, &name, CROWD_PASSWORD, &format!("l{number}"))
                .await?;
            link.close().await
        }
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    let each = cpu
        .zip(server.cpu_seconds())
        .map_or(0.0, |(before, after)| {
            (after - before) * 1e3 / plan.logins as f64
        });
    let (rate, cpu) = match over {
        Over::Plain => ("logins", "logins, CPU of each"),
        Over::Tls => ("logins over TLS", "logins over TLS, CPU of each"),
    };
    Ok(vec![
        (rate, plan.logins as f64 / seconds, "1/s"),
        (cpu, each, "ms"),
    ])
}

/// X4: a room of `size`, where one speaks and all hear it.
pub(super) async fn room(
    server: &Server,
    people: &People,
    plan: &Plan,
    size: usize,
) -> anyhow::Result<Found> {
    let links = people.sessions(&server.door, Over::Plain, size).await?;
    let room = format!("room{size}@{ROOMS}");
    let began = Instant::now();
    let mut joined = Vec::with_capacity(size);
    for (number, mut link) in links.into_iter().enumerate() {
        link.send(&format!(
            "<presence to='{room}/n{number}'><x xmlns='http://jabber.org/protocol/muc'>\
             <history maxstanzas='0'/></x></presence>"
        ))
        .await?;
        // One's own presence comes after that of all others, and says that it is one's own.
        link.until_one_of(&["110\"", "110'"]).await?;
        if number == 0 {
            // As it is: without this, a new room lets nobody else in.
            link.send(&format!(
                "<iq type='set' id='open' to='{room}'>\
                 <query xmlns='http://jabber.org/protocol/muc#owner'>\
                 <x xmlns='jabber:x:data' type='submit'/></query></iq>"
            ))
            .await?;
            link.until_one_of(&["id='open'", "id=\"open\""]).await?;
        }
        joined.push(link);
    }
    let join = began.elapsed().as_secs_f64();
    let rounds = plan.room_messages;
    let cpu = server.cpu_seconds();
    let began = Instant::now();
    for first in (0..rounds).step_by(WINDOW as usize) {
        let batch = first..rounds.min(first + WINDOW);
        let said: String = batch
            .clone()
            .map(|number| {
                format!(
                    "<message to='{room}' type='groupchat' id='g{number}'>\
                     <body>{number} {FILL}</body><no-store xmlns='urn:xmpp:hints'/></message>"
                )
            })
            .collect();
        joined[0].send(&said).await?;
        try_join_all(joined.iter_mut().map(async |link| {
            let mut next = batch.start;
            while next < batch.end {
                link.bodies(|body| {
                    let expected = format!("{next} {FILL}");
                    ensure!(body == expected, "{expected:?} is expected, not {body:?}");
                    next += 1;
                    Ok(())
                })
                .await?;
            }
            anyhow::Ok(())
        }))
        .await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let deliveries = (rounds * size as u64) as f64;
    let each = cpu
        .zip(server.cpu_seconds())
        .map_or(0.0, |(before, after)| (after - before) * 1e6 / deliveries);
    for link in joined {
        link.close().await?;
    }
    let [deliver, cpu, enter] = if size < 100 {
        [
            "room of 50, deliveries",
            "room of 50, CPU of a delivery",
            "room of 50, all join",
        ]
    } else {
        [
            "room of 200, deliveries",
            "room of 200, CPU of a delivery",
            "room of 200, all join",
        ]
    };
    Ok(vec![
        (deliver, deliveries / seconds, "1/s"),
        (cpu, each, "us"),
        (enter, join, "s"),
    ])
}

/// X5: sessions that say nothing.
pub(super) async fn idle(
    server: &Server,
    people: &People,
    plan: &Plan,
    over: Over,
) -> anyhow::Result<Found> {
    let before = server.resident_bytes();
    let sessions = people.sessions(&server.door, over, plan.idle).await?;
    let each = before
        .zip(server.resident_bytes())
        .map_or(0.0, |(before, after)| {
            after.saturating_sub(before) as f64 / 1e3 / plan.idle as f64
        });
    for session in sessions {
        session.close().await?;
    }
    let name = match over {
        Over::Plain => "memory of an idle session",
        Over::Tls => "memory of an idle session, TLS",
    };
    Ok(vec![(name, each, "kB")])
}

/// X6: one message at a time, on a fixed schedule.
pub(super) async fn latency(
    server: &Server,
    people: &People,
    plan: &Plan,
) -> anyhow::Result<Found> {
    let mut links = people.sessions(&server.door, Over::Plain, 2).await?;
    let mut listener = links.pop().context("a session is missing")?;
    let mut speaker = links.pop().context("a session is missing")?;
    let to = user(1);
    let mut due = schedule(Duration::from_millis(10), plan.timed);
    let began = Instant::now();
    let mut latencies = Vec::new();
    while let Some((number, due)) = due.recv().await {
        speaker
            .send(&format!(
                "<message to='{to}@localhost' type='chat' id='t{number}'><body>{number}</body>\
                 <no-store xmlns='urn:xmpp:hints'/></message>"
            ))
            .await?;
        listener
            .bodies(|body| {
                ensure!(body == number.to_string(), "{number} is expected: {body:?}");
                Ok(())
            })
            .await?;
        latencies.push(due.elapsed());
    }
    let timings = Timings::new(began.elapsed(), latencies);
    speaker.close().await?;
    listener.close().await?;
    Ok(vec![
        ("latency, p50", timings.percentile_ms(0.5), "ms"),
        ("latency, p99", timings.percentile_ms(0.99), "ms"),
    ])
}

fn user(number: usize) -> String {
    format!("user{number}")
}
