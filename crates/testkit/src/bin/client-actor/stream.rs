//! What somebody hears on the stream of all messages.

use std::{sync::Arc, time::Duration};

use folkmoot_client::{Client, LiveState, StreamOptions, network::ConnectionState};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{Failure, contents};

/// What came, and a bell for what comes.
pub(crate) struct Heard {
    entries: Arc<Mutex<Vec<Value>>>,
    bell: watch::Sender<()>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            bell: watch::Sender::new(()),
            listening: Mutex::default(),
        }
    }
}

impl Heard {
    /// Begins to listen; returns when the stream is connected and what was stored has come.
    pub(crate) async fn listen(&self, client: &Client) -> Result<(), Failure> {
        let conversations = client.conversations();
        let mut stream = conversations
            .stream_all_messages(StreamOptions::default())
            .await?;
        let mut states = stream.watch_state();
        let connected = states.wait_for(is_live);
        tokio::time::timeout(CONNECTED, connected)
            .await
            .map_err(|_| "the stream does not come up")??;
        let entries = Arc::clone(&self.entries);
        let bell = self.bell.clone();
        let note = move |entry: Value| {
            entries.lock().push(entry);
            bell.send_replace(());
        };
        let task = tokio::spawn(async move {
            let mut was_live = true;
            loop {
                tokio::select! {
                    message = stream.next() => match message {
                        Ok(message) => {
                            let mut entry = contents::show(&message);
                            entry["kind"] = "message".into();
                            note(entry);
                        }
                        Err(cause) => {
                            note(json!({ "kind": "error", "text": cause.to_string() }));
                            return;
                        }
                    },
                    changed = states.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let live = is_live(&states.borrow_and_update());
                        if live && !was_live {
                            note(json!({ "kind": "restarted" }));
                        }
                        was_live = live;
                    }
                }
            }
        });
        if let Some(old) = self.listening.lock().replace(task) {
            old.abort();
        }
        Ok(())
    }

    /// What `wanted` lets through, once there is so much of it or the time is over.
    pub(crate) async fn wait(
        &self,
        wanted: impl Fn(&Value) -> bool,
        count: usize,
        patience: Duration,
    ) -> Vec<Value> {
        let deadline = Instant::now() + patience;
        let mut bell = self.bell.subscribe();
        loop {
            let found: Vec<_> = self
                .entries
                .lock()
                .iter()
                .filter(|entry| wanted(entry))
                .cloned()
                .collect();
            if found.len() >= count
                || tokio::time::timeout_at(deadline, bell.changed())
                    .await
                    .is_err()
            {
                return found;
            }
        }
    }

    /// Ends listening.
    pub(crate) fn hang_up(&self) {
        if let Some(task) = self.listening.lock().take() {
            task.abort();
        }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.hang_up();
    }
}

fn is_live(state: &LiveState) -> bool {
    matches!(
        state,
        LiveState::On {
            connection: ConnectionState::Live,
            caught_up: true,
        }
    )
}

const CONNECTED: Duration = Duration::from_secs(20);
