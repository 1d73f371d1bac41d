//! Which database is opened, and how.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use folkmoot_node::{Backlog, Hub};
use folkmoot_store::{
    Durability, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store, StoreError,
};

use crate::{
    config::Secret,
    failure::{Exit, Failure},
};

/// Where a node's data is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Database {
    /// A file that only this process uses.
    Sqlite {
        /// The file; made if it is missing.
        path: PathBuf,
        /// Whether what a publish returned survives a power cut.
        durability: Durability,
    },
    /// A PostgreSQL database.
    Postgres {
        /// Where it is, and who uses it: `postgres://user:password@host/name`.
        url: Secret,
    },
}

impl Database {
    /// Opens the database for the node with this id, and the hub that hears of its writes.
    pub(crate) async fn open(&self, node_id: u32) -> anyhow::Result<(Arc<dyn Store>, Arc<Hub>)> {
        let hub = Hub::new(Backlog::default());
        let slot = u16::try_from(node_id / 100).context("node ids end at 409500")?;
        let store: Arc<dyn Store> = match self {
            Self::Sqlite { path, durability } => {
                let options = SqliteOptions {
                    slot,
                    durability: *durability,
                    ..SqliteOptions::default()
                };
                let store = SqliteStore::open(path, options, hub.on_commit())
                    .with_context(|| format!("open {}", path.display()))?;
                Arc::new(store)
            }
            Self::Postgres { url } => {
                let options = PostgresOptions {
                    slot,
                    ..PostgresOptions::default()
                };
                let store = PostgresStore::connect(url.as_str(), options, hub.on_commit())
                    .await
                    .map_err(no_postgres)?;
                Arc::new(store)
            }
        };
        hub.begin_at(store.newest_id().await.context("read the newest id")?);
        Ok((store, hub))
    }
}

fn no_postgres(cause: StoreError) -> Failure {
    let (exit, remedy) = match cause {
        StoreError::InUse(_) => (Exit::Refused, "stop the server that has it"),
        StoreError::FromTheFuture { .. } => (Exit::Refused, "run the newer program"),
        _ => (
            Exit::Network,
            "set postgres_url in [store], and see that PostgreSQL runs",
        ),
    };
    Failure::new(exit, "cannot use the PostgreSQL database", remedy).because(cause)
}
