//! N8: whether a node stays as it is under mixed load: memory, and the time that publishes take.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::api::v1::{
    GetNewestGroupMessageRequest, SendGroupMessagesRequest,
};
use http::Uri;
use tokio::task::JoinSet;

use super::{
    load::{LINKS, Link, Timings, schedule},
    n2_query::query,
    n3_delivery::{STREAMS_A_LINK, follow, listen},
    n5_directory::Directory,
    n7_start::mib,
    node::{OwnNode, identity, mls},
    report::Report,
    stock::{PAGE, Stock},
    traffic::{Traffic, Use},
};

/// Groups with a reader each.
const GROUPS: u64 = 200;
/// One call of some kind each millisecond.
const EVERY: Duration = Duration::from_millis(1);

/// What a run of mixed load is made of.
pub(crate) struct Mixed {
    pub(crate) origin: Uri,
    pub(crate) traffic: Traffic,
    pub(crate) stock: Arc<Stock>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) length: Duration,
}

impl Mixed {
    /// Half of the calls publish, the others read pages, look people up, ask for the newest
    /// messages, and open and close streams; readers check that each message arrives once.
    pub(crate) async fn run(
        self,
        node: Option<&OwnNode>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let calls = (self.length.as_nanos() / EVERY.as_nanos()) as u64;
        let groups: Arc<Vec<Bytes>> = Arc::new(
            (0..GROUPS)
                .map(|at| self.traffic.group(Use::Mixed, 0, at as u32))
                .collect(),
        );
        let mut readers = self.readers(&groups, calls.div_ceil(2)).await?;
        let links = Link::several(&self.origin, LINKS).await?;
        let this = Arc::new(self);
        let mut running = JoinSet::new();
        let mut latencies = Vec::new();
        let mut memory = Vec::new();
        let began = Instant::now();
        let mut ticks = schedule(EVERY, calls);
        while let Some((number, due)) = ticks.recv().await {
            let link = links[number as usize % LINKS].clone();
            running.spawn(Arc::clone(&this).call(link, Arc::clone(&groups), number, due));
            if number % 1000 == 0
                && let Some(bytes) = node.and_then(OwnNode::resident_bytes)
            {
                memory.push((began.elapsed(), mib(bytes)));
            }
            while let Some(done) = running.try_join_next() {
                latencies.extend(done.context("a call of the mixed load")??);
            }
        }
        while let Some(done) = running.join_next().await {
            latencies.extend(done.context("a call of the mixed load")??);
        }
        while let Some(reader) = readers.join_next().await {
            reader.context("a reader of the mixed load")??;
        }
        this.summarise(began, &latencies, &memory, report);
        Ok(())
    }

    /// One reader for each group, each expecting its share of `publishes`.
    async fn readers(
        &self,
        groups: &[Bytes],
        publishes: u64,
    ) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
        let links = Link::several(&self.origin, groups.len().div_ceil(STREAMS_A_LINK)).await?;
        let mut readers = JoinSet::new();
        for (at, group) in groups.iter().enumerate() {
            let stream = follow(&links[at / STREAMS_A_LINK], &self.origin, group).await?;
            let (traffic, group) = (self.traffic.clone(), group.clone());
            let expected = (at as u64..publishes).step_by(groups.len()).collect();
            readers.spawn(async move {
                listen(stream, traffic, group, expected).await?;
                anyhow::Ok(())
            });
        }
        Ok(readers)
    }

    /// Makes call `number`. Publishes return when they were due and how long they took from then.
    async fn call(
        self: Arc<Self>,
        link: Link,
        groups: Arc<Vec<Bytes>>,
        number: u64,
        due: Instant,
    ) -> anyhow::Result<Option<(Instant, Duration)>> {
        let mut client = mls(&link, &self.origin);
        match number % 10 {
            0 | 2 | 4 | 6 | 8 => {
                let number = number / 2;
                let group = &groups[(number % GROUPS) as usize];
                let messages = vec![self.traffic.message(group, number)];
                client
                    .send_group_messages(SendGroupMessagesRequest { messages })
                    .await?;
                return Ok(Some((due, due.elapsed())));
            }
            1 => {
                let at = (number.wrapping_mul(7919) % self.stock.groups.len() as u64) as usize;
                let rows = (self.stock.ids[at].len() - PAGE + 1) as u64;
                let row = (number.wrapping_mul(104_729) % rows) as usize;
                query(client, &self.traffic, &self.stock, at, row).await?;
            }
            3 | 5 => {
                let client = identity(&link, &self.origin);
                self.directory.look_up(client, number).await?;
            }
            7 => {
                let request = GetNewestGroupMessageRequest {
                    group_ids: groups.to_vec(),
                    include_content: false,
                };
                let answer = client.get_newest_group_message(request).await?;
                ensure!(
                    answer.get_ref().responses.len() == groups.len(),
                    "not every group got an answer about its newest message"
                );
            }
            _ if number % 100 == 9 => {
                let at = (number / 100) as usize % self.stock.groups.len();
                let group = &self.stock.groups[at];
                let mut stream = follow(&link, &self.origin, group).await?;
                let first = stream.message().await?.context("a stream gave nothing")?;
                let (id, _) = self.traffic.received(group, &first)?;
                ensure!(id == self.stock.ids[at][0], "a stream began with id {id}");
            }
            _ => {}
        }
        Ok(None)
    }

    /// The first third warms up; what follows is judged.
    fn summarise(
        &self,
        began: Instant,
        latencies: &[(Instant, Duration)],
        memory: &[(Duration, f64)],
        report: &mut Report,
    ) {
        let warm = (self.length / 3).min(Duration::from_mins(1));
        let window = (self.length - warm) / 5;
        let p99 = |from: Duration| {
            let within = from..from + window;
            let latencies = latencies
                .iter()
                .filter(|(due, _)| within.contains(&due.saturating_duration_since(began)))
                .map(|(_, latency)| *latency);
            Timings::new(window, latencies.collect()).percentile_ms(0.99)
        };
        let (first, last) = (p99(warm), p99(self.length - window));
        report.note("N8", "mixed load, publish p99 at first", first, "ms");
        report.note("N8", "… at last", last, "ms");
        report.at_most("N8", "… last to first", last / first, "", 1.3);
        let after: Vec<_> = memory
            .iter()
            .filter(|(at, _)| *at >= warm)
            .map(|(at, mib)| (at.as_secs_f64() / 60.0, *mib))
            .collect();
        if let Some((_, last)) = after.last() {
            report.at_most("N8", "… memory growth", slope(&after), "MiB/min", 1.0);
            report.note("N8", "… memory at the end", *last, "MiB");
        }
    }
}

/// The slope of the straight line that fits best.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x).powi(2);
    }
    if below == 0.0 { 0.0 } else { above / below }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_best_line() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0);
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 1.0)]), 0.0);
        assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
    }
}
