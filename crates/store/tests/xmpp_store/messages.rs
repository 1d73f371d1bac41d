//! What waits for accounts that are not there, and how they are told.

use folkmoot_store::xmpp::{PushRegistration, Stored, XmppStore};

use crate::backend::{bare, bytes, for_each_backend, jid};

for_each_backend![
    what_waits_is_read_in_order_until_it_is_removed,
    what_waits_is_handed_out_once,
    push_is_registered_once_for_each_node,
];

async fn what_waits_is_read_in_order_until_it_is_removed(store: &dyn XmppStore) {
    let [romeo, juliet] = ["romeo@localhost", "juliet@localhost"].map(bare);
    let push = |text: &str| store.push_offline(&romeo, bytes(text), 7, 3);
    for text in ["one", "two", "three"] {
        assert_eq!(push(text).await.unwrap(), Stored::Yes);
    }
    assert_eq!(push("four").await.unwrap(), Stored::Full);
    let other = store.push_offline(&juliet, bytes("hers"), 8, 1).await;
    assert_eq!(other.unwrap(), Stored::Yes);
    let first = store.offline(&romeo, 0, 2).await.unwrap();
    let texts: Vec<_> = first.iter().map(|one| one.stanza.clone()).collect();
    assert_eq!(texts, ["one", "two"].map(bytes));
    assert_eq!(first[0].at, 7);
    let rest = store.offline(&romeo, first[1].number, 9).await.unwrap();
    assert_eq!(rest.len(), 1);
    store.remove_offline(&romeo, first[1].number).await.unwrap();
    assert_eq!(store.count_offline(&romeo).await.unwrap(), 1);
    assert_eq!(push("five").await.unwrap(), Stored::Yes);
    store.clear_offline(&romeo).await.unwrap();
    assert_eq!(store.count_offline(&romeo).await.unwrap(), 0);
    assert_eq!(push("six").await.unwrap(), Stored::Yes);
    let six = store.offline(&romeo, 0, 9).await.unwrap();
    assert!(
        six[0].number > rest[0].number + 1,
        "no number is given twice"
    );
    assert_eq!(store.count_offline(&juliet).await.unwrap(), 1);
}

async fn what_waits_is_handed_out_once(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    for text in ["one", "two"] {
        let stored = store.push_offline(&romeo, bytes(text), 7, 9).await;
        assert_eq!(stored.unwrap(), Stored::Yes);
    }
    let (first, second) = tokio::join!(store.take_offline(&romeo), store.take_offline(&romeo));
    let mut taken = first.unwrap();
    taken.extend(second.unwrap());
    let texts: Vec<_> = taken.into_iter().map(|one| one.stanza).collect();
    assert_eq!(texts, ["one", "two"].map(bytes));
    assert_eq!(store.take_offline(&romeo).await.unwrap(), []);
}

async fn push_is_registered_once_for_each_node(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let registration = |service, node: &str, at| PushRegistration {
        service: jid(service),
        node: node.to_owned(),
        options: Some(bytes("<x/>")),
        client: "phone".to_owned(),
        at,
    };
    let put = |one: &PushRegistration| store.put_push_registration(&romeo, one.clone(), 3);
    let all = [
        registration("a.example", "", 1),
        registration("a.example", "x", 2),
        registration("b.example", "x", 3),
    ];
    for one in all.iter().rev() {
        assert_eq!(put(one).await.unwrap(), Stored::Yes);
    }
    assert_eq!(
        put(&registration("b.example", "y", 4)).await.unwrap(),
        Stored::Full
    );
    assert_eq!(
        put(&registration("b.example", "x", 5)).await.unwrap(),
        Stored::Yes
    );
    let listed = store.push_registrations(&romeo).await.unwrap();
    assert_eq!(listed[..2], all[..2]);
    assert_eq!(listed[2].at, 5);
    let remove = |service, node| async move {
        let service = jid(service);
        let romeo = bare("romeo@localhost");
        store
            .remove_push_registrations(&romeo, &service, node)
            .await
            .unwrap()
    };
    assert!(remove("b.example", Some("x")).await);
    assert!(!remove("b.example", Some("x")).await);
    assert!(remove("a.example", None).await);
    assert_eq!(store.push_registrations(&romeo).await.unwrap(), []);
}
