//! Tokens of clients, and places for their files.

use folkmoot_store::xmpp::{
    FastToken, Reserved, Secret, TokenSlot, Upload, UploadState, XmppStore,
};

use crate::backend::{bare, for_each_backend};

for_each_backend![
    a_new_token_replaces_the_current_one_once_it_is_used,
    a_token_is_used_with_growing_counts,
    tokens_are_limited_and_expire,
    a_place_is_filled_once_and_within_the_quota,
];

fn token(text: &str, issued: i64) -> FastToken {
    FastToken {
        mechanism: "HT-SHA-256-EXPR".to_owned(),
        token: Secret(text.as_bytes().to_vec()),
        issued,
        expires: issued + 100,
        count: 0,
    }
}

async fn a_new_token_replaces_the_current_one_once_it_is_used(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let issue = |text, at| store.issue_token(&romeo, "phone", token(text, at), 9);
    issue("a", 1).await.unwrap();
    issue("b", 2).await.unwrap();
    let tokens = || store.tokens(&romeo, "phone");
    assert_eq!(tokens().await.unwrap(), [(TokenSlot::New, token("b", 2))]);
    assert!(store.promote_token(&romeo, "phone").await.unwrap());
    assert!(!store.promote_token(&romeo, "phone").await.unwrap());
    issue("c", 3).await.unwrap();
    let both = [
        (TokenSlot::Current, token("b", 2)),
        (TokenSlot::New, token("c", 3)),
    ];
    assert_eq!(tokens().await.unwrap(), both);
    assert!(store.promote_token(&romeo, "phone").await.unwrap());
    assert_eq!(
        tokens().await.unwrap(),
        [(TokenSlot::Current, token("c", 3))]
    );
    store
        .issue_token(&romeo, "laptop", token("d", 4), 9)
        .await
        .unwrap();
    let clients = store.clients_with_tokens(&romeo).await.unwrap();
    assert_eq!(clients, [("laptop".to_owned(), 4), ("phone".to_owned(), 3)]);
    store.remove_tokens(&romeo, Some("phone")).await.unwrap();
    assert_eq!(tokens().await.unwrap(), []);
    store.remove_tokens(&romeo, None).await.unwrap();
    assert_eq!(store.clients_with_tokens(&romeo).await.unwrap(), []);
    assert!(
        !format!("{:?}", token("secret", 1)).contains("115"),
        "it is not printed"
    );
}

async fn a_token_is_used_with_growing_counts(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    store
        .issue_token(&romeo, "phone", token("a", 1), 9)
        .await
        .unwrap();
    let used = |slot, count| store.count_token(&romeo, "phone", slot, count);
    assert!(used(TokenSlot::New, 1).await.unwrap());
    assert!(!used(TokenSlot::New, 1).await.unwrap(), "a replay");
    assert!(used(TokenSlot::New, u32::MAX).await.unwrap());
    assert!(!used(TokenSlot::Current, 2).await.unwrap(), "no such token");
    let tokens = store.tokens(&romeo, "phone").await.unwrap();
    assert_eq!(tokens[0].1.count, u32::MAX);
}

async fn tokens_are_limited_and_expire(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    for (client, at) in [("a", 1), ("b", 2), ("c", 3), ("a", 4), ("d", 5)] {
        store
            .issue_token(&romeo, client, token(client, at), 3)
            .await
            .unwrap();
    }
    let clients = store.clients_with_tokens(&romeo).await.unwrap();
    let clients: Vec<_> = clients.iter().map(|(client, _)| client.as_str()).collect();
    assert_eq!(
        clients,
        ["a", "c", "d"],
        "the one whose token was the oldest went"
    );
    assert_eq!(store.expire_tokens(104).await.unwrap(), 1);
    assert_eq!(store.clients_with_tokens(&romeo).await.unwrap().len(), 2);
}

async fn a_place_is_filled_once_and_within_the_quota(store: &dyn XmppStore) {
    let romeo = bare("romeo@localhost");
    let place = |number, size| Upload {
        id: [number; 16],
        owner: Some(romeo.clone()),
        name: "rose & thorn.png".to_owned(),
        size,
        content_type: Some("image/png".to_owned()),
        created: number.into(),
        expires: 100,
        state: UploadState::Open,
    };
    let reserve = |number, size| store.reserve_upload(place(number, size), 100);
    assert_eq!(reserve(1, 60).await.unwrap(), Reserved::Reserved);
    assert_eq!(
        reserve(2, 41).await.unwrap(),
        Reserved::OverQuota { used: 60 }
    );
    assert_eq!(
        reserve(2, u64::MAX).await.unwrap(),
        Reserved::OverQuota { used: 60 }
    );
    assert_eq!(reserve(3, 40).await.unwrap(), Reserved::Reserved);
    assert_eq!(store.uploaded_bytes(&romeo).await.unwrap(), 100);
    assert_eq!(store.upload(&[1; 16]).await.unwrap(), Some(place(1, 60)));
    assert_eq!(store.upload(&[2; 16]).await.unwrap(), None);

    assert!(store.finish_upload(&[1; 16], 500).await.unwrap());
    assert!(!store.finish_upload(&[1; 16], 900).await.unwrap());
    let stored = Upload {
        state: UploadState::Stored,
        expires: 500,
        ..place(1, 60)
    };
    let listed = store.uploads_of(&romeo, 9).await.unwrap();
    assert_eq!(listed, [place(3, 40), stored.clone()]);
    let expired = store.expired_uploads(100, 9).await.unwrap();
    assert_eq!(expired, [place(3, 40)]);
    assert!(store.remove_upload(&[3; 16]).await.unwrap());
    assert!(!store.remove_upload(&[3; 16]).await.unwrap());
    assert_eq!(store.expired_uploads(500, 9).await.unwrap(), [stored]);
    assert_eq!(store.uploaded_bytes(&romeo).await.unwrap(), 60);
}
