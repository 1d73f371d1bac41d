//! Noticing that this installation has lost its rights: somebody revoked it, and nothing comes to
//! it any more, without a word.

use std::{sync::Weak, time::Duration};

use crate::conversation::core::Core;

/// How old our knowledge of our rights may be when everything is synced: 5 min.
pub(crate) const FRESH_NS: u64 = 5 * 60 * 1_000_000_000;
/// How soon a client asks after it began.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// How often it asks.
const TICK: Duration = Duration::from_secs(60);

/// Asks from time to time, as long as the client lives and has its rights.
pub(crate) async fn watch(core: Weak<Core>) {
    let mut pause = FIRST_LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let Some(core) = core.upgrade() else { return };
        match core.check_rights(0).await {
            Err(cause) if cause.is_revoked() => return,
            Err(cause) => tracing::debug!(%cause, "whether this installation has its rights"),
            Ok(()) => {}
        }
        pause = TICK;
    }
}
