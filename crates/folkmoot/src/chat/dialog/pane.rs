//! A group or DM, looked at: who is in it, what it is about, and who may do what.

use folkmoot_client::MemberRole;
use folkmoot_conversation::{
    context::{AdminChange, Attribute},
    permissions::{PolicyKind, Preset, Who},
};
use folkmoot_wire::GroupId;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{
    super::{
        event::{Details, Effect, Person},
        keys,
        model::{Chat, ChatKind, Model, Section},
        words,
    },
    Ask, Dialog, Outcome,
};

/// A group or DM, looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pane {
    /// The group.
    pub(crate) id: GroupId,
    /// What is known; nothing until it was loaded.
    pub(crate) details: Option<Details>,
    /// Which member or rule.
    pub(crate) chosen: usize,
    /// Whether the rules are shown, and not the members.
    pub(crate) rules: bool,
}

/// Keys that are about the group and not about a member.
const ABOUT_ALL: &str = "aneitlbu";

impl Pane {
    /// The person that the cursor is on.
    fn person(&self) -> Option<&Person> {
        self.details.as_ref()?.people.get(self.chosen)
    }

    /// What the person at the terminal is there.
    fn role(&self, model: &Model) -> MemberRole {
        let people = self.details.iter().flat_map(|details| &details.people);
        let me = people.into_iter().find(|one| one.inbox == model.me);
        me.map_or(MemberRole::Member, |me| me.role)
    }

    /// Whether the rules let the person at the terminal do this. Of rules that are made of several
    /// the group itself has to say.
    fn may(&self, model: &Model, kind: PolicyKind) -> bool {
        let mut rules = self.details.iter().flat_map(|details| &details.rules);
        let rule = rules.find(|(one, _)| *one == kind);
        let role = self.role(model);
        match rule.and_then(|(_, who)| *who) {
            None | Some(Who::Everyone) => true,
            Some(Who::Admins) => role >= MemberRole::Admin,
            Some(Who::SuperAdmins) => role == MemberRole::SuperAdmin,
            Some(Who::Nobody) => false,
        }
    }

    /// The keys that do something now, and what: those that would be refused are not offered.
    pub(crate) fn offers(&self, model: &Model, chat: &Chat) -> Vec<(char, &'static str)> {
        use PolicyKind::{AddAdmin, AddMember, RemoveAdmin, RemoveMember, UpdateMetadata};
        let mut offers = Vec::new();
        let group = matches!(chat.kind, ChatKind::Group { .. });
        let may = |kind| !chat.gone && (!group || self.may(model, kind));
        let above = self.role(model) == MemberRole::SuperAdmin && !chat.gone;
        let mut offer = |offered: bool, key: char, what: &'static str| {
            if offered {
                offers.push((key, what));
            }
        };
        let change = |attribute| may(UpdateMetadata(attribute));
        if self.rules {
            offer(above, '1', "open to everybody");
            offer(above, '2', "admins only");
            offer(true, 'm', "members");
            return offers;
        }
        let person = self.person();
        let role = person.map(|person| person.role);
        let other = person.is_some_and(|person| person.inbox != model.me);
        offer(group && may(AddMember), 'a', "add");
        offer(group && other && may(RemoveMember), 'x', "remove");
        let promote = match role {
            Some(MemberRole::Member) => may(AddAdmin),
            Some(MemberRole::Admin) => above,
            _ => false,
        };
        offer(group && promote, 'p', "promote");
        let demote = match role {
            Some(MemberRole::Admin) => may(RemoveAdmin),
            Some(MemberRole::SuperAdmin) => above,
            _ => false,
        };
        offer(group && demote, 'd', "demote");
        offer(group && other, 'w', "write to");
        offer(other, 'c', "contact");
        offer(group && change(Attribute::GroupName), 'n', "name");
        offer(group && change(Attribute::Description), 'e', "description");
        offer(group && change(Attribute::ImageUrl), 'i', "picture");
        offer(change(Attribute::DisappearInNs), 't', "disappearing");
        offer(group, 'm', "rules");
        offer(group && !chat.gone && !chat.leaving, 'l', "leave");
        match Section::of(chat) {
            Section::Chats => offer(true, 'b', "block"),
            Section::Requests | Section::Blocked => offer(true, 'u', "accept"),
        }
        offers
    }

    pub(super) fn key(&mut self, model: &Model, key: KeyEvent) -> Outcome {
        let Some(chat) = model.chats.iter().find(|chat| chat.id == self.id) else {
            return Outcome::close();
        };
        let details = self.details.as_ref();
        let rows = details.map_or(0, |details| match self.rules {
            true => details.rules.len(),
            false => details.people.len(),
        });
        match key.code {
            KeyCode::Down | KeyCode::Char('j') => {
                self.chosen = (self.chosen + 1).min(rows.saturating_sub(1));
            }
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Char('q') => return Outcome::close(),
            KeyCode::Tab => return self.offered(model, chat, 'm'),
            KeyCode::Left | KeyCode::Right | KeyCode::Enter | KeyCode::Char(' ')
                if self.rules && self.role(model) == MemberRole::SuperAdmin && !chat.gone =>
            {
                return self.turn(key.code != KeyCode::Left);
            }
            KeyCode::Char(letter) if details.is_some() => {
                return self.offered(model, chat, letter);
            }
            _ => {}
        }
        Outcome::stay()
    }

    /// Does what a key offers, if it does.
    fn offered(&mut self, model: &Model, chat: &Chat, letter: char) -> Outcome {
        let mut offers = self.offers(model, chat);
        if self.rules && ABOUT_ALL.contains(letter) {
            // What is about the group as a whole works beside its rules too.
            let members = Self {
                rules: false,
                ..self.clone()
            };
            offers = members.offers(model, chat);
        }
        if !offers.iter().any(|(key, _)| *key == letter) {
            return Outcome::stay();
        }
        let id = self.id.clone();
        let details = self.details.as_ref();
        let known = |text: fn(&Details) -> &String| details.map_or("", |details| text(details));
        let set = |attribute, text: &str| {
            Outcome::replace(Dialog::ask(Ask::Set(id.clone(), attribute), text))
        };
        let confirm = |question, then| {
            Outcome::replace(Dialog::Confirm {
                question,
                then: Box::new(then),
            })
        };
        let title = model.title(chat);
        match letter {
            'm' => {
                self.rules = !self.rules;
                self.chosen = 0;
                Outcome::stay()
            }
            'a' => Outcome::replace(Dialog::ask(Ask::Add(id), "")),
            't' => Outcome::replace(Dialog::ask(Ask::Vanish(id), "")),
            'n' => set(
                Attribute::GroupName,
                chat.name.as_deref().unwrap_or_default(),
            ),
            'e' => set(
                Attribute::Description,
                known(|details| &details.description),
            ),
            'i' => set(Attribute::ImageUrl, known(|details| &details.picture)),
            'l' => confirm(format!("Leave {title}?"), Effect::Leave(id)),
            'b' => confirm(
                keys::block_question(model, chat),
                Effect::Consent(id, folkmoot_conversation::ConsentState::Denied),
            ),
            'u' => Outcome::Close(vec![Effect::Consent(
                id,
                folkmoot_conversation::ConsentState::Allowed,
            )]),
            '1' => confirm(
                "Let everybody add people and change name, description and picture?".to_owned(),
                Effect::Preset(id, Preset::AllMembers),
            ),
            '2' => confirm(
                "Let only admins add people and change the group?".to_owned(),
                Effect::Preset(id, Preset::AdminsOnly),
            ),
            letter => match self.person() {
                Some(person) => self.change(model, &title, person, letter),
                None => Outcome::stay(),
            },
        }
    }

    /// What a key does to the member that the cursor is on.
    fn change(&self, model: &Model, title: &str, person: &Person, key: char) -> Outcome {
        let name = words::object(model, person.inbox);
        let role = |change, question| {
            Outcome::replace(Dialog::Confirm {
                question,
                then: Box::new(Effect::Role(self.id.clone(), change, person.inbox)),
            })
        };
        match (key, person.role) {
            ('c', _) => {
                let whom = match person.address.starts_with("0x") {
                    true => person.address.clone(),
                    false => person.inbox.to_string(),
                };
                Outcome::replace(Dialog::ask(Ask::Name(person.inbox, whom), ""))
            }
            ('w', _) => Outcome::Close(vec![Effect::NewDm(person.inbox.to_string())]),
            ('x', _) => Outcome::replace(Dialog::Confirm {
                question: format!("Remove {name} from {title}?"),
                then: Box::new(Effect::Remove(self.id.clone(), person.inbox)),
            }),
            ('p', MemberRole::Member) => {
                role(AdminChange::AddAdmin, format!("Make {name} an admin?"))
            }
            ('p', MemberRole::Admin) => role(
                AdminChange::AddSuperAdmin,
                format!("Make {name} a super admin?"),
            ),
            ('d', MemberRole::Admin) => role(
                AdminChange::RemoveAdmin,
                format!("Take the role of admin from {name}?"),
            ),
            ('d', MemberRole::SuperAdmin) => role(
                AdminChange::RemoveSuperAdmin,
                format!("Take the role of super admin from {name}?"),
            ),
            _ => Outcome::stay(),
        }
    }

    /// Lets others do what the cursor is on.
    fn turn(&mut self, forward: bool) -> Outcome {
        let details = self.details.as_mut();
        let Some((kind, who)) = details.and_then(|details| details.rules.get_mut(self.chosen))
        else {
            return Outcome::stay();
        };
        let roles = matches!(kind, PolicyKind::AddAdmin | PolicyKind::RemoveAdmin);
        let choices: &[Who] = match roles {
            true => &[Who::Admins, Who::SuperAdmins, Who::Nobody],
            false => &[Who::Everyone, Who::Admins, Who::SuperAdmins, Who::Nobody],
        };
        let at = choices.iter().position(|choice| Some(*choice) == *who);
        let next = match (at, forward) {
            (None, _) => 0,
            (Some(at), true) => (at + 1) % choices.len(),
            (Some(at), false) => at.checked_sub(1).unwrap_or(choices.len() - 1),
        };
        *who = Some(choices[next]);
        Outcome::Stay(vec![Effect::Allow(self.id.clone(), *kind, choices[next])])
    }
}
