//! The stores under test.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_store::{
    Durability,
    xmpp::{ArchiveId, NewEntry, StanzaKind, XmppDatabase, XmppFileOptions, XmppStore},
};
use jid::{BareJid, Jid};
use tempfile::TempDir;

/// A store, and where it keeps its file.
pub(crate) struct Backend {
    pub(crate) store: Arc<dyn XmppStore>,
    _folder: Option<TempDir>,
}

impl Backend {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = XmppFileOptions {
            durability: Durability::Off,
            ..XmppFileOptions::default()
        };
        let store = XmppDatabase::open(folder.path().join("xmpp.db"), options).unwrap();
        Self {
            store: Arc::new(store),
            _folder: Some(folder),
        }
    }

    /// A store in a schema of its own, or nothing where no PostgreSQL is at hand.
    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> Option<Self> {
        let url = crate::postgres::fresh_schema().await?;
        let store = XmppDatabase::connect(&url, 2).await.unwrap();
        Some(Self {
            store: Arc::new(store),
            _folder: None,
        })
    }
}

/// Makes one test for each backend of each named promise.
macro_rules! for_each_backend {
    ($($promise:ident),+ $(,)?) => { $(mod $promise {
        #[tokio::test]
        async fn sqlite() {
            let backend = crate::backend::Backend::sqlite();
            super::$promise(&*backend.store).await;
        }

        #[cfg(feature = "postgres")]
        #[tokio::test]
        async fn postgres() {
            if let Some(backend) = crate::backend::Backend::postgres().await {
                super::$promise(&*backend.store).await;
            }
        }
    })+ };
}
pub(crate) use for_each_backend;

pub(crate) fn bare(text: &str) -> BareJid {
    BareJid::new(text).unwrap()
}

pub(crate) fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The `number`th id.
pub(crate) fn id(number: u64) -> ArchiveId {
    // Not in the order of the numbers.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ArchiveId((u128::from(scattered) << 64 | u128::from(number)).to_be_bytes())
}

/// The `number`th message of an archive, which arrived at that time.
pub(crate) fn message(owner: &str, number: u64, with: &str, text: &str) -> NewEntry {
    NewEntry {
        owner: bare(owner),
        id: id(number),
        with: jid(with),
        kind: StanzaKind::Direct,
        stanza: bytes(text),
        at: number.cast_signed(),
        origin_id: None,
    }
}
