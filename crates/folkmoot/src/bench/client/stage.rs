//! What workloads need before they begin: a node, people to add, somebody who talks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::side::{Actor, Answer, Side, Sides};
use crate::bench::node::OwnNode;

/// The node that all share, and who is there beside those who are measured.
#[derive(Debug)]
pub(crate) struct Stage {
    node: OwnNode,
    sides: Sides,
    home: PathBuf,
    seed: u64,
    /// How many people exist.
    people: u64,
    /// One of our clients, which makes groups and talks in them for either side.
    hand: Actor,
    /// People to add to groups. They never read.
    crowd: Vec<String>,
}

/// What opening a client gives.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Opened {
    /// The inbox.
    pub(crate) inbox: String,
}

/// What making a group gives.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Made {
    /// The group.
    pub(crate) id: String,
}

/// The name of the one who is measured.
pub(crate) const ME: &str = "me";
/// The name of the other, in the same process.
pub(crate) const OTHER: &str = "other";

impl Stage {
    /// Starts a node below `home`.
    pub(crate) async fn set(home: &Path, sides: Sides, seed: u64) -> anyhow::Result<Self> {
        let node = OwnNode::start(&home.join("node")).await?;
        let hand = sides.start(Side::Ours, &address(&node)).await?;
        let mut stage = Self {
            node,
            sides,
            home: home.to_owned(),
            seed,
            people: 0,
            hand,
            crowd: Vec::new(),
        };
        let key = stage.key();
        let open = json!({ "who": ME, "key": key });
        stage.hand.ask::<Opened>("open", open).await?;
        Ok(stage)
    }

    /// A process of `side`, without a client.
    pub(crate) async fn actor(&self, side: Side) -> anyhow::Result<Actor> {
        self.sides.start(side, &address(&self.node)).await
    }

    /// Who takes part in a block, and in which order.
    pub(crate) fn block(&self) -> Vec<Side> {
        self.sides.block()
    }

    /// Opens a client with a wallet and an encrypted database that are new.
    pub(crate) async fn open(
        &mut self,
        actor: &mut Actor,
        who: &str,
    ) -> anyhow::Result<Answer<Opened>> {
        let key = self.key();
        let path = self.database(self.people);
        let answer: Answer<Opened> = actor
            .ask("open", json!({ "who": who, "key": key, "path": path }))
            .await?;
        ensure!(
            answer.result.inbox.len() == 64,
            "a client was opened as {:?}, which is no inbox",
            answer.result.inbox
        );
        Ok(answer)
    }

    /// The database of the client that was opened last.
    pub(crate) fn newest_database(&self) -> PathBuf {
        self.database(self.people)
    }

    /// The node, as clients write it.
    pub(crate) fn node(&self) -> String {
        address(&self.node)
    }

    /// The first `count` people of the crowd.
    pub(crate) async fn crowd(&mut self, count: usize) -> anyhow::Result<&[String]> {
        if let Some(missing) = count.checked_sub(self.crowd.len()).filter(|one| *one > 0) {
            let keys: Vec<_> = (0..missing).map(|_| self.key()).collect();
            let registered: Answer<Vec<String>> =
                self.hand.ask("crowd", json!({ "keys": keys })).await?;
            self.crowd.extend(registered.result);
        }
        self.crowd.get(..count).context("people are missing")
    }

    /// Makes `count` groups with these people, and says `texts` in each. Returns their ids.
    pub(crate) async fn groups(
        &mut self,
        count: usize,
        inboxes: &[&str],
        texts: &[String],
    ) -> anyhow::Result<Vec<String>> {
        let wanted = json!({ "who": ME, "count": count, "inboxes": inboxes, "texts": texts });
        let ids: Answer<Vec<String>> = self.hand.ask("groups", wanted).await?;
        ensure!(ids.result.len() == count, "not all groups were made");
        Ok(ids.result)
    }

    /// Ends everything that this started.
    pub(crate) async fn clear(self) -> anyhow::Result<()> {
        self.hand.end().await?;
        self.node.stop().await?;
        Ok(())
    }

    fn database(&self, number: u64) -> PathBuf {
        self.home.join(format!("client-{number}.db3"))
    }

    /// A wallet's key that nobody had before, in hex digits.
    fn key(&mut self) -> String {
        self.people += 1;
        let mut hash = Sha256::new();
        hash.update(b"folkmoot bench client");
        hash.update(self.seed.to_be_bytes());
        hash.update(self.people.to_be_bytes());
        hex::encode(hash.finalize())
    }
}

/// What a database takes on disk. A log beside it is not counted: one side tidies up when it ends,
/// the other does not.
pub(crate) fn database_bytes(path: &Path) -> anyhow::Result<u64> {
    let file = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
    Ok(file.len())
}

fn address(node: &OwnNode) -> String {
    // A path of `/` alone is none to clients.
    node.origin.to_string().trim_end_matches('/').to_owned()
}
