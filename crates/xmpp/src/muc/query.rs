//! Questions to a room and, through it, to its occupants (XEP-0045 §6, §13; XEP-0410; XEP-0425).

use jid::{BareJid, FullJid, Jid};

use super::{
    Environment, MUC_ADMIN, MUC_OWNER, OCCUPANT_ID, Output, Role, Room, occupant_id,
    talk::stanza_id,
};
use crate::{
    sasl::Hash,
    stanza::{Condition, IqType, MessageType, Stanza, StanzaError, Type},
    xml::{Element, Markup},
};

const PING: &str = "urn:xmpp:ping";
const MODERATE: &str = "urn:xmpp:message-moderate:1";
const RETRACT: &str = "urn:xmpp:message-retract:1";

impl Room {
    /// A request to the room that needs its state. Others, such as disco and archives, are its caller's.
    pub(super) fn query_room(
        &mut self,
        stanza: &Stanza,
        kind: IqType,
        from: &FullJid,
        environment: &mut Environment<'_>,
    ) -> Result<Vec<Output>, StanzaError> {
        if !kind.is_request() {
            return Ok(Vec::new());
        }
        let Some(payload) = stanza.payload() else {
            return Err(Condition::BadRequest.into());
        };
        let open = || stanza.open(payload).map_err(|_| Condition::BadRequest);
        match (payload.name.namespace.as_str(), payload.name.local.as_str()) {
            (MUC_ADMIN, "query") => self.administer(stanza, kind, from, &open()?),
            (MUC_OWNER, "query") => self.own(stanza, kind, from, &open()?),
            (MODERATE, "moderate") if kind == IqType::Set => {
                self.moderate(stanza, from, &open()?, environment)
            }
            (PING, "ping") => Ok(vec![Output::Send(stanza.result())]),
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    }

    /// A request to an occupant, or an occupant's answer to one.
    pub(super) fn query_occupant(
        &self,
        stanza: &Stanza,
        kind: IqType,
        from: &FullJid,
        nick: &str,
    ) -> Result<Vec<Output>, StanzaError> {
        let Some((own_nick, asker)) = self.occupant_of(from) else {
            if !kind.is_request() {
                return Ok(Vec::new());
            }
            return Err(StanzaError::new(Condition::NotAcceptable).text("you are not in this room"));
        };
        if !kind.is_request() {
            return Ok(self.answer(stanza, own_nick, nick));
        }
        let payload = stanza.payload().ok_or(Condition::BadRequest)?;
        // The room itself knows whether the asker is inside.
        if own_nick == nick && payload.name.is(PING, "ping") {
            return Ok(vec![Output::Send(stanza.result())]);
        }
        let Some(target) = self.occupants.get(nick) else {
            return Err(
                StanzaError::new(Condition::ItemNotFound).text("nobody of that name is here")
            );
        };
        if asker.role < Role::Visitor {
            return Err(Condition::Forbidden.into());
        }
        // Cards and avatars are the account's, so that its server can answer.
        let of_account = matches!(
            payload.name.namespace.as_str(),
            "vcard-temp" | "http://jabber.org/protocol/pubsub" | "urn:ietf:params:xml:ns:vcard-4.0"
        );
        let to: Jid = match target.sessions.last() {
            Some(session) if !of_account => session.address.clone().into(),
            _ => target.account.clone().into(),
        };
        let mut question = stanza.clone();
        question.id = Some(self.sealed_id(from, stanza.id.as_deref().unwrap_or_default()));
        question.from = Some(self.occupant_address(own_nick));
        question.to = Some(to);
        Ok(vec![Output::Send(question)])
    }

    /// The answer that an account's server gives for it.
    pub(super) fn answer_of_account(&self, stanza: &Stanza, account: &BareJid) -> Vec<Output> {
        let nick = stanza
            .to
            .as_ref()
            .and_then(|to| to.resource().map(ToString::to_string));
        let answerer = self
            .occupants
            .iter()
            .find(|(_, occupant)| occupant.account == *account);
        match (stanza.kind, nick, answerer) {
            (Type::Iq(IqType::Result | IqType::Error), Some(nick), Some((own, _))) => {
                self.answer(stanza, own, &nick)
            }
            _ => Vec::new(),
        }
    }

    /// Hands an answer to the client that asked.
    fn answer(&self, stanza: &Stanza, answerer: &str, nick: &str) -> Vec<Output> {
        let asked = || {
            let (seal, id) = stanza.id.as_deref()?.split_once('.')?;
            let asker = self.occupants.get(nick)?;
            let session = asker
                .sessions
                .iter()
                .find(|session| self.seal(&session.address, id) == seal)?;
            Some((session.address.clone(), id.to_owned()))
        };
        let Some((to, id)) = asked() else {
            return Vec::new();
        };
        let mut answer = stanza.clone();
        answer.id = Some(id);
        answer.from = Some(self.occupant_address(answerer));
        answer.to = Some(to.into());
        vec![Output::Send(answer)]
    }

    /// An id that tells the room, and nobody else, which client asked.
    fn sealed_id(&self, session: &FullJid, id: &str) -> String {
        format!("{}.{id}", self.seal(session, id))
    }

    fn seal(&self, session: &FullJid, id: &str) -> String {
        let parts: [&[u8]; 3] = [session.as_str().as_bytes(), b"\0", id.as_bytes()];
        let mut hash = Hash::Sha256.hmac(&self.secret, &parts);
        hash.truncate(9);
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash)
    }

    /// A moderator takes a message back (XEP-0425 §4).
    fn moderate(
        &mut self,
        stanza: &Stanza,
        from: &FullJid,
        moderate: &Element,
        environment: &mut Environment<'_>,
    ) -> Result<Vec<Output>, StanzaError> {
        let moderator = self
            .occupant_of(from)
            .filter(|(_, occupant)| occupant.role == Role::Moderator);
        let Some((nick, occupant)) = moderator else {
            return Err(StanzaError::new(Condition::Forbidden).text("only moderators may do that"));
        };
        if moderate.child(RETRACT, "retract").is_none() {
            return Err(Condition::FeatureNotImplemented.into());
        }
        let id = moderate.attribute("id").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| {
            StanzaError::new(Condition::BadRequest).text("the id of the message is missing")
        })?;
        let reason = moderate
            .child(MODERATE, "reason")
            .and_then(|reason| moderate.open(reason).ok()?.text().ok());
        let by = self.occupant_address(nick);
        let account = occupant.account.clone();
        let retraction_id = (environment.new_id)();
        let moderated = |out: &mut Markup| {
            out.open("moderated")
                .attribute("xmlns", MODERATE)
                .attribute("by", by.as_str());
            out.open("occupant-id").attribute("xmlns", OCCUPANT_ID);
            out.attribute("id", &occupant_id(&self.secret, &account))
                .end();
            out.close("moderated");
            if let Some(reason) = &reason {
                out.open("reason").text(reason).close("reason");
            }
        };
        let mut retract = Markup::default();
        retract
            .open("retract")
            .attribute("xmlns", RETRACT)
            .attribute("id", id);
        moderated(&mut retract);
        retract.close("retract");
        let mut tombstone = Markup::default();
        tombstone
            .open("retracted")
            .attribute("xmlns", RETRACT)
            .attribute("id", &retraction_id)
            .attribute("stamp", &environment.now.to_string());
        moderated(&mut tombstone);
        tombstone.close("retracted");
        let tombstone = tombstone.into_bytes();
        let message = Stanza::new(MessageType::Groupchat)
            .from(self.address.clone())
            .id(retraction_id.clone())
            .with_all(&retract.into_bytes())
            .with(&stanza_id(&retraction_id, &self.address));
        let id = id.to_owned();
        let mut outputs = vec![Output::Send(stanza.result())];
        outputs.push(Output::Bury {
            tombstone: self.buried(&id, &tombstone),
            id,
        });
        outputs.extend(self.publish(message, &retraction_id, environment));
        Ok(outputs)
    }

    /// What stands in the place of a message from now on, also for who enters.
    fn buried(&mut self, id: &str, tombstone: &[u8]) -> Stanza {
        let mut grave = Stanza::new(MessageType::Groupchat).from(self.address.clone());
        for past in &mut self.past {
            let is_it = past.message.children().iter().any(|child| {
                child.name.is(super::STANZA_ID, "stanza-id")
                    && past.message.open(child).is_ok_and(|found| {
                        found.attribute("id") == Some(id)
                            && found.attribute("by") == Some(self.address.as_str())
                    })
            });
            if is_it {
                grave.from.clone_from(&past.message.from);
                grave.id.clone_from(&past.message.id);
                past.message = grave
                    .clone()
                    .with_all(tombstone)
                    .with(&stanza_id(id, &self.address));
            }
        }
        grave
            .with_all(tombstone)
            .with(&stanza_id(id, &self.address))
    }
}
