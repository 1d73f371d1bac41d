//! The messages that a node holds before the workloads begin, and reading logs back.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::api::v1::{
    GroupMessage, PagingInfo, QueryGroupMessagesRequest, SendGroupMessagesRequest, SortDirection,
    mls_api_client::MlsApiClient,
};
use http::Uri;
use tokio::task::JoinSet;

use super::{
    load::{LINKS, Link},
    node::mls,
    traffic::{Traffic, Use},
};

/// Rows of a full page.
pub(crate) const PAGE: usize = 100;

/// Groups whose messages, numbered from 0 in each, were stored and read back.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    pub(crate) groups: Vec<Bytes>,
    /// The ids of each group's messages, ascending.
    pub(crate) ids: Vec<Vec<u64>>,
}

impl Stock {
    /// Publishes `each` messages to each of `count` groups, and reads all of them back.
    pub(crate) async fn load(
        origin: &Uri,
        traffic: &Traffic,
        belongs: Use,
        count: u32,
        each: u64,
    ) -> anyhow::Result<Self> {
        let links = Link::several(origin, LINKS).await?;
        let groups: Arc<Vec<Bytes>> =
            Arc::new((0..count).map(|at| traffic.group(belongs, 0, at)).collect());
        let workers = IN_FLIGHT.min(groups.len());
        let mut tasks = JoinSet::new();
        for worker in 0..workers {
            let mut client = mls(&links[worker % LINKS], origin);
            let traffic = traffic.clone();
            let groups = Arc::clone(&groups);
            tasks.spawn(async move {
                let mut loaded = Vec::new();
                for at in (worker..groups.len()).step_by(workers) {
                    publish(&mut client, &traffic, &groups[at], each).await?;
                    let ids = read_back(&mut client, &traffic, &groups[at], each).await?;
                    loaded.push((at, ids));
                }
                anyhow::Ok(loaded)
            });
        }
        let mut ids = vec![Vec::new(); groups.len()];
        while let Some(task) = tasks.join_next().await {
            for (at, found) in task.context("load messages")?? {
                ids[at] = found;
            }
        }
        Ok(Self {
            groups: groups.to_vec(),
            ids,
        })
    }

    /// How many messages there are.
    pub(crate) fn messages(&self) -> usize {
        self.ids.iter().map(Vec::len).sum()
    }
}

/// A page of a group's messages after id `after`, oldest first.
pub(crate) async fn page(
    client: &mut MlsApiClient<Link>,
    group: &Bytes,
    after: u64,
) -> anyhow::Result<Vec<GroupMessage>> {
    let request = QueryGroupMessagesRequest {
        group_id: group.clone(),
        paging_info: Some(PagingInfo {
            direction: SortDirection::Ascending as i32,
            limit: PAGE as u32,
            id_cursor: after,
        }),
    };
    let answer = client.query_group_messages(request).await?;
    Ok(answer.into_inner().messages)
}

/// Id and number of every message of a group, by ascending id, their bytes checked.
pub(crate) async fn walk(
    client: &mut MlsApiClient<Link>,
    traffic: &Traffic,
    group: &Bytes,
) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    loop {
        let after = found.last().map_or(0, |(id, _)| *id);
        let messages = page(client, group, after).await?;
        let full = messages.len() >= PAGE;
        for message in &messages {
            let (id, number) = traffic.received(group, message)?;
            ensure!(
                found.last().is_none_or(|(last, _)| *last < id),
                "id {id} does not ascend"
            );
            found.push((id, number));
        }
        if !full {
            return Ok(found);
        }
    }
}

async fn publish(
    client: &mut MlsApiClient<Link>,
    traffic: &Traffic,
    group: &Bytes,
    each: u64,
) -> anyhow::Result<()> {
    for first in (0..each).step_by(PAGE) {
        let numbers = first..each.min(first + PAGE as u64);
        client
            .send_group_messages(SendGroupMessagesRequest {
                messages: numbers
                    .map(|number| traffic.message(group, number))
                    .collect(),
            })
            .await?;
    }
    Ok(())
}

async fn read_back(
    client: &mut MlsApiClient<Link>,
    traffic: &Traffic,
    group: &Bytes,
    each: u64,
) -> anyhow::Result<Vec<u64>> {
    let found = walk(client, traffic, group).await?;
    ensure!(
        found.iter().map(|(_, number)| *number).eq(0..each),
        "a group of {each} messages reads back as {}, or in another order",
        found.len()
    );
    Ok(found.into_iter().map(|(id, _)| id).collect())
}

const IN_FLIGHT: usize = 16;
