//! N6 and N7: what messages take on disk, how fast a node starts, and what it takes when idle.

use std::{path::Path, time::Duration};

use tokio::time::sleep;

use super::{load::median, node::OwnNode, report::Report};

/// For how long a node rests before its memory is read.
const REST: Duration = Duration::from_secs(2);

/// What several starts took.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    ms: Vec<f64>,
    resident: Vec<f64>,
}

impl Starts {
    /// Starts a node `times` times on nothing, each below `home`.
    pub(crate) async fn empty(home: &Path, times: usize) -> anyhow::Result<Self> {
        let mut starts = Self::default();
        for time in 0..times {
            let home = home.join(format!("empty-{time}"));
            let node = OwnNode::start(&home).await?;
            starts.add(node, time == 0).await?;
            std::fs::remove_dir_all(&home)?;
        }
        Ok(starts)
    }

    /// Starts a node `times` times on what `home` holds.
    pub(crate) async fn loaded(home: &Path, times: usize) -> anyhow::Result<Self> {
        let mut starts = Self::default();
        for time in 0..times {
            let node = OwnNode::start(home).await?;
            starts.add(node, time == 0).await?;
        }
        Ok(starts)
    }

    /// Adds the numbers of starts `with` messages to a report.
    pub(crate) fn report(self, report: &mut Report, with: &str, most_ms: f64) {
        let metric = format!("start to first answer, {with}");
        report.at_most("N7", metric, median(self.ms), "ms", most_ms);
        if !self.resident.is_empty() {
            let metric = format!("idle memory, {with}");
            report.at_most("N7", metric, median(self.resident), "MiB", 40.0);
        }
    }

    async fn add(&mut self, node: OwnNode, rest: bool) -> anyhow::Result<()> {
        self.ms.push(node.started_in.as_secs_f64() * 1e3);
        if rest {
            sleep(REST).await;
            self.resident.extend(node.resident_bytes().map(mib));
        }
        node.stop().await?;
        Ok(())
    }
}

/// Adds N6: what `messages` take, once a node that holds nothing else has stopped cleanly, with
/// its write-ahead log and everything else in its directory.
pub(crate) fn report_disk(report: &mut Report, bytes: u64, messages: usize) {
    let each = bytes as f64 / messages as f64;
    report.at_most("N6", "disk for a message of 1 KB", each, "B", 1450.0);
}

/// Bytes in mebibytes.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
