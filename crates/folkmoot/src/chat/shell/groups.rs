//! Opening and making conversations, and changing groups.

use folkmoot_client::{Clock as _, Conversation, GroupOptions, SystemClock};
use folkmoot_conversation::{
    ConsentState,
    context::{Attribute, DisappearingSettings},
    permissions::{Policy, PolicyKind, PolicySet, Trusted, Who},
};
use folkmoot_wire::GroupId;

use super::{
    super::{
        event::{Details, Event, Person},
        text::{Lines, clean},
    },
    act::Hands,
    watch::Touched,
};
use crate::xmtp::{which, who};

impl Hands {
    /// Opens the conversation that a person means: one that is there, or a new DM.
    pub(super) async fn open(&self, name: &str) -> anyhow::Result<Option<String>> {
        let conversation = match which::find(&self.client, name).await {
            Ok(conversation) => conversation,
            Err(not_found) => {
                let inbox = match who::inbox(&self.client, name).await {
                    Ok(inbox) => inbox,
                    // What names neither a person nor a conversation is told as the person meant.
                    Err(error) if name.starts_with("0x") => return Err(error),
                    Err(_) => return Err(not_found),
                };
                self.client.conversations().new_dm(inbox).await?
            }
        };
        if conversation.consent().await? != ConsentState::Allowed {
            conversation.set_consent(ConsentState::Allowed).await?;
        }
        self.show(&conversation).await?;
        Ok(None)
    }

    pub(super) async fn show(&self, conversation: &Conversation) -> anyhow::Result<()> {
        let (chat, people) = self.chat(conversation).await?;
        self.people.learn(people).await;
        self.tell(Event::Show {
            chat: Box::new(chat),
            target: None,
        });
        Ok(())
    }

    pub(super) async fn new_group(&self, name: String, members: &[String]) -> anyhow::Result<()> {
        let mut inboxes = Vec::new();
        for member in members {
            inboxes.push(who::inbox(&self.client, member).await?);
        }
        let options = GroupOptions {
            name: Some(name).filter(|name| !name.is_empty()),
            ..GroupOptions::default()
        };
        let group = self
            .client
            .conversations()
            .new_group(inboxes, options)
            .await?;
        self.show(&group).await
    }

    /// Tells the core what is known about a conversation.
    pub(super) async fn look(&self, id: &GroupId) -> anyhow::Result<()> {
        let conversation = self.get(id).await?;
        let mut people: Vec<_> = conversation
            .members()
            .await?
            .into_iter()
            .map(|member| Person {
                inbox: member.inbox_id,
                address: member
                    .identifiers
                    .first()
                    .map_or_else(String::new, |one| one.to_string()),
                role: member.role,
            })
            .collect();
        people.sort_by_key(|person| (std::cmp::Reverse(person.role), person.address.clone()));
        self.people
            .learn(people.iter().map(|person| person.inbox))
            .await;
        let permissions = conversation.permissions()?;
        let details = Details {
            description: clean(&conversation.description(), Lines::Many),
            picture: clean(&conversation.image_url(), Lines::One),
            people,
            rules: rules(&permissions),
            preset: permissions.preset(),
            id: conversation.id().to_string(),
        };
        self.tell(Event::Group(id.clone(), Box::new(details)));
        Ok(())
    }

    /// Tells what changed.
    pub(super) async fn look_again(&self, id: GroupId) -> anyhow::Result<()> {
        self.touch(Touched::One(id.clone()));
        self.look(&id).await
    }

    pub(super) async fn allow(
        &self,
        id: &GroupId,
        kind: PolicyKind,
        who: Who,
    ) -> anyhow::Result<()> {
        let mut group = self.get(id).await?;
        group.set_permission(kind, who).await?;
        if kind == PolicyKind::UpdateMetadata(Attribute::DisappearInNs) {
            // Two attributes are one setting.
            let other = PolicyKind::UpdateMetadata(Attribute::DisappearFromNs);
            group.set_permission(other, who).await?;
        }
        Ok(())
    }

    pub(super) async fn vanish(&self, id: &GroupId, seconds: Option<u64>) -> anyhow::Result<()> {
        let settings = match seconds {
            Some(seconds) => Some(DisappearingSettings {
                from_ns: i64::try_from(SystemClock.now_ns())?,
                in_ns: i64::try_from(seconds.saturating_mul(1_000_000_000))?,
            }),
            None => None,
        };
        self.get(id).await?.set_disappearing(settings).await?;
        Ok(())
    }
}

/// The rules of a group that people change.
fn rules(policies: &PolicySet) -> Vec<(PolicyKind, Option<Who>)> {
    let base = |policy: &Policy<Who>| match policy {
        Policy::Base(who) => Some(*who),
        Policy::All(_) | Policy::Any(_) => None,
    };
    let trusted = |policy: &Policy<Trusted>| match policy {
        Policy::Base(Trusted::Nobody) => Some(Who::Nobody),
        Policy::Base(Trusted::Admins) => Some(Who::Admins),
        Policy::Base(Trusted::SuperAdmins) => Some(Who::SuperAdmins),
        Policy::All(_) | Policy::Any(_) => None,
    };
    let attributes = [
        Attribute::GroupName,
        Attribute::Description,
        Attribute::ImageUrl,
        Attribute::DisappearInNs,
    ];
    let attributes = attributes.map(|attribute| {
        let policy = policies.metadata_policy(attribute.key());
        (PolicyKind::UpdateMetadata(attribute), base(&policy))
    });
    [
        (PolicyKind::AddMember, base(&policies.add_member)),
        (PolicyKind::RemoveMember, base(&policies.remove_member)),
        (PolicyKind::AddAdmin, trusted(&policies.add_admin)),
        (PolicyKind::RemoveAdmin, trusted(&policies.remove_admin)),
    ]
    .into_iter()
    .chain(attributes)
    .collect()
}
