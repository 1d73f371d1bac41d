//! Rooms and their people.

use folkmoot_store::xmpp::{
    RoomAffiliation, RoomMember, RoomRecord, RoomSettings, RoomSubject, Secret, XmppStore,
};

use crate::{
    archive::{all, page},
    backend::{bare, bytes, for_each_backend, jid, message},
};

for_each_backend![
    a_room_comes_back_as_it_was,
    people_are_kept_and_let_go,
    a_deleted_room_is_gone
];

fn settings(config: &str) -> RoomSettings {
    RoomSettings {
        config: bytes(config),
        secret: Secret(config.as_bytes().to_vec()),
        created: 5,
    }
}

fn member(name: &str, affiliation: RoomAffiliation) -> RoomMember {
    RoomMember {
        account: bare(name),
        affiliation,
        nick: Some("Nick".to_owned()),
        reason: Some("because".to_owned()),
        extra: bytes("hat"),
    }
}

async fn a_room_comes_back_as_it_was(store: &dyn XmppStore) {
    let garden = bare("garden@rooms.localhost");
    assert_eq!(store.room(&garden).await.unwrap(), None);
    assert!(!store.set_room_subject(&garden, None).await.unwrap());
    let owner = member("romeo@localhost", RoomAffiliation::Owner);
    assert!(
        !store
            .put_room_members(&garden, vec![owner.clone()])
            .await
            .unwrap()
    );
    store.save_room(&garden, settings("first")).await.unwrap();
    store.save_room(&garden, settings("second")).await.unwrap();
    let subject = RoomSubject {
        xml: bytes("<subject>Roses</subject>"),
        from: jid("garden@rooms.localhost/romeo"),
        at: 9,
    };
    let set = store.set_room_subject(&garden, Some(subject.clone())).await;
    assert!(set.unwrap());
    assert!(
        store
            .put_room_members(&garden, vec![owner.clone()])
            .await
            .unwrap()
    );
    let expected = RoomRecord {
        settings: RoomSettings {
            secret: Secret(b"first".to_vec()),
            ..settings("second")
        },
        subject: Some(subject),
        members: vec![owner],
    };
    assert_eq!(store.room(&garden).await.unwrap(), Some(expected));
    assert!(store.set_room_subject(&garden, None).await.unwrap());
    assert_eq!(store.room(&garden).await.unwrap().unwrap().subject, None);
}

async fn people_are_kept_and_let_go(store: &dyn XmppStore) {
    let rooms = ["feast@rooms.localhost", "garden@rooms.localhost"].map(bare);
    let juliet = bare("juliet@localhost");
    for room in &rooms {
        store.save_room(room, settings("open")).await.unwrap();
        let people = vec![
            member("romeo@localhost", RoomAffiliation::Owner),
            member("juliet@localhost", RoomAffiliation::Member),
            member("tybalt@localhost", RoomAffiliation::Outcast),
        ];
        assert!(store.put_room_members(room, people).await.unwrap());
    }
    let admin = member("juliet@localhost", RoomAffiliation::Admin);
    assert!(
        store
            .put_room_members(&rooms[1], vec![admin.clone()])
            .await
            .unwrap()
    );
    let hers = store.rooms_of(&juliet).await.unwrap();
    let plain = member("juliet@localhost", RoomAffiliation::Member);
    let expected = [(rooms[0].clone(), plain), (rooms[1].clone(), admin)];
    assert_eq!(hers, expected);
    let leavers = vec![juliet.clone(), bare("nobody@localhost")];
    store.remove_room_members(&rooms[0], leavers).await.unwrap();
    assert_eq!(store.rooms_of(&juliet).await.unwrap().len(), 1);
    let left = store.room(&rooms[0]).await.unwrap().unwrap().members;
    let left: Vec<_> = left.iter().map(|one| one.account.as_str()).collect();
    assert_eq!(left, ["romeo@localhost", "tybalt@localhost"]);
}

async fn a_deleted_room_is_gone(store: &dyn XmppStore) {
    let [feast, garden] = ["feast@rooms.localhost", "garden@rooms.localhost"].map(bare);
    for room in [&feast, &garden] {
        store.save_room(room, settings("open")).await.unwrap();
        let people = vec![member("romeo@localhost", RoomAffiliation::Owner)];
        assert!(store.put_room_members(room, people).await.unwrap());
        store
            .set_vcard(room, Some(bytes("<vCard/>")))
            .await
            .unwrap();
        let said = message(room.as_str(), 1, "romeo@localhost", "hi");
        store.append_to_archives(vec![said]).await.unwrap();
    }
    let listed = store.rooms("rooms.localhost", None, 1).await.unwrap();
    assert_eq!(listed, [(feast.clone(), bytes("open"))]);
    let listed = store
        .rooms("rooms.localhost", Some("feast"), 9)
        .await
        .unwrap();
    assert_eq!(listed, [(garden.clone(), bytes("open"))]);
    assert_eq!(store.count_rooms("rooms.localhost").await.unwrap(), 2);

    assert!(store.delete_room(&garden).await.unwrap());
    assert!(!store.delete_room(&garden).await.unwrap());
    store.save_room(&garden, settings("new")).await.unwrap();
    assert_eq!(store.room(&garden).await.unwrap().unwrap().members, []);
    assert_eq!(store.vcard(&garden).await.unwrap(), None);
    assert_eq!(page(store, &garden, all()).await.entries, []);
    assert_eq!(page(store, &feast, all()).await.entries.len(), 1);
    assert_eq!(
        store
            .rooms_of(&bare("romeo@localhost"))
            .await
            .unwrap()
            .len(),
        1
    );
}
