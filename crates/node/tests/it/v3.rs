//! The v3 services, in the order in which official clients call them.

use std::time::Duration;

use folkmoot_testkit::{
    Person, TestNode,
    mls::{commits, says, welcomes},
};
use folkmoot_wire::proto::xmtp::{
    identity::{
        api::v1::{
            GetIdentityUpdatesRequest, GetInboxIdsRequest, PublishIdentityUpdateRequest,
            get_identity_updates_request, get_inbox_ids_request,
            identity_api_client::IdentityApiClient,
        },
        associations::IdentifierKind,
    },
    message_api::v1::{SubscribeAllRequest, message_api_client::MessageApiClient},
    mls::api::v1::{
        FetchKeyPackagesRequest, GetNewestGroupMessageRequest, GroupMessage, GroupMessageInput,
        KeyPackageUpload, PagingInfo, QueryGroupMessagesRequest, QueryGroupMessagesResponse,
        QueryWelcomeMessagesRequest, SendGroupMessagesRequest, SendWelcomeMessagesRequest,
        SortDirection, SubscribeGroupMessagesRequest, UploadKeyPackageRequest, group_message,
        mls_api_client::MlsApiClient, subscribe_group_messages_request,
    },
};
use tokio::time::timeout;
use tonic::{Code, Streaming, transport::Channel};

const PICNIC: [u8; 16] = [0xa1; 16];
const DEADLINE: Duration = Duration::from_secs(10);

struct Client {
    mls: MlsApiClient<Channel>,
    identity: IdentityApiClient<Channel>,
}

impl Client {
    async fn of(node: &TestNode) -> Self {
        let channel = node.channel().await;
        Self {
            mls: MlsApiClient::new(channel.clone()).max_decoding_message_size(25 << 20),
            identity: IdentityApiClient::new(channel),
        }
    }

    async fn sends(&mut self, messages: impl IntoIterator<Item = GroupMessageInput>) {
        let messages = messages.into_iter().collect();
        let request = SendGroupMessagesRequest { messages };
        self.mls.send_group_messages(request).await.unwrap();
    }

    async fn page(
        &mut self,
        direction: SortDirection,
        limit: u32,
        cursor: u64,
    ) -> QueryGroupMessagesResponse {
        let request = QueryGroupMessagesRequest {
            group_id: PICNIC.to_vec().into(),
            paging_info: Some(PagingInfo {
                direction: direction as i32,
                limit,
                id_cursor: cursor,
            }),
        };
        let page = self.mls.query_group_messages(request).await;
        page.unwrap().into_inner()
    }

    async fn follows(&mut self, cursor: u64) -> Streaming<GroupMessage> {
        let request = SubscribeGroupMessagesRequest {
            filters: vec![subscribe_group_messages_request::Filter {
                group_id: PICNIC.to_vec().into(),
                id_cursor: cursor,
            }],
        };
        let opened = timeout(DEADLINE, self.mls.subscribe_group_messages(request)).await;
        opened.expect("headers come at once").unwrap().into_inner()
    }

    async fn publishes(&mut self, update: bytes::Bytes) -> Result<(), tonic::Status> {
        let identity_update = update;
        let request = PublishIdentityUpdateRequest { identity_update };
        self.identity.publish_identity_update(request).await?;
        Ok(())
    }

    async fn inbox_of(&mut self, address: &str) -> Option<String> {
        let request = GetInboxIdsRequest {
            requests: vec![get_inbox_ids_request::Request {
                identifier: address.to_owned(),
                identifier_kind: IdentifierKind::Ethereum as i32,
            }],
        };
        let response = self.identity.get_inbox_ids(request).await.unwrap();
        response.into_inner().responses.remove(0).inbox_id
    }
}

fn v1(message: &GroupMessage) -> &group_message::V1 {
    let Some(group_message::Version::V1(message)) = &message.version else {
        panic!("the version is set");
    };
    message
}

fn ids(messages: &[GroupMessage]) -> Vec<u64> {
    messages.iter().map(|message| v1(message).id).collect()
}

async fn next(stream: &mut Streaming<GroupMessage>) -> group_message::V1 {
    let message = timeout(DEADLINE, stream.message()).await;
    v1(&message.expect("a message comes").unwrap().unwrap()).clone()
}

#[tokio::test]
async fn a_new_person_registers_as_the_official_clients_do() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    let person = Person::new(1);
    let address = person.wallet.address();

    assert_eq!(client.inbox_of(&address).await, None);
    let upload = UploadKeyPackageRequest {
        key_package: Some(KeyPackageUpload {
            key_package_tls_serialized: person.key_package(),
        }),
        is_inbox_id_credential: true,
    };
    client.mls.upload_key_package(upload).await.unwrap();
    let registration = person.registration();
    client.publishes(registration.clone()).await.unwrap();
    assert_eq!(
        client.inbox_of(&address).await,
        Some(person.inbox.to_string())
    );

    let request = GetIdentityUpdatesRequest {
        requests: vec![get_identity_updates_request::Request {
            inbox_id: person.inbox.to_string(),
            sequence_id: 0,
        }],
    };
    let updates = client.identity.get_identity_updates(request).await.unwrap();
    let updates = &updates.into_inner().responses[0].updates;
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].update, registration, "byte for byte");

    let replayed = client.publishes(registration).await.unwrap_err();
    assert_eq!(replayed.code(), Code::InvalidArgument);
    client.publishes(person.revocation()).await.unwrap();
}

#[tokio::test]
async fn key_packages_are_answered_by_position_and_the_last_one_wins() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    let person = Person::new(2);
    let [first, second] = [person.key_package(), person.key_package()];
    assert_ne!(first, second);
    for package in [first, second.clone()] {
        let upload = UploadKeyPackageRequest {
            key_package: Some(KeyPackageUpload {
                key_package_tls_serialized: package,
            }),
            is_inbox_id_credential: true,
        };
        client.mls.upload_key_package(upload).await.unwrap();
    }
    let known = person.installation.key().as_bytes().to_vec();
    let request = FetchKeyPackagesRequest {
        installation_keys: vec![vec![1; 32].into(), known.clone().into(), known.into()],
    };
    let fetched = client.mls.fetch_key_packages(request).await.unwrap();
    let fetched: Vec<_> = fetched
        .into_inner()
        .key_packages
        .into_iter()
        .map(|package| package.key_package_tls_serialized)
        .collect();
    assert_eq!(fetched, [bytes::Bytes::new(), second.clone(), second]);
}

#[tokio::test]
async fn a_retried_message_is_stored_once() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    let message = says(&PICNIC, "at noon");
    client.sends([message.clone(), message.clone()]).await;
    client.sends([message]).await;
    let page = client.page(SortDirection::Ascending, 0, 0).await;
    assert_eq!(page.messages.len(), 1);
}

#[tokio::test]
async fn pages_follow_the_documented_rules() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    client
        .sends((0..101).map(|number| says(&PICNIC, &number.to_string())))
        .await;

    let first = client.page(SortDirection::Ascending, 0, 0).await;
    let paging = first.paging_info.unwrap();
    assert_eq!(first.messages.len(), 100);
    assert_eq!(paging.limit, 100);
    assert_eq!(paging.id_cursor, v1(&first.messages[99]).id);
    let rest = client
        .page(SortDirection::Ascending, 1000, paging.id_cursor)
        .await;
    assert_eq!(rest.messages.len(), 1);
    assert_eq!(
        rest.paging_info.unwrap().id_cursor,
        0,
        "the page is not full"
    );

    let unset = client.page(SortDirection::Unspecified, 2, 0).await;
    let newest = v1(&rest.messages[0]).id;
    assert_eq!(ids(&unset.messages)[0], newest, "unset means newest first");
    assert_eq!(
        unset.paging_info.unwrap().direction,
        SortDirection::Descending as i32
    );
    let older = client.page(SortDirection::Descending, 1, newest).await;
    assert_eq!(ids(&older.messages), ids(&unset.messages)[1..]);
}

#[tokio::test]
async fn a_stream_joins_history_and_live_messages_without_a_seam() {
    let node = TestNode::start().await;
    let mut writer = Client::of(&node).await;
    let mut reader = Client::of(&node).await;
    writer
        .sends((0..500).map(|number| says(&PICNIC, &format!("before {number}"))))
        .await;

    let publishing = tokio::spawn(async move {
        for number in 0..500 {
            writer
                .sends([says(&PICNIC, &format!("meanwhile {number}"))])
                .await;
        }
    });
    let mut stream = reader.follows(0).await;
    let mut heard = Vec::new();
    while heard.len() < 1000 {
        heard.push(next(&mut stream).await.id);
    }
    publishing.await.unwrap();
    let page = reader.page(SortDirection::Ascending, 1, heard[998]).await;
    assert_eq!(ids(&page.messages), heard[999..]);
    assert!(heard.is_sorted_by(|earlier, later| earlier < later));
}

#[tokio::test]
async fn the_newest_message_is_told_without_its_content() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    client
        .sends([says(&PICNIC, "at noon"), commits(&PICNIC, 3, "new epoch")])
        .await;
    let request = GetNewestGroupMessageRequest {
        group_ids: vec![PICNIC.to_vec().into(), vec![9; 16].into()],
        include_content: false,
    };
    let newest = client.mls.get_newest_group_message(request).await;
    let responses = newest.unwrap().into_inner().responses;
    let found = responses[0].group_message.as_ref().unwrap();
    assert!(v1(found).is_commit);
    assert!(v1(found).data.is_empty());
    assert_eq!(responses[1].group_message, None);
}

#[tokio::test]
async fn welcomes_and_messages_reach_the_push_feed() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    let mut push = MessageApiClient::new(node.channel().await);
    let feed = push.subscribe_all(SubscribeAllRequest {}).await;
    let mut feed = feed.unwrap().into_inner();

    let request = SendWelcomeMessagesRequest {
        messages: vec![welcomes(&[0xee; 32], "come in")],
    };
    client.mls.send_welcome_messages(request).await.unwrap();
    client.sends([says(&PICNIC, "at noon")]).await;

    let welcome = timeout(DEADLINE, feed.message()).await.unwrap().unwrap();
    assert_eq!(
        welcome.unwrap().content_topic,
        format!("/xmtp/mls/1/w-{}/proto", "ee".repeat(32))
    );
    let message = timeout(DEADLINE, feed.message()).await.unwrap().unwrap();
    assert_eq!(
        message.unwrap().content_topic,
        format!("/xmtp/mls/1/g-{}/proto", "a1".repeat(16))
    );
    let request = QueryWelcomeMessagesRequest {
        installation_key: vec![0xee; 32].into(),
        paging_info: None,
    };
    let page = client.mls.query_welcome_messages(request).await.unwrap();
    assert_eq!(page.into_inner().messages.len(), 1);
}

#[tokio::test]
async fn one_bad_message_keeps_all_of_a_request_out() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    let mut broken = says(&PICNIC, "cut short");
    if let Some(folkmoot_wire::proto::xmtp::mls::api::v1::group_message_input::Version::V1(v1)) =
        &mut broken.version
    {
        v1.data.truncate(20);
    }
    let request = SendGroupMessagesRequest {
        messages: vec![says(&PICNIC, "whole"), broken],
    };
    let refused = client.mls.send_group_messages(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().starts_with("messages[1].v1.data"),
        "{refused}"
    );
    let page = client.page(SortDirection::Ascending, 0, 0).await;
    assert!(page.messages.is_empty());
}

#[tokio::test]
async fn streams_end_with_unavailable_when_the_node_goes() {
    let node = TestNode::start().await;
    let mut client = Client::of(&node).await;
    let mut stream = client.follows(0).await;
    node.node.close_streams();
    let ended = timeout(DEADLINE, stream.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
}
