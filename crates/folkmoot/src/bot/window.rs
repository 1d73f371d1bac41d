//! What was handed to the bot and is not acknowledged yet, and the place that follows from it.
//!
//! Several events may come from one message (two people join at once): the place moves on when all
//! of them are acknowledged, so that none is lost when the program ends in between.

use std::collections::VecDeque;

/// Events on their way, oldest first.
#[derive(Debug)]
pub(super) struct Window {
    waiting: VecDeque<Entry>,
    /// Everything up to here is done with.
    position: u64,
    most: usize,
}

#[derive(Debug)]
struct Entry {
    id: String,
    position: u64,
    /// No further event comes from the same message.
    last: bool,
    acknowledged: bool,
}

/// What an acknowledgement came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Acknowledged {
    /// It, and all before it.
    Now,
    /// It was before.
    Before,
    /// No such event was handed over.
    Unknown,
}

impl Window {
    /// A window for `most` events that begins after `position`.
    pub(super) const fn new(position: u64, most: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            position,
            most,
        }
    }

    /// Everything up to this place in the stream is done with.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Whether another message may be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < self.most
    }

    /// The place of the oldest event that is not acknowledged.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.front().map(|entry| entry.position)
    }

    /// Notes the events of the message at `position`; none: it is passed over.
    pub(super) fn push(&mut self, position: u64, ids: impl IntoIterator<Item = String>) {
        let before = self.waiting.len();
        self.waiting.extend(ids.into_iter().map(|id| Entry {
            id,
            position,
            last: false,
            acknowledged: false,
        }));
        if self.waiting.len() > before {
            if let Some(last) = self.waiting.back_mut() {
                last.last = true;
            }
        } else {
            self.waiting.push_back(Entry {
                id: String::new(),
                position,
                last: true,
                acknowledged: true,
            });
            self.settle();
        }
    }

    /// Takes an acknowledgement: of this event and all before it.
    pub(super) fn acknowledge(&mut self, id: &str) -> Acknowledged {
        let found = self.waiting.iter().position(|entry| entry.id == id);
        if let Some(index) = found {
            for entry in self.waiting.range_mut(..=index) {
                entry.acknowledged = true;
            }
            self.settle();
            return Acknowledged::Now;
        }
        let number: Option<u64> = id.split('.').next().and_then(|text| text.parse().ok());
        match number {
            Some(number) if number <= self.last_done() => Acknowledged::Before,
            _ => Acknowledged::Unknown,
        }
    }

    /// Acknowledges everything.
    pub(super) fn acknowledge_all(&mut self) {
        for entry in &mut self.waiting {
            entry.acknowledged = true;
        }
        self.settle();
    }

    /// Gives up on the oldest message that is not acknowledged.
    pub(super) fn skip_oldest(&mut self) {
        let oldest = self.oldest();
        for entry in &mut self.waiting {
            entry.acknowledged |= Some(entry.position) == oldest;
        }
        self.settle();
    }

    /// Forgets what is not acknowledged: it will be handed over again.
    pub(super) fn rewind(&mut self) {
        self.waiting.clear();
    }

    /// The last place of which an event was acknowledged.
    fn last_done(&self) -> u64 {
        let next = self.waiting.front();
        // Its first events may be done with already.
        next.map_or(self.position, |entry| entry.position)
            .max(self.position)
    }

    fn settle(&mut self) {
        while let Some(entry) = self.waiting.front()
            && entry.acknowledged
        {
            if entry.last {
                self.position = entry.position;
            }
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>(ids: [&str; N]) -> [String; N] {
        ids.map(str::to_owned)
    }

    #[test]
    fn an_acknowledgement_counts_for_everything_before_it() {
        let mut window = Window::new(4, 8);
        for position in 5..8 {
            window.push(position, [position.to_string()]);
        }
        assert_eq!(window.acknowledge("6"), Acknowledged::Now);
        assert_eq!((window.position(), window.oldest()), (6, Some(7)));
        assert_eq!(window.acknowledge("5"), Acknowledged::Before);
        assert_eq!(window.acknowledge("9"), Acknowledged::Unknown);
        assert_eq!(window.acknowledge("x"), Acknowledged::Unknown);
    }

    #[test]
    fn a_message_is_done_with_when_its_last_event_is() {
        let mut window = Window::new(0, 8);
        window.push(5, ids(["5.1", "5.2"]));
        assert_eq!(window.acknowledge("5.1"), Acknowledged::Now);
        assert_eq!(window.position(), 0);
        assert_eq!(window.acknowledge("5.1"), Acknowledged::Before);
        assert_eq!(window.acknowledge("5.2"), Acknowledged::Now);
        assert_eq!(window.position(), 5);
    }

    #[test]
    fn what_is_passed_over_waits_for_what_was_before_it() {
        let mut window = Window::new(0, 8);
        window.push(1, []);
        assert_eq!(window.position(), 1);
        window.push(2, ids(["2"]));
        window.push(3, []);
        assert_eq!(window.position(), 1);
        assert_eq!(window.acknowledge("2"), Acknowledged::Now);
        assert_eq!(window.position(), 3);
    }

    #[test]
    fn a_full_window_has_no_room_until_something_is_acknowledged() {
        let mut window = Window::new(0, 2);
        window.push(1, ids(["1"]));
        assert!(window.has_room());
        window.push(2, ids(["2"]));
        assert!(!window.has_room());
        window.acknowledge("1");
        assert!(window.has_room());
        window.rewind();
        assert_eq!((window.position(), window.oldest()), (1, None));
    }

    #[test]
    fn a_message_that_is_given_up_is_done_with() {
        let mut window = Window::new(0, 8);
        window.push(1, ids(["1.1", "1.2"]));
        window.push(2, ids(["2"]));
        window.skip_oldest();
        assert_eq!((window.position(), window.oldest()), (1, Some(2)));
    }
}
