//! Sending welcomes to those whom a commit added, once the commit has its place in the log.

use std::sync::Arc;

use folkmoot_conversation::PreparedWelcome;
use folkmoot_wire::{
    InstallationKey,
    proto::xmtp::mls::api::v1::{WelcomeMessageInput, welcome_message_input::Version},
};

use super::{core::Core, intent::IntentState, state::State};
use crate::{
    Error,
    network::{NetworkError, Welcome, WelcomeContent},
};

impl State {
    /// Sends the welcomes of commits that are in place. What fails is tried again with the next
    /// sync.
    pub(crate) async fn send_welcomes(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let loaded = self.load(core).await?;
        let committed = loaded.intents.values();
        let committed: Vec<_> = committed
            .filter(|intent| intent.state == IntentState::Committed)
            .cloned()
            .collect();
        for intent in committed {
            let stored = intent.welcome.as_deref().unwrap_or_default();
            match PreparedWelcome::from_bytes(stored) {
                Ok(prepared) => {
                    let cursor = intent.sequence.unwrap_or(0);
                    // Wrapping is a millisecond per installation: not on the threads that wait
                    // for the network.
                    let sealed = tokio::task::spawn_blocking(move || {
                        prepared.seal(cursor, &mut rand::rng())
                    });
                    let sealed = sealed
                        .await
                        .map_err(|_| super::ConversationError::Interrupted)?;
                    let welcomes = sealed.into_iter().filter_map(outgoing).collect();
                    hand_over(core, welcomes).await?;
                }
                Err(cause) => {
                    tracing::error!(group = %self.id, %cause, "welcomes cannot be sent");
                }
            }
            let loaded = self.load(core).await?;
            let mut batch = loaded.batch(core);
            loaded.done(&mut batch, intent.id);
            // Welcomes that come twice do no harm.
            self.write_soon(core, batch).await?;
        }
        Ok(())
    }
}

/// Hands welcomes to the node. One that it refuses is passed over: nothing would ever make it take
/// it, and the conversation must go on.
async fn hand_over(core: &Core, welcomes: Vec<Welcome>) -> Result<(), NetworkError> {
    match core.network.publish_welcomes(welcomes.clone()).await {
        Err(cause) if cause.is_final() => {}
        other => return other,
    }
    for welcome in welcomes {
        let installation = welcome.destination;
        match core.network.publish_welcomes(vec![welcome]).await {
            Err(cause) if cause.is_final() => {
                tracing::error!(%installation, %cause, "the network refuses a welcome");
            }
            other => other?,
        }
    }
    Ok(())
}

/// A wrapped welcome as the network wants it.
fn outgoing(welcome: WelcomeMessageInput) -> Option<Welcome> {
    let destination = |key: &[u8]| InstallationKey::try_from(key).ok();
    Some(match welcome.version? {
        Version::V1(one) => Welcome {
            destination: destination(&one.installation_key)?,
            content: WelcomeContent::Welcome {
                data: one.data,
                hpke_public_key: one.hpke_public_key,
                wrapper_algorithm: one.wrapper_algorithm,
                metadata: one.welcome_metadata,
            },
        },
        Version::WelcomePointer(one) => Welcome {
            destination: destination(&one.installation_key)?,
            content: WelcomeContent::Pointer {
                data: one.welcome_pointer,
                hpke_public_key: one.hpke_public_key,
                wrapper_algorithm: one.wrapper_algorithm,
            },
        },
    })
}
