//! What has to be done now and then: looking at the disk, removing what is too old.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use folkmoot_node::files::History;
use folkmoot_store::{Pruned, Retention, Store};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::disk::Alarm;
use crate::config::Config;

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
        let history = history.clone();
        every(seconds, ending, move || sweep(history.clone()));
    }
}

/// Does `work` now and then every so many seconds, in a task of its own.
fn every<F, W>(seconds: u64, ending: &CancellationToken, mut work: F)
where
    F: FnMut() -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let ending = ending.clone();
    tokio::spawn(async move {
        let mut time = interval(Duration::from_secs(seconds));
        time.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            loop {
                time.tick().await;
                work().await;
            }
        };
        ending.run_until_cancelled(work).await;
    });
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

async fn sweep(history: History) {
    match history.sweep(SystemTime::now()).await {
        Ok(swept) if swept.files == 0 => {}
        Ok(swept) => tracing::info!(
            files = swept.files,
            bytes = swept.bytes,
            "history files that were too old were removed"
        ),
        Err(cause) => tracing::error!(%cause, "old history files could not be removed"),
    }
}
