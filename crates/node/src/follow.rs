//! One stream over history and live delivery, without gap or overlap.

use std::sync::Arc;

use folkmoot_store::{After, Envelope, Page, Store};
use folkmoot_wire::Topic;

use crate::{End, Node, NodeError, Subscription};

/// How much one read of the history takes.
pub(crate) const HISTORY_PAGE: Page = Page {
    envelopes: 1000,
    bytes: 4 << 20,
};

/// Reads several topics, first what the store has after their cursors, then what is committed.
pub(crate) struct Follow {
    store: Arc<dyn Store>,
    subscription: Subscription,
    cursors: Vec<(Topic, After)>,
    /// Where the history has been read up to.
    read: u64,
    /// Whether the reader knows that it has caught up.
    told: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Reading the store up to this id.
    History { up_to: u64 },
    /// Reading what is committed; `heard` once something came that way.
    Live { heard: bool },
}

/// What comes out of a [`Follow`].
#[derive(Debug)]
pub(crate) enum Item {
    /// Some envelopes by ascending id; never none.
    Envelopes(Vec<Arc<Envelope>>),
    /// From here on everything is live. Given once.
    CaughtUp,
}

impl Follow {
    /// Begins to follow; each topic occurs once in `cursors`.
    pub(crate) fn new(node: &Node, cursors: Vec<(Topic, After)>) -> Self {
        let topics = cursors.iter().map(|(topic, _)| topic.clone());
        let subscription = node.inner.hub.subscribe(topics);
        Self {
            store: Arc::clone(&node.inner.store),
            stage: Stage::History {
                up_to: subscription.began(),
            },
            subscription,
            cursors,
            read: 0,
            told: false,
        }
    }

    /// The next item. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`NodeError::TooSlow`] when the reader fell behind while live, [`NodeError::Closing`]
    /// when the node shuts down, or what the store says.
    pub(crate) async fn next(&mut self) -> Result<Item, NodeError> {
        loop {
            match self.stage {
                Stage::History { up_to } => {
                    let page = self
                        .store
                        .merged(&self.cursors, self.read, up_to, HISTORY_PAGE)
                        .await?;
                    match page.last() {
                        Some(last) => {
                            self.read = last.id;
                            let envelopes = page.into_iter().map(Arc::new).collect();
                            return Ok(Item::Envelopes(envelopes));
                        }
                        None => {
                            self.read = up_to;
                            self.stage = Stage::Live { heard: false };
                            if !self.told {
                                self.told = true;
                                return Ok(Item::CaughtUp);
                            }
                        }
                    }
                }
                Stage::Live { heard } => match self.subscription.next().await {
                    Ok(envelopes) => {
                        self.stage = Stage::Live { heard: true };
                        return Ok(Item::Envelopes(envelopes));
                    }
                    // More was committed during a long history than a queue holds: that is
                    // not the reader's fault, and the store has it.
                    Err(End::Lagged) if !heard => {
                        let up_to = self.subscription.begin_again()?;
                        self.stage = Stage::History { up_to };
                    }
                    Err(end) => return Err(end.into()),
                },
            }
        }
    }
}
