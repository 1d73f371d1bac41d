//! From a wish to a commit.
//!
//! A commit is made on the newest epoch we know, from the newest identity logs, and judged by the
//! same rules that everybody else will judge it by before it goes anywhere.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_conversation::{
    CommitPlan, ContextExtensions, Generation, Group, KeyPackage, KeyPackageIn, PreparedCommit,
    app_data::{AppDataError, AppDataWriter, bootstrap},
    context::{Context, GroupMembership},
    judge::Verdict,
    membership::{
        InboxStates, MembershipChange, MembershipPlan, NeededState, ReaddPlan, plan, plan_readd,
        stale_leaves,
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
                let old = &context.mutable.attributes;
                let new = changes.iter();
                let new = new.filter(|(key, value)| old.get(*key) != value.as_ref());
                commit = self.change_of(
                    |extensions| extensions.with_mutable_metadata(&mutable),
                    |mut writer| {
                        for (key, value) in new {
                            writer = writer.set_by_key(key, value.as_deref())?;
                        }
                        Ok(writer)
                    },
                )?;
            }
            Wish::Admins { change, inbox } => {
                let mut mutable = context.mutable.clone();
                mutable.change_admins(*change, *inbox);
                if mutable == context.mutable {
                    return Ok(None);
                }
                commit = self.change_of(
                    |extensions| extensions.with_mutable_metadata(&mutable),
                    |writer| writer.change_admins(*change, *inbox),
                )?;
            }
            Wish::Permissions(permissions) => {
                let permissions =
                    PolicySet::decode(permissions).map_err(ConversationError::Context)?;
                if permissions == context.permissions {
                    return Ok(None);
                }
                commit = self.change_of(
                    |extensions| extensions.with_permissions(&permissions),
                    |writer| writer.set_permissions(&permissions),
                )?;
                if commit.context.is_none() && commit.app_data.is_empty() {
                    return Ok(None);
                }
            }
            Wish::Convert => {
                if self.row.context.is_migrated() {
                    return Ok(None);
                }
                commit = self.conversion(core, &context).await?;
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

    /// What to commit to change something that the group keeps in an extension or, if it lives in
    /// one, in its dictionary.
    fn change_of(
        &self,
        extensions: impl FnOnce(&ContextExtensions) -> ContextExtensions,
        dictionary: impl FnOnce(AppDataWriter) -> Result<AppDataWriter, AppDataError>,
    ) -> Result<CommitPlan, Error> {
        let context = &self.row.context;
        if !context.is_migrated() {
            return Ok(CommitPlan {
                context: Some(extensions(context)),
                ..CommitPlan::default()
            });
        }
        let changed = AppDataWriter::new(context).and_then(dictionary);
        Ok(CommitPlan {
            app_data: changed.map_err(ConversationError::AppData)?.finish(),
            ..CommitPlan::default()
        })
    }

    /// What to commit to let the group live in a dictionary.
    pub(crate) async fn conversion(
        &self,
        core: &Core,
        context: &Context,
    ) -> Result<CommitPlan, Error> {
        let lacking = self.group.as_ref().map(Group::members_without_app_data);
        let me = core.me.key();
        let lacking = lacking.unwrap_or_default().into_iter();
        let lacking = lacking.filter(|leaf| leaf.installation != me);
        let mut lacking: BTreeSet<_> = lacking.map(|leaf| leaf.inbox_id).collect();
        // What they would join with if they were added again.
        let others = self.members().into_iter();
        let others: BTreeMap<_, _> = others
            .filter(|leaf| leaf.installation != me)
            .map(|leaf| (leaf.installation, leaf.inbox_id))
            .collect();
        let able = usable_key_packages(core, &others.keys().copied().collect(), |package| {
            package.generation == Generation::AppData
        })
        .await?;
        let unable = others.iter().filter(|(key, _)| !able.contains_key(key));
        lacking.extend(unable.map(|(_, inbox)| *inbox));
        if !lacking.is_empty() {
            return Err(ConversationError::NoAppData(lacking.into_iter().collect()).into());
        }
        let places = context.membership.members.iter();
        let places: Vec<_> = places
            .map(|(inbox_id, sequence_id)| NeededState {
                inbox_id: *inbox_id,
                sequence_id: *sequence_id,
            })
            .collect();
        let states = core.states(places.iter().copied()).await?;
        let failed = context.membership.failed_installations.iter();
        let failed = failed.filter_map(|key| InstallationKey::try_from(&key[..]).ok());
        let owners = owners(failed, &places, &states);
        let (context, app_data) =
            bootstrap(&self.row.context, &owners).map_err(ConversationError::Conversion)?;
        Ok(CommitPlan {
            context: Some(context),
            app_data,
            ..CommitPlan::default()
        })
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
        let migrated = self.row.context.is_migrated();
        let belongs = |package: &KeyPackage| {
            let inbox_id = package.inbox_id;
            let place = new.members.get(&inbox_id).map(|sequence_id| NeededState {
                inbox_id,
                sequence_id: *sequence_id,
            });
            place.is_some_and(|place| states.has_installation(&place, &package.installation_key))
                && (!migrated || package.generation == Generation::AppData)
        };
        let packages = usable_key_packages(core, &planned.fetch, belongs).await?;
        if migrated {
            // Here somebody comes by being added, and not by being listed.
            let mut unable = old.diff(&new).added;
            unable.retain(|inbox| packages.values().all(|one| one.inbox_id != *inbox));
            if !unable.is_empty() {
                return Err(ConversationError::NoAppData(unable).into());
            }
        }
        let place = |(inbox_id, sequence_id): (&InboxId, &u64)| NeededState {
            inbox_id: *inbox_id,
            sequence_id: *sequence_id,
        };
        let places = new.members.iter().map(place);
        let places: Vec<_> = places.chain(old.members.iter().map(place)).collect();
        let owners = match migrated {
            true => owners(planned.noted(), &places, &states),
            false => BTreeMap::new(),
        };
        Ok(Some(Planned {
            plan: Plan::Change(planned),
            packages,
            owners,
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
        let migrated = self.row.context.is_migrated();
        let belongs = |package: &KeyPackage| {
            members.iter().any(|leaf| {
                leaf.installation == package.installation_key && leaf.inbox_id == package.inbox_id
            }) && (!migrated || package.generation == Generation::AppData)
        };
        // Those only go.
        let stale = self.stale_leaves(core, &context.membership).await?;
        let fetch = planned.fetch.difference(&stale).copied().collect();
        let packages = usable_key_packages(core, &fetch, belongs).await?;
        let owners = members
            .iter()
            .map(|leaf| (leaf.installation, leaf.inbox_id));
        Ok(Some(Planned {
            plan: Plan::Readd(planned),
            packages,
            owners: owners.collect(),
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
    /// To whom installations belong that may turn out not to be addable.
    owners: BTreeMap<InstallationKey, InboxId>,
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
        let mut commit = CommitPlan {
            adds: adds
                .filter_map(|key| self.packages.get(key).cloned())
                .collect(),
            removes: wanted.remove,
            ..CommitPlan::default()
        };
        if extensions.is_migrated() {
            let changed = AppDataWriter::new(extensions)
                .and_then(|writer| writer.set_membership(&wanted.membership, &self.owners));
            commit.app_data = changed.map_err(ConversationError::AppData)?.finish();
        } else {
            commit.context = Some(extensions.with_membership(&wanted.membership));
        }
        Ok(commit)
    }
}

/// Whose installations these are, as far as that is known at these places.
fn owners(
    installations: impl IntoIterator<Item = InstallationKey>,
    places: &[NeededState],
    states: &InboxStates,
) -> BTreeMap<InstallationKey, InboxId> {
    let owner = |key: &InstallationKey| {
        let mut places = places.iter();
        let place = places.find(|place| states.has_installation(place, key));
        place.map(|place| place.inbox_id)
    };
    let pairs = installations.into_iter();
    pairs.filter_map(|key| Some((key, owner(&key)?))).collect()
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
