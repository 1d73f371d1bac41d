//! The workloads: what is done before, what is measured, and how the answers are checked.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Id, Plan,
    duel::Taken,
    side::{Actor, Answer, Side},
    stage::{ME, Made, OTHER, Stage, database_bytes},
};
use crate::bench::{load::median, n7_start::mib};

/// The people whom C7 adds to each group and removes, one after the other.
const GUESTS: usize = 3;
/// Messages that are heard before those that C6 measures.
const WARM_UP: usize = 5;

/// Messages in each of many groups.
pub(crate) const EACH: usize = 10;

pub(crate) const REGISTER: &str = "create a client, register";
pub(crate) const FIRST_WORDS: &str = "new DM, first send, received";
pub(crate) const DELIVERY: &str = "send to callback, p50";
pub(crate) const DELIVERY_CPU: &str = "… CPU of each";
/// The two ways of C4: the request, its name, the goal.
pub(crate) const SENDING: [(&str, &str, f64); 2] =
    [("say", "in sequence", 0.5), ("say_all", "pipelined", 0.2)];

pub(crate) fn new_group(size: usize) -> String {
    format!("new group of {size}")
}

pub(crate) fn send_messages(count: usize, how: &str) -> String {
    format!("send {count} messages {how}")
}

pub(crate) fn sync_messages(groups: usize, each: usize) -> String {
    match groups {
        1 => format!("sync {each} messages cold"),
        _ => format!("sync {groups} groups of {each} messages"),
    }
}

pub(crate) fn change(op: &str, size: usize) -> String {
    format!("{op} one in {size}")
}

/// Runs workload `id` once on `side`, in processes of its own.
pub(crate) async fn run(
    id: Id,
    stage: &mut Stage,
    plan: &Plan,
    side: Side,
) -> anyhow::Result<Vec<Taken>> {
    match id {
        Id::C1 => register(stage, plan, side).await,
        Id::C2 => first_words(stage, plan, side).await,
        Id::C3 => new_groups(stage, plan, side).await,
        Id::C4 => send(stage, plan, side).await,
        Id::C5 => catch_up(stage, plan, side).await,
        Id::C6 => delivery(stage, plan, side).await,
        Id::C7 => members(stage, plan, side).await,
        Id::C9 => idle(stage, plan, side).await,
        Id::C10 => footprint(stage, plan, side).await,
        Id::Start => Ok(Vec::new()),
    }
}

/// C1. Ours counts from the start of the process; of the official side what Node.js takes until
/// the SDK is imported is left out.
async fn register(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..plan.newcomers {
        let mut actor = stage.actor(side).await?;
        let opened = stage.open(&mut actor, ME).await?;
        let before = match side {
            Side::Ours => actor.loaded,
            Side::Official => Default::default(),
        };
        wall.push(opened.wall_ms + before.wall_ms);
        cpu.push(opened.cpu_ms + before.cpu_ms);
        actor.end().await?;
    }
    Ok(both(REGISTER, median(wall), median(cpu), 0.5))
}

/// What a first meeting gives.
#[derive(Deserialize)]
struct Met {
    id: String,
    texts: Vec<String>,
}

/// C2.
async fn first_words(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut actor = stage.actor(side).await?;
    stage.open(&mut actor, ME).await?;
    let (mut wall, mut cpu) = (0.0, 0.0);
    for number in 0..plan.meetings {
        let whom = format!("{OTHER} {number}");
        stage.open(&mut actor, &whom).await?;
        let said = words("hello", 1 + number);
        let said = &said[number..];
        let met: Answer<Met> = actor
            .ask("meet", json!({ "who": ME, "whom": whom, "texts": said }))
            .await?;
        ensure!(met.result.texts == said, "the first words are others");
        ensure!(!met.result.id.is_empty(), "the DM has no id");
        wall += met.wall_ms / plan.meetings as f64;
        cpu += met.cpu_ms / plan.meetings as f64;
    }
    actor.end().await?;
    Ok(both(FIRST_WORDS, wall, cpu, 0.5))
}

/// C3.
async fn new_groups(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut actor = stage.actor(side).await?;
    stage.open(&mut actor, ME).await?;
    let mut all = Vec::new();
    for &size in plan.groups {
        let made = group(stage, &mut actor, size).await?;
        let what = new_group(size);
        all.extend(both(&what, made.wall_ms, made.cpu_ms, 0.4));
    }
    actor.end().await?;
    Ok(all)
}

/// Makes a group of `size` people, and has their number checked.
async fn group(stage: &mut Stage, actor: &mut Actor, size: usize) -> anyhow::Result<Answer<Made>> {
    let inboxes = stage.crowd(size - 1).await?;
    let made: Answer<Made> = actor
        .ask("group", json!({ "who": ME, "inboxes": inboxes }))
        .await?;
    has_members(actor, &made.result.id, size).await?;
    Ok(made)
}

async fn has_members(actor: &mut Actor, id: &str, wanted: usize) -> anyhow::Result<()> {
    let found: Answer<usize> = actor.ask("members", json!({ "who": ME, "id": id })).await?;
    ensure!(
        found.result == wanted,
        "a group has {} members instead of {wanted}",
        found.result
    );
    Ok(())
}

/// C4.
async fn send(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut actor = stage.actor(side).await?;
    stage.open(&mut actor, ME).await?;
    let other = stage.open(&mut actor, OTHER).await?.result;
    let made: Answer<Made> = actor
        .ask("group", json!({ "who": ME, "inboxes": [other.inbox] }))
        .await?;
    let id = made.result.id;
    let mut said = Vec::new();
    let mut all = Vec::new();
    for (op, how, goal) in SENDING {
        let texts = words(op, plan.messages);
        let sent: Answer<usize> = actor
            .ask(op, json!({ "who": ME, "id": id, "texts": texts }))
            .await?;
        ensure!(sent.result == texts.len(), "not all was sent");
        let what = send_messages(texts.len(), how);
        all.extend(both(&what, sent.wall_ms, sent.cpu_ms, goal));
        said.extend(texts);
    }
    actor.ask::<bool>("sync", json!({ "who": OTHER })).await?;
    let heard: Answer<Vec<String>> = actor
        .ask("texts", json!({ "who": OTHER, "id": id }))
        .await?;
    same(&said, heard.result, plan.messages)?;
    actor.end().await?;
    Ok(all)
}

/// Checks texts that were received: those up to `ordered` in their order, the rest in any.
fn same(said: &[String], mut heard: Vec<String>, ordered: usize) -> anyhow::Result<()> {
    ensure!(
        heard.len() == said.len(),
        "{} messages came of {}",
        heard.len(),
        said.len()
    );
    ensure!(
        heard[..ordered] == said[..ordered],
        "messages came in another order or with other texts"
    );
    let mut said = said.to_vec();
    said.sort_unstable();
    heard.sort_unstable();
    ensure!(heard == said, "messages came with other texts");
    Ok(())
}

/// C5.
async fn catch_up(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut all = Vec::new();
    for (groups, each) in [(1, plan.messages), (plan.many_groups, EACH)] {
        let mut actor = stage.actor(side).await?;
        all.extend(catch_up_on(stage, &mut actor, ME, groups, each).await?);
        actor.end().await?;
    }
    Ok(all)
}

/// Opens a client as `who`, invites it to `groups` groups with `each` messages, and measures how
/// it reads them all.
async fn catch_up_on(
    stage: &mut Stage,
    actor: &mut Actor,
    who: &str,
    groups: usize,
    each: usize,
) -> anyhow::Result<Vec<Taken>> {
    let me = stage.open(actor, who).await?.result;
    let texts = words("news", each);
    let ids = stage.groups(groups, &[&me.inbox], &texts).await?;
    let read: Answer<BTreeMap<String, Vec<String>>> =
        actor.ask("catch_up", json!({ "who": who })).await?;
    ensure!(
        read.result.len() == groups,
        "{} groups came of {groups}",
        read.result.len()
    );
    for id in ids {
        let heard = read.result.get(&id).cloned().unwrap_or_default();
        same(&texts, heard, 0)?;
    }
    let what = sync_messages(groups, each);
    Ok(both(&what, read.wall_ms, read.cpu_ms, 0.33))
}

/// What was heard, and how long each took.
#[derive(Deserialize)]
struct Heard {
    texts: Vec<String>,
    took: Vec<f64>,
}

/// C6.
async fn delivery(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut actor = stage.actor(side).await?;
    stage.open(&mut actor, ME).await?;
    stage.open(&mut actor, OTHER).await?;
    let met: Answer<Met> = actor
        .ask(
            "meet",
            json!({ "who": ME, "whom": OTHER, "texts": ["hello"] }),
        )
        .await?;
    let id = met.result.id;
    let mut measured = None;
    for (what, count) in [("warm", WARM_UP), ("ping", plan.pings)] {
        let texts = words(what, count);
        let args = json!({ "who": ME, "whom": OTHER, "id": id, "texts": texts });
        let heard: Answer<Heard> = actor.ask("ping", args).await?;
        ensure!(
            heard.result.texts == texts,
            "the stream brought other texts"
        );
        ensure!(heard.result.took.len() == count, "not all were timed");
        measured = Some(heard);
    }
    actor.end().await?;
    let Some(heard) = measured else {
        return Ok(Vec::new());
    };
    let mut took = heard.result.took;
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
    let one = |what: &str, value| Taken {
        what: what.to_owned(),
        value,
        unit: "ms",
        goal: Some(0.5),
    };
    Ok(vec![
        one(DELIVERY, at(0.5)),
        one("… p99", at(0.99)),
        one(DELIVERY_CPU, heard.cpu_ms / plan.pings as f64),
    ])
}

/// C7.
async fn members(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut actor = stage.actor(side).await?;
    stage.open(&mut actor, ME).await?;
    let mut all = Vec::new();
    let most = plan.groups.iter().copied().max().unwrap_or_default();
    for &size in plan.changed {
        let id = group(stage, &mut actor, size - 1).await?.result.id;
        let guests = stage.crowd(most + GUESTS).await?[most..].to_vec();
        let mut walls = [Vec::new(), Vec::new()];
        let mut cpus = [Vec::new(), Vec::new()];
        for guest in &guests {
            for (at, (op, left)) in [("add", size), ("remove", size - 1)]
                .into_iter()
                .enumerate()
            {
                let args = json!({ "who": ME, "id": id, "inboxes": [guest] });
                let done: Answer<Value> = actor.ask(op, args).await?;
                walls[at].push(done.wall_ms);
                cpus[at].push(done.cpu_ms);
                has_members(&mut actor, &id, left).await?;
            }
        }
        let taken = ["add", "remove"]
            .into_iter()
            .zip(walls.into_iter().zip(cpus));
        for (op, (wall, cpu)) in taken {
            let what = change(op, size);
            all.extend(both(&what, median(wall), median(cpu), 0.5));
        }
    }
    actor.end().await?;
    Ok(all)
}

/// C9. Each side is asked several times, because the first answer of a process costs more.
async fn idle(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut actor = stage.actor(side).await?;
    let me = stage.open(&mut actor, ME).await?.result;
    let count = plan.conversations;
    stage.groups(count, &[&me.inbox], &[]).await?;
    actor.ask::<bool>("sync", json!({ "who": ME })).await?;
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for time in 0..=plan.looks {
        let seen: Answer<usize> = actor.ask("idle", json!({ "who": ME })).await?;
        ensure!(
            seen.result == count,
            "{} conversations are listed of {count}",
            seen.result
        );
        if time > 0 {
            wall.push(seen.wall_ms);
            cpu.push(seen.cpu_ms);
        }
    }
    actor.end().await?;
    let what = format!("list and sync {count} conversations, nothing new");
    Ok(both(&what, median(wall), median(cpu), 0.2))
}

/// C10: what a process holds after C3, C4 and C5, and what its database takes once it has ended.
async fn footprint(stage: &mut Stage, plan: &Plan, side: Side) -> anyhow::Result<Vec<Taken>> {
    let mut actor = stage.actor(side).await?;
    let me = stage.open(&mut actor, ME).await?.result;
    let database = stage.newest_database();
    let mut id = String::new();
    for &size in plan.groups {
        let made = group(stage, &mut actor, size).await?.result.id;
        if id.is_empty() {
            id = made;
        }
    }
    for op in ["say", "say_all"] {
        let texts = words(op, plan.messages);
        let args = json!({ "who": ME, "id": id, "texts": texts });
        actor.ask::<usize>(op, args).await?;
    }
    let news = words("news", plan.messages);
    stage.groups(1, &[&me.inbox], &news).await?;
    stage
        .groups(plan.many_groups, &[&me.inbox], &news[..EACH])
        .await?;
    let read: Answer<BTreeMap<String, Vec<String>>> =
        actor.ask("catch_up", json!({ "who": ME })).await?;
    let wanted = 3 * plan.messages + plan.many_groups * EACH;
    let found: usize = read.result.values().map(Vec::len).sum();
    ensure!(found == wanted, "{found} messages are there of {wanted}");
    actor.ask::<bool>("rest", json!({ "who": ME })).await?;
    let resident = actor.resident_bytes()?;
    let grown = resident.saturating_sub(actor.loaded.resident_bytes);
    let loaded = actor.loaded.resident_bytes;
    actor.end().await?;
    let disk = database_bytes(&database)?;
    let one = |what: &str, bytes: u64, goal| Taken {
        what: what.to_owned(),
        value: mib(bytes),
        unit: "MiB",
        goal,
    };
    Ok(vec![
        one(
            "memory after C3 to C5, less the runtime's",
            grown,
            Some(0.5),
        ),
        one("… the runtime, library loaded", loaded, None),
        one("… database on disk", disk, Some(0.6)),
    ])
}

/// The two numbers of a request: how long it took, and what it cost.
fn both(what: &str, wall_ms: f64, cpu_ms: f64, goal: f64) -> Vec<Taken> {
    let one = |what: String, value| Taken {
        what,
        value,
        unit: "ms",
        goal: Some(goal),
    };
    vec![
        one(what.to_owned(), wall_ms),
        one(format!("{what}{CPU}"), cpu_ms),
    ]
}

/// What is added to the name of a time for that of the processor time.
pub(crate) const CPU: &str = ", CPU";

/// Texts that can be told apart.
pub(crate) fn words(about: &str, count: usize) -> Vec<String> {
    let texts = 0..count;
    texts
        .map(|number| {
            format!("{about} {number:04}: what is said here is as long as most texts are")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_is_compared_text_by_text() {
        let said = words("x", 4);
        assert!(same(&said, said.clone(), 4).is_ok());
        let mut swapped = said.clone();
        swapped.swap(2, 3);
        assert!(same(&said, swapped.clone(), 2).is_ok());
        assert!(same(&said, swapped, 4).is_err());
        let mut wrong = said.clone();
        wrong[3].push('!');
        assert!(same(&said, wrong, 0).is_err());
        assert!(same(&said, said[..3].to_vec(), 0).is_err());
        let doubled = [&said[..3], &said[..1]].concat();
        assert!(same(&said, doubled, 0).is_err());
    }
}
