//! Drives the login machine over a connection, and opens sessions.

use std::sync::Arc;

use folkmoot_store::StoreError;
use folkmoot_xmpp::{
    c2s::{
        Bind, Bound, Credentials, Environment, Login, Next, Open, Opened, Resumed, TokenIssued,
        Tokens,
    },
    mam,
    moment::Moment,
    sasl::ChannelBindings,
    stanza::Condition,
    stream::{StreamCondition, StreamError},
};
use jid::{BareJid, FullJid};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    connection::{Connection, Lost},
    credentials,
    handle::{Handle, Order, Takeover},
    listener, presence,
    router::{Router, now},
    session::{Managed, Session},
};

/// Runs a connection from its first byte to the end of its session.
pub(crate) async fn run(
    router: Arc<Router>,
    connection: Connection,
    bindings: Option<ChannelBindings>,
) {
    let terms = Arc::clone(&router.terms);
    let machine = match bindings {
        Some(bindings) => Login::over_tls(terms, bindings),
        None => Login::new(terms),
    };
    let patience = router.options.login_timeout;
    let closing = router.closing.clone();
    let mut entrance = Entrance {
        router,
        machine,
        opening: None,
    };
    let done = tokio::select! {
        done = timeout(patience, entrance.run(connection)) => done,
        () = closing.cancelled() => return,
    };
    match done {
        Ok(Some((connection, way))) => match way {
            Way::Session(session) => session.run(connection).await,
            Way::Resumed(hand_over) => {
                // Should the session have ended meanwhile, the client sees a cut.
                let _ = hand_over.send(connection);
            }
        },
        Ok(None) => {}
        Err(_) => {
            if let Some(Way::Session(session)) = entrance.opening.take() {
                session.abandon().await;
            }
        }
    }
}

/// Who serves the connection from now on.
enum Way {
    /// A new session.
    Session(Box<Session>),
    /// One that waited.
    Resumed(oneshot::Sender<Connection>),
}

struct Entrance {
    router: Arc<Router>,
    machine: Login,
    opening: Option<Way>,
}

/// Time and dice for one call of the machine.
macro_rules! environment {
    ($name:ident) => {
        let mut random = |bytes: &mut [u8]| rand::fill(bytes);
        let mut $name = Environment {
            now: now(),
            random: &mut random,
        };
    };
}

impl Entrance {
    async fn run(&mut self, mut connection: Connection) -> Option<(Connection, Way)> {
        loop {
            let read = connection.next().await;
            let mut next = {
                environment!(environment);
                match read {
                    Ok(event) => self.machine.handle(event, &mut environment),
                    Err(Lost::Xml(error)) => self.machine.fail(error, &mut environment),
                    Err(Lost::Cut) => return None,
                }
            };
            loop {
                let output = self.machine.take_output();
                if connection.write(&output).await.is_err() {
                    next = Next::End;
                }
                next = match next {
                    Next::Read => {
                        connection.set_limits(self.machine.limits());
                        break;
                    }
                    Next::Restart => {
                        connection.restart(self.machine.limits());
                        break;
                    }
                    Next::StartTls => {
                        let (secured, bindings) =
                            listener::secure(&self.router, connection).await?;
                        connection = secured;
                        self.machine.secured(bindings)
                    }
                    Next::Session => {
                        connection.set_limits(self.router.options.limits);
                        let way = self.opening.take()?;
                        return Some((connection, way));
                    }
                    Next::End => {
                        connection.close().await;
                        if let Some(Way::Session(session)) = self.opening.take() {
                            session.abandon().await;
                        }
                        return None;
                    }
                    question => self.answer(question).await,
                };
            }
        }
    }

    /// Answers what the machine asks.
    async fn answer(&mut self, question: Next) -> Next {
        match question {
            Next::Find(account) => {
                let found = self.credentials(&account).await;
                environment!(environment);
                match found {
                    Ok(found) => self.machine.found(found, &mut environment),
                    Err(cause) => self.unavailable(&cause),
                }
            }
            Next::Check(check) => {
                let (verifier, password) = *check;
                let check = tokio::task::spawn_blocking(move || verifier.accepts(&password));
                let right = check.await.unwrap_or(false);
                environment!(environment);
                self.machine.checked(right, &mut environment)
            }
            Next::FindTokens { account, client } => {
                let found = self.tokens(&account, &client).await;
                environment!(environment);
                match found {
                    Ok(found) => self.machine.tokens_found(&found, &mut environment),
                    Err(cause) => self.unavailable(&cause),
                }
            }
            Next::Open(open) => {
                let opened = self.open(*open).await;
                environment!(environment);
                match opened {
                    Ok(opened) => self.machine.opened(&opened, &mut environment),
                    Err(cause) => self.unavailable(&cause),
                }
            }
            next => next,
        }
    }

    fn unavailable(&mut self, cause: &StoreError) -> Next {
        tracing::error!(%cause, "a login could not be checked");
        environment!(environment);
        self.machine.unavailable(&mut environment)
    }

    async fn credentials(&self, account: &BareJid) -> Result<Option<Credentials>, StoreError> {
        let record = self.router.store.account(account).await?;
        Ok(record.map(|record| Credentials {
            verifiers: record
                .verifiers
                .into_iter()
                .map(credentials::restored)
                .collect(),
            disabled: record.disabled,
        }))
    }

    async fn tokens(&self, account: &BareJid, client: &str) -> Result<Tokens, StoreError> {
        let Some(record) = self.router.store.account(account).await? else {
            return Ok(Tokens::default());
        };
        let mut stored = self.router.store.tokens(account, client).await?;
        // The new one first: whoever uses it has it.
        stored.reverse();
        Ok(Tokens {
            tokens: stored
                .into_iter()
                .filter_map(|(_, token)| credentials::token(token))
                .collect(),
            disabled: record.disabled,
        })
    }

    async fn open(&mut self, open: Open) -> Result<Opened, StoreError> {
        let mut opened = Opened {
            token: self.change_tokens(&open).await?,
            ..Opened::default()
        };
        if let Some(resume) = &open.resume {
            opened.resumed = Some(
                self.resume(&open.account, &resume.previous, resume.handled)
                    .await,
            );
        }
        if matches!(opened.resumed, Some(Resumed::Yes { .. })) {
            return Ok(opened);
        }
        if let Some(bind) = &open.bind {
            opened.bound = Some(self.bind(&open, bind).await?);
        }
        Ok(opened)
    }

    /// Ends tokens, and gives out another (XEP-0484 §3).
    async fn change_tokens(&self, open: &Open) -> Result<Option<TokenIssued>, StoreError> {
        let store = &self.router.store;
        let account = &open.account;
        if let Some(used) = &open.token.used {
            let stored = store.tokens(account, &used.client).await?;
            let slot = stored
                .iter()
                .find(|(_, token)| token.token.0 == used.secret.as_bytes())
                .map(|(slot, _)| *slot);
            if let (Some(slot), Some(count)) = (slot, used.count) {
                let _is_new = store
                    .count_token(account, &used.client, slot, count)
                    .await?;
            }
            if slot == Some(folkmoot_store::xmpp::TokenSlot::New) {
                let _promoted = store.promote_token(account, &used.client).await?;
            }
        }
        let Some(client) = &open.client else {
            return Ok(None);
        };
        if open.token.invalidate {
            store.remove_tokens(account, Some(client)).await?;
        }
        let Some(mechanism) = open.token.issue else {
            return Ok(None);
        };
        let secret = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        let issued = now();
        let lifetime = self.router.options.token_lifetime.as_secs();
        let expires = issued.plus_seconds(i64::try_from(lifetime).unwrap_or(i64::MAX));
        let token = credentials::fresh_token(&secret, mechanism, issued.0, expires.0);
        let clients = self.router.options.token_clients;
        store.issue_token(account, client, token, clients).await?;
        Ok(Some(TokenIssued { secret, expires }))
    }

    async fn resume(&mut self, account: &BareJid, previous: &str, handled: u32) -> Resumed {
        let resumptions = &self.router.resumptions;
        let Some(handle) = resumptions.find(previous, account) else {
            return Resumed::No {
                handled: resumptions.handled(previous, account),
            };
        };
        let (answer, answered) = oneshot::channel();
        let (hand_over, connection) = oneshot::channel();
        let takeover = Takeover {
            handled,
            answer,
            connection,
        };
        if !handle.order(Order::Resume(takeover)) {
            return Resumed::No { handled: None };
        }
        match answered.await {
            Ok(handled) => {
                self.opening = Some(Way::Resumed(hand_over));
                Resumed::Yes {
                    address: handle.address.clone(),
                    handled,
                }
            }
            Err(_) => Resumed::No {
                handled: resumptions.handled(previous, account),
            },
        }
    }

    /// The ends of an account's archive, which replaces what is kept for it while it is offline.
    async fn archive_now(
        &self,
        account: &BareJid,
    ) -> Result<Option<[folkmoot_store::xmpp::ArchiveEnd; 2]>, StoreError> {
        self.router.store.clear_offline(account).await?;
        self.router.store.archive_ends(account).await
    }

    /// Binds a resource: whoever had it before is sent away, and so are older sessions of the same client.
    async fn bind(
        &mut self,
        open: &Open,
        bind: &Bind,
    ) -> Result<Result<Bound, Condition>, StoreError> {
        let router = &self.router;
        let Some(account) = router.account(&open.account).await? else {
            return Ok(Err(Condition::ItemNotFound));
        };
        let Ok(address) = open.account.with_resource_str(&bind.resource) else {
            return Ok(Err(Condition::BadRequest));
        };
        let number = router.number();
        let backlog = router.options.backlog;
        let (handle, ends) = Handle::new(address.clone(), number, open.client.clone(), backlog);
        handle
            .carbons
            .store(bind.carbons, std::sync::atomic::Ordering::Relaxed);
        handle
            .archive
            .store(bind.bind2, std::sync::atomic::Ordering::Relaxed);
        let handle = Arc::new(handle);
        let (ended, effects) = {
            let mut state = account.state();
            let is_older = |other: &Arc<Handle>| {
                other.address == address || (other.client.is_some() && other.client == open.client)
            };
            let ended: Vec<Arc<Handle>> = state
                .sessions
                .iter()
                .filter(|other| is_older(other))
                .cloned()
                .collect();
            if state.sessions.len() - ended.len() >= router.options.sessions {
                return Ok(Err(Condition::ResourceConstraint));
            }
            let effects = presence::withdraw(&mut state, &ended);
            state.sessions.push(Arc::clone(&handle));
            (ended, effects)
        };
        for old in ended {
            let error = StreamError::from(StreamCondition::Conflict);
            old.order(Order::End(
                error.text("another session took this one's place"),
            ));
        }
        presence::perform(router, &account, effects).await;
        let mut session = Session::new(Arc::clone(router), account, handle, ends, bind.inactive);
        // What comes from here on reaches the session: what the archive has now is all that it lacks.
        let ends_of_archive = match bind.bind2 {
            true => match self.archive_now(&open.account).await {
                Ok(ends) => Some(ends),
                Err(cause) => {
                    Box::new(session).abandon().await;
                    return Err(cause);
                }
            },
            false => None,
        };
        let managed = bind.enable.map(|enable| {
            let (managed, written) = Managed::enable(router, session.handle(), enable);
            session.manage(managed);
            written
        });
        self.opening = Some(Way::Session(Box::new(session)));
        let archive = ends_of_archive.map(|ends| match ends {
            None => mam::metadata(None),
            Some([start, end]) => {
                let (first, last) = (start.id.to_string(), end.id.to_string());
                mam::metadata(Some([(&first, Moment(start.at)), (&last, Moment(end.at))]))
            }
        });
        let address: FullJid = address;
        Ok(Ok(Bound {
            address,
            managed,
            archive,
        }))
    }
}
