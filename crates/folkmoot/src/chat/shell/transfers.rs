//! Files on their way: how far they are, and letting go of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::mpsc::UnboundedSender,
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use super::super::{
    event::Event,
    model::{Transfer, TransferId},
    text::{Lines, clean},
};

/// How often it is told how far a file is.
const NEWS: Duration = Duration::from_millis(250);

/// Files on their way.
pub(super) struct Transfers {
    events: UnboundedSender<Event>,
    last: AtomicU64,
    running: Mutex<BTreeMap<TransferId, AbortHandle>>,
}

/// How far a file is: bytes that have gone, and bytes in all, which is 0 while that is not known.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<(AtomicU64, AtomicU64)>);

impl Progress {
    /// So many bytes are to go.
    pub(super) fn of(&self, bytes: u64) {
        self.0.1.store(bytes, Ordering::Relaxed);
    }

    /// So many more have gone.
    pub(super) fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, Option<u64>) {
        let total = self.0.1.load(Ordering::Relaxed);
        let done = self.0.0.load(Ordering::Relaxed);
        (done, Some(total).filter(|total| *total > 0))
    }
}

impl Transfers {
    /// None yet; `events` are told of them.
    pub(super) fn new(events: UnboundedSender<Event>) -> Self {
        Self {
            events,
            last: AtomicU64::new(0),
            running: Mutex::default(),
        }
    }

    /// Begins one of a file with this name, out or in; the work is given something to say how far
    /// it is. What comes of it is told.
    pub(super) fn begin<W>(self: &Arc<Self>, name: &str, up: bool, work: impl FnOnce(Progress) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let number = TransferId(self.last.fetch_add(1, Ordering::Relaxed));
        let name = clean(name, Lines::One);
        let progress = Progress::default();
        let work = work(progress.clone());
        let this = Arc::clone(self);
        let mut running = self.running.lock();
        let task = tokio::spawn(async move {
            let mut news = interval(NEWS);
            news.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut work = std::pin::pin!(work);
            loop {
                tokio::select! {
                    () = &mut work => break,
                    _ = news.tick() => {
                        let (done, total) = progress.get();
                        let name = name.clone();
                        let transfer = Transfer { number, name, up, done, total };
                        drop(this.events.send(Event::Transfer(transfer)));
                    }
                }
            }
            this.running.lock().remove(&number);
            drop(this.events.send(Event::Transferred(number)));
        });
        running.insert(number, task.abort_handle());
    }

    /// Lets go of one.
    pub(super) fn cancel(&self, number: TransferId) {
        if let Some(task) = self.running.lock().remove(&number) {
            task.abort();
            drop(self.events.send(Event::Transferred(number)));
            drop(self.events.send(Event::Begun));
            let said = Some("cancelled".to_owned());
            drop(self.events.send(Event::Done(said)));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn it_is_told_how_far_a_file_is_until_it_is_there_or_let_go_of() {
        let (sender, mut events) = unbounded_channel();
        let transfers = Arc::new(Transfers::new(sender));
        transfers.begin("film\u{1b}.mp4", true, |progress| async move {
            progress.of(10);
            progress.add(4);
            std::future::pending().await
        });
        let told = loop {
            match events.recv().await {
                Some(Event::Transfer(told)) if told.done > 0 => break told,
                Some(Event::Transfer(_)) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((told.done, told.total), (4, Some(10)));
        assert_eq!(told.name, "film\\u{1b}.mp4");
        transfers.cancel(told.number);
        let gone = loop {
            if let Some(Event::Transferred(number)) = events.recv().await {
                break number;
            }
        };
        assert_eq!(gone, told.number);
        assert!(transfers.running.lock().is_empty());
        transfers.begin("map.png", false, |_| async {});
        let there = loop {
            if let Some(Event::Transferred(number)) = events.recv().await {
                break number;
            }
        };
        assert_ne!(there, gone);
    }
}
