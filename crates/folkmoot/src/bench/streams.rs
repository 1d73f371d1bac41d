//! How many open streams a node serves, and what each costs.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use folkmoot_wire::proto::xmtp::mls::api::v1::SendGroupMessagesRequest;
use http::Uri;
use tokio::{task::JoinSet, time::sleep};

use super::{
    load::Link,
    n3_delivery::{STREAMS_A_LINK, follow, listen},
    node::{OwnNode, mls},
    report::Report,
    traffic::{Traffic, Use},
};

pub(crate) const STREAMS: u32 = 5000;

/// Opens [`STREAMS`] streams, each of a topic of its own, and sends a message to each topic.
pub(crate) async fn run(
    origin: &Uri,
    traffic: &Traffic,
    node: Option<&OwnNode>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let before = node.and_then(OwnNode::resident_bytes);
    let links = Link::several(origin, (STREAMS as usize).div_ceil(STREAMS_A_LINK)).await?;
    let mut readers = JoinSet::new();
    let opening = Instant::now();
    for at in 0..STREAMS {
        let group = traffic.group(Use::Streams, 0, at);
        let stream = follow(&links[at as usize / STREAMS_A_LINK], origin, &group).await?;
        readers.spawn(listen(
            stream,
            traffic.clone(),
            group,
            [u64::from(at)].into(),
        ));
    }
    let opened_in = opening.elapsed();
    sleep(Duration::from_secs(1)).await;
    let after = node.and_then(OwnNode::resident_bytes);
    publish(&links, origin, traffic).await?;
    let mut served = 0;
    while let Some(reader) = readers.join_next().await {
        served += reader.context("a reader")??.len();
    }
    let metric = format!("{STREAMS} open streams, served");
    report.at_least("streams", metric, served as f64, "", f64::from(STREAMS));
    let rate = f64::from(STREAMS) / opened_in.as_secs_f64();
    report.note("streams", "… opened one after the other", rate, "1/s");
    if let (Some(before), Some(after)) = (before, after) {
        let each = after.saturating_sub(before) as f64 / f64::from(STREAMS) / 1024.0;
        report.note("streams", "… memory of each", each, "KiB");
    }
    Ok(())
}

/// Sends a message to each topic, from several senders at a time.
async fn publish(links: &[Link], origin: &Uri, traffic: &Traffic) -> anyhow::Result<()> {
    let mut senders = JoinSet::new();
    for (sender, link) in links.iter().enumerate() {
        let (mut client, traffic) = (mls(link, origin), traffic.clone());
        let senders_in_all = links.len();
        senders.spawn(async move {
            for at in (sender as u32..STREAMS).step_by(senders_in_all) {
                let group = traffic.group(Use::Streams, 0, at);
                let messages = vec![traffic.message(&group, u64::from(at))];
                client
                    .send_group_messages(SendGroupMessagesRequest { messages })
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.context("a sender")??;
    }
    Ok(())
}
