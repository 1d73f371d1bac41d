//! What has to be done now and then: looking at the disk, removing what is too old.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use folkmoot_node::files::History;
use folkmoot_store::{Pruned, Retention, Store};
use tokio_util::sync::CancellationToken;

use super::disk::Alarm;
use crate::{
    config::Config,
    upkeep::{every, sweep},
};

/// Begins all of it, until `ending` is cancelled.
pub(super) fn begin(
    config: &Config,
    store: &Arc<dyn Store>,
    history: Option<&History>,
    alarm: &Alarm,
    ending: &CancellationToken,
) {
    let alarm = alarm.clone();
    every(config.disk.every_seconds, ending, move || {
        alarm.look();
        async {}
    });
    let seconds = config.retention.every_minutes.saturating_mul(60);
    let retention = config.retention();
    if retention
        != (Retention {
            messages: None,
            welcomes: None,
            key_packages: None,
        })
    {
        let store = Arc::clone(store);
        every(seconds, ending, move || {
            prune(Arc::clone(&store), retention)
        });
    }
    if let Some(history) = history {
        sweep(seconds, ending, history);
    }
}

async fn prune(store: Arc<dyn Store>, retention: Retention) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let Some(now_ns) = now.ok().and_then(|now| u64::try_from(now.as_nanos()).ok()) else {
        tracing::error!("the clock is far off; nothing is removed");
        return;
    };
    match store.prune(retention, now_ns).await {
        Ok(Pruned {
            messages: 0,
            welcomes: 0,
            key_packages: 0,
        }) => {}
        Ok(pruned) => tracing::info!(
            messages = pruned.messages,
            welcomes = pruned.welcomes,
            key_packages = pruned.key_packages,
            "what was too old was removed"
        ),
        Err(cause) => tracing::error!(%cause, "what is too old could not be removed"),
    }
}
