use folkmoot_client::{Change, Client};
use folkmoot_wire::proto::xmtp::mls::api::v1::{
    QueryGroupMessagesRequest, group_message, mls_api_client::MlsApiClient,
};

use crate::{
    home::{Home, SOON, group},
    sync::meet,
};

async fn is_own(client: &Client, home: &Home, id: &folkmoot_wire::GroupId) -> Vec<(bool, bool)> {
    let topics = client.push_topics().await.unwrap();
    let topic = topics
        .iter()
        .find(|topic| topic.conversation == *id)
        .unwrap();
    assert_eq!(topic.topic, format!("/xmtp/mls/1/g-{id}/proto"));
    let mut node = MlsApiClient::new(home.node.channel().await);
    let request = QueryGroupMessagesRequest {
        group_id: id.as_bytes().to_vec().into(),
        paging_info: None,
    };
    let messages = node
        .query_group_messages(request)
        .await
        .unwrap()
        .into_inner()
        .messages;
    let mut own = Vec::new();
    for message in messages {
        let Some(group_message::Version::V1(message)) = message.version else {
            panic!("a message");
        };
        let mut keys = topic.keys.iter();
        let recognised = keys.any(|(_, key)| key.is_own(&message.data, &message.sender_hmac));
        own.push((recognised, message.should_push));
    }
    own.sort_unstable();
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_server_stays_silent_about_what_one_sent_oneself() {
    let home = Home::new().await;
    let (alice, bob) = (home.client(1).await, home.client(2).await);
    let picnic = group(&alice, &[&bob], "picnic").await;
    picnic.send_text("hello").await.unwrap();
    // The commit and the text; only the text asks for a notification.
    assert_eq!(
        is_own(&alice, &home, picnic.id()).await,
        [(true, false), (true, true)]
    );
    assert_eq!(
        is_own(&bob, &home, picnic.id()).await,
        [(false, false), (false, true)]
    );
    assert!(
        bob.welcome_topic()
            .contains(&bob.installation_key().to_string())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_hears_that_a_new_device_changed_the_keys() {
    let home = Home::new().await;
    let (phone, bob) = (home.device(1).await, home.client(2).await);
    let picnic = group(&phone, &[&bob], "picnic").await;
    let mut changes = phone.preferences().stream().await.unwrap();
    let laptop = home.device(1).await;
    meet(&laptop, &phone).await;
    meet(&phone, &laptop).await;
    let told = async {
        loop {
            if let Some(Change::PushKeys(key)) = changes.next().await {
                return key;
            }
        }
    };
    let told = tokio::time::timeout(SOON, told).await.unwrap();
    let keys = phone.hmac_keys().await.unwrap();
    let (epoch, key) = &keys[picnic.id()][1];
    assert_eq!(told.key(picnic.id(), *epoch), *key);
}
