//! Archives, as somebody reads them.

use folkmoot_store::xmpp::{
    ArchiveDefault, ArchiveFilter, ArchivePage, ArchivePlace, ArchivePrefs, ArchiveQuery, NewEntry,
    PageAnswer, StanzaKind, XmppStore,
};
use jid::BareJid;

use crate::backend::{bare, bytes, for_each_backend, id, jid, message};

for_each_backend![
    both_copies_are_appended_or_none,
    an_entry_is_found_by_id_and_by_what_its_sender_calls_it,
    a_tombstone_keeps_its_place,
    the_oldest_expire,
    each_message_is_later_than_those_before_it,
    a_page_is_limited_in_bytes,
    preferences_are_kept,
];

/// A question for everything.
pub(crate) fn all() -> ArchiveQuery {
    ArchiveQuery {
        filter: ArchiveFilter::default(),
        place: ArchivePlace::Start,
        max: 100_000,
        max_bytes: usize::MAX,
        count: false,
    }
}

pub(crate) async fn page(
    store: &dyn XmppStore,
    owner: &BareJid,
    query: ArchiveQuery,
) -> ArchivePage {
    match store.archive_page(owner, query).await.unwrap() {
        PageAnswer::Page(page) => page,
        PageAnswer::Unknown(id) => panic!("{id} is unknown"),
    }
}

async fn both_copies_are_appended_or_none(store: &dyn XmppStore) {
    let [romeo, juliet] = ["romeo@localhost", "juliet@localhost"];
    let copies = |number| {
        vec![
            message(romeo, number, "juliet@localhost/balcony", "hi"),
            message(juliet, number, "romeo@localhost/orchard", "hi"),
        ]
    };
    store.append_to_archives(copies(1)).await.unwrap();
    let mut broken = copies(2);
    broken[1].id = id(1);
    store.append_to_archives(broken).await.unwrap_err();
    store.append_to_archives(copies(3)).await.unwrap();
    for (owner, with) in [
        (romeo, "juliet@localhost/balcony"),
        (juliet, "romeo@localhost/orchard"),
    ] {
        let found = page(store, &bare(owner), all()).await;
        let ids: Vec<_> = found.entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [id(1), id(3)]);
        assert_eq!(found.entries[0].with, jid(with));
        assert_eq!(found.entries[0].stanza, bytes("hi"));
        assert!(found.complete);
        let ends = store.archive_ends(&bare(owner)).await.unwrap().unwrap();
        assert_eq!(ends.map(|end| (end.id, end.at)), [(id(1), 1), (id(3), 3)]);
    }
    assert_eq!(
        store.archive_ends(&bare("nurse@localhost")).await.unwrap(),
        None
    );
}

async fn an_entry_is_found_by_id_and_by_what_its_sender_calls_it(store: &dyn XmppStore) {
    let owner = bare("romeo@localhost");
    let said = |number, with: &str, origin: &str| NewEntry {
        origin_id: Some(origin.to_owned()),
        ..message("romeo@localhost", number, with, origin)
    };
    let entries = vec![
        said(1, "juliet@localhost/balcony", "first"),
        said(2, "juliet@localhost/window", "second"),
        said(3, "nurse@localhost", "first"),
        said(4, "juliet@localhost/balcony", "second"),
    ];
    store.append_to_archives(entries).await.unwrap();
    let found = store.archived(&owner, id(2)).await.unwrap().unwrap();
    assert_eq!((found.at, found.with), (2, jid("juliet@localhost/window")));
    assert_eq!(store.archived(&owner, id(5)).await.unwrap(), None);
    for (with, origin, expected) in [
        ("juliet@localhost", "first", Some(1)),
        ("juliet@localhost", "second", Some(4)),
        ("juliet@localhost/window", "second", Some(2)),
        ("nurse@localhost", "second", None),
        ("paris@localhost", "first", None),
    ] {
        let found = store.archived_by_origin(&owner, &jid(with), origin).await;
        let found = found.unwrap().map(|entry| entry.id);
        assert_eq!(found, expected.map(id), "{with} {origin}");
    }
}

async fn a_tombstone_keeps_its_place(store: &dyn XmppStore) {
    let owner = bare("garden@rooms.localhost");
    let said = |number| NewEntry {
        kind: StanzaKind::Groupchat,
        ..message(
            "garden@rooms.localhost",
            number,
            "garden@rooms.localhost/romeo",
            "said",
        )
    };
    store
        .append_to_archives((1..=3).map(said).collect())
        .await
        .unwrap();
    let replaced = store.replace_archived(&owner, id(2), bytes("<retracted/>"));
    assert!(replaced.await.unwrap());
    let absent = store.replace_archived(&owner, id(9), bytes("<retracted/>"));
    assert!(!absent.await.unwrap());
    let entries = page(store, &owner, all()).await.entries;
    let stanzas: Vec<_> = entries.iter().map(|entry| entry.stanza.clone()).collect();
    assert_eq!(stanzas, ["said", "<retracted/>", "said"].map(bytes));
    assert_eq!((entries[1].id, entries[1].at), (id(2), 2));
    assert!(
        entries
            .iter()
            .all(|entry| entry.kind == StanzaKind::Groupchat)
    );
}

async fn the_oldest_expire(store: &dyn XmppStore) {
    let names = ["romeo@localhost", "juliet@localhost", "nurse@localhost"];
    for owner in names {
        let said = |number| message(owner, number, "paris@localhost", "hi");
        store
            .append_to_archives((1..=700).map(said).collect())
            .await
            .unwrap();
    }
    let romeo = bare(names[0]);
    let count = store.expire_archives(Some(&romeo), 101).await.unwrap();
    assert_eq!(count, 100);
    let first = page(store, &romeo, all()).await.entries[0].id;
    assert_eq!(first, id(101));
    let after = |number| ArchiveQuery {
        place: ArchivePlace::After(id(number)),
        ..all()
    };
    let unknown = store.archive_page(&romeo, after(100)).await.unwrap();
    assert_eq!(
        unknown,
        PageAnswer::Unknown(id(100)),
        "no gap goes unnoticed"
    );
    assert_eq!(
        store.expire_archives(None, 601).await.unwrap(),
        500 + 600 + 600
    );
    for owner in names {
        let left = page(store, &bare(owner), all()).await.entries;
        assert_eq!((left.len(), left[0].id), (100, id(601)));
    }
    let stranger = bare("stranger@localhost");
    assert_eq!(
        store.expire_archives(Some(&stranger), 601).await.unwrap(),
        0
    );
}

async fn each_message_is_later_than_those_before_it(store: &dyn XmppStore) {
    let owner = bare("romeo@localhost");
    let said = |number, at| NewEntry {
        at,
        ..message("romeo@localhost", number, "juliet@localhost", "hi")
    };
    let entries = vec![said(1, 100), said(2, 90), said(3, 110)];
    store.append_to_archives(entries).await.unwrap();
    store.append_to_archives(vec![said(4, -5)]).await.unwrap();
    let entries = page(store, &owner, all()).await.entries;
    let order: Vec<_> = entries.iter().map(|entry| (entry.id, entry.at)).collect();
    let expected = [(1, 100), (2, 101), (3, 110), (4, 111)];
    assert_eq!(order, expected.map(|(number, at)| (id(number), at)));
}

async fn a_page_is_limited_in_bytes(store: &dyn XmppStore) {
    let owner = bare("romeo@localhost");
    let long = "x".repeat(1000);
    let said = |number| message("romeo@localhost", number, "juliet@localhost", &long);
    store
        .append_to_archives((1..=10).map(said).collect())
        .await
        .unwrap();
    for (max_bytes, expected) in [(0, 1), (999, 1), (3500, 3), (10_000, 10)] {
        for (place, first) in [(ArchivePlace::Start, 1), (ArchivePlace::End, 11 - expected)] {
            let query = ArchiveQuery {
                place,
                max_bytes,
                ..all()
            };
            let found = page(store, &owner, query).await;
            assert_eq!(found.entries.len() as u64, expected);
            assert_eq!(found.entries[0].id, id(first));
            assert_eq!(found.complete, expected == 10);
        }
    }
}

async fn preferences_are_kept(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    assert_eq!(store.archive_prefs(&romeo).await.unwrap(), None);
    let prefs = ArchivePrefs {
        default: ArchiveDefault::Roster,
        always: vec![jid("a.example"), jid("juliet@localhost")],
        never: Vec::new(),
    };
    store
        .set_archive_prefs(&romeo, ArchivePrefs::default())
        .await
        .unwrap();
    store
        .set_archive_prefs(&romeo, prefs.clone())
        .await
        .unwrap();
    assert_eq!(store.archive_prefs(&romeo).await.unwrap(), Some(prefs));
}
