//! Fields that several requests have: topics, originators, clocks, and queries made of them.

use bytes::Bytes;
use folkmoot_wire::{
    Topic, VectorClock,
    proto::xmtp::xmtpv4::{envelopes::Cursor, message_api::EnvelopesQuery},
};

use crate::{NodeError, v3::at_most};

/// Most topics and originators of one query, or filters of one subscription.
pub(super) const MOST_TOPICS: usize = 10_000;
/// Most entries of a vector clock.
const MOST_CLOCK_ENTRIES: usize = 100;

/// What a query is about.
#[derive(Debug)]
pub(super) enum Wanted {
    Nothing,
    /// Each topic once.
    Topics(Vec<Topic>),
    /// Each originator once.
    Originators(Vec<u32>),
}

/// Reads a query's topics or originators.
pub(super) fn wanted(query: EnvelopesQuery) -> Result<Wanted, NodeError> {
    let (topics, originators) = (query.topics, query.originator_node_ids);
    match (topics.is_empty(), originators.is_empty()) {
        (true, true) => Ok(Wanted::Nothing),
        (false, false) => Err(NodeError::field(
            "query",
            "has topics and originator_node_ids; use one of them",
        )),
        (false, true) => {
            let mut topics = self::topics("query.topics", topics)?;
            topics.sort_unstable();
            topics.dedup();
            Ok(Wanted::Topics(topics))
        }
        (true, false) => {
            let field = "query.originator_node_ids";
            Ok(Wanted::Originators(self::originators(field, originators)?))
        }
    }
}

/// Reads a list of topics, in the order given.
pub(super) fn topics(field: &str, names: Vec<Bytes>) -> Result<Vec<Topic>, NodeError> {
    at_most(field, names.len(), MOST_TOPICS)?;
    let names = names.into_iter().enumerate();
    names
        .map(|(at, name)| topic(&format!("{field}[{at}]"), name))
        .collect()
}

/// Reads a topic.
pub(super) fn topic(field: &str, name: Bytes) -> Result<Topic, NodeError> {
    Topic::parse(name).map_err(|cause| NodeError::Topic {
        field: field.to_owned(),
        cause,
    })
}

/// Reads a list of originators; each comes out once, in ascending order.
pub(super) fn originators(field: &str, mut ids: Vec<u32>) -> Result<Vec<u32>, NodeError> {
    at_most(field, ids.len(), MOST_TOPICS)?;
    ids.sort_unstable();
    ids.dedup();
    match ids.last() {
        Some(last) if i32::try_from(*last).is_err() => Err(NodeError::field(
            field,
            format!("names {last}, which no node has"),
        )),
        _ => Ok(ids),
    }
}

/// Reads a cursor.
pub(crate) fn clock(field: &str, cursor: Cursor) -> Result<VectorClock, NodeError> {
    let clock = VectorClock::from(cursor);
    at_most(field, clock.len(), MOST_CLOCK_ENTRIES)?;
    let impossible = |(originator, sequence): &(u32, u64)| {
        i32::try_from(*originator).is_err() || i64::try_from(*sequence).is_err()
    };
    if let Some((originator, sequence)) = clock.iter().find(impossible) {
        return Err(NodeError::field(
            field,
            format!("has {sequence} for originator {originator}, which is out of range"),
        ));
    }
    Ok(clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(topics: &[&'static [u8]], originators: &[u32]) -> EnvelopesQuery {
        EnvelopesQuery {
            topics: topics.iter().map(|name| Bytes::from_static(name)).collect(),
            originator_node_ids: originators.to_vec(),
            last_seen: None,
        }
    }

    #[test]
    fn a_query_is_about_topics_or_originators() {
        let Ok(Wanted::Topics(topics)) = wanted(query(&[b"\x00b", b"\x00a", b"\x00b"], &[])) else {
            panic!("topics are wanted");
        };
        assert_eq!(topics.len(), 2);
        let Ok(Wanted::Originators(ids)) = wanted(query(&[], &[100, 0, 100])) else {
            panic!("originators are wanted");
        };
        assert_eq!(ids, [0, 100]);
        assert!(matches!(wanted(query(&[], &[])), Ok(Wanted::Nothing)));
        let both = wanted(query(&[b"\x00a"], &[100])).unwrap_err();
        assert!(both.to_string().starts_with("query: "), "{both}");
    }

    #[test]
    fn a_field_that_does_not_read_is_named() {
        let error = wanted(query(&[b"\x00a", b"\x09a"], &[])).unwrap_err();
        assert!(
            error.to_string().starts_with("query.topics[1]: "),
            "{error}"
        );
        let entries = (0..101).map(|originator| (originator, 1)).collect();
        let error = clock(
            "last_seen",
            Cursor {
                node_id_to_sequence_id: entries,
            },
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "last_seen: has 101 entries; the most is 100"
        );
        let entries = [(1, u64::MAX)].into();
        let error = clock(
            "last_seen",
            Cursor {
                node_id_to_sequence_id: entries,
            },
        )
        .unwrap_err();
        assert!(error.to_string().contains("out of range"), "{error}");
    }
}
