//! Contact lists and their versions.

use folkmoot_store::xmpp::{RosterChange, RosterItem, XmppStore};

use crate::backend::{bare, bytes, for_each_backend, jid};

for_each_backend![
    a_contact_is_kept_as_it_was_put,
    changes_since_a_version_are_told_once_and_in_order,
    what_the_store_forgot_it_does_not_guess,
];

async fn a_contact_is_kept_as_it_was_put(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    assert_eq!(store.roster(&romeo).await.unwrap(), <_>::default());
    let item = RosterItem {
        name: Some("Juliet".to_owned()),
        groups: vec!["Friends".to_owned(), "Capulets & co".to_owned()],
        to: true,
        pending_in: true,
        approved: true,
        request: Some(bytes("<presence type='subscribe'/>")),
        ..RosterItem::new(jid("juliet@localhost"))
    };
    let nurse = RosterItem {
        from: true,
        pending_out: true,
        ..RosterItem::new(jid("nurse@localhost/house"))
    };
    let first = store.put_roster_item(&romeo, nurse.clone()).await.unwrap();
    let second = store.put_roster_item(&romeo, item.clone()).await.unwrap();
    assert!(second > first);
    let roster = store.roster(&romeo).await.unwrap();
    assert_eq!(
        (roster.version, &roster.items[..]),
        (second, &[item.clone(), nurse][..])
    );
    let plain = RosterItem::new(item.jid.clone());
    store.put_roster_item(&romeo, plain.clone()).await.unwrap();
    let found = store.roster_item(&romeo, &item.jid).await.unwrap();
    assert_eq!(found, Some(plain), "nothing is left of what was replaced");
    assert_eq!(
        store.roster(&bare("nurse@localhost")).await.unwrap().items,
        []
    );
}

async fn changes_since_a_version_are_told_once_and_in_order(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let [a, b, c] = ["a@localhost", "b@localhost", "c@localhost"].map(jid);
    let put = |jid| store.put_roster_item(&romeo, RosterItem::new(jid));
    let first = put(a.clone()).await.unwrap();
    put(b.clone()).await.unwrap();
    put(c.clone()).await.unwrap();
    let removed = store.remove_roster_item(&romeo, &b).await.unwrap().unwrap();
    assert_eq!(store.remove_roster_item(&romeo, &b).await.unwrap(), None);
    let last = put(a.clone()).await.unwrap();
    let since = |version| store.roster_changes(&romeo, version);
    let changes = since(first).await.unwrap().unwrap();
    let [put_c, removed_b, put_a] = &changes[..] else {
        panic!("three changes: {changes:?}");
    };
    assert_eq!(put_c.1, RosterChange::Put(RosterItem::new(c.clone())));
    assert_eq!(*removed_b, (removed, RosterChange::Removed(b.clone())));
    assert_eq!(*put_a, (last, RosterChange::Put(RosterItem::new(a))));
    assert_eq!(since(last).await.unwrap(), Some(Vec::new()));
    assert_eq!(since(last + 1).await.unwrap(), None, "no such version yet");
    let back = put(b.clone()).await.unwrap();
    let changes = since(last).await.unwrap().unwrap();
    assert_eq!(changes, [(back, RosterChange::Put(RosterItem::new(b)))]);
    assert_eq!(store.roster(&romeo).await.unwrap().items.len(), 3);
}

async fn what_the_store_forgot_it_does_not_guess(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let contact = |number| jid(&format!("c{number:04}@localhost"));
    let began = store
        .put_roster_item(&romeo, RosterItem::new(contact(0)))
        .await
        .unwrap();
    for number in 1..=220 {
        store
            .put_roster_item(&romeo, RosterItem::new(contact(number)))
            .await
            .unwrap();
    }
    let full = store.roster(&romeo).await.unwrap().version;
    for number in 1..=220 {
        store
            .remove_roster_item(&romeo, &contact(number))
            .await
            .unwrap();
    }
    assert_eq!(store.roster_changes(&romeo, began).await.unwrap(), None);
    assert_eq!(store.roster_changes(&romeo, full).await.unwrap(), None);
    let known = store
        .roster_changes(&romeo, full + 20)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(known.len(), 200);
}
