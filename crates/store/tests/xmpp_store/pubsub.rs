//! Nodes and what is in them.

use folkmoot_store::xmpp::{
    ItemsAnswer, ItemsPage, ItemsPlace, NodeAffiliation, NodeRecord, NodeSubscription, PubSubItem,
    SubscriptionState, XmppStore,
};

use crate::backend::{bare, bytes, for_each_backend, jid};

for_each_backend![
    a_node_is_made_configured_and_deleted,
    an_item_that_is_published_again_becomes_the_newest,
    items_are_read_in_pages_from_both_ends,
    subscriptions_and_affiliations_are_found_from_both_sides,
];

fn node(name: &str) -> NodeRecord {
    NodeRecord {
        name: name.to_owned(),
        config: bytes("config"),
        created: 3,
    }
}

fn item(id: &str) -> PubSubItem {
    PubSubItem {
        id: id.to_owned(),
        publisher: Some(jid("romeo@localhost/orchard")),
        payload: bytes(&format!("<item id='{id}'/>")),
        at: 7,
    }
}

async fn read(store: &dyn XmppStore, place: ItemsPlace, max: usize) -> ItemsPage {
    let answer = store
        .items(&bare("romeo@localhost"), "news", place, max)
        .await;
    match answer.unwrap() {
        ItemsAnswer::Page(page) => page,
        other => panic!("no page: {other:?}"),
    }
}

fn ids(page: &ItemsPage) -> Vec<&str> {
    page.items.iter().map(|item| item.id.as_str()).collect()
}

async fn a_node_is_made_configured_and_deleted(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    assert!(
        store
            .create_node(&romeo, node("news"), Some(&romeo))
            .await
            .unwrap()
    );
    assert!(!store.create_node(&romeo, node("news"), None).await.unwrap());
    assert!(store.create_node(&romeo, node(""), None).await.unwrap());
    let other = bare("pubsub.localhost");
    assert!(store.create_node(&other, node("news"), None).await.unwrap());
    assert_eq!(
        store.node(&romeo, "news").await.unwrap(),
        Some(node("news"))
    );
    let names = store.nodes(&romeo, None, 9).await.unwrap();
    assert_eq!(names, [node(""), node("news")]);
    assert_eq!(
        store.nodes(&romeo, Some(""), 9).await.unwrap(),
        [node("news")]
    );
    let owner = [(romeo.clone(), NodeAffiliation::Owner)];
    assert_eq!(
        store.node_affiliations(&romeo, "news").await.unwrap(),
        owner
    );

    let items = ["1", "2", "3"].map(item).to_vec();
    assert!(store.publish_items(&romeo, "news", items, 9).await.unwrap());
    let configured = store
        .set_node_config(&romeo, "news", bytes("other"), 2)
        .await;
    assert!(configured.unwrap());
    let found = store.node(&romeo, "news").await.unwrap().unwrap();
    assert_eq!((found.config, found.created), (bytes("other"), 3));
    assert_eq!(ids(&read(store, ItemsPlace::Start, 9).await), ["2", "3"]);
    assert!(store.purge_node(&romeo, "news").await.unwrap());
    assert_eq!(read(store, ItemsPlace::Start, 9).await.count, 0);

    assert!(store.delete_node(&romeo, "news").await.unwrap());
    assert!(!store.delete_node(&romeo, "news").await.unwrap());
    assert!(!store.purge_node(&romeo, "news").await.unwrap());
    assert!(
        !store
            .publish_items(&romeo, "news", vec![item("1")], 9)
            .await
            .unwrap()
    );
    let configured = store.set_node_config(&romeo, "news", bytes(""), 2).await;
    assert!(!configured.unwrap());
    assert_eq!(store.node_affiliations(&romeo, "news").await.unwrap(), []);
    let answer = store.items(&romeo, "news", ItemsPlace::Start, 9).await;
    assert_eq!(answer.unwrap(), ItemsAnswer::UnknownNode);
    assert!(store.node(&other, "news").await.unwrap().is_some());
}

async fn an_item_that_is_published_again_becomes_the_newest(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    assert!(store.create_node(&romeo, node("news"), None).await.unwrap());
    let publish = |ids: &[&str], max| {
        let items = ids.iter().copied().map(item).collect();
        store.publish_items(&romeo, "news", items, max)
    };
    assert!(publish(&["a", "b", "c"], 3).await.unwrap());
    assert!(publish(&["a"], 3).await.unwrap());
    assert_eq!(
        ids(&read(store, ItemsPlace::Start, 9).await),
        ["b", "c", "a"]
    );
    assert!(publish(&["d"], 3).await.unwrap());
    assert_eq!(
        ids(&read(store, ItemsPlace::Start, 9).await),
        ["c", "a", "d"]
    );
    let last = store.last_items(&romeo).await.unwrap();
    assert_eq!(last, [("news".to_owned(), item("d"))]);
    let names = |ids: &[&str]| -> Vec<String> { ids.iter().map(|&id| id.into()).collect() };
    let asked = names(&["d", "b", "c"]);
    let found = store.items_by_id(&romeo, "news", &asked).await.unwrap();
    assert_eq!(found, [item("d"), item("c")]);
    let gone = store.retract_items(&romeo, "news", asked).await.unwrap();
    assert_eq!(gone, names(&["d", "c"]));
    assert!(publish(&["e"], 1).await.unwrap());
    assert_eq!(ids(&read(store, ItemsPlace::Start, 9).await), ["e"]);
}

async fn items_are_read_in_pages_from_both_ends(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    assert!(store.create_node(&romeo, node("news"), None).await.unwrap());
    let items = ["1", "2", "3", "4", "5"].map(item).to_vec();
    assert!(store.publish_items(&romeo, "news", items, 9).await.unwrap());
    for (place, expected, complete) in [
        (ItemsPlace::Start, ["1", "2"].as_slice(), false),
        (ItemsPlace::After("2".into()), &["3", "4"], false),
        (ItemsPlace::After("3".into()), &["4", "5"], true),
        (ItemsPlace::After("5".into()), &[], true),
        (ItemsPlace::End, &["4", "5"], false),
        (ItemsPlace::Before("4".into()), &["2", "3"], false),
        (ItemsPlace::Before("2".into()), &["1"], true),
    ] {
        let page = read(store, place.clone(), 2).await;
        assert_eq!(ids(&page), expected, "{place:?}");
        assert_eq!((page.complete, page.count), (complete, 5), "{place:?}");
    }
    let unknown = store.items(&romeo, "news", ItemsPlace::After("9".into()), 2);
    assert_eq!(unknown.await.unwrap(), ItemsAnswer::UnknownItem);
    let page = read(store, ItemsPlace::Start, 0).await;
    assert_eq!((page.items.len(), page.complete, page.count), (0, false, 5));
}

async fn subscriptions_and_affiliations_are_found_from_both_sides(store: &dyn XmppStore) {
    let service = bare("pubsub.localhost");
    let juliet = bare("juliet@localhost");
    for name in ["news", "weather"] {
        assert!(store.create_node(&service, node(name), None).await.unwrap());
    }
    let subscription = |address, state| NodeSubscription {
        jid: jid(address),
        id: Some("s1".to_owned()),
        state,
        options: bytes("<x/>"),
    };
    let pending = subscription("juliet@localhost/balcony", SubscriptionState::Pending);
    let agreed = subscription("juliet@localhost/balcony", SubscriptionState::Subscribed);
    let nurse = subscription("nurse@localhost", SubscriptionState::Unconfigured);
    let put =
        |name, one: &NodeSubscription| store.put_node_subscription(&service, name, one.clone());
    for (name, one) in [("news", &pending), ("news", &agreed), ("news", &nurse)] {
        assert!(put(name, one).await.unwrap());
    }
    assert!(put("weather", &pending).await.unwrap());
    assert!(!put("nothing", &pending).await.unwrap());
    let of_news = store.node_subscriptions(&service, "news").await.unwrap();
    assert_eq!(of_news, [agreed.clone(), nurse]);
    let hers = store.subscriptions_of(&service, &juliet).await.unwrap();
    let names = ["news", "weather"].map(str::to_owned);
    assert_eq!(
        hers,
        [
            (names[0].clone(), agreed.clone()),
            (names[1].clone(), pending)
        ]
    );
    let remove = || store.remove_node_subscription(&service, "news", &agreed.jid);
    assert!(remove().await.unwrap());
    assert!(!remove().await.unwrap());

    let set = |name, affiliation| {
        let affiliations = vec![(juliet.clone(), affiliation)];
        store.set_node_affiliations(&service, name, affiliations)
    };
    assert!(set("news", Some(NodeAffiliation::Member)).await.unwrap());
    assert!(set("news", Some(NodeAffiliation::Publisher)).await.unwrap());
    assert!(
        set("weather", Some(NodeAffiliation::Outcast))
            .await
            .unwrap()
    );
    assert!(
        !set("nothing", Some(NodeAffiliation::Outcast))
            .await
            .unwrap()
    );
    let hers = store.affiliations_of(&service, &juliet).await.unwrap();
    let [news, weather] = names;
    let expected = [
        (news, NodeAffiliation::Publisher),
        (weather, NodeAffiliation::Outcast),
    ];
    assert_eq!(hers, expected);
    assert!(set("news", None).await.unwrap());
    assert_eq!(store.node_affiliations(&service, "news").await.unwrap(), []);
}
