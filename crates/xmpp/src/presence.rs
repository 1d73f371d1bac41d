//! What the presence of an account's resources leads to: broadcasts, probes, directed presence and their end
//! (RFC 6121 §4).
//!
//! [`Presences`] is one account's, while somebody of it is connected. It says who gets what; the caller routes it
//! and leaves out whom the account blocks.

use std::collections::{BTreeMap, BTreeSet};

use jid::{BareJid, FullJid, Jid};

use crate::{
    ns,
    roster::Roster,
    stanza::{Condition, PresenceType, Stanza, StanzaError},
};

/// Addresses to which one resource may have sent directed presence at a time: rooms, mostly.
const DIRECTED: usize = 1000;

/// What is to be sent, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// A stanza with its `to`.
    Send(Stanza),
    /// A stanza to each of these, which are its `to`.
    SendToAll(Stanza, Vec<Jid>),
}

/// What a presence stanza of a client led to.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// What is to be sent.
    pub outputs: Vec<Output>,
    /// The resource is available from now on: show it the requests that wait, and the last items of PEP.
    pub came: bool,
    /// It takes messages to the account from now on: give it what waits.
    pub takes_messages: bool,
    /// It is no longer available.
    pub went: bool,
}

/// A bound resource.
#[derive(Clone, Debug, Default)]
struct Resource {
    /// Its last available presence, from its full address, without `to`.
    presence: Option<Stanza>,
    priority: i8,
    /// Who got directed presence and would not hear by a broadcast that the resource is gone.
    directed: BTreeSet<Jid>,
}

/// The presence of an account's resources.
#[derive(Clone, Debug)]
pub struct Presences {
    account: BareJid,
    resources: BTreeMap<String, Resource>,
}

impl Presences {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(account: BareJid) -> Self {
        Self {
            account,
            resources: BTreeMap::new(),
        }
    }

    /// The priority of an available resource.
    #[must_use]
    pub fn priority(&self, resource: &str) -> Option<i8> {
        let resource = self.resources.get(resource)?;
        resource.presence.as_ref().map(|_| resource.priority)
    }

    /// The last presence of an available resource.
    #[must_use]
    pub fn presence(&self, resource: &str) -> Option<&Stanza> {
        self.resources.get(resource)?.presence.as_ref()
    }

    /// The available resources with their last presence.
    pub fn available(&self) -> impl Iterator<Item = (&str, &Stanza)> {
        self.resources.iter().filter_map(|(name, resource)| {
            let presence = resource.presence.as_ref()?;
            Some((name.as_str(), presence))
        })
    }

    /// Whether a resource sent directed presence to that address: it may be answered with whatever, although it is
    /// in no roster (RFC 6121 §8.5).
    #[must_use]
    pub fn is_directed_to(&self, resource: &str, whom: &Jid) -> bool {
        self.resources
            .get(resource)
            .is_some_and(|resource| resource.directed.contains(whom))
    }

    /// Takes in an available or unavailable presence that a client sent, with `from` its full address.
    ///
    /// # Errors
    ///
    /// `bad-request` for a priority that is none; `resource-constraint` for directed presence to too many.
    pub fn handle(
        &mut self,
        from: &FullJid,
        stanza: &Stanza,
        kind: PresenceType,
        roster: &Roster,
    ) -> Result<Effects, StanzaError> {
        let resource = from.resource().as_str();
        match (kind, &stanza.to) {
            (PresenceType::Available, None) => self.come(from, stanza, roster),
            (PresenceType::Unavailable, None) => Ok(self.go(resource, stanza.clone(), roster)),
            (_, Some(to)) => self.direct(resource, stanza, kind, &to.clone(), roster),
            _ => Ok(Effects::default()),
        }
    }

    /// A client is gone without a word: unavailable presence in its name. `stanza` is what it would have said,
    /// such as a status, and may be empty.
    pub fn disconnected(&mut self, from: &FullJid, roster: &Roster) -> Effects {
        let stanza = Stanza::new(PresenceType::Unavailable).from(from.clone());
        let effects = self.go(from.resource().as_str(), stanza, roster);
        self.resources.remove(from.resource().as_str());
        effects
    }

    fn come(
        &mut self,
        from: &FullJid,
        stanza: &Stanza,
        roster: &Roster,
    ) -> Result<Effects, StanzaError> {
        let priority = priority(stanza)?;
        let name = from.resource().as_str();
        let old = self.resources.entry(name.to_owned()).or_default();
        let came = old.presence.is_none();
        let took_messages = !came && old.priority >= 0;
        old.priority = priority;
        old.presence = Some(stanza.clone());
        let mut outputs = vec![self.broadcast(stanza, roster)];
        if came {
            let probes: Vec<Jid> = roster.subscribed_to().cloned().collect();
            if !probes.is_empty() {
                let probe = Stanza::new(PresenceType::Probe).from(from.clone());
                outputs.push(Output::SendToAll(probe, probes));
            }
            let others = self.available().filter(|(other, _)| *other != name);
            let others = others.map(|(_, presence)| presence.clone().to(from.clone()));
            outputs.extend(others.map(Output::Send));
        }
        Ok(Effects {
            outputs,
            came,
            takes_messages: priority >= 0 && !took_messages,
            went: false,
        })
    }

    fn go(&mut self, name: &str, stanza: Stanza, roster: &Roster) -> Effects {
        let Some(resource) = self.resources.get_mut(name) else {
            return Effects::default();
        };
        let directed = std::mem::take(&mut resource.directed);
        let went = resource.presence.take().is_some();
        let mut outputs = Vec::new();
        if went {
            let Output::SendToAll(stanza, mut to) = self.broadcast(&stanza, roster) else {
                return Effects::default();
            };
            // The resource itself hears of it, too, if it is still there.
            to.push(self.full(name));
            outputs.push(Output::SendToAll(stanza, to));
        }
        let unheard: Vec<Jid> = directed
            .into_iter()
            .filter(|to| !(went && self.hears_broadcasts(to, roster)))
            .collect();
        if !unheard.is_empty() {
            outputs.push(Output::SendToAll(stanza, unheard));
        }
        Effects {
            outputs,
            went,
            ..Effects::default()
        }
    }

    /// Presence for one address (RFC 6121 §4.6).
    fn direct(
        &mut self,
        name: &str,
        stanza: &Stanza,
        kind: PresenceType,
        to: &Jid,
        roster: &Roster,
    ) -> Result<Effects, StanzaError> {
        let heard = self.hears_broadcasts(to, roster) && self.presence(name).is_some();
        let resource = self.resources.entry(name.to_owned()).or_default();
        match kind {
            PresenceType::Available if !heard => {
                if resource.directed.len() >= DIRECTED && !resource.directed.contains(to) {
                    let text = format!("directed presence goes to at most {DIRECTED} at a time");
                    return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
                }
                resource.directed.insert(to.clone());
            }
            PresenceType::Unavailable => {
                resource.directed.remove(to);
            }
            _ => {}
        }
        Ok(Effects {
            outputs: vec![Output::Send(stanza.clone())],
            ..Effects::default()
        })
    }

    /// To all subscribers and the account's available resources, of which who sent it is one (§4.2.2).
    fn broadcast(&self, stanza: &Stanza, roster: &Roster) -> Output {
        let own = self.available().map(|(name, _)| self.full(name));
        let to = roster.subscribers().cloned().chain(own).collect();
        Output::SendToAll(stanza.clone(), to)
    }

    fn hears_broadcasts(&self, to: &Jid, roster: &Roster) -> bool {
        let account = to.to_bare();
        account == self.account || roster.subscription(&account).from
    }

    fn full(&self, resource: &str) -> Jid {
        match self.account.with_resource_str(resource) {
            Ok(full) => full.into(),
            Err(_) => self.account.clone().into(),
        }
    }

    /// Answers a probe of `from` for the account or one of its resources (§4.3.2): with the presence of each
    /// resource, or with word that nobody is there or that it is none of the prober's business.
    #[must_use]
    pub fn answer_probe(&self, from: &Jid, resource: Option<&str>, roster: &Roster) -> Vec<Stanza> {
        let asker = from.to_bare();
        let told = |resource: &Resource| {
            resource.directed.contains(from) || resource.directed.contains(&asker.clone().into())
        };
        let may = self.hears_broadcasts(from, roster);
        let reply = |kind: PresenceType| {
            Stanza::new(kind)
                .from(self.account.clone())
                .to(from.clone())
        };
        let answers: Vec<Stanza> = self
            .resources
            .iter()
            .filter(|(name, found)| (may || told(found)) && resource.is_none_or(|one| one == *name))
            .filter_map(|(_, found)| found.presence.clone())
            .map(|presence| presence.to(from.clone()))
            .collect();
        if !answers.is_empty() {
            return answers;
        }
        vec![reply(if may {
            PresenceType::Unavailable
        } else {
            PresenceType::Unsubscribed
        })]
    }

    /// What somebody who sees the account from now on is sent: the presence of every available resource.
    #[must_use]
    pub fn introduce(&self, to: &Jid) -> Vec<Stanza> {
        let all = self.available();
        all.map(|(_, presence)| presence.clone().to(to.clone()))
            .collect()
    }

    /// What somebody who no longer sees the account is sent: that every available resource is gone.
    #[must_use]
    pub fn withdraw(&self, to: &Jid) -> Vec<Stanza> {
        let all = self.available();
        all.map(|(name, _)| {
            Stanza::new(PresenceType::Unavailable)
                .from(self.full(name))
                .to(to.clone())
        })
        .collect()
    }
}

/// The priority in an available presence: from -128 to 127, 0 when nothing is said (RFC 6121 §4.7.2.3).
///
/// # Errors
///
/// `bad-request` for anything else.
pub fn priority(presence: &Stanza) -> Result<i8, StanzaError> {
    let Some(written) = presence.text_of(ns::CLIENT, "priority") else {
        return Ok(0);
    };
    written.trim().parse().map_err(|_| {
        let text = format!("a priority is a number from -128 to 127, not {written:?}");
        StanzaError::new(Condition::BadRequest).text(text)
    })
}

#[cfg(test)]
mod tests {
    use jid::{BareJid, FullJid, Jid};

    use super::{Effects, Output, Presences, priority};
    use crate::{
        roster::{Item, Roster},
        stanza::{PresenceType, Stanza},
        subscription::Subscription,
    };

    fn full(resource: &str) -> FullJid {
        FullJid::new(&format!("me@a/{resource}")).unwrap()
    }

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    /// A roster of a friend (both), a fan (from) and a star (to).
    fn roster() -> Roster {
        let item = |address: &str, state: &str| Item {
            subscription: Subscription::from_name(state).unwrap(),
            ..Item::new(jid(address))
        };
        Roster::restored(
            1,
            [
                item("friend@b", "both"),
                item("fan@b", "from"),
                item("star@b", "to"),
            ],
        )
    }

    fn account() -> Presences {
        Presences::new(BareJid::new("me@a").unwrap())
    }

    fn says(all: &mut Presences, resource: &str, xml: &str) -> Effects {
        let stanza = Stanza::new(PresenceType::Available)
            .from(full(resource))
            .with_all(xml.as_bytes());
        all.handle(&full(resource), &stanza, PresenceType::Available, &roster())
            .unwrap()
    }

    fn directs(all: &mut Presences, resource: &str, to: &str, kind: PresenceType) -> Effects {
        let stanza = Stanza::new(kind).from(full(resource)).to(jid(to));
        all.handle(&full(resource), &stanza, kind, &roster())
            .unwrap()
    }

    /// Each stanza as `type from -> to`, shortened to what differs.
    fn told(effects: &Effects) -> Vec<String> {
        let line = |stanza: &Stanza, to: &Jid| {
            let kind = stanza.kind.name().unwrap_or("available");
            format!("{kind} {} -> {to}", stanza.from.as_ref().unwrap())
        };
        let mut lines = Vec::new();
        for output in &effects.outputs {
            match output {
                Output::Send(stanza) => lines.push(line(stanza, stanza.to.as_ref().unwrap())),
                Output::SendToAll(stanza, all) => {
                    lines.extend(all.iter().map(|to| line(stanza, to)));
                }
            }
        }
        lines
    }

    #[test]
    fn who_comes_is_announced_and_learns_who_is_there() {
        let mut all = account();
        let first = says(&mut all, "home", "");
        assert!(first.came && first.takes_messages);
        assert_eq!(
            told(&first),
            [
                "available me@a/home -> fan@b",
                "available me@a/home -> friend@b",
                "available me@a/home -> me@a/home",
                "probe me@a/home -> friend@b",
                "probe me@a/home -> star@b",
            ]
        );
        let second = says(&mut all, "work", "<priority>-1</priority>");
        assert!(second.came && !second.takes_messages);
        let told = told(&second);
        assert!(told.contains(&"available me@a/work -> me@a/home".to_owned()));
        assert_eq!(told.last().unwrap(), "available me@a/home -> me@a/work");
        assert_eq!(all.priority("work"), Some(-1));
        assert_eq!(all.priority("other"), None);
    }

    #[test]
    fn news_of_somebody_who_is_there_probes_nobody() {
        let mut all = account();
        let _ = says(&mut all, "home", "<priority>-5</priority>");
        let news = says(&mut all, "home", "<show>away</show>");
        assert!(!news.came && news.takes_messages);
        assert!(told(&news).iter().all(|line| line.starts_with("available")));
        assert!(!says(&mut all, "home", "").takes_messages);
    }

    #[test]
    fn who_goes_is_missed_by_whoever_was_told() {
        let mut all = account();
        let _ = says(&mut all, "home", "");
        let _ = directs(&mut all, "home", "room@c/me", PresenceType::Available);
        let _ = directs(&mut all, "home", "left@c/me", PresenceType::Available);
        let _ = directs(&mut all, "home", "left@c/me", PresenceType::Unavailable);
        let _ = directs(&mut all, "home", "friend@b", PresenceType::Available);
        assert!(all.is_directed_to("home", &jid("room@c/me")));
        let gone = all.disconnected(&full("home"), &roster());
        assert!(gone.went);
        assert_eq!(
            told(&gone),
            [
                "unavailable me@a/home -> fan@b",
                "unavailable me@a/home -> friend@b",
                "unavailable me@a/home -> me@a/home",
                "unavailable me@a/home -> room@c/me",
            ]
        );
        assert!(told(&all.disconnected(&full("home"), &roster())).is_empty());
    }

    #[test]
    fn who_never_came_leaves_only_its_rooms() {
        let mut all = account();
        let sent = directs(&mut all, "home", "room@c/me", PresenceType::Available);
        assert_eq!(told(&sent), ["available me@a/home -> room@c/me"]);
        let _ = directs(&mut all, "home", "friend@b", PresenceType::Available);
        let gone = all.disconnected(&full("home"), &roster());
        assert_eq!(
            told(&gone),
            [
                "unavailable me@a/home -> friend@b",
                "unavailable me@a/home -> room@c/me",
            ]
        );
        assert!(!gone.went);
    }

    #[test]
    fn a_probe_is_answered_to_those_who_may_know() {
        let mut all = account();
        let probe = |all: &Presences, from: &str, resource| {
            all.answer_probe(&jid(from), resource, &roster())
                .iter()
                .map(|stanza| {
                    let kind = stanza.kind.name().unwrap_or("available");
                    format!("{kind} {}", stanza.from.as_ref().unwrap())
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(probe(&all, "friend@b/x", None), ["unavailable me@a"]);
        let _ = says(&mut all, "home", "");
        let _ = says(&mut all, "work", "");
        assert_eq!(
            probe(&all, "friend@b/x", None),
            ["available me@a/home", "available me@a/work"]
        );
        assert_eq!(
            probe(&all, "friend@b", Some("work")),
            ["available me@a/work"]
        );
        assert_eq!(
            probe(&all, "me@a/work", Some("home")),
            ["available me@a/home"]
        );
        assert_eq!(probe(&all, "star@b", None), ["unsubscribed me@a"]);
        let _ = directs(&mut all, "work", "star@b", PresenceType::Available);
        assert_eq!(probe(&all, "star@b", None), ["available me@a/work"]);
    }

    #[test]
    fn who_is_allowed_to_see_is_shown_everybody() {
        let mut all = account();
        let _ = says(&mut all, "home", "<show>dnd</show>");
        let shown = all.introduce(&jid("star@b"));
        assert_eq!(shown.len(), 1);
        assert!(shown[0].has("jabber:client", "show"));
        assert_eq!(
            all.withdraw(&jid("star@b"))[0].kind,
            PresenceType::Unavailable.into()
        );
    }

    #[test]
    fn a_priority_is_a_small_number() {
        for (written, is_one) in [
            ("127", true),
            ("-128", true),
            ("128", false),
            ("x", false),
            ("", false),
        ] {
            let xml = format!("<priority>{written}</priority>");
            let presence = Stanza::new(PresenceType::Available).with_all(xml.as_bytes());
            assert_eq!(priority(&presence).is_ok(), is_one, "{written}");
        }
    }

    #[test]
    fn directed_presence_has_an_end() {
        let mut all = account();
        let mut refused = 0;
        for number in 0..1001 {
            let to = jid(&format!("room{number}@c/me"));
            let stanza = Stanza::new(PresenceType::Available)
                .from(full("home"))
                .to(to);
            let done = all.handle(&full("home"), &stanza, PresenceType::Available, &roster());
            refused += usize::from(done.is_err());
        }
        assert_eq!(refused, 1);
    }
}
