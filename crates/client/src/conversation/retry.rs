//! Going on by itself with what was asked for and failed: messages, commits, and welcomes of
//! either direction.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

use folkmoot_wire::GroupId;

use super::{core::Core, rows};
use crate::Error;

/// How often one looks for something that is not done.
const TICK: Duration = Duration::from_secs(2);
/// How often while the network fails.
const LONGEST_TICK: Duration = Duration::from_secs(60);

/// Looks after what is not done, as long as the client lives.
pub(crate) async fn watch(core: Weak<Core>) {
    let mut pause = TICK;
    let mut unfinished = BTreeSet::new();
    loop {
        tokio::time::sleep(pause).await;
        let Some(core) = core.upgrade() else { return };
        pause = match core.go_on(&mut unfinished).await {
            Ok(()) => TICK,
            Err(cause) => {
                tracing::debug!(%cause, "what was asked for is not done; it is tried again later");
                (pause * 2).min(LONGEST_TICK)
            }
        };
    }
}

impl Core {
    /// Takes welcomes whose time has come, looks after installations that lost a group, and goes on in the conversations that were unfinished
    /// when it was last asked, too: whoever is at work on one meanwhile needs no help.
    async fn go_on(self: &Arc<Self>, before: &mut BTreeSet<GroupId>) -> Result<(), Error> {
        let mut result = self.retry_welcomes().await.map(drop);
        result = result.and(self.work_off_readds().await);
        let unfinished = self.db.read(|db| Ok(rows::stuck(db)?)).await?;
        let unfinished: BTreeSet<_> = unfinished.into_iter().collect();
        for id in unfinished.intersection(before) {
            let went_on = self.run(id, |state, core| Box::pin(state.sync(core)));
            result = result.and(went_on.await.map(drop));
        }
        *before = unfinished;
        result
    }
}
