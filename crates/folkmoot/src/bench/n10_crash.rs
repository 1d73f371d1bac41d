//! N10: whether a node that is killed under load keeps what it acknowledged, and keeps it once.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::api::v1::SendGroupMessagesRequest;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::sleep};

use super::{
    load::{LINKS, Link},
    node::{OwnNode, mls},
    report::Report,
    stock::walk,
    traffic::{Traffic, Use},
};

const GROUPS: u64 = 50;
const IN_FLIGHT: usize = 64;

/// Kills and restarts a node on the data in `home`, `kills` times; `seed` picks the moments.
pub(crate) async fn run(
    home: &Path,
    traffic: &Traffic,
    kills: u16,
    seed: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut node = OwnNode::start(home).await?;
    let mut acknowledged = 0;
    let mut slowest_start = Duration::ZERO;
    for kill in 0..kills {
        let groups: Arc<Vec<Bytes>> = Arc::new(
            (0..GROUPS)
                .map(|at| traffic.group(Use::Crash, kill, at as u32))
                .collect(),
        );
        let load = Load::start(&node, traffic, &groups).await?;
        sleep(Duration::from_millis(random.random_range(300..1300))).await;
        node.kill().await?;
        let sent = load.outcome().await?;
        node = OwnNode::start(home).await?;
        slowest_start = slowest_start.max(node.started_in);
        sent.check(&node, traffic, &groups).await?;
        acknowledged += sent.acknowledged.len();
    }
    node.stop().await?;
    ensure!(acknowledged > 0, "nothing was acknowledged before any kill");
    report.at_most(
        "N10",
        format!("lost or doubled after {kills} kills"),
        0.0,
        "msg",
        0.0,
    );
    report.note(
        "N10",
        "… acknowledged before them",
        acknowledged as f64,
        "msg",
    );
    let slowest = slowest_start.as_secs_f64() * 1e3;
    report.note("N10", "… slowest restart", slowest, "ms");
    Ok(())
}

/// Publishers that go on until the node is gone.
struct Load(JoinSet<anyhow::Result<(Vec<u64>, u64)>>);

/// What became of the messages as far as their senders know.
struct Sent {
    acknowledged: Vec<u64>,
    /// Sent, and not answered: the node may have them or not.
    unanswered: Vec<u64>,
}

impl Load {
    async fn start(
        node: &OwnNode,
        traffic: &Traffic,
        groups: &Arc<Vec<Bytes>>,
    ) -> anyhow::Result<Self> {
        let links = Link::several(&node.origin, LINKS).await?;
        let next = Arc::new(AtomicU64::new(0));
        let mut workers = JoinSet::new();
        for worker in 0..IN_FLIGHT {
            let mut client = mls(&links[worker % LINKS], &node.origin);
            let (traffic, groups) = (traffic.clone(), Arc::clone(groups));
            let next = Arc::clone(&next);
            workers.spawn(async move {
                let mut acknowledged = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let group = &groups[(number % GROUPS) as usize];
                    let messages = vec![traffic.message(group, number)];
                    let request = SendGroupMessagesRequest { messages };
                    match client.send_group_messages(request).await {
                        Ok(_) => acknowledged.push(number),
                        Err(_) => return Ok((acknowledged, number)),
                    }
                }
            });
        }
        Ok(Self(workers))
    }

    async fn outcome(mut self) -> anyhow::Result<Sent> {
        let mut sent = Sent {
            acknowledged: Vec::new(),
            unanswered: Vec::new(),
        };
        while let Some(worker) = self.0.join_next().await {
            let (acknowledged, unanswered) = worker.context("a publisher")??;
            sent.acknowledged.extend(acknowledged);
            sent.unanswered.push(unanswered);
        }
        Ok(sent)
    }
}

impl Sent {
    /// What was acknowledged must be there once, and nothing that was never sent. Then the
    /// senders try again what was not answered, as clients do, and all must be there once.
    async fn check(
        &self,
        node: &OwnNode,
        traffic: &Traffic,
        groups: &[Bytes],
    ) -> anyhow::Result<()> {
        let link = Link::connect(&node.origin).await?;
        let before = counts(&link, node, traffic, groups).await?;
        for number in &self.acknowledged {
            let times = before.get(number).copied().unwrap_or_default();
            ensure!(
                times == 1,
                "acknowledged message {number} is there {times} times"
            );
        }
        let mut client = mls(&link, &node.origin);
        for &number in &self.unanswered {
            let group = &groups[(number % GROUPS) as usize];
            let messages = vec![traffic.message(group, number)];
            client
                .send_group_messages(SendGroupMessagesRequest { messages })
                .await?;
        }
        let after = counts(&link, node, traffic, groups).await?;
        let expected = self.acknowledged.len() + self.unanswered.len();
        ensure!(
            after.len() == expected && after.values().all(|times| *times == 1),
            "of {expected} messages {} are there after trying again, some more than once or \
             never sent",
            after.len()
        );
        Ok(())
    }
}

/// How often each message is there.
async fn counts(
    link: &Link,
    node: &OwnNode,
    traffic: &Traffic,
    groups: &[Bytes],
) -> anyhow::Result<BTreeMap<u64, usize>> {
    let mut client = mls(link, &node.origin);
    let mut counts = BTreeMap::new();
    for group in groups {
        for (_, number) in walk(&mut client, traffic, group).await? {
            *counts.entry(number).or_default() += 1;
        }
    }
    Ok(counts)
}
