//! One client's session: what it sends is carried out in order, what comes for it is written, and after a cut it
//! waits for a while.

use std::sync::Arc;

use folkmoot_xmpp::{
    c2s,
    csi::ClientState,
    moment::Moment,
    sm::{self, Incoming, Outgoing, Room, Undelivered},
    stanza::{Condition, InvalidStanza, Stanza, StanzaError, Type},
    stream::{StreamCondition, StreamError},
    xml::{Element, Event},
};
use jid::Jid;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    account::Account,
    connection::{Connection, Lost},
    handle::{Ends, Handle, Order, Takeover},
    iq, message, presence,
    router::{Router, fresh_id, now},
};

/// Bytes that are put together before they are written.
const BATCH: usize = 64 * 1024;
/// The namespace of client states.
const CSI: &str = "urn:xmpp:csi:0";
/// How long a connection that was promised by a resumption may take to arrive.
const HAND_OVER: std::time::Duration = std::time::Duration::from_secs(30);

/// A session.
pub(crate) struct Session {
    pub(crate) router: Arc<Router>,
    pub(crate) account: Arc<Account>,
    pub(crate) handle: Arc<Handle>,
    ends: Ends,
    state: ClientState,
    managed: Option<Managed>,
    /// What is to be written next.
    buffer: Vec<u8>,
    /// When the client was asked whether it is there.
    asked: Option<Instant>,
}

/// A stream that is managed (XEP-0198).
pub(crate) struct Managed {
    incoming: Incoming,
    outgoing: Outgoing<Moment>,
    /// The id by which it is resumed, and for how many seconds it can be.
    resumable: Option<(String, u32)>,
    /// An answer to `<r/>` is awaited.
    asking: bool,
}

impl Managed {
    /// Enables stream management; also what the client is told.
    pub(crate) fn enable(
        router: &Router,
        handle: &Arc<Handle>,
        wish: c2s::Enable,
    ) -> (Self, Vec<u8>) {
        let most = u32::try_from(router.options.resumption.as_secs()).unwrap_or(u32::MAX);
        let resumable = wish.resume.then(|| {
            let id = format!("{:032x}", rand::random::<u128>());
            let seconds = wish.max_seconds.map_or(most, |wanted| wanted.min(most));
            router.resumptions.add(id.clone(), handle);
            (id, seconds)
        });
        let told = resumable
            .as_ref()
            .map(|(id, seconds)| (id.as_str(), *seconds));
        let written = sm::enabled(told);
        let managed = Self {
            incoming: Incoming::default(),
            outgoing: Outgoing::new(router.options.unacknowledged),
            resumable,
            asking: false,
        };
        (managed, written)
    }
}

/// Why a connection is served no longer.
enum Ended {
    /// The stream was closed, by whomever: there is nothing to resume.
    Over,
    /// The connection was cut.
    Cut,
    /// The client came back on another connection.
    Taken(Takeover),
}

impl Session {
    pub(crate) fn new(
        router: Arc<Router>,
        account: Arc<Account>,
        handle: Arc<Handle>,
        ends: Ends,
        inactive: bool,
    ) -> Self {
        router
            .open
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut state = ClientState::default();
        if inactive {
            state.set_inactive();
        }
        Self {
            router,
            account,
            handle,
            ends,
            state,
            managed: None,
            buffer: Vec::new(),
            asked: None,
        }
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn manage(&mut self, managed: Managed) {
        self.managed = Some(managed);
    }

    /// Serves the session until it is over.
    pub(crate) async fn run(mut self: Box<Self>, connection: Connection) {
        let mut connection = connection;
        loop {
            let ended = self.serve(&mut connection).await;
            let takeover = match ended {
                Ended::Over => {
                    connection.close().await;
                    break;
                }
                Ended::Cut => {
                    drop(connection);
                    match self.wait().await {
                        Some(takeover) => takeover,
                        None => break,
                    }
                }
                Ended::Taken(takeover) => {
                    let error = StreamError::from(StreamCondition::Conflict);
                    self.say_end(&error.text("the session goes on elsewhere"));
                    let last = std::mem::take(&mut self.buffer);
                    let _ =
                        timeout(std::time::Duration::from_secs(1), connection.write(&last)).await;
                    drop(connection);
                    takeover
                }
            };
            match self.take_over(takeover).await {
                Some(resumed) => connection = resumed,
                None => break,
            }
        }
        self.finish().await;
    }

    /// A session whose client was gone before it stood.
    pub(crate) async fn abandon(mut self: Box<Self>) {
        self.finish().await;
    }

    /// Reads and writes until the stream or the connection ends.
    async fn serve(&mut self, connection: &mut Connection) -> Ended {
        let closing = self.router.closing.clone();
        let handle = Arc::clone(&self.handle);
        loop {
            if let Err(ended) = self.flush(connection).await {
                return ended;
            }
            let silence = self.router.options.silence;
            let deadline = match self.asked {
                None => connection.heard + silence,
                Some(asked) => asked + silence,
            };
            tokio::select! {
                event = connection.next() => {
                    self.asked = None;
                    match event {
                        Ok(event) => if let Err(ended) = self.event(event, connection).await {
                            return ended;
                        },
                        Err(Lost::Xml(error)) => return self.end(error.into(), connection).await,
                        Err(Lost::Cut) => return Ended::Cut,
                    }
                }
                Some(stanza) = self.ends.queue.recv() => {
                    handle.taken(&stanza);
                    if let Err(ended) = self.deliver(stanza, connection).await {
                        return ended;
                    }
                    while self.buffer.len() < BATCH {
                        let Ok(stanza) = self.ends.queue.try_recv() else { break };
                        handle.taken(&stanza);
                        if let Err(ended) = self.deliver(stanza, connection).await {
                            return ended;
                        }
                    }
                }
                Some(order) = self.ends.orders.recv() => match order {
                    Order::End(error) => return self.end(error, connection).await,
                    Order::Resume(takeover) => return Ended::Taken(takeover),
                },
                () = handle.choked.cancelled() => {
                    let error = StreamError::from(StreamCondition::PolicyViolation);
                    return self.end(error.text("too much waits for a client that does not read"), connection).await;
                }
                () = closing.cancelled() => {
                    return self.end(StreamCondition::SystemShutdown.into(), connection).await;
                }
                () = sleep_until(deadline) => {
                    // Something that is no complete element may have come meanwhile.
                    if connection.heard + silence > Instant::now() {
                        self.asked = None;
                    } else if self.asked.is_some() {
                        return self.end(StreamCondition::ConnectionTimeout.into(), connection).await;
                    } else {
                        self.ask_whether_there();
                    }
                }
            }
        }
    }

    fn ask_whether_there(&mut self) {
        self.asked = Some(Instant::now());
        if let Some(managed) = &mut self.managed {
            managed.asking = true;
            self.buffer.extend_from_slice(&sm::question());
        } else {
            let domain = Jid::from(jid::BareJid::from_parts(None, self.handle.address.domain()));
            let ping = Stanza::new(folkmoot_xmpp::stanza::IqType::Get)
                .from(domain)
                .to(self.handle.address.clone())
                .id(fresh_id())
                .with_all(b"<ping xmlns='urn:xmpp:ping'/>");
            ping.write(&mut self.buffer);
        }
    }

    async fn event(&mut self, event: Event, connection: &mut Connection) -> Result<(), Ended> {
        let element = match event {
            Event::Element(element) => element,
            Event::Close => {
                if let Some(managed) = &self.managed {
                    let last = sm::acknowledgement(managed.incoming.handled());
                    self.buffer.extend_from_slice(&last);
                }
                self.buffer.extend_from_slice(b"</stream:stream>");
                let _ = self.flush(connection).await;
                return Err(Ended::Over);
            }
            Event::Open { .. } => {
                return Err(self
                    .end(StreamCondition::BadFormat.into(), connection)
                    .await);
            }
        };
        if Stanza::is_one(&element) {
            return self.stanza(element, connection).await;
        }
        if let Some(request) = sm::Request::read(&element) {
            return self.manage_stream(request, connection).await;
        }
        if element.name.is(CSI, "inactive") {
            self.state.set_inactive();
            return Ok(());
        }
        if element.name.is(CSI, "active") {
            for stanza in self.state.set_active() {
                self.write(stanza, connection).await?;
            }
            return Ok(());
        }
        Err(self
            .end(StreamCondition::UnsupportedStanzaType.into(), connection)
            .await)
    }

    async fn manage_stream(
        &mut self,
        request: Result<sm::Request, Condition>,
        connection: &mut Connection,
    ) -> Result<(), Ended> {
        match (request, &mut self.managed) {
            (Ok(sm::Request::Ask), Some(managed)) => {
                let answer = sm::acknowledgement(managed.incoming.handled());
                self.buffer.extend_from_slice(&answer);
            }
            (Ok(sm::Request::Acknowledge { handled }), Some(managed)) => {
                managed.asking = false;
                let wrong = match managed.outgoing.acknowledge(handled) {
                    Ok(freed) => {
                        freed.for_each(drop);
                        None
                    }
                    Err(error) => Some(error),
                };
                if let Some(error) = wrong {
                    return Err(self.end(error, connection).await);
                }
            }
            (
                Ok(sm::Request::Enable {
                    resume,
                    max_seconds,
                }),
                None,
            ) => {
                let wish = c2s::Enable {
                    resume,
                    max_seconds,
                };
                let (managed, written) = Managed::enable(&self.router, &self.handle, wish);
                self.managed = Some(managed);
                self.buffer.extend_from_slice(&written);
            }
            (Ok(_), _) => {
                let failed = sm::failed(Condition::UnexpectedRequest, None);
                self.buffer.extend_from_slice(&failed);
            }
            (Err(condition), _) => self.buffer.extend_from_slice(&sm::failed(condition, None)),
        }
        Ok(())
    }

    /// Carries out a stanza of the client.
    async fn stanza(&mut self, element: Element, connection: &mut Connection) -> Result<(), Ended> {
        let read = Stanza::read(element);
        let counted = !matches!(read, Err(InvalidStanza::NotAStanza(_)));
        let answers = match read {
            Ok(mut stanza) => {
                if let Some(from) = &stanza.from
                    && *from != self.handle.address
                    && *from != self.account.address
                {
                    let error = StreamError::from(StreamCondition::InvalidFrom);
                    return Err(self.end(error, connection).await);
                }
                stanza.from = Some(self.handle.address.clone().into());
                self.carry_out(stanza).await
            }
            Err(invalid) => match StreamError::of_stanza(&invalid) {
                Some(error) => return Err(self.end(error, connection).await),
                None => self.refuse(&invalid).into_iter().collect(),
            },
        };
        if let Some(managed) = self.managed.as_mut().filter(|_| counted) {
            managed.incoming.count();
        }
        for answer in answers {
            self.deliver(answer, connection).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, stanza: Stanza) -> Vec<Stanza> {
        match stanza.kind {
            Type::Message(_) => message::from_client(self, stanza)
                .await
                .into_iter()
                .collect(),
            Type::Presence(kind) => presence::from_client(self, stanza, kind).await,
            Type::Iq(_) => iq::from_client(self, stanza).await,
        }
    }

    /// The answer to a stanza that cannot be read.
    fn refuse(&self, invalid: &InvalidStanza) -> Option<Stanza> {
        use folkmoot_xmpp::stanza::{IqType, Kind, MessageType, PresenceType};
        let (kind, id, condition) = match invalid {
            InvalidStanza::To { kind, id } => (*kind, id.clone(), Condition::JidMalformed),
            InvalidStanza::Type { kind, id, .. } => (*kind, id.clone(), Condition::BadRequest),
            InvalidStanza::Payloads { id, .. } => {
                (Kind::Iq, Some(id.clone()), Condition::BadRequest)
            }
            InvalidStanza::NoId => (Kind::Iq, None, Condition::BadRequest),
            InvalidStanza::NotAStanza(_) | InvalidStanza::From(_) => return None,
        };
        let kind = match kind {
            Kind::Message => Type::Message(MessageType::Error),
            Kind::Presence => Type::Presence(PresenceType::Error),
            Kind::Iq => Type::Iq(IqType::Error),
        };
        let error = StanzaError::new(condition).text(invalid.to_string());
        let mut answer = Stanza::new(kind)
            .to(self.handle.address.clone())
            .with(&error.element());
        answer.from = Some(self.account.address.clone().into());
        answer.id = id;
        Some(answer)
    }

    /// A stanza for the client, unless nobody looks.
    async fn deliver(&mut self, stanza: Stanza, connection: &mut Connection) -> Result<(), Ended> {
        for stanza in self.state.pass(stanza) {
            self.write(stanza, connection).await?;
        }
        Ok(())
    }

    async fn write(&mut self, stanza: Stanza, connection: &mut Connection) -> Result<(), Ended> {
        stanza.write(&mut self.buffer);
        if let Some(managed) = &mut self.managed {
            match managed.outgoing.push(stanza, now()) {
                Room::Enough | Room::AskNow => {}
                Room::None => {
                    let error = StreamError::from(StreamCondition::PolicyViolation);
                    let error = error.text("too many stanzas are not acknowledged");
                    return Err(self.end(error, connection).await);
                }
            }
        }
        if self.buffer.len() >= BATCH {
            self.flush(connection).await?;
        }
        Ok(())
    }

    /// Writes what is waiting, and asks what has arrived.
    async fn flush(&mut self, connection: &mut Connection) -> Result<(), Ended> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Some(managed) = &mut self.managed
            && !managed.asking
            && managed.outgoing.waiting().len() > 0
        {
            managed.asking = true;
            self.buffer.extend_from_slice(&sm::question());
        }
        let bytes = std::mem::take(&mut self.buffer);
        let choked = self.handle.choked.clone();
        tokio::select! {
            written = connection.write(&bytes) => written.map_err(|_| Ended::Cut),
            () = choked.cancelled() => Err(Ended::Over),
        }
    }

    /// Says why the stream ends.
    async fn end(&mut self, error: StreamError, connection: &mut Connection) -> Ended {
        self.say_end(&error);
        let last = std::mem::take(&mut self.buffer);
        let _ = timeout(std::time::Duration::from_secs(5), connection.write(&last)).await;
        Ended::Over
    }

    fn say_end(&mut self, error: &StreamError) {
        error.write(&mut self.buffer);
        self.buffer.extend_from_slice(b"</stream:stream>");
    }

    /// Waits for the client to come back; `None` when the time is over, or somebody ends the session.
    async fn wait(&mut self) -> Option<Takeover> {
        self.buffer.clear();
        let (_, seconds) = self.managed.as_ref()?.resumable.clone()?;
        let until = Instant::now() + std::time::Duration::from_secs(u64::from(seconds));
        let closing = self.router.closing.clone();
        loop {
            tokio::select! {
                Some(stanza) = self.ends.queue.recv() => {
                    self.handle.taken(&stanza);
                    let managed = self.managed.as_mut()?;
                    // While nobody reads, everything counts as sent.
                    for stanza in self.state.pass(stanza) {
                        if managed.outgoing.push(stanza, now()) == Room::None {
                            return None;
                        }
                    }
                }
                Some(order) = self.ends.orders.recv() => match order {
                    Order::End(_) => return None,
                    Order::Resume(takeover) => return Some(takeover),
                },
                () = closing.cancelled() => return None,
                () = sleep_until(until) => return None,
            }
        }
    }

    /// Goes on with another connection: what did not arrive is sent again.
    async fn take_over(&mut self, takeover: Takeover) -> Option<Connection> {
        let managed = self.managed.as_mut()?;
        match managed.outgoing.acknowledge(takeover.handled) {
            Ok(freed) => freed.for_each(drop),
            Err(_) => return None,
        }
        managed.asking = false;
        takeover.answer.send(managed.incoming.handled()).ok()?;
        let connection = timeout(HAND_OVER, takeover.connection).await.ok()?.ok()?;
        self.buffer.clear();
        for (stanza, _) in managed.outgoing.waiting() {
            stanza.write(&mut self.buffer);
        }
        for stanza in self.state.set_active() {
            stanza.write(&mut self.buffer);
            let _room = managed.outgoing.push(stanza, now());
        }
        self.asked = None;
        Some(connection)
    }

    /// The session is over: its account hears of it, and what nobody got goes elsewhere.
    async fn finish(&mut self) {
        self.router
            .open
            .fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        self.ends.orders.close();
        presence::gone(self).await;
        self.ends.queue.close();
        let mut left: Vec<(Stanza, Moment)> = Vec::new();
        if let Some(managed) = self.managed.take() {
            if let Some((id, _)) = &managed.resumable {
                let account = self.account.address.clone();
                self.router
                    .resumptions
                    .remove(id, account, managed.incoming.handled());
            }
            left.extend(managed.outgoing.into_waiting());
        }
        left.extend(
            self.state
                .set_active()
                .into_iter()
                .map(|stanza| (stanza, now())),
        );
        while let Ok(stanza) = self.ends.queue.try_recv() {
            left.push((stanza, now()));
        }
        for (stanza, at) in left {
            match Undelivered::of(&stanza) {
                Undelivered::RouteAgain => {
                    message::undelivered(&self.router, &self.account, stanza, at).await;
                }
                Undelivered::Refuse => {
                    let refused = stanza.error(&Condition::ServiceUnavailable.into());
                    if let Some(refused) = refused {
                        Box::pin(self.router.route(refused)).await;
                    }
                }
                Undelivered::Drop => {}
            }
        }
    }
}
