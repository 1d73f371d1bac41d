//! Bringing a new installation into an inbox.
//!
//! The order matters. What we must not lose is stored before anybody hears of it; the key package
//! is uploaded before the update is published, so that nobody sees an installation that cannot be
//! added. Whoever is interrupted goes on with the same installation.

use folkmoot_identity::{InstallationSecret, UpdateBuilder, derive_inbox_id};
use folkmoot_wire::InboxId;

use super::{
    Directory, INSTALLATION_LIMIT, IdentityError, InboxState,
    accounts::{check, require_room, send, sign},
    me::{self, Me},
};
use crate::{Error, db::Database, key_packages::KeyPackages, signer::Signer};

/// How to register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The number of the account's inbox, if it has none yet.
    pub(crate) nonce: u64,
    /// The inbox that the account must turn out to have.
    pub(crate) inbox: Option<InboxId>,
}

/// Who this database speaks for. If nobody yet, registers a new installation for `signer`.
pub(crate) async fn identify(
    directory: &Directory,
    database: &Database,
    signer: &dyn Signer,
    plan: Plan,
) -> Result<Me, Error> {
    match database.read(me::load).await? {
        Some((me, true)) => {
            require_same(directory, &me, signer, plan).await?;
            Ok(me)
        }
        Some((me, false)) => {
            require_same(directory, &me, signer, plan).await?;
            let state = directory
                .refresh(&[me.inbox_id()])
                .await?
                .into_iter()
                .next();
            register(directory, database, signer, plan, me, state.flatten()).await
        }
        None => {
            let identifier = signer.identifier();
            let found = directory.inbox_id(&identifier).await?;
            let inbox = match found {
                Some(inbox) => inbox,
                None => derive_inbox_id(&identifier, plan.nonce).map_err(IdentityError::from)?,
            };
            require_inbox(inbox, plan, || identifier.to_string())?;
            let state = match found {
                Some(_) => directory.refresh(&[inbox]).await?.into_iter().next(),
                None => None,
            };
            let secret = InstallationSecret::from_seed(&rand::random());
            let me = Me::new(inbox, secret, identifier);
            register(directory, database, signer, plan, me, state.flatten()).await
        }
    }
}

/// Who this database speaks for, without anybody who could sign.
pub(crate) async fn recall(database: &Database, plan: Plan) -> Result<Me, Error> {
    match database.read(me::load).await? {
        Some((me, true)) => {
            require_inbox(me.inbox_id(), plan, || "this database".to_owned())?;
            Ok(me)
        }
        _ => Err(IdentityError::NotRegistered.into()),
    }
}

async fn register(
    directory: &Directory,
    database: &Database,
    signer: &dyn Signer,
    plan: Plan,
    mut me: Me,
    state: Option<InboxState>,
) -> Result<Me, Error> {
    let is_member = |state: &InboxState| state.association.is_member(&me.key().into());
    if !state.as_ref().is_some_and(is_member) {
        if let Some(state) = &state {
            require_room_for_installation(state)?;
        }
        let update = UpdateBuilder::new(me.inbox_id(), directory.now_ns());
        let update = match state {
            Some(_) => update,
            None => update.create_inbox(me.identifier.clone(), plan.nonce),
        };
        let update = update.add(me.key(), me.identifier.clone());
        let update = sign(directory, update, &[signer], Some(&me.secret)).await?;
        check(directory, state.as_ref(), &update).await?;

        let now_ns = directory.now_ns();
        let package = KeyPackages::make(&me.installation, now_ns);
        let (row, secrets) = (me.clone(), package.secrets);
        let keep = database.write(move |transaction| {
            me::keep(transaction, &row, now_ns, KeyPackages::renewal_ns(now_ns))?;
            KeyPackages::keep(transaction, &secrets, now_ns)
        });
        keep.await?;
        let network = directory.network();
        let key_package = package.bytes.into();
        network.upload_key_package(&me.key(), key_package).await?;
        let state = send(directory, state.as_ref(), &update).await?;
        if !is_member(&state) {
            return Err(IdentityError::NotVisible(me.inbox_id()).into());
        }
        me.registered_now = Some(state.installation_budget());
    }
    database
        .write(|transaction| me::set_registered(transaction))
        .await?;
    Ok(me)
}

/// Checks that the database's identity is the signer's.
async fn require_same(
    directory: &Directory,
    me: &Me,
    signer: &dyn Signer,
    plan: Plan,
) -> Result<(), Error> {
    require_inbox(me.inbox_id(), plan, || "this database".to_owned())?;
    let identifier = signer.identifier();
    if identifier == me.identifier {
        return Ok(());
    }
    let state = directory.cached(&[me.inbox_id()]).await?.into_iter().next();
    let is_member = state
        .flatten()
        .is_some_and(|state| state.association.is_member(&identifier.clone().into()));
    if is_member {
        return Ok(());
    }
    Err(IdentityError::Stranger {
        inbox: me.inbox_id(),
        signer: identifier,
    }
    .into())
}

fn require_inbox(
    found: InboxId,
    plan: Plan,
    what: impl FnOnce() -> String,
) -> Result<(), IdentityError> {
    match plan.inbox {
        Some(wanted) if wanted != found => Err(IdentityError::OtherInbox {
            what: what(),
            found,
            wanted,
        }),
        _ => Ok(()),
    }
}

fn require_room_for_installation(state: &InboxState) -> Result<(), IdentityError> {
    require_room(state)?;
    let (installations, _) = state.installation_budget();
    if installations >= INSTALLATION_LIMIT {
        return Err(IdentityError::TooManyInstallations {
            inbox: state.inbox_id,
            installations,
        });
    }
    Ok(())
}
