//! From a wish to a commit.
//!
//! A commit is made on the newest epoch we know, from the newest identity logs, and judged by the
//! same rules that everybody else will judge it by before it goes anywhere.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_conversation::{
    CommitPlan, KeyPackage, KeyPackageIn,
    context::Context,
    judge::Verdict,
    membership::{MembershipChange, MembershipCommit, plan, plan_readd},
    permissions::PolicySet,
};
use folkmoot_wire::{InboxId, InstallationKey};

use super::{ConversationError, core::Core, intent::Wish, publish::Built, state::Loaded};
use crate::{Error, clock::system_time};

impl Loaded {
    /// Makes the commit that fulfils `wish`; `None` when it is fulfilled already. The group's
    /// keys stay as they are.
    pub(crate) async fn build(&mut self, core: &Core, wish: &Wish) -> Result<Option<Built>, Error> {
        let context = self.context()?;
        let extensions = self.row.context.clone();
        let mut commit = CommitPlan::default();
        match wish {
            Wish::Send(_) => return Ok(None),
            Wish::KeyUpdate => {}
            Wish::Metadata(changes) => {
                let mut mutable = context.mutable.clone();
                for (key, value) in changes {
                    match value {
                        Some(value) => mutable.attributes.insert(key.clone(), value.clone()),
                        None => mutable.attributes.remove(key),
                    };
                }
                if mutable == context.mutable {
                    return Ok(None);
                }
                commit.context = Some(extensions.with_mutable_metadata(&mutable));
            }
            Wish::Admins { change, inbox } => {
                let mut mutable = context.mutable.clone();
                mutable.change_admins(*change, *inbox);
                if mutable == context.mutable {
                    return Ok(None);
                }
                commit.context = Some(extensions.with_mutable_metadata(&mutable));
            }
            Wish::Permissions(permissions) => {
                let permissions =
                    PolicySet::decode(permissions).map_err(ConversationError::Context)?;
                if permissions == context.permissions {
                    return Ok(None);
                }
                commit.context = Some(extensions.with_permissions(&permissions));
            }
            Wish::Membership { add, remove } => {
                let Some(planned) = self.plan_members(core, &context, add, remove).await? else {
                    return Ok(None);
                };
                self.fill(&mut commit, planned);
            }
            Wish::Readd(installations) => {
                let Some(planned) = self.plan_readd(core, &context, installations).await? else {
                    return Ok(None);
                };
                self.fill(&mut commit, planned);
            }
        }
        let prepared = self
            .group_mut()
            .commit(&core.me, commit, &mut rand::rng())
            .map_err(|cause| ConversationError::Engine(cause.to_string()))?;
        match core.judge(&prepared.facts).await? {
            Verdict::Accept(_) => {}
            Verdict::Refuse(refusal) => return Err(ConversationError::Refused(refusal).into()),
            Verdict::Pause(version) => {
                return Err(ConversationError::Paused(version.to_string()).into());
            }
            Verdict::Ask(_) => return Err(ConversationError::IdentitiesUnknown.into()),
        }
        let welcome = prepared.welcome.map(|welcome| welcome.to_bytes());
        Ok(Some(Built {
            message: prepared.message,
            staged: prepared.staged.to_vec(),
            welcome,
        }))
    }

    async fn plan_members(
        &self,
        core: &Core,
        context: &Context,
        add: &[InboxId],
        remove: &[InboxId],
    ) -> Result<Option<Planned>, Error> {
        let old = &context.membership;
        let concerned: BTreeSet<_> = old.inbox_ids().chain(add.iter().copied()).collect();
        let concerned: Vec<_> = concerned.into_iter().collect();
        let change = MembershipChange {
            add: add.iter().copied().collect(),
            remove: remove.iter().copied().collect(),
            latest: core.refresh(&concerned).await?,
        };
        let needed = change.needed_states(old).map_err(ConversationError::Plan)?;
        let states = core.states(needed).await?;
        let members = self.members();
        let planned = plan(&change, old, &members, core.me.key(), &states)
            .map_err(ConversationError::Plan)?;
        let Some(planned) = planned else {
            return Ok(None);
        };
        let packages = usable_key_packages(core, &planned.fetch).await?;
        let commit = planned
            .finish(&packages.keys().copied().collect())
            .map_err(ConversationError::Plan)?;
        Ok(Some(Planned { commit, packages }))
    }

    async fn plan_readd(
        &self,
        core: &Core,
        context: &Context,
        installations: &[InstallationKey],
    ) -> Result<Option<Planned>, Error> {
        let installations = installations.iter().copied().collect();
        let members = self.members();
        let planned = plan_readd(&installations, &context.membership, &members, core.me.key());
        let Some(planned) = planned else {
            return Ok(None);
        };
        let packages = usable_key_packages(core, &planned.fetch).await?;
        let commit = planned.finish(&packages.keys().copied().collect());
        Ok(Some(Planned { commit, packages }))
    }

    fn fill(&self, commit: &mut CommitPlan, planned: Planned) {
        let Planned {
            commit: wanted,
            mut packages,
        } = planned;
        let adds = wanted.add.iter();
        commit.adds = adds.filter_map(|key| packages.remove(key)).collect();
        commit.removes = wanted.remove;
        commit.context = Some(self.row.context.with_membership(&wanted.membership));
    }
}

/// A change of the membership, and the key packages for it.
struct Planned {
    commit: MembershipCommit,
    packages: BTreeMap<InstallationKey, KeyPackage>,
}

/// The current key packages of installations, those that can be added.
async fn usable_key_packages(
    core: &Core,
    installations: &BTreeSet<InstallationKey>,
) -> Result<BTreeMap<InstallationKey, KeyPackage>, Error> {
    if installations.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<_> = installations.iter().copied().collect();
    let found = core.network.key_packages(&keys).await?;
    let now = system_time(core.now_ns());
    let usable = keys.into_iter().zip(found).filter_map(|(key, package)| {
        let package = package?;
        match KeyPackageIn::decode(&package).and_then(|one| one.verify(now)) {
            Ok(verified) if verified.installation_key == key => Some((key, verified)),
            Ok(_) => None,
            Err(cause) => {
                tracing::debug!(installation = %key, %cause, "a key package is of no use");
                None
            }
        }
    });
    Ok(usable.collect())
}
