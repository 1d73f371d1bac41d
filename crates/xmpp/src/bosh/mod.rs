//! Streams in pairs of HTTP requests and responses (XEP-0124, XEP-0206).
//!
//! A [`Session`] brings the requests of a client into the order of their numbers, holds them until there is something to
//! answer, and answers a request that comes again with what was answered before. Its caller keeps the connection of each
//! number; a second connection for the same number takes the place of the first.

mod body;

pub use body::{Body, ends_with};

use std::collections::{BTreeMap, VecDeque};

use crate::{
    moment::Moment,
    websocket::message,
    xml::{Element, Markup, XmlError},
};

/// The protocol.
pub const NS: &str = "http://jabber.org/protocol/httpbind";
/// What XMPP adds to it.
pub const XBOSH: &str = "urn:xmpp:xbosh";

/// Bytes that may wait for a request to answer.
const WAITING: usize = 1 << 20;

/// What a server allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Longest time for which a request is held, in seconds.
    pub wait: u32,
    /// Most requests held.
    pub hold: u32,
    /// Seconds without a request after which a session ends.
    pub inactivity: u32,
    /// Longest pause that a client may take, in seconds.
    pub max_pause: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wait: 60,
            hold: 1,
            inactivity: 60,
            max_pause: 120,
        }
    }
}

/// What follows, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// An element of the stream.
    Element(Element),
    /// The session is over: the stream ends. Answers may still follow.
    Ended,
    /// Answer the request of that number.
    Respond(u64, Vec<u8>),
    /// The stream begins anew, after authentication.
    Restart,
}

/// A client's session.
#[derive(Debug)]
pub struct Session {
    id: String,
    settings: Settings,
    /// The number of the next request.
    next: u64,
    /// Requests that came too early.
    early: BTreeMap<u64, Body>,
    /// Requests without an answer, with the time until which they wait.
    held: VecDeque<(u64, Moment)>,
    /// The last answers.
    answered: VecDeque<(u64, Vec<u8>)>,
    /// What the next answer carries.
    waiting: Vec<u8>,
    /// What the answer to the first request says besides.
    greeting: Option<Vec<u8>>,
    /// Since when no request is held.
    idle_since: Option<Moment>,
    /// The pause that the client takes, in seconds.
    pause: Option<u32>,
    /// The body that every further request is answered with.
    last_word: Option<Vec<u8>>,
}

impl Session {
    /// A session that the request `first` asks for, with an id that nobody can guess. `stream` is the id of the stream in it,
    /// `from` the domain. The first request is answered by the first [`Self::push`], which is the stream's features.
    #[must_use]
    pub fn open(
        first: &Body,
        id: &str,
        from: &str,
        stream: &str,
        settings: Settings,
        now: Moment,
    ) -> Self {
        let settings = Settings {
            wait: first.wait.unwrap_or(settings.wait).min(settings.wait),
            hold: first.hold.unwrap_or(1).min(settings.hold),
            ..settings
        };
        let mut greeting = Markup::default();
        body::open(&mut greeting);
        greeting
            .attribute("sid", id)
            .attribute("wait", &settings.wait.to_string())
            .attribute("requests", &(settings.hold + 1).to_string())
            .attribute("hold", &settings.hold.to_string())
            .attribute("inactivity", &settings.inactivity.to_string())
            .attribute("maxpause", &settings.max_pause.to_string())
            .attribute("ver", "1.6")
            .attribute("from", from)
            .attribute("authid", stream)
            .attribute("xmlns:xmpp", XBOSH)
            .attribute("xmpp:version", "1.0")
            .attribute("xmpp:restartlogic", "true");
        Self {
            id: id.to_owned(),
            settings,
            next: first.rid.wrapping_add(1),
            early: BTreeMap::new(),
            held: VecDeque::from([(first.rid, now.plus_seconds(settings.wait.into()))]),
            answered: VecDeque::new(),
            waiting: Vec::new(),
            greeting: Some(greeting.into_bytes()),
            idle_since: None,
            pause: None,
            last_word: None,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.last_word.is_some()
    }

    /// How many requests may be on their way at a time.
    fn window(&self) -> u64 {
        u64::from(self.settings.hold) + 1
    }

    /// Takes in a request for this session.
    pub fn handle(&mut self, request: Body, now: Moment) -> Vec<Output> {
        let rid = request.rid;
        if let Some((_, answer)) = self.answered.iter().find(|(number, _)| *number == rid) {
            return vec![Output::Respond(rid, answer.clone())];
        }
        if let Some(last_word) = &self.last_word {
            return vec![Output::Respond(rid, last_word.clone())];
        }
        if self.held.iter().any(|(number, _)| *number == rid) {
            return Vec::new();
        }
        if rid < self.next || rid >= self.next.saturating_add(self.window()) {
            let mut outputs = self.end(Some("item-not-found"));
            outputs.push(Output::Respond(rid, ends_with(Some("item-not-found"), &[])));
            return outputs;
        }
        self.early.insert(rid, request);
        let mut outputs = Vec::new();
        while let Some(request) = self.early.remove(&self.next) {
            self.next += 1;
            self.carry(request, now, &mut outputs);
            if self.is_over() {
                return outputs;
            }
        }
        self.settle(now, &mut outputs);
        outputs
    }

    fn carry(&mut self, request: Body, now: Moment, outputs: &mut Vec<Output>) {
        self.pause = None;
        self.idle_since = None;
        self.held
            .push_back((request.rid, now.plus_seconds(self.settings.wait.into())));
        if request.restart {
            outputs.push(Output::Restart);
        }
        outputs.extend(request.elements.into_iter().map(Output::Element));
        if request.terminate {
            outputs.extend(self.end(None));
        } else if let Some(pause) = request.pause {
            self.pause = Some(pause.min(self.settings.max_pause));
            while let Some((rid, _)) = self.held.pop_front() {
                outputs.push(self.answer(rid));
            }
        }
    }

    /// Sends something to the client: one element as a stream of TCP would carry it.
    ///
    /// # Errors
    ///
    /// When it is not exactly one element.
    pub fn push(&mut self, written: &[u8], now: Moment) -> Result<Vec<Output>, XmlError> {
        if self.is_over() {
            return Ok(Vec::new());
        }
        self.waiting.extend(message(written)?);
        let mut outputs = Vec::new();
        if self.waiting.len() > WAITING {
            self.waiting.clear();
            return Ok(self.end(Some("policy-violation")));
        }
        self.settle(now, &mut outputs);
        Ok(outputs)
    }

    /// Ends it from this side; `condition` says why, if not because all is said (XEP-0124 §17.2).
    pub fn end(&mut self, condition: Option<&str>) -> Vec<Output> {
        if self.is_over() {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        let last = ends_with(condition, &waiting);
        self.last_word = Some(ends_with(condition, &[]));
        let mut outputs = vec![Output::Ended];
        let mut held = std::mem::take(&mut self.held).into_iter();
        if let Some((rid, _)) = held.next() {
            outputs.push(Output::Respond(rid, last));
        } else {
            // Nobody listens: the next request hears it.
            self.last_word = Some(last);
        }
        outputs.extend(held.map(|(rid, _)| Output::Respond(rid, ends_with(condition, &[]))));
        let early = std::mem::take(&mut self.early);
        outputs.extend(
            early
                .into_keys()
                .map(|rid| Output::Respond(rid, ends_with(condition, &[]))),
        );
        outputs
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.is_over() {
            return None;
        }
        let held = self.held.front().map(|(_, until)| *until);
        held.or_else(|| {
            self.idle_since
                .map(|since| since.plus_seconds(self.patience()))
        })
    }

    /// Answers what has waited long enough, and ends a session of which nothing was heard.
    pub fn handle_timeout(&mut self, now: Moment) -> Vec<Output> {
        let mut outputs = Vec::new();
        while self.held.front().is_some_and(|(_, until)| *until <= now) {
            if let Some((rid, _)) = self.held.pop_front() {
                outputs.push(self.answer(rid));
            }
        }
        self.settle(now, &mut outputs);
        let patience = self.patience();
        if self
            .idle_since
            .is_some_and(|since| since.plus_seconds(patience) <= now)
        {
            outputs.extend(self.end(Some("item-not-found")));
        }
        outputs
    }

    fn patience(&self) -> i64 {
        self.pause.unwrap_or(self.settings.inactivity).into()
    }

    /// Answers with what waits, and lets go of what is more than may be held.
    fn settle(&mut self, now: Moment, outputs: &mut Vec<Output>) {
        while !self.waiting.is_empty() || self.held.len() > self.settings.hold as usize {
            // The first answer is the greeting, which carries the features.
            if self.greeting.is_some() && self.waiting.is_empty() {
                break;
            }
            let Some((rid, _)) = self.held.pop_front() else {
                break;
            };
            outputs.push(self.answer(rid));
        }
        match (self.held.is_empty(), self.idle_since) {
            (true, None) => self.idle_since = Some(now),
            (false, Some(_)) => self.idle_since = None,
            _ => {}
        }
    }

    fn answer(&mut self, rid: u64) -> Output {
        let waiting = std::mem::take(&mut self.waiting);
        let body = match self.greeting.take() {
            Some(mut greeting) => {
                // Its start tag was closed when it was taken out of the writer.
                greeting.extend_from_slice(&waiting);
                greeting.extend_from_slice(b"</body>");
                greeting
            }
            None => body::with(&waiting),
        };
        self.answered.push_back((rid, body.clone()));
        if self.answered.len() as u64 > self.window() {
            self.answered.pop_front();
        }
        Output::Respond(rid, body)
    }
}

#[cfg(test)]
mod tests;
