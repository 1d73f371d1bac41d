//! What accounts keep: blocklists, private XML, cards; and the server's secrets.

use folkmoot_store::xmpp::{Secret, Stored, XmppStore};

use crate::backend::{bare, bytes, for_each_backend, jid};

for_each_backend![
    a_blocklist_holds_each_address_once,
    private_xml_is_kept_by_name,
    a_card_is_replaced_and_removed,
    a_secret_stays_what_it_was_first,
];

async fn a_blocklist_holds_each_address_once(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let [paris, tybalt, spam] = ["paris@localhost", "tybalt@localhost/x", "spam.example"].map(jid);
    let block = |addresses: &[&jid::Jid]| {
        store.block(&romeo, addresses.iter().copied().cloned().collect(), 3)
    };
    assert_eq!(block(&[&paris, &spam, &paris]).await.unwrap(), Stored::Yes);
    assert_eq!(block(&[&paris]).await.unwrap(), Stored::Yes);
    let more = ["a.example", "b.example"].map(jid);
    assert_eq!(block(&[&more[0], &more[1]]).await.unwrap(), Stored::Full);
    assert_eq!(block(&[&tybalt, &spam]).await.unwrap(), Stored::Yes);
    let all = [paris.clone(), spam.clone(), tybalt.clone()];
    assert_eq!(store.blocklist(&romeo).await.unwrap(), all);
    store
        .unblock(&romeo, vec![paris, more[0].clone()])
        .await
        .unwrap();
    assert_eq!(store.unblock_all(&romeo).await.unwrap(), [spam, tybalt]);
    assert!(store.blocklist(&romeo).await.unwrap().is_empty());
}

async fn private_xml_is_kept_by_name(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let put =
        |namespace, name, text| store.put_private_xml(&romeo, namespace, name, bytes(text), 2);
    assert_eq!(
        put("exodus:prefs", "exodus", "<a/>").await.unwrap(),
        Stored::Yes
    );
    assert_eq!(
        put("exodus:prefs", "other", "<b/>").await.unwrap(),
        Stored::Yes
    );
    assert_eq!(
        put("storage", "storage", "<c/>").await.unwrap(),
        Stored::Full
    );
    assert_eq!(
        put("exodus:prefs", "exodus", "<d/>").await.unwrap(),
        Stored::Yes
    );
    let get = |name| store.private_xml(&romeo, "exodus:prefs", name);
    assert_eq!(get("exodus").await.unwrap(), Some(bytes("<d/>")));
    assert_eq!(get("other").await.unwrap(), Some(bytes("<b/>")));
    assert_eq!(get("storage").await.unwrap(), None);
}

async fn a_card_is_replaced_and_removed(store: &dyn XmppStore) {
    let room = bare("garden@rooms.localhost");
    assert_eq!(store.vcard(&room).await.unwrap(), None);
    for text in ["<vCard/>", ""] {
        store.set_vcard(&room, Some(bytes(text))).await.unwrap();
        assert_eq!(store.vcard(&room).await.unwrap(), Some(bytes(text)));
    }
    store.set_vcard(&room, None).await.unwrap();
    assert_eq!(store.vcard(&room).await.unwrap(), None);
}

async fn a_secret_stays_what_it_was_first(store: &dyn XmppStore) {
    let [first, second] = [Secret(vec![1; 32]), Secret(vec![2; 32])];
    for fresh in [&first, &second] {
        let kept = store.secret("dialback", fresh.clone()).await.unwrap();
        assert_eq!(kept, first);
    }
    let other = store.secret("decoys", second.clone()).await.unwrap();
    assert_eq!(other, second);
    store.check_xmpp().await.unwrap();
    store.check_xmpp().await.unwrap();
}
