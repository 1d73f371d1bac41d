//! People named by their accounts, where other calls take inboxes.

use std::collections::BTreeSet;

use folkmoot_identity::Identifier;
use folkmoot_wire::InboxId;

use crate::{
    Conversation, Conversations, Error, GroupOptions,
    identity::{Directory, IdentityError},
};

impl Conversations {
    /// [`Conversations::new_dm`] with the person to whom an account belongs.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotOnNetwork`], or as there.
    pub async fn new_dm_with_identifier(&self, peer: &Identifier) -> Result<Conversation, Error> {
        let found = inboxes(self.directory(), std::slice::from_ref(peer)).await?;
        self.new_dm(found[0]).await
    }

    /// [`Conversations::new_group`] with the people to whom these accounts belong.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotOnNetwork`] names all that have no inbox: nothing is made then. Or as
    /// there.
    pub async fn new_group_with_identifiers(
        &self,
        members: impl IntoIterator<Item = Identifier>,
        options: GroupOptions,
    ) -> Result<Conversation, Error> {
        let members: Vec<_> = members.into_iter().collect();
        let found = inboxes(self.directory(), &members).await?;
        self.new_group(found.into_iter().collect::<BTreeSet<_>>(), options)
            .await
    }

    /// [`Conversations::dm`] with the person to whom an account belongs.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotOnNetwork`]; what the network or the database says.
    pub async fn dm_with_identifier(
        &self,
        peer: &Identifier,
    ) -> Result<Option<Conversation>, Error> {
        let found = inboxes(self.directory(), std::slice::from_ref(peer)).await?;
        self.dm(found[0]).await
    }
}

impl Conversation {
    /// [`Conversation::add_members`] with the people to whom these accounts belong.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotOnNetwork`] names all that have no inbox: nobody is added then. Or as
    /// there.
    pub async fn add_members_by_identifiers(
        &mut self,
        members: impl IntoIterator<Item = Identifier>,
    ) -> Result<(), Error> {
        let members: Vec<_> = members.into_iter().collect();
        let found = inboxes(self.directory(), &members).await?;
        self.add_members(found.into_iter().collect::<BTreeSet<_>>())
            .await
    }

    /// [`Conversation::remove_members`] with the people to whom these accounts belong.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotOnNetwork`] names all that have no inbox: nobody is removed then. Or as
    /// there.
    pub async fn remove_members_by_identifiers(
        &mut self,
        members: impl IntoIterator<Item = Identifier>,
    ) -> Result<(), Error> {
        let members: Vec<_> = members.into_iter().collect();
        let found = inboxes(self.directory(), &members).await?;
        self.remove_members(found.into_iter().collect::<BTreeSet<_>>())
            .await
    }
}

/// The inboxes of all these accounts, in their order.
async fn inboxes(directory: &Directory, identifiers: &[Identifier]) -> Result<Vec<InboxId>, Error> {
    let found = directory.inbox_ids(identifiers).await?;
    let pairs = identifiers.iter().zip(&found);
    let missing = pairs.filter(|(_, inbox)| inbox.is_none());
    let missing: Vec<_> = missing.map(|(identifier, _)| identifier.clone()).collect();
    match missing.is_empty() && found.len() == identifiers.len() {
        true => Ok(found.into_iter().flatten().collect()),
        false => Err(IdentityError::NotOnNetwork(missing).into()),
    }
}
