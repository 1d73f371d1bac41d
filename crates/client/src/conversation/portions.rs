//! Many new members at a time, where a network takes only small commits.

use std::{collections::BTreeSet, sync::Arc};

use folkmoot_conversation::membership::MAX_MEMBERS;
use folkmoot_wire::InboxId;

use super::{core::Core, intent::Wish, state::State};
use crate::Error;

/// Bytes of a commit beside what it adds, at most: in a group of 250 the list of members has some
/// 19 000 bytes, the keys for those who stay 21 000, the other parts of the context 10 000.
const REST_BYTES: usize = 60_000;
/// Bytes of one installation that is added: its key package, mostly two public keys.
const INSTALLATION_BYTES: usize = 1800;

impl State {
    /// Adds members with one commit, or with as many as the network needs. All of them are wished
    /// for from the start.
    pub(crate) async fn add_members(
        &mut self,
        core: &Arc<Core>,
        add: Vec<InboxId>,
    ) -> Result<(), Error> {
        let portions = match core.network.max_commit_bytes() {
            Some(most) => self.portions(core, add, most).await?,
            None => vec![add],
        };
        let wishes = portions.into_iter().map(|add| Wish::Membership {
            add,
            remove: Vec::new(),
        });
        self.commit_each(core, wishes.collect()).await
    }

    /// What cannot be done as a whole stays whole, so that it fails before anybody is added.
    async fn portions(
        &mut self,
        core: &Arc<Core>,
        add: Vec<InboxId>,
        most_bytes: usize,
    ) -> Result<Vec<Vec<InboxId>>, Error> {
        let membership = self.load(core).await?.context()?.membership;
        let after: BTreeSet<_> = membership.inbox_ids().chain(add.iter().copied()).collect();
        let people = core.people(&add).await?;
        let known = |inbox: &InboxId| people.get(inbox).is_some_and(Result::is_ok);
        if after.len() > MAX_MEMBERS || !add.iter().all(known) {
            return Ok(vec![add]);
        }
        let installations = |inbox: &InboxId| match people.get(inbox) {
            Some(Ok(state)) => state.installations().len(),
            _ => 0,
        };
        let sized: Vec<_> = add.iter().map(|one| (*one, installations(one))).collect();
        let most = most_bytes.saturating_sub(REST_BYTES) / INSTALLATION_BYTES;
        Ok(split(&sized, most))
    }
}

/// Inboxes with so many installations each, in order, in portions of at most `most` installations.
/// Every portion but the only one of nobody has an inbox, however many installations it has.
fn split(inboxes: &[(InboxId, usize)], most: usize) -> Vec<Vec<InboxId>> {
    let mut portions = vec![Vec::new()];
    let mut installations = 0;
    for (inbox, more) in inboxes {
        if installations + more > most && installations > 0 {
            portions.push(Vec::new());
            installations = 0;
        }
        installations += more;
        portions
            .last_mut()
            .expect("there is one from the start")
            .push(*inbox);
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_as_large_as_a_commit_may_be() {
        let inbox = |number| InboxId::from_bytes([number; 32]);
        let sizes = [2, 1, 1, 9, 0, 3, 1];
        let inboxes: Vec<_> = (0..).map(inbox).zip(sizes).collect();
        let portions = split(&inboxes, 4);
        let lengths: Vec<_> = portions.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 1, 3]);
        let all: Vec<_> = inboxes.iter().map(|(inbox, _)| *inbox).collect();
        assert_eq!(portions.concat(), all);
        assert_eq!(split(&[], 4), [Vec::<InboxId>::new()]);
        assert_eq!(split(&inboxes[..2], 0).len(), 2);
    }
}
