//! Every archive answers as a list in memory does, whatever is appended and asked.

use bytes::Bytes;
use folkmoot_store::xmpp::{
    ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveQuery, ArchivedStanza, NewEntry,
    PageAnswer, StanzaKind,
};
use jid::Jid;
use proptest::prelude::*;

use crate::backend::{Backend, bare, id, jid};

const OWNER: &str = "romeo@localhost";
const OTHER: &str = "juliet@localhost";
const PEERS: [&str; 4] = [
    "nurse@localhost",
    "nurse@localhost/house",
    "nurse@localhost/street",
    "garden@rooms.localhost/nurse",
];
/// The address of nobody in [`PEERS`].
const STRANGER: &str = "paris@localhost";

/// What arrives: for whom, from whom, what kind, how much later, how long.
type Arrival = (bool, usize, bool, i64, usize);

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (
        proptest::bool::weighted(0.8),
        0..PEERS.len(),
        any::<bool>(),
        -1..3_i64,
        0..40_usize,
    );
    proptest::collection::vec(arrival, 0..150)
}

/// A number of a message, mostly of one that is there.
fn number() -> impl Strategy<Value = ArchiveId> {
    (1..160_u64).prop_map(id)
}

fn filter() -> impl Strategy<Value = ArchiveFilter> {
    let with = prop_oneof![
        4 => Just(None),
        3 => (0..PEERS.len()).prop_map(|peer| Some(jid(PEERS[peer]))),
        1 => Just(Some(jid("garden@rooms.localhost"))),
        1 => Just(Some(jid(STRANGER))),
    ];
    let time = || proptest::option::weighted(0.3, 0..160_i64);
    let end = || proptest::option::weighted(0.2, number());
    let ids = prop_oneof![
        4 => Just(Vec::new()),
        1 => proptest::collection::vec(number(), 1..6),
    ];
    (with, time(), time(), end(), end(), ids, any::<bool>()).prop_map(
        |(with, start, end, after, before, ids, without_groupchat)| ArchiveFilter {
            with,
            start,
            end,
            after,
            before,
            ids,
            without_groupchat,
        },
    )
}

fn query() -> impl Strategy<Value = ArchiveQuery> {
    let place = prop_oneof![
        2 => Just(ArchivePlace::Start),
        2 => Just(ArchivePlace::End),
        1 => number().prop_map(ArchivePlace::After),
        1 => number().prop_map(ArchivePlace::Before),
        1 => (0..40_u64).prop_map(ArchivePlace::Index),
    ];
    let max = prop_oneof![Just(0_usize), 1..20_usize, Just(70_usize), Just(500_usize)];
    let max_bytes = prop_oneof![3 => Just(usize::MAX), 1 => 0..300_usize];
    (filter(), place, max, max_bytes, any::<bool>()).prop_map(
        |(filter, place, max, max_bytes, count)| ArchiveQuery {
            filter,
            place,
            max,
            max_bytes,
            count,
        },
    )
}

/// An archive as a list.
#[derive(Default)]
struct Model(Vec<ArchivedStanza>);

impl Model {
    fn append(&mut self, entry: &NewEntry) {
        let next = self.0.last().map_or(i64::MIN, |entry| entry.at + 1);
        self.0.push(ArchivedStanza {
            id: entry.id,
            with: entry.with.clone(),
            kind: entry.kind,
            at: entry.at.max(next),
            stanza: entry.stanza.clone(),
        });
    }

    fn place(&self, id: ArchiveId) -> Result<usize, ArchiveId> {
        self.0.iter().position(|entry| entry.id == id).ok_or(id)
    }

    fn matching(&self, filter: &ArchiveFilter) -> Result<Vec<usize>, ArchiveId> {
        let after = filter.after.map(|id| self.place(id)).transpose()?;
        let before = filter.before.map(|id| self.place(id)).transpose()?;
        for id in &filter.ids {
            self.place(*id)?;
        }
        let is_with = |with: &Jid, entry: &ArchivedStanza| match with.is_full() {
            true => entry.with == *with,
            false => entry.with.to_bare() == with.to_bare(),
        };
        let matches = |place: &usize| {
            let entry = &self.0[*place];
            filter.with.as_ref().is_none_or(|with| is_with(with, entry))
                && filter.start.is_none_or(|start| entry.at >= start)
                && filter.end.is_none_or(|end| entry.at <= end)
                && after.is_none_or(|after| *place > after)
                && before.is_none_or(|before| *place < before)
                && (filter.ids.is_empty() || filter.ids.contains(&entry.id))
                && !(filter.without_groupchat && entry.kind == StanzaKind::Groupchat)
        };
        Ok((0..self.0.len()).filter(matches).collect())
    }

    fn answer(&self, query: &ArchiveQuery) -> PageAnswer {
        match self.page(query) {
            Ok(page) => PageAnswer::Page(page),
            Err(id) => PageAnswer::Unknown(id),
        }
    }

    fn page(&self, query: &ArchiveQuery) -> Result<ArchivePage, ArchiveId> {
        let mut places = self.matching(&query.filter)?;
        let count = query.count.then_some(places.len() as u64);
        let backward = match query.place {
            ArchivePlace::Start => false,
            ArchivePlace::End => true,
            ArchivePlace::After(id) => {
                let after = self.place(id)?;
                places.retain(|place| *place > after);
                false
            }
            ArchivePlace::Before(id) => {
                let before = self.place(id)?;
                places.retain(|place| *place < before);
                true
            }
            ArchivePlace::Index(index) => {
                let skipped = usize::try_from(index).unwrap().min(places.len());
                places.drain(..skipped);
                false
            }
        };
        if backward {
            places.reverse();
        }
        let mut entries: Vec<ArchivedStanza> = Vec::new();
        let mut bytes = 0;
        for place in &places {
            let entry = &self.0[*place];
            bytes += entry.stanza.len();
            let fits = entries.is_empty() || bytes <= query.max_bytes;
            if entries.len() == query.max || !fits {
                break;
            }
            entries.push(entry.clone());
        }
        let complete = entries.len() == places.len();
        if backward {
            entries.reverse();
        }
        Ok(ArchivePage {
            entries,
            complete,
            count,
        })
    }
}

async fn agrees(
    backend: Backend,
    arrivals: Vec<Arrival>,
    batch: usize,
    queries: Vec<ArchiveQuery>,
    size: usize,
) -> Result<(), TestCaseError> {
    let store = &*backend.store;
    let mut model = Model::default();
    let mut at = 0;
    let mut entries = Vec::new();
    for (number, (own, peer, room, later, length)) in (1..).zip(arrivals.clone()) {
        at += later;
        entries.push(NewEntry {
            owner: bare(if own { OWNER } else { OTHER }),
            id: id(number),
            with: jid(PEERS[peer]),
            kind: match room {
                true => StanzaKind::Groupchat,
                false => StanzaKind::Direct,
            },
            stanza: Bytes::from(vec![b'x'; length]),
            at,
            origin_id: None,
        });
    }
    for batch in entries.chunks(batch) {
        store.append_to_archives(batch.to_vec()).await.unwrap();
        let own = batch.iter().filter(|entry| entry.owner == bare(OWNER));
        own.for_each(|entry| model.append(entry));
    }
    for query in &queries {
        let answer = store
            .archive_page(&bare(OWNER), query.clone())
            .await
            .unwrap();
        prop_assert_eq!(answer, model.answer(query), "{:?}", query);
        both_ways(&backend, &model, &query.filter, size).await?;
    }
    Ok(())
}

/// Paging forward, paging backward and reading everything at once find the same messages.
async fn both_ways(
    backend: &Backend,
    model: &Model,
    filter: &ArchiveFilter,
    size: usize,
) -> Result<(), TestCaseError> {
    let Ok(places) = model.matching(filter) else {
        return Ok(());
    };
    let whole: Vec<_> = places.into_iter().map(|place| model.0[place].id).collect();
    for forward in [true, false] {
        let mut place = if forward {
            ArchivePlace::Start
        } else {
            ArchivePlace::End
        };
        let mut found = Vec::new();
        loop {
            let query = ArchiveQuery {
                filter: filter.clone(),
                place,
                max: size,
                max_bytes: usize::MAX,
                count: false,
            };
            let answer = backend
                .store
                .archive_page(&bare(OWNER), query)
                .await
                .unwrap();
            let PageAnswer::Page(page) = answer else {
                return Err(TestCaseError::fail("an id of a page is unknown"));
            };
            let ids = page.entries.iter().map(|entry| entry.id);
            match forward {
                true => found.extend(ids),
                false => found = ids.chain(found).collect(),
            }
            let end = if forward { found.last() } else { found.first() };
            if page.complete {
                break;
            }
            let end = *end.expect("a page that is not the last is not empty");
            place = match forward {
                true => ArchivePlace::After(end),
                false => ArchivePlace::Before(end),
            };
        }
        prop_assert_eq!(&found, &whole);
    }
    Ok(())
}

fn run(
    backend: impl Future<Output = Option<Backend>>,
    (arrivals, batch, queries, size): Case,
) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match backend.await {
            Some(backend) => agrees(backend, arrivals, batch, queries, size).await,
            None => Ok(()),
        }
    })
}

/// What arrives, how many at a time, what is asked, how long pages are when everything is read.
type Case = (Vec<Arrival>, usize, Vec<ArchiveQuery>, usize);

fn case() -> impl Strategy<Value = Case> {
    let queries = proptest::collection::vec(query(), 1..8);
    (arrivals(), 1..20_usize, queries, 1..30_usize)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_archive_answers_as_a_list_in_memory_does(case in case()) {
        run(async { Some(Backend::sqlite()) }, case)?;
    }
}

#[cfg(feature = "postgres")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn every_archive_in_postgres_answers_as_a_list_in_memory_does(case in case()) {
        run(Backend::postgres(), case)?;
    }
}
