//! The stores under test, each with what it told its listener.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_store::{Draft, Durability, Envelope, SqliteOptions, SqliteStore, Store};
use folkmoot_testkit::MemoryStore;
use folkmoot_wire::{Topic, TopicKind};
use parking_lot::Mutex;
use tempfile::TempDir;

#[cfg(feature = "postgres")]
pub(crate) use crate::postgres::fresh_schema;

/// A store and what it told its listener so far.
pub(crate) struct Backend {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) heard: Arc<Mutex<Vec<Arc<Envelope>>>>,
    _folder: Option<TempDir>,
}

impl Backend {
    /// A store in a schema of its own, or nothing where no PostgreSQL is at hand.
    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> Option<Self> {
        use folkmoot_store::{PostgresOptions, PostgresStore};

        let url = fresh_schema().await?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let options = PostgresOptions {
            readers: 2,
            ..PostgresOptions::default()
        };
        let store = PostgresStore::connect(&url, options, listener(&heard)).await;
        Some(Self {
            store: Arc::new(store.unwrap()),
            heard,
            _folder: None,
        })
    }

    pub(crate) fn memory() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let store = MemoryStore::new(1, listener(&heard));
        Self {
            store: Arc::new(store),
            heard,
            _folder: None,
        }
    }

    pub(crate) fn sqlite() -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions {
            durability: Durability::Off,
            ..SqliteOptions::default()
        };
        let path = folder.path().join("store.sqlite");
        let store = SqliteStore::open(path, options, listener(&heard)).unwrap();
        Self {
            store: Arc::new(store),
            heard,
            _folder: Some(folder),
        }
    }
}

fn listener(heard: &Arc<Mutex<Vec<Arc<Envelope>>>>) -> folkmoot_store::OnCommit {
    let heard = Arc::clone(heard);
    Arc::new(move |envelopes| heard.lock().extend(envelopes))
}

/// Makes one test for each backend of each named promise.
macro_rules! for_each_backend {
    ($($promise:ident),+ $(,)?) => { $(mod $promise {
        #[tokio::test]
        async fn memory() {
            super::$promise(crate::backend::Backend::memory()).await;
        }

        #[tokio::test]
        async fn sqlite() {
            super::$promise(crate::backend::Backend::sqlite()).await;
        }

        #[cfg(feature = "postgres")]
        #[tokio::test]
        async fn postgres() {
            if let Some(backend) = crate::backend::Backend::postgres().await {
                super::$promise(backend).await;
            }
        }
    })+ };
}
pub(crate) use for_each_backend;

pub(crate) fn group(name: &str) -> Topic {
    Topic::new(TopicKind::GroupMessages, name.as_bytes()).unwrap()
}

/// A message to a group.
pub(crate) fn says(topic: &Topic, text: &str) -> Draft {
    Draft::new(topic.clone(), 100, Bytes::copy_from_slice(text.as_bytes()))
}

/// A commit to a group.
pub(crate) fn commits(topic: &Topic, text: &str) -> Draft {
    Draft {
        originator: 0,
        is_commit: true,
        ..says(topic, text)
    }
}

pub(crate) fn texts(envelopes: &[Envelope]) -> Vec<&str> {
    envelopes
        .iter()
        .map(|envelope| std::str::from_utf8(&envelope.payload).unwrap())
        .collect()
}
