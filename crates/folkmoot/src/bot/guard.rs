//! The loop guard: two bots that answer each other stop, because one of them is not let speak.
//!
//! What a bot says is counted for each conversation, over the last minute. A message that is not
//! sent is not answered, so a limit ends a loop and does not merely slow it down.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use folkmoot_wire::GroupId;

/// Over which time messages are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// From so many conversations on, those that were silent for a minute are forgotten.
const MANY: usize = 1024;

/// What was said lately, by conversation.
#[derive(Debug)]
pub(super) struct Guard {
    /// Messages in a conversation within a minute; 0: any number.
    limit: usize,
    said: HashMap<GroupId, VecDeque<Instant>>,
}

impl Guard {
    /// Lets `limit` messages a minute through in each conversation; 0: any number.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            said: HashMap::new(),
        }
    }

    /// Counts a message, or says how long to wait until one is let through.
    pub(super) fn pass(&mut self, conversation: &GroupId, now: Instant) -> Result<(), Duration> {
        if self.limit == 0 {
            return Ok(());
        }
        let recent = |at: &Instant| now.saturating_duration_since(*at) < MINUTE;
        if self.said.len() >= MANY {
            self.said
                .retain(|_, times| times.back().is_some_and(&recent));
        }
        let times = self.said.entry(conversation.clone()).or_default();
        while times.front().is_some_and(|at| !recent(at)) {
            times.pop_front();
        }
        if times.len() >= self.limit {
            let oldest = times.front().map_or(now, |at| *at);
            return Err(MINUTE.saturating_sub(now.saturating_duration_since(oldest)));
        }
        times.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(number: u8) -> GroupId {
        GroupId::try_from(vec![number; 16]).unwrap()
    }

    #[test]
    fn a_conversation_has_so_many_messages_a_minute_and_others_have_their_own() {
        let mut guard = Guard::new(2);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(guard.pass(&group(1), start), Ok(()));
        assert_eq!(guard.pass(&group(1), after(10)), Ok(()));
        let wait = guard.pass(&group(1), after(20));
        assert_eq!(wait, Err(Duration::from_secs(40)));
        assert_eq!(guard.pass(&group(2), after(20)), Ok(()));
        assert_eq!(guard.pass(&group(1), after(60)), Ok(()));
        let wait = guard.pass(&group(1), after(61));
        assert_eq!(wait, Err(Duration::from_secs(9)));
    }

    #[test]
    fn no_limit_counts_nothing() {
        let mut guard = Guard::new(0);
        for _ in 0..1000 {
            assert_eq!(guard.pass(&group(1), Instant::now()), Ok(()));
        }
        assert!(guard.said.is_empty());
    }

    #[test]
    fn silent_conversations_are_forgotten() {
        let mut guard = Guard::new(1);
        let start = Instant::now();
        for number in 0..MANY {
            let id = GroupId::try_from([number.to_be_bytes(), number.to_be_bytes()].concat());
            assert_eq!(guard.pass(&id.unwrap(), start), Ok(()));
        }
        assert_eq!(guard.pass(&group(9), start + MINUTE), Ok(()));
        assert_eq!(guard.said.len(), 1);
    }
}
