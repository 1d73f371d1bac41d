//! Doing what the core asks for, and telling it what came of that.

use std::sync::{Arc, atomic::AtomicBool};

use folkmoot_client::{Client, Conversation, Error};
use folkmoot_conversation::content::{Content, ReadReceipt};
use folkmoot_wire::GroupId;
use parking_lot::Mutex;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinHandle,
};

use super::{
    super::{
        Chat as Command,
        event::{Effect, Event},
        model::{ChatKey, Window},
        text::{Lines, clean},
    },
    files::Provider,
    marks::Marks,
    people::People,
    transfers::Transfers,
    watch::{self as news, Touched},
};
use crate::{
    failure::Failure,
    xmtp::{
        people::contacts::Contacts,
        run::{Me, explained},
        who,
    },
};

/// What does things.
pub(super) struct Hands {
    pub(super) client: Client,
    events: UnboundedSender<Event>,
    touched: UnboundedSender<Touched>,
    pub(super) people: People,
    pub(super) marks: Mutex<Marks>,
    pub(super) provider: Option<Provider>,
    /// Whether the conversations were told once.
    pub(super) listed: AtomicBool,
    /// Files on their way.
    pub(super) transfers: Arc<Transfers>,
    /// Messages that are wanted: the last wish counts.
    pub(super) wanted: watch::Sender<Option<Wanted>>,
    /// What is said, in the order in which it was said.
    said: UnboundedSender<Effect>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// What waits for [`Hands::start`].
    waiting: Mutex<Option<Waiting>>,
}

struct Waiting {
    touched: UnboundedReceiver<Touched>,
    said: UnboundedReceiver<Effect>,
}

/// Messages that are wanted.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) key: ChatKey,
    pub(super) id: GroupId,
    pub(super) window: Window,
}

impl Hands {
    /// Hands that tell `events` what came of what they did.
    ///
    /// # Errors
    ///
    /// When the contacts cannot be read.
    pub(super) fn new(
        command: &Command,
        me: &Me,
        events: UnboundedSender<Event>,
    ) -> anyhow::Result<Arc<Self>> {
        let events_of_transfers = events.clone();
        let (touched, touched_receiver) = unbounded_channel();
        let (said, said_receiver) = unbounded_channel();
        let key = me.settings.database_key.unwrap_or_default();
        let token = command.upload_provider_token.as_ref();
        Ok(Arc::new(Self {
            client: me.client.clone(),
            people: People::new(me.client.clone(), events.clone())?,
            events,
            touched,
            marks: Mutex::new(Marks::load(&me.settings.database, &key)),
            provider: command.upload_provider.clone().map(|url| Provider {
                url,
                token: token.map(|token| token.reveal().to_owned()),
            }),
            listed: AtomicBool::new(false),
            transfers: Arc::new(Transfers::new(events_of_transfers)),
            wanted: watch::Sender::new(None),
            said,
            tasks: Mutex::default(),
            waiting: Mutex::new(Some(Waiting {
                touched: touched_receiver,
                said: said_receiver,
            })),
        }))
    }

    /// Begins to follow what happens, and opens the conversation that was named.
    pub(super) fn start(self: &Arc<Self>, name: Option<String>) {
        let Some(waiting) = self.waiting.lock().take() else {
            return;
        };
        let (client, events, touched) = (&self.client, &self.events, &self.touched);
        let followed = news::messages(client.clone(), touched.clone(), events.clone());
        let mut tasks = self.tasks.lock();
        tasks.push(tokio::spawn(followed));
        tasks.push(tokio::spawn(news::changes(client.clone(), touched.clone())));
        tasks.push(tokio::spawn(news::refresh(
            Arc::clone(self),
            waiting.touched,
        )));
        tasks.push(tokio::spawn(Arc::clone(self).load_wanted()));
        tasks.push(tokio::spawn(Arc::clone(self).say(waiting.said)));
        let hands = Arc::clone(self);
        tasks.push(tokio::spawn(async move {
            if let Some(name) = name {
                hands.answer(hands.open(&name)).await;
            }
            hands.tell_all().await;
        }));
    }

    /// Stores what is to be stored, and ends what runs beside.
    pub(super) async fn end(&self) {
        self.store_marks();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // It was ended on purpose.
            drop(task.await);
        }
    }

    /// Stores up to when the person has read.
    pub(super) fn store_marks(&self) {
        self.marks.lock().store();
    }

    /// Tells the core.
    pub(super) fn tell(&self, event: Event) {
        // Nobody listens when the program ends.
        drop(self.events.send(event));
    }

    pub(super) fn touch(&self, touched: Touched) {
        drop(self.touched.send(touched));
    }

    /// Does what the core asks for.
    pub(super) fn run(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Load { key, id, window } => {
                self.wanted.send_replace(Some(Wanted { key, id, window }));
            }
            Effect::Say { .. } | Effect::React { .. } => {
                drop(self.said.send(effect));
            }
            Effect::MarkRead {
                ref key, read_ns, ..
            } => {
                self.marks.lock().set(key, read_ns);
                self.begin_quietly(effect);
            }
            Effect::Flush(_) | Effect::Search(_) | Effect::Turn { .. } => {
                self.begin_quietly(effect);
            }
            Effect::Typing(id) => {
                let hands = Arc::clone(self);
                // Nobody misses it.
                tokio::spawn(async move { drop(hands.tell_typing(&id).await) });
            }
            Effect::SendFile { id, path } => self.send_file(id, path),
            Effect::Save {
                message,
                names,
                path,
            } => self.save(message, names, path),
            Effect::Cancel(number) => self.transfers.cancel(number),
            other => self.begin(other),
        }
    }

    pub(super) fn begin(self: &Arc<Self>, effect: Effect) {
        let hands = Arc::clone(self);
        tokio::spawn(async move { hands.answer(hands.act(effect)).await });
    }

    /// Does what nobody waits for: only a failure is told.
    pub(super) fn begin_quietly(self: &Arc<Self>, effect: Effect) {
        let hands = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = hands.act(effect).await {
                hands.tell(Event::Begun);
                hands.tell_failure(error);
            }
        });
    }

    /// Tells how work went.
    pub(super) async fn answer(&self, work: impl Future<Output = anyhow::Result<Option<String>>>) {
        self.tell(Event::Begun);
        match work.await {
            Ok(said) => self.tell(Event::Done(said)),
            Err(error) => self.tell_failure(error),
        }
    }

    pub(super) fn tell_failure(&self, error: anyhow::Error) {
        let error = explained(error);
        let failure = error.downcast_ref::<Failure>();
        let remedy = failure.map(|failure| failure.remedy().to_owned());
        self.tell(Event::Failed {
            what: format!("{error:#}"),
            remedy,
        });
    }

    pub(super) async fn act(&self, effect: Effect) -> anyhow::Result<Option<String>> {
        let done = |words: &str| Ok(Some(words.to_owned()));
        match effect {
            Effect::Jump { id, message } => self.jump(&id, message).await?,
            Effect::MarkRead { id, receipt, .. } => {
                if receipt {
                    let conversation = self.get(&id).await?;
                    let content = Content::ReadReceipt(ReadReceipt);
                    conversation.send(&content).await?;
                }
            }
            Effect::Edit { id, message, text } => self.edit(&id, message, text).await?,
            Effect::Delete { id, message } => {
                self.get(&id).await?.delete_message(&message).await?;
                self.touch(Touched::One(id));
            }
            Effect::Retry(id, message) => self.retry(&id, message).await?,
            Effect::Flush(waiting) => self.flush(waiting).await,
            Effect::Turn {
                key,
                id,
                newest_ns,
                limit,
                to,
            } => self.turn(key, &id, to, newest_ns, limit).await?,
            Effect::NewDm(whom) => return self.open(&whom).await,
            Effect::NewGroup { name, members } => self.new_group(name, &members).await?,
            Effect::Consent(id, state) => {
                self.get(&id).await?.set_consent(state).await?;
                self.touch(Touched::One(id));
            }
            Effect::Look(id) => self.look(&id).await?,
            Effect::Add(id, whom) => {
                let mut inboxes = Vec::new();
                for one in &whom {
                    inboxes.push(who::inbox(&self.client, one).await?);
                }
                self.get(&id).await?.add_members(inboxes).await?;
                self.look_again(id).await?;
            }
            Effect::Name { inbox, whom, name } => {
                Contacts::add(&name, &whom)?;
                let said = Some(format!("{name} is in your contacts"));
                let name = clean(&name, Lines::One);
                self.tell(Event::Names(vec![(inbox, name)]));
                return Ok(said);
            }
            Effect::Remove(id, inbox) => {
                self.get(&id).await?.remove_members([inbox]).await?;
                self.look_again(id).await?;
            }
            Effect::Role(id, change, inbox) => {
                self.get(&id).await?.change_admins(change, inbox).await?;
                self.look_again(id).await?;
            }
            Effect::Set(id, attribute, text) => {
                self.get(&id).await?.set_attribute(attribute, text).await?;
                self.look_again(id).await?;
            }
            Effect::Allow(id, kind, who) => {
                let allowed = self.allow(&id, kind, who).await;
                // The page shows the rule already; if it did not come to be, what is true.
                self.look(&id).await?;
                allowed?;
                return done("the rule is changed");
            }
            Effect::Preset(id, preset) => {
                let mut group = self.get(&id).await?;
                group.set_permissions(&preset.policies()).await?;
                self.look(&id).await?;
                return done("the rules are changed");
            }
            Effect::Vanish(id, seconds) => {
                self.vanish(&id, seconds).await?;
                self.look_again(id).await?;
            }
            Effect::Leave(id) => {
                self.get(&id).await?.leave().await?;
                self.touch(Touched::One(id));
                return done("you asked to leave; a super admin's app will remove you");
            }
            Effect::Search(query) => self.search(query).await?,
            // These go other ways; see `run` and the loop.
            Effect::Load { .. }
            | Effect::Say { .. }
            | Effect::React { .. }
            | Effect::SendFile { .. }
            | Effect::Save { .. }
            | Effect::Typing(_)
            | Effect::Cancel(_)
            | Effect::Copy(_)
            | Effect::Suspend
            | Effect::Redraw
            | Effect::Quit => {}
        }
        Ok(None)
    }

    pub(super) async fn get(&self, id: &GroupId) -> Result<Conversation, Error> {
        self.client.conversations().get(id).await
    }
}
