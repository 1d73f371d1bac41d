//! Accounts: made once, proven by verifiers, gone without a trace.

use folkmoot_store::xmpp::{
    ArchivePrefs, Created, FastToken, Invite, InviteKind, ItemsPlace, LastActivity, NewAccount,
    NodeAffiliation, NodeRecord, NodeSubscription, PubSubItem, PushRegistration, Reserved,
    RoomAffiliation, RoomMember, RoomSettings, RosterItem, Secret, Stored, SubscriptionState,
    Upload, UploadState, Verifier, VerifierHash, XmppStore,
};

use crate::{
    archive::{all, page},
    backend::{bare, bytes, for_each_backend, id, jid, message},
};

for_each_backend![
    an_address_is_taken_once,
    a_changed_password_ends_tokens,
    accounts_are_listed_by_domain,
    an_invite_pays_for_as_many_accounts_as_it_says,
    a_reserved_address_waits_for_its_invite,
    a_deleted_account_leaves_nothing_but_bans,
];

pub(crate) fn verifier(hash: VerifierHash, text: &str) -> Verifier {
    Verifier {
        hash,
        salt: Secret(text.as_bytes().to_vec()),
        iterations: 10_000,
        stored_key: Secret(b"stored".to_vec()),
        server_key: Secret(b"server".to_vec()),
    }
}

fn new(account: &str, now: i64) -> NewAccount {
    NewAccount {
        account: bare(account),
        verifiers: vec![verifier(VerifierHash::Sha256, "first")],
        now,
        invite: None,
    }
}

async fn an_address_is_taken_once(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    assert_eq!(store.account(&romeo).await.unwrap(), None);
    let made = store.create_account(new("romeo@localhost", 5)).await;
    assert_eq!(made.unwrap(), Created::Created);
    let again = store.create_account(new("romeo@localhost", 6)).await;
    assert_eq!(again.unwrap(), Created::Taken);
    let record = store.account(&romeo).await.unwrap().unwrap();
    assert_eq!((record.created, record.disabled), (5, false));
    assert_eq!(record.verifiers, new("romeo@localhost", 5).verifiers);
    assert!(
        !format!("{record:?}").contains("first") && !format!("{record:?}").contains("115"),
        "nothing secret is printed"
    );

    let seen = LastActivity {
        at: 7,
        status: "gone for lunch".to_owned(),
    };
    assert_eq!(store.last_activity(&romeo).await.unwrap(), None);
    store.set_last_activity(&romeo, seen.clone()).await.unwrap();
    assert_eq!(store.last_activity(&romeo).await.unwrap(), Some(seen));
}

async fn a_changed_password_ends_tokens(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let nobody = bare("nobody@localhost");
    let _ = store
        .create_account(new("romeo@localhost", 5))
        .await
        .unwrap();
    let sha1 = verifier(VerifierHash::Sha1, "upgraded");
    assert!(store.add_verifier(&romeo, sha1.clone()).await.unwrap());
    let verifiers = store.account(&romeo).await.unwrap().unwrap().verifiers;
    let both = [sha1, verifier(VerifierHash::Sha256, "first")];
    assert_eq!(verifiers, both);

    let changed = vec![verifier(VerifierHash::Sha512, "second")];
    let token = || store.issue_token(&romeo, "phone", token(), 10);
    token().await.unwrap();
    assert!(store.set_verifiers(&romeo, changed.clone()).await.unwrap());
    assert_eq!(store.tokens(&romeo, "phone").await.unwrap(), []);
    assert_eq!(
        store.account(&romeo).await.unwrap().unwrap().verifiers,
        changed
    );
    token().await.unwrap();
    assert!(store.set_disabled(&romeo, true).await.unwrap());
    assert_eq!(store.tokens(&romeo, "phone").await.unwrap(), []);
    assert!(store.account(&romeo).await.unwrap().unwrap().disabled);
    assert!(store.set_disabled(&romeo, false).await.unwrap());
    assert!(!store.account(&romeo).await.unwrap().unwrap().disabled);

    assert!(!store.set_verifiers(&nobody, changed.clone()).await.unwrap());
    assert!(!store.set_disabled(&nobody, true).await.unwrap());
    assert!(
        !store
            .add_verifier(&nobody, changed[0].clone())
            .await
            .unwrap()
    );
    assert_eq!(store.account(&nobody).await.unwrap(), None);
}

async fn accounts_are_listed_by_domain(store: &dyn XmppStore) {
    for name in [
        "tybalt@a.example",
        "Romeo@a.example",
        "juliet@a.example",
        "nurse@b.example",
    ] {
        let _ = store.create_account(new(name, 1)).await.unwrap();
    }
    let listed = store.accounts("a.example", None, 2).await.unwrap();
    assert_eq!(listed, ["juliet@a.example", "romeo@a.example"].map(bare));
    let listed = store.accounts("a.example", Some("romeo"), 2).await.unwrap();
    assert_eq!(listed, [bare("tybalt@a.example")]);
    assert_eq!(store.count_accounts("a.example").await.unwrap(), 3);
    assert_eq!(store.count_accounts("c.example").await.unwrap(), 0);
    assert_eq!(store.xmpp_stats().await.unwrap().accounts, 4);
}

fn invite(token: &str, uses: u32) -> Invite {
    Invite {
        token: token.to_owned(),
        kind: InviteKind::Account,
        inviter: None,
        account: None,
        created: 1,
        expires: 100,
        uses,
    }
}

async fn an_invite_pays_for_as_many_accounts_as_it_says(store: &dyn XmppStore) {
    store.put_invite(invite("twice", 2)).await.unwrap();
    let contact = Invite {
        kind: InviteKind::Contact,
        ..invite("contact", 1)
    };
    store.put_invite(contact.clone()).await.unwrap();
    let with = |name: &str, token: &str| {
        store.create_account(NewAccount {
            invite: Some(token.to_owned()),
            ..new(name, 50)
        })
    };
    assert_eq!(
        with("a@localhost", "twice").await.unwrap(),
        Created::Created
    );
    assert_eq!(with("a@localhost", "twice").await.unwrap(), Created::Taken);
    assert_eq!(
        with("b@localhost", "twice").await.unwrap(),
        Created::Created
    );
    for token in ["twice", "contact", "unknown"] {
        let refused = with("c@localhost", token).await.unwrap();
        assert_eq!(refused, Created::NoInvite, "{token}");
    }
    assert_eq!(store.count_accounts("localhost").await.unwrap(), 2);

    assert_eq!(store.invite("twice", 50).await.unwrap(), None);
    assert_eq!(store.invite("contact", 101).await.unwrap(), None);
    let good = store.invite("contact", 100).await.unwrap();
    assert_eq!(good.as_ref(), Some(&contact));
    assert_eq!(store.use_invite("contact", 100).await.unwrap(), good);
    assert_eq!(store.use_invite("contact", 100).await.unwrap(), None);
    assert_eq!(store.invites(None, 10).await.unwrap().len(), 2);
    assert_eq!(store.expire_invites(50).await.unwrap(), 2);
    assert!(!store.remove_invite("contact").await.unwrap());
}

async fn a_reserved_address_waits_for_its_invite(store: &dyn XmppStore) {
    let reserved = Invite {
        account: Some(bare("romeo@localhost")),
        ..invite("for romeo", 1)
    };
    store.put_invite(reserved).await.unwrap();
    let made = |name: &str, token: Option<&str>, now| {
        store.create_account(NewAccount {
            invite: token.map(str::to_owned),
            ..new(name, now)
        })
    };
    let taken = made("romeo@localhost", None, 50).await.unwrap();
    assert_eq!(taken, Created::Taken);
    let other = made("paris@localhost", Some("for romeo"), 50)
        .await
        .unwrap();
    assert_eq!(other, Created::NoInvite);
    let paid = made("romeo@localhost", Some("for romeo"), 50)
        .await
        .unwrap();
    assert_eq!(paid, Created::Created);
}

fn token() -> FastToken {
    FastToken {
        mechanism: "HT-SHA-256-NONE".to_owned(),
        token: Secret(b"secret".to_vec()),
        issued: 1,
        expires: 100,
        count: 0,
    }
}

async fn a_deleted_account_leaves_nothing_but_bans(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let juliet = bare("juliet@localhost");
    let service = bare("pubsub.localhost");
    let room = bare("garden@rooms.localhost");
    let feast = bare("feast@rooms.localhost");
    for name in ["romeo@localhost", "juliet@localhost"] {
        let _ = store.create_account(new(name, 5)).await.unwrap();
    }
    let item = RosterItem::new(juliet.clone());
    let version = store.put_roster_item(&romeo, item.clone()).await.unwrap();
    let blocked = store.block(&romeo, vec![jid("paris@localhost")], 9).await;
    assert_eq!(blocked.unwrap(), Stored::Yes);
    let kept = store
        .put_private_xml(&romeo, "n", "e", bytes("<e/>"), 9)
        .await;
    assert_eq!(kept.unwrap(), Stored::Yes);
    store
        .set_vcard(&romeo, Some(bytes("<vCard/>")))
        .await
        .unwrap();
    let both = ["romeo@localhost", "juliet@localhost"];
    let copies = (1..=1200).flat_map(|number| {
        both.map(|owner| message(owner, number, "romeo@localhost/orchard", "hi"))
    });
    store.append_to_archives(copies.collect()).await.unwrap();
    store
        .set_archive_prefs(&romeo, ArchivePrefs::default())
        .await
        .unwrap();
    let waits = store.push_offline(&romeo, bytes("<message/>"), 1, 9).await;
    assert_eq!(waits.unwrap(), Stored::Yes);
    store
        .issue_token(&romeo, "phone", token(), 9)
        .await
        .unwrap();
    let push = PushRegistration {
        service: jid("push.example"),
        node: String::new(),
        options: None,
        client: "phone".to_owned(),
        at: 1,
    };
    let registered = store.put_push_registration(&romeo, push, 9).await;
    assert_eq!(registered.unwrap(), Stored::Yes);
    let invited = Invite {
        inviter: Some(romeo.clone()),
        ..invite("by romeo", 1)
    };
    store.put_invite(invited).await.unwrap();
    for service in [&romeo, &service] {
        let node = NodeRecord {
            name: "news".to_owned(),
            config: bytes(""),
            created: 1,
        };
        assert!(
            store
                .create_node(service, node, Some(&juliet))
                .await
                .unwrap()
        );
        let item = PubSubItem {
            id: "1".to_owned(),
            publisher: None,
            payload: bytes("<e/>"),
            at: 1,
        };
        let published = store.publish_items(service, "news", vec![item], 9).await;
        assert!(published.unwrap());
        for account in [&romeo, &juliet] {
            let subscription = NodeSubscription {
                jid: account.clone().into(),
                id: None,
                state: SubscriptionState::Subscribed,
                options: bytes(""),
            };
            let put = store.put_node_subscription(service, "news", subscription);
            assert!(put.await.unwrap());
        }
        let affiliations = vec![(romeo.clone(), Some(NodeAffiliation::Publisher))];
        let set = store.set_node_affiliations(service, "news", affiliations);
        assert!(set.await.unwrap());
    }
    let settings = RoomSettings {
        config: bytes("config"),
        secret: Secret(vec![7; 32]),
        created: 1,
    };
    for (room, affiliation) in [
        (&room, RoomAffiliation::Member),
        (&feast, RoomAffiliation::Outcast),
    ] {
        store.save_room(room, settings.clone()).await.unwrap();
        let member = RoomMember {
            account: romeo.clone(),
            affiliation,
            nick: None,
            reason: None,
            extra: bytes(""),
        };
        assert!(store.put_room_members(room, vec![member]).await.unwrap());
    }
    let upload = Upload {
        id: [9; 16],
        owner: Some(romeo.clone()),
        name: "rose.png".to_owned(),
        size: 10,
        content_type: None,
        created: 1,
        expires: 1000,
        state: UploadState::Open,
    };
    let reserved = store.reserve_upload(upload, 10).await.unwrap();
    assert_eq!(reserved, Reserved::Reserved);

    assert!(store.delete_account(&romeo).await.unwrap());
    assert!(!store.delete_account(&romeo).await.unwrap());
    let _ = store
        .create_account(new("romeo@localhost", 6))
        .await
        .unwrap();

    assert_eq!(store.roster(&romeo).await.unwrap().items, []);
    assert!(store.blocklist(&romeo).await.unwrap().is_empty());
    assert_eq!(store.private_xml(&romeo, "n", "e").await.unwrap(), None);
    assert_eq!(store.vcard(&romeo).await.unwrap(), None);
    assert_eq!(page(store, &romeo, all()).await.entries, []);
    assert_eq!(store.archive_ends(&romeo).await.unwrap(), None);
    assert_eq!(store.archived(&romeo, id(1)).await.unwrap(), None);
    assert_eq!(store.archive_prefs(&romeo).await.unwrap(), None);
    assert_eq!(store.count_offline(&romeo).await.unwrap(), 0);
    assert_eq!(store.tokens(&romeo, "phone").await.unwrap(), []);
    assert_eq!(store.push_registrations(&romeo).await.unwrap(), []);
    assert_eq!(store.invite("by romeo", 50).await.unwrap(), None);
    assert_eq!(store.nodes(&romeo, None, 9).await.unwrap(), []);
    let items = store.items_by_id(&romeo, "news", &["1".to_owned()]).await;
    assert_eq!(items.unwrap(), []);
    assert_eq!(store.last_items(&romeo).await.unwrap(), []);
    assert!(matches!(
        store
            .items(&romeo, "news", ItemsPlace::Start, 9)
            .await
            .unwrap(),
        folkmoot_store::xmpp::ItemsAnswer::UnknownNode
    ));
    assert_eq!(store.subscriptions_of(&service, &romeo).await.unwrap(), []);
    assert_eq!(store.affiliations_of(&service, &romeo).await.unwrap(), []);
    let banned = store.rooms_of(&romeo).await.unwrap();
    assert_eq!(banned.len(), 1);
    assert_eq!(banned[0].0, feast);
    assert_eq!(store.uploaded_bytes(&romeo).await.unwrap(), 0);
    assert_eq!(store.uploads_of(&romeo, 9).await.unwrap(), []);
    let expired = store.expired_uploads(0, 9).await.unwrap();
    assert_eq!(expired.len(), 1, "the file has still to be removed");
    assert!(!store.finish_upload(&[9; 16], 1000).await.unwrap());

    let copies = page(store, &juliet, all()).await;
    assert_eq!(copies.entries.len(), 1200, "others keep what is theirs");
    assert_eq!(
        store
            .subscriptions_of(&service, &juliet)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        store
            .affiliations_of(&service, &juliet)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(store.subscriptions_of(&romeo, &juliet).await.unwrap(), []);
    let later = store.put_roster_item(&romeo, item).await.unwrap();
    assert!(later > version, "no version of a list comes again");
}
