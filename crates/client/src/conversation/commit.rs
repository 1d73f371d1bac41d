//! From a wish to a commit.
//!
//! A commit is made on the newest epoch we know, from the newest identity logs, and judged by the
//! same rules that everybody else will judge it by before it goes anywhere.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_conversation::{
    CommitPlan, ContextExtensions, KeyPackage, KeyPackageIn, PreparedCommit,
    context::{Context, GroupMembership},
    judge::Verdict,
    membership::{
        MembershipChange, MembershipPlan, NeededState, ReaddPlan, plan, plan_readd, stale_leaves,
    },
    permissions::PolicySet,
};
use folkmoot_wire::{InboxId, InstallationKey};
use rayon::prelude::*;

use super::{ConversationError, core::Core, intent::Wish, publish::Built, state::Loaded};
use crate::{Error, clock::system_time};

impl Loaded {
    /// Makes the commit that fulfils `wish`; `None` when it is fulfilled already. The group's
    /// keys stay as they are.
    pub(crate) async fn build(&mut self, core: &Core, wish: &Wish) -> Result<Option<Built>, Error> {
        let context = self.context()?;
        let extensions = self.row.context.clone();
        let mut commit = CommitPlan::default();
        let mut planned = None;
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
                planned = self.plan_members(core, &context, add, remove).await?;
                if planned.is_none() {
                    return Ok(None);
                }
            }
            Wish::Readd(installations) => {
                planned = self.plan_readd(core, &context, installations).await?;
                if planned.is_none() {
                    return Ok(None);
                }
            }
        }
        let prepared = match planned {
            Some(planned) => self.commit_members(core, planned)?,
            None => {
                let made = self.group_mut().commit(&core.me, commit, &mut rand::rng());
                made.map_err(|cause| ConversationError::Engine(cause.to_string()))?
            }
        };
        let summary = match core.judge(&prepared.facts).await? {
            Verdict::Accept(summary) => summary,
            Verdict::Refuse(refusal) => return Err(ConversationError::Refused(refusal).into()),
            Verdict::Pause(version) => {
                return Err(ConversationError::Paused(version.to_string()).into());
            }
            Verdict::Ask(_) => return Err(ConversationError::IdentitiesUnknown.into()),
        };
        let welcome = prepared.welcome.map(|welcome| welcome.to_bytes());
        Ok(Some(Built {
            message: prepared.message,
            staged: prepared.staged.to_vec(),
            welcome,
            summary,
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
        let mut latest = core.refresh(&concerned).await?;
        for (inbox, place) in &old.members {
            // Whose log cannot be read stays where it is.
            latest.entry(*inbox).or_insert(*place);
        }
        let change = MembershipChange {
            add: add.iter().copied().collect(),
            remove: remove.iter().copied().collect(),
            latest,
        };
        let new = change.apply(old).map_err(ConversationError::Plan)?;
        let needed = change.needed_states(old).map_err(ConversationError::Plan)?;
        let states = core.states(needed).await?;
        let members = self.members();
        let planned = plan(&change, old, &members, core.me.key(), &states)
            .map_err(ConversationError::Plan)?;
        let Some(planned) = planned else {
            return Ok(None);
        };
        let belongs = |package: &KeyPackage| {
            let inbox_id = package.inbox_id;
            let place = new.members.get(&inbox_id).map(|sequence_id| NeededState {
                inbox_id,
                sequence_id: *sequence_id,
            });
            place.is_some_and(|place| states.has_installation(&place, &package.installation_key))
        };
        let packages = usable_key_packages(core, &planned.fetch, belongs).await?;
        Ok(Some(Planned {
            plan: Plan::Change(planned),
            packages,
        }))
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
        let belongs = |package: &KeyPackage| {
            members.iter().any(|leaf| {
                leaf.installation == package.installation_key && leaf.inbox_id == package.inbox_id
            })
        };
        // Those only go.
        let stale = self.stale_leaves(core, &context.membership).await?;
        let fetch = planned.fetch.difference(&stale).copied().collect();
        let packages = usable_key_packages(core, &fetch, belongs).await?;
        Ok(Some(Planned {
            plan: Plan::Readd(planned),
            packages,
        }))
    }

    /// Makes the commit that changes the membership. Key packages that do not fit into the group
    /// are left out: their installations count as failed, and keep nobody else from anything.
    fn commit_members(
        &mut self,
        core: &Core,
        mut planned: Planned,
    ) -> Result<PreparedCommit, Error> {
        let commit = planned.commit(&self.row.context)?;
        let removes = commit.removes.clone();
        let group = self.group_mut();
        let cause = match group.commit(&core.me, commit, &mut rand::rng()) {
            Ok(prepared) => return Ok(prepared),
            Err(cause) => ConversationError::Engine(cause.to_string()),
        };
        let all = planned.packages.len();
        let packages = std::mem::take(&mut planned.packages).into_values();
        let fitting = group.addable(&core.me, packages.collect(), &removes, &mut rand::rng());
        if fitting.len() == all {
            return Err(cause.into());
        }
        tracing::debug!(
            group = %self.row.id, %cause, left_out = all - fitting.len(),
            "key packages that do not fit into the group are left out"
        );
        let fitting = fitting.into_iter();
        planned.packages = fitting.map(|one| (one.installation_key, one)).collect();
        let commit = planned.commit(&self.row.context)?;
        let made = self.group_mut().commit(&core.me, commit, &mut rand::rng());
        Ok(made.map_err(|cause| ConversationError::Engine(cause.to_string()))?)
    }

    /// Leaves that everybody takes for absent, and that only a super admin's commit can remove:
    /// their installations failed once, came later, and are none of a member's any more.
    pub(crate) async fn stale_leaves(
        &self,
        core: &Core,
        membership: &GroupMembership,
    ) -> Result<BTreeSet<InstallationKey>, Error> {
        let members = self.members();
        // Nearly always none: then nothing is looked up.
        let failed = members
            .iter()
            .filter(|leaf| membership.has_failed(leaf.installation));
        let failed: Vec<_> = failed.copied().collect();
        let needed = failed.iter().filter_map(|leaf| {
            let sequence_id = *membership.members.get(&leaf.inbox_id)?;
            Some(NeededState {
                inbox_id: leaf.inbox_id,
                sequence_id,
            })
        });
        if failed.is_empty() {
            return Ok(BTreeSet::new());
        }
        let states = core.states(needed).await?;
        Ok(stale_leaves(membership, &failed, &states)
            .map_err(|cause| ConversationError::Plan(cause.into()))?)
    }
}

/// A change of the membership, and the key packages for it.
struct Planned {
    plan: Plan,
    packages: BTreeMap<InstallationKey, KeyPackage>,
}

enum Plan {
    Change(MembershipPlan),
    Readd(ReaddPlan),
}

impl Planned {
    /// What to commit with these key packages, in a group with these extensions.
    fn commit(&self, extensions: &ContextExtensions) -> Result<CommitPlan, Error> {
        let usable = self.packages.keys().copied().collect();
        let wanted = match &self.plan {
            Plan::Change(plan) => plan.clone().finish(&usable),
            Plan::Readd(plan) => Ok(plan.clone().finish(&usable)),
        };
        let wanted = wanted.map_err(ConversationError::Plan)?;
        let adds = wanted.add.iter();
        Ok(CommitPlan {
            adds: adds
                .filter_map(|key| self.packages.get(key).cloned())
                .collect(),
            removes: wanted.remove,
            context: Some(extensions.with_membership(&wanted.membership)),
            ..CommitPlan::default()
        })
    }
}

/// The current key packages of installations, those that can be added: they are valid, and speak
/// for the inbox to which the installation `belongs`.
async fn usable_key_packages(
    core: &Core,
    installations: &BTreeSet<InstallationKey>,
    belongs: impl Fn(&KeyPackage) -> bool,
) -> Result<BTreeMap<InstallationKey, KeyPackage>, Error> {
    if installations.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<_> = installations.iter().copied().collect();
    let found = core.network.key_packages(&keys).await?;
    let now = system_time(core.now_ns());
    let verify = move || {
        let asked = keys.into_par_iter().zip(found);
        let given = asked.filter_map(|(key, package)| Some((key, package?)));
        let verified = given.map(|(key, package)| {
            let package = KeyPackageIn::decode(&package).and_then(|one| one.verify(now));
            (key, package)
        });
        verified.collect::<Vec<_>>()
    };
    // Three signatures each.
    let verified = match installations.len() {
        0..=VERIFIED_IN_PLACE => verify(),
        _ => tokio::task::spawn_blocking(verify)
            .await
            .map_err(|_| ConversationError::Interrupted)?,
    };
    let usable = verified
        .into_iter()
        .filter_map(|(key, package)| match package {
            Ok(verified) if verified.installation_key == key && belongs(&verified) => {
                Some((key, verified))
            }
            Ok(_) => None,
            Err(cause) => {
                tracing::debug!(installation = %key, %cause, "a key package is of no use");
                None
            }
        });
    Ok(usable.collect())
}

/// Key packages that are verified without a thread of their own.
const VERIFIED_IN_PLACE: usize = 2;
