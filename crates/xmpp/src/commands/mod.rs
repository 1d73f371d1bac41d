//! Commands that people run from their client: find one, fill in a form, read the result (XEP-0050).
//!
//! Every command here has one form at most: the first request gets it, the second one carries it out. [`admin`] has those
//! of a server's operator (XEP-0133).

pub mod admin;

use std::collections::HashMap;

use jid::Jid;

use crate::{
    disco,
    forms::{Form, FormKind},
    moment::Moment,
    stanza::{Condition, StanzaError},
    xml::{Element, Markup},
};

/// The protocol, and the node under which commands are listed.
pub const NS: &str = "http://jabber.org/protocol/commands";

/// Executions that may be under way.
const SESSIONS: usize = 1000;
/// Seconds after which a form can no longer be submitted.
const EXPIRY: i64 = 30 * 60;

/// What a client wants to do next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Action {
    /// Stop.
    Cancel,
    /// Carry it out.
    Complete,
    /// Begin, or whatever comes next.
    #[default]
    Execute,
    /// On to the next form.
    Next,
    /// Back to the form before.
    Prev,
}

/// A step of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The command.
    pub node: String,
    /// Which execution it belongs to; `None` begins one.
    pub session: Option<String>,
    /// What to do.
    pub action: Action,
    /// What was filled in.
    pub form: Option<Form>,
}

impl Request {
    /// Reads the payload of an IQ of type set.
    ///
    /// # Errors
    ///
    /// `bad-request` with `malformed-action` for actions that do not exist, or when no command is named.
    pub fn read(command: &Element) -> Result<Self, StanzaError> {
        let node = command.attribute("node").filter(|node| !node.is_empty());
        let node = node
            .ok_or_else(|| StanzaError::new(Condition::BadRequest).text("no command is named"))?;
        let action = match command.attribute("action") {
            None | Some("execute") => Action::Execute,
            Some("cancel") => Action::Cancel,
            Some("complete") => Action::Complete,
            Some("next") => Action::Next,
            Some("prev") => Action::Prev,
            Some(_) => return Err(detailed("malformed-action")),
        };
        Ok(Self {
            node: node.to_owned(),
            session: command.attribute("sessionid").map(str::to_owned),
            action,
            form: Form::in_element(command)?,
        })
    }
}

/// How serious a note is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Note {
    /// It did not work.
    Error,
    /// It did.
    Info,
    /// It did, and there is something to know.
    Warn,
}

/// The answer to a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It is over because the client wants it.
    Canceled,
    /// It is done.
    Completed {
        /// The result, if it is more than a note.
        form: Option<Form>,
        /// What people read.
        note: Option<(Note, String)>,
    },
    /// A form has to be filled in.
    Form(Form),
}

impl Reply {
    /// Done, and nothing to see but a sentence.
    #[must_use]
    pub fn done(text: impl Into<String>) -> Self {
        Self::Completed {
            form: None,
            note: Some((Note::Info, text.into())),
        }
    }

    /// The payload of the answer.
    #[must_use]
    pub fn payload(&self, node: &str, session: &str) -> Vec<u8> {
        let status = match self {
            Self::Canceled => "canceled",
            Self::Completed { .. } => "completed",
            Self::Form(_) => "executing",
        };
        let mut out = Markup::default();
        out.open("command").attribute("xmlns", NS);
        out.attribute("node", node)
            .attribute("sessionid", session)
            .attribute("status", status);
        match self {
            Self::Canceled => {}
            Self::Completed { form, note } => {
                if let Some((kind, text)) = note {
                    let kind = match kind {
                        Note::Error => "error",
                        Note::Info => "info",
                        Note::Warn => "warn",
                    };
                    out.open("note").attribute("type", kind);
                    out.text(text).close("note");
                }
                if let Some(form) = form {
                    form.write(&mut out);
                }
            }
            Self::Form(form) => {
                out.open("actions").attribute("execute", "complete");
                out.open("complete").end();
                out.close("actions");
                form.write(&mut out);
            }
        }
        out.close("command");
        out.into_bytes()
    }
}

/// What a step is, for a command with one form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Show the form.
    Ask,
    /// It was filled in: [`Form::check`] it, then carry the command out.
    Carry(Form),
    /// The client gave up.
    Cancel,
}

/// The executions that are under way.
#[derive(Debug, Default)]
pub struct Sessions(HashMap<String, Session>);

#[derive(Debug)]
struct Session {
    asker: Jid,
    node: String,
    since: Moment,
}

impl Sessions {
    /// What a request means, and the id of its execution, which is `new_id` for a new one.
    ///
    /// # Errors
    ///
    /// `bad-request` with `bad-sessionid`, `session-expired`, `bad-action` or `bad-payload`; `resource-constraint` when
    /// too many are under way.
    pub fn step(
        &mut self,
        request: &Request,
        asker: &Jid,
        now: Moment,
        new_id: impl FnOnce() -> String,
    ) -> Result<(Step, String), StanzaError> {
        let Some(id) = request.session.clone() else {
            if request.action != Action::Execute {
                return Err(detailed("bad-action"));
            }
            self.0.retain(|_, session| !session.is_expired(now));
            if self.0.len() >= SESSIONS {
                return Err(StanzaError::new(Condition::ResourceConstraint)
                    .text("too many commands are under way"));
            }
            let id = new_id();
            let session = Session {
                asker: asker.clone(),
                node: request.node.clone(),
                since: now,
            };
            self.0.insert(id.clone(), session);
            return Ok((Step::Ask, id));
        };
        let theirs = self
            .0
            .get(&id)
            .filter(|session| session.asker == *asker && session.node == request.node);
        let Some(session) = theirs else {
            return Err(detailed("bad-sessionid"));
        };
        if session.is_expired(now) {
            self.0.remove(&id);
            return Err(StanzaError::new(Condition::NotAllowed).detail_named(NS, "session-expired"));
        }
        let step = match (request.action, &request.form) {
            (Action::Cancel, _) => Step::Cancel,
            (Action::Prev, _) => return Err(detailed("bad-action")),
            (_, Some(form)) if form.kind == FormKind::Cancel => Step::Cancel,
            (_, Some(form)) => Step::Carry(form.clone()),
            (_, None) => return Err(detailed("bad-payload")),
        };
        Ok((step, id))
    }

    /// An execution is over. One whose form could not be taken stays, so that it can be corrected.
    pub fn end(&mut self, id: &str) {
        self.0.remove(id);
    }
}

impl Session {
    fn is_expired(&self, now: Moment) -> bool {
        now > self.since.plus_seconds(EXPIRY)
    }
}

/// The commands at `at` by node and name, for [`disco::items`] of the node [`NS`].
#[must_use]
pub fn listed(at: &Jid, commands: &[(&str, &str)]) -> Vec<disco::Item> {
    let item = |(node, name): &(&str, &str)| disco::Item {
        node: Some((*node).to_owned()),
        name: Some((*name).to_owned()),
        ..disco::Item::at(at.clone())
    };
    commands.iter().map(item).collect()
}

/// What disco says of one command.
#[must_use]
pub fn info(node: &str, name: &str) -> disco::Info {
    disco::Info {
        node: Some(node.to_owned()),
        ..disco::Info::of(disco::Identity::new("automation", "command-node", name))
    }
    .with_features([NS, crate::forms::NS])
}

fn detailed(detail: &str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).detail_named(NS, detail)
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::{Action, NS, Reply, Request, Sessions, Step, info, listed};
    use crate::{
        forms::{Form, FormKind},
        moment::Moment,
        stanza::StanzaError,
        xml::{Element, Limits},
    };

    fn read(attributes: &str, content: &str) -> Result<Request, StanzaError> {
        let xml = format!("<command xmlns='{NS}' {attributes}>{content}</command>");
        Request::read(&Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap())
    }

    fn why(error: StanzaError) -> String {
        error.detail.unwrap().name.local.to_string()
    }

    const SUBMIT: &str = "<x xmlns='jabber:x:data' type='submit'/>";

    #[test]
    fn a_command_is_asked_for_filled_in_and_carried_out() {
        let asker = Jid::new("a@a/x").unwrap();
        let mut sessions = Sessions::default();
        let mut step = |request: &Request, asker: &Jid, seconds| {
            let now = Moment(0).plus_seconds(seconds);
            sessions.step(request, asker, now, || "s1".to_owned())
        };
        let first = read("node='n'", "").unwrap();
        assert_eq!(first.action, Action::Execute);
        assert_eq!(step(&first, &asker, 0).unwrap(), (Step::Ask, "s1".into()));
        let second = read("node='n' sessionid='s1' action='complete'", SUBMIT).unwrap();
        assert!(matches!(
            step(&second, &asker, 1).unwrap().0,
            Step::Carry(_)
        ));
        let other = Jid::new("b@a/x").unwrap();
        assert_eq!(why(step(&second, &other, 1).unwrap_err()), "bad-sessionid");
        let elsewhere = read("node='m' sessionid='s1'", SUBMIT).unwrap();
        assert_eq!(
            why(step(&elsewhere, &asker, 1).unwrap_err()),
            "bad-sessionid"
        );
        let empty = read("node='n' sessionid='s1'", "").unwrap();
        assert_eq!(why(step(&empty, &asker, 1).unwrap_err()), "bad-payload");
        let back = read("node='n' sessionid='s1' action='prev'", SUBMIT).unwrap();
        assert_eq!(why(step(&back, &asker, 1).unwrap_err()), "bad-action");
        let cancel = read("node='n' sessionid='s1' action='cancel'", "").unwrap();
        assert_eq!(step(&cancel, &asker, 1).unwrap().0, Step::Cancel);
        assert_eq!(
            why(step(&second, &asker, 2000).unwrap_err()),
            "session-expired"
        );
        assert_eq!(
            why(step(&second, &asker, 2000).unwrap_err()),
            "bad-sessionid"
        );
    }

    #[test]
    fn a_request_names_a_command_and_an_action() {
        assert!(read("", "").is_err());
        assert_eq!(
            why(read("node='n' action='jump'", "").unwrap_err()),
            "malformed-action"
        );
    }

    #[test]
    fn an_answer_says_how_far_it_is() {
        let text = |reply: Reply| String::from_utf8(reply.payload("n", "s")).unwrap();
        assert_eq!(
            text(Reply::done("it is done")),
            "<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' status='completed'>\
             <note type='info'>it is done</note></command>"
        );
        let form = text(Reply::Form(Form::new(FormKind::Form, "urn:x")));
        assert!(
            form.contains(
                "status='executing'><actions execute='complete'><complete/></actions><x "
            )
        );
        assert!(text(Reply::Canceled).contains("status='canceled'"));
    }

    #[test]
    fn commands_are_listed() {
        let items = listed(&Jid::new("a").unwrap(), &[("n", "Name")]);
        assert_eq!(items[0].node.as_deref(), Some("n"));
        assert!(info("n", "Name").has(NS));
    }
}
