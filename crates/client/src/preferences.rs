//! What a person prefers, on all their installations: with whom they want to talk.

use folkmoot_conversation::{ConsentEntity, ConsentRecord, ConsentState};
use folkmoot_wire::InboxId;

use crate::{
    Client, Error, consent,
    device_sync::DeviceSyncSummary,
    identity::InboxState,
    stream::{ChangeStream, ConsentStream},
};

/// A person's preferences. What changes here is told to the person's other installations.
#[derive(Clone, Debug)]
pub struct Preferences(Client);

impl Client {
    /// The person's preferences.
    #[must_use]
    pub fn preferences(&self) -> Preferences {
        Preferences(self.clone())
    }
}

impl Preferences {
    /// What the person thinks of a conversation or of somebody.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn consent(&self, entity: ConsentEntity) -> Result<ConsentState, Error> {
        self.0.conversations().consent(entity).await
    }

    /// What the person thinks of all conversations and people of whom they said it.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn consents(&self) -> Result<Vec<ConsentRecord>, Error> {
        Ok(self.0.database().read(|db| Ok(consent::all(db)?)).await?)
    }

    /// Says what the person thinks of conversations and people.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn set_consent(
        &self,
        consents: impl IntoIterator<Item = (ConsentEntity, ConsentState)>,
    ) -> Result<(), Error> {
        self.0.conversations().set_consent(consents).await
    }

    /// Our own inbox, as the network knows it now.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn inbox_state(&self) -> Result<InboxState, Error> {
        self.0.inbox_state(crate::Lookup::Network).await
    }

    /// The inboxes of others, as the network knows them now.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn inbox_states(
        &self,
        inboxes: &[InboxId],
    ) -> Result<Vec<Option<InboxState>>, Error> {
        self.0.inbox_states(inboxes, crate::Lookup::Network).await
    }

    /// Reads what the other installations told, and tells them what changed here.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn sync(&self) -> Result<DeviceSyncSummary, Error> {
        self.0.sync_devices().await
    }

    /// Streams consents that change, here or on another installation.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn stream_consent(&self) -> Result<ConsentStream, Error> {
        self.0.conversations().stream_consent().await
    }

    /// Streams all changes, preferences among them.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn stream(&self) -> Result<ChangeStream, Error> {
        self.0.conversations().stream_changes().await
    }
}
