//! What a network has to have done now and then, whoever runs it.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use folkmoot_node::files::History;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Does `work` now and then every so many seconds, in a task of its own, until `ending` is
/// cancelled.
pub(crate) fn every<F, W>(seconds: u64, ending: &CancellationToken, mut work: F)
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

/// Removes history files that are too old, every so many seconds.
pub(crate) fn sweep(seconds: u64, ending: &CancellationToken, history: &History) {
    let history = history.clone();
    every(seconds, ending, move || sweep_now(history.clone()));
}

async fn sweep_now(history: History) {
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
