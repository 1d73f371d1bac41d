//! `MlsApi`: key packages, group messages, welcomes, commit logs, and streams of them.

use std::{collections::HashMap, pin::Pin};

use bytes::Bytes;
use folkmoot_store::{After, Content, Envelope, NewCommitLogEntry, Order, Page};
use folkmoot_wire::{
    InstallationKey, Topic, TopicKind,
    proto::xmtp::{
        identity::associations::RecoverableEd25519Signature,
        mls::{
            api::v1::{
                BatchPublishCommitLogRequest, BatchQueryCommitLogRequest,
                BatchQueryCommitLogResponse, FetchKeyPackagesRequest, FetchKeyPackagesResponse,
                GetIdentityUpdatesRequest, GetIdentityUpdatesResponse,
                GetNewestGroupMessageRequest, GetNewestGroupMessageResponse, GroupMessage,
                PagingInfo, PublishCommitLogRequest, QueryCommitLogRequest, QueryCommitLogResponse,
                QueryGroupMessagesRequest, QueryGroupMessagesResponse, QueryWelcomeMessagesRequest,
                QueryWelcomeMessagesResponse, RegisterInstallationRequest,
                RegisterInstallationResponse, RevokeInstallationRequest, SendGroupMessagesRequest,
                SendWelcomeMessagesRequest, SortDirection, SubscribeGroupMessagesRequest,
                SubscribeRequest, SubscribeResponse, SubscribeWelcomeMessagesRequest,
                UploadKeyPackageRequest, WelcomeMessage, fetch_key_packages_response::KeyPackage,
                get_newest_group_message_response, mls_api_server::MlsApi,
            },
            message_contents::CommitLogEntry,
        },
    },
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Node, NodeError, envelope,
    follow::{Follow, Item},
    publish::required,
    v3::identity::at_most,
};

/// Rows of a page, at most and when the client does not say.
const PAGE_ROWS: u32 = 100;
/// A page with fewer rows than asked for, but this many bytes, may have been cut for its size:
/// then one more row is looked for.
const HEAVY_PAGE_BYTES: usize = 1 << 20;
/// A page that shows whether there is anything at all.
const ONE: Page = Page {
    envelopes: 1,
    bytes: 0,
};
/// Most installations in one fetch of key packages.
const MOST_INSTALLATIONS: usize = 10_000;
/// Most messages or welcomes in one publish.
const MOST_PUBLISHED: usize = 1000;
/// Most filters of one subscription.
const MOST_FILTERS: usize = 100_000;
/// Most groups in one question for their newest messages.
const MOST_GROUPS: usize = 10_000;
/// Most commit log entries in one publish.
const MOST_COMMIT_LOG_ENTRIES: usize = 10;
/// Most groups in one query of commit logs.
const MOST_COMMIT_LOG_QUERIES: usize = 20;

pub(crate) struct Mls(pub(crate) Node);

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl MlsApi for Mls {
    type SubscribeGroupMessagesStream = Messages<GroupMessage>;
    type SubscribeWelcomeMessagesStream = Messages<WelcomeMessage>;
    type SubscribeStream = Messages<SubscribeResponse>;

    async fn send_group_messages(
        &self,
        request: Request<SendGroupMessagesRequest>,
    ) -> Result<Response<()>, Status> {
        let messages = request.into_inner().messages;
        some("messages", messages.len(), MOST_PUBLISHED)?;
        let drafts = messages
            .into_iter()
            .enumerate()
            .map(|(at, input)| {
                self.0
                    .group_message(input)
                    .map_err(|error| error.within(&format!("messages[{at}]")))
            })
            .collect::<Result<_, _>>()?;
        self.0.append(drafts).await?;
        Ok(Response::new(()))
    }

    async fn send_welcome_messages(
        &self,
        request: Request<SendWelcomeMessagesRequest>,
    ) -> Result<Response<()>, Status> {
        let messages = request.into_inner().messages;
        some("messages", messages.len(), MOST_PUBLISHED)?;
        let drafts = messages
            .iter()
            .enumerate()
            .map(|(at, input)| {
                self.0
                    .welcome_message(input)
                    .map_err(|error| error.within(&format!("messages[{at}]")))
            })
            .collect::<Result<_, _>>()?;
        self.0.append(drafts).await?;
        Ok(Response::new(()))
    }

    async fn register_installation(
        &self,
        request: Request<RegisterInstallationRequest>,
    ) -> Result<Response<RegisterInstallationResponse>, Status> {
        let (draft, installation) = self.0.key_package(request.into_inner().key_package)?;
        self.0.append(vec![draft]).await?;
        Ok(Response::new(RegisterInstallationResponse {
            installation_key: installation.as_bytes().to_vec().into(),
        }))
    }

    async fn upload_key_package(
        &self,
        request: Request<UploadKeyPackageRequest>,
    ) -> Result<Response<()>, Status> {
        let (draft, _) = self.0.key_package(request.into_inner().key_package)?;
        self.0.append(vec![draft]).await?;
        Ok(Response::new(()))
    }

    async fn fetch_key_packages(
        &self,
        request: Request<FetchKeyPackagesRequest>,
    ) -> Result<Response<FetchKeyPackagesResponse>, Status> {
        let keys = request.into_inner().installation_keys;
        some("installation_keys", keys.len(), MOST_INSTALLATIONS)?;
        let topics = keys
            .iter()
            .enumerate()
            .map(|(at, key)| {
                InstallationKey::try_from(key.as_ref())
                    .map(|key| Topic::key_package(&key))
                    .map_err(|cause| {
                        NodeError::field(format!("installation_keys[{at}]"), cause.to_string())
                    })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let newest = self.0.inner.store.newest(&topics, Content::Full).await;
        let key_packages = newest
            .map_err(NodeError::from)?
            .iter()
            .map(|found| {
                let package = found.as_ref().map(envelope::key_package).transpose()?;
                // Clients match answers to questions by position: what is unknown is empty.
                Ok(KeyPackage {
                    key_package_tls_serialized: package.unwrap_or_default(),
                })
            })
            .collect::<Result<_, NodeError>>()?;
        Ok(Response::new(FetchKeyPackagesResponse { key_packages }))
    }

    async fn revoke_installation(
        &self,
        _: Request<RevokeInstallationRequest>,
    ) -> Result<Response<()>, Status> {
        Err(NodeError::Unsupported(
            "installations are revoked by an identity update; use PublishIdentityUpdate".to_owned(),
        )
        .into())
    }

    async fn get_identity_updates(
        &self,
        _: Request<GetIdentityUpdatesRequest>,
    ) -> Result<Response<GetIdentityUpdatesResponse>, Status> {
        Err(NodeError::Unsupported(
            "identity updates are read through IdentityApi/GetIdentityUpdates".to_owned(),
        )
        .into())
    }

    async fn query_group_messages(
        &self,
        request: Request<QueryGroupMessagesRequest>,
    ) -> Result<Response<QueryGroupMessagesResponse>, Status> {
        let request = request.into_inner();
        let topic = topic("group_id", TopicKind::GroupMessages, &request.group_id)?;
        let (envelopes, paging_info) = self.page(&topic, request.paging_info).await?;
        let messages = envelopes
            .iter()
            .map(envelope::group_message)
            .collect::<Result<_, _>>()?;
        Ok(Response::new(QueryGroupMessagesResponse {
            messages,
            paging_info: Some(paging_info),
        }))
    }

    async fn query_welcome_messages(
        &self,
        request: Request<QueryWelcomeMessagesRequest>,
    ) -> Result<Response<QueryWelcomeMessagesResponse>, Status> {
        let request = request.into_inner();
        let topic = topic(
            "installation_key",
            TopicKind::WelcomeMessages,
            &request.installation_key,
        )?;
        let (envelopes, paging_info) = self.page(&topic, request.paging_info).await?;
        let messages = envelopes
            .iter()
            .map(envelope::welcome_message)
            .collect::<Result<_, _>>()?;
        Ok(Response::new(QueryWelcomeMessagesResponse {
            messages,
            paging_info: Some(paging_info),
        }))
    }

    async fn subscribe_group_messages(
        &self,
        request: Request<SubscribeGroupMessagesRequest>,
    ) -> Result<Response<Self::SubscribeGroupMessagesStream>, Status> {
        let filters = request.into_inner().filters;
        at_most("filters", filters.len(), MOST_FILTERS)?;
        let cursors = cursors(
            "group_id",
            TopicKind::GroupMessages,
            filters
                .into_iter()
                .map(|filter| (filter.group_id, filter.id_cursor)),
        )?;
        Ok(Response::new(self.stream(cursors, envelope::group_message)))
    }

    async fn subscribe_welcome_messages(
        &self,
        request: Request<SubscribeWelcomeMessagesRequest>,
    ) -> Result<Response<Self::SubscribeWelcomeMessagesStream>, Status> {
        let filters = request.into_inner().filters;
        some("filters", filters.len(), MOST_FILTERS)?;
        let cursors = cursors(
            "installation_key",
            TopicKind::WelcomeMessages,
            filters
                .into_iter()
                .map(|filter| (filter.installation_key, filter.id_cursor)),
        )?;
        Ok(Response::new(
            self.stream(cursors, envelope::welcome_message),
        ))
    }

    async fn batch_publish_commit_log(
        &self,
        request: Request<BatchPublishCommitLogRequest>,
    ) -> Result<Response<()>, Status> {
        let requests = request.into_inner().requests;
        some("requests", requests.len(), MOST_COMMIT_LOG_ENTRIES)?;
        let entries = requests
            .into_iter()
            .enumerate()
            .map(|(at, request)| {
                commit_log_entry(request).map_err(|error| error.within(&format!("requests[{at}]")))
            })
            .collect::<Result<_, _>>()?;
        let stored = self.0.inner.store.append_commit_log(entries).await;
        stored.map_err(NodeError::from)?;
        Ok(Response::new(()))
    }

    async fn batch_query_commit_log(
        &self,
        request: Request<BatchQueryCommitLogRequest>,
    ) -> Result<Response<BatchQueryCommitLogResponse>, Status> {
        let requests = request.into_inner().requests;
        some("requests", requests.len(), MOST_COMMIT_LOG_QUERIES)?;
        let mut responses = Vec::with_capacity(requests.len());
        for (at, request) in requests.into_iter().enumerate() {
            let response = self.commit_log(request).await;
            responses.push(response.map_err(|error| error.within(&format!("requests[{at}]")))?);
        }
        Ok(Response::new(BatchQueryCommitLogResponse { responses }))
    }

    async fn get_newest_group_message(
        &self,
        request: Request<GetNewestGroupMessageRequest>,
    ) -> Result<Response<GetNewestGroupMessageResponse>, Status> {
        let request = request.into_inner();
        some("group_ids", request.group_ids.len(), MOST_GROUPS)?;
        let topics = request
            .group_ids
            .iter()
            .enumerate()
            .map(|(at, id)| topic(&format!("group_ids[{at}]"), TopicKind::GroupMessages, id))
            .collect::<Result<Vec<_>, _>>()?;
        let content = if request.include_content {
            Content::Full
        } else {
            Content::Metadata
        };
        let newest = self.0.inner.store.newest(&topics, content).await;
        let responses = newest
            .map_err(NodeError::from)?
            .iter()
            .map(|found| {
                let group_message = match found {
                    Some(found) if request.include_content => Some(envelope::group_message(found)?),
                    Some(found) => Some(envelope::group_message_metadata(found)),
                    None => None,
                };
                Ok(get_newest_group_message_response::Response { group_message })
            })
            .collect::<Result<_, NodeError>>()?;
        Ok(Response::new(GetNewestGroupMessageResponse { responses }))
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Ok(Response::new(crate::subscribe::v3(
            &self.0,
            request.into_inner(),
        )))
    }
}

impl Mls {
    /// A page of a topic, and the paging info that leads to the next.
    async fn page(
        &self,
        topic: &Topic,
        asked: Option<PagingInfo>,
    ) -> Result<(Vec<Envelope>, PagingInfo), NodeError> {
        let asked = asked.unwrap_or_default();
        let limit = rows(asked.limit);
        let (direction, order) = match asked.direction() {
            SortDirection::Ascending => (SortDirection::Ascending, Order::Ascending),
            _ => (SortDirection::Descending, Order::Descending),
        };
        let page = Page {
            envelopes: limit as usize,
            bytes: self.0.inner.config.max_page_bytes,
        };
        let envelopes = self.read(topic, asked.id_cursor, order, page).await?;
        let bytes: usize = envelopes.iter().map(|one| one.payload.len()).sum();
        let next = match envelopes.last() {
            Some(last) if envelopes.len() == page.envelopes => last.id,
            Some(last) if bytes >= HEAVY_PAGE_BYTES => {
                let more = self.read(topic, last.id, order, ONE).await?;
                if more.is_empty() { 0 } else { last.id }
            }
            _ => 0,
        };
        let paging_info = PagingInfo {
            direction: direction as i32,
            limit,
            id_cursor: next,
        };
        Ok((envelopes, paging_info))
    }

    async fn read(
        &self,
        topic: &Topic,
        bound: u64,
        order: Order,
        page: Page,
    ) -> Result<Vec<Envelope>, NodeError> {
        let store = &self.0.inner.store;
        Ok(store.page(topic, bound, order, page).await?)
    }

    fn stream<T: Send + 'static>(
        &self,
        cursors: Vec<(Topic, After)>,
        convert: fn(&Envelope) -> Result<T, NodeError>,
    ) -> Messages<T> {
        let follow = Follow::new(&self.0, cursors);
        stream::try_unfold(follow, |mut follow| async move {
            loop {
                if let Item::Envelopes(envelopes) = follow.next().await? {
                    return Ok::<_, Status>(Some((envelopes, follow)));
                }
            }
        })
        .map_ok(move |envelopes| {
            stream::iter(envelopes).map(move |one| convert(&one).map_err(Status::from))
        })
        .try_flatten()
        .boxed()
    }

    async fn commit_log(
        &self,
        request: QueryCommitLogRequest,
    ) -> Result<QueryCommitLogResponse, NodeError> {
        required("group_id", &request.group_id)?;
        let asked = request.paging_info.unwrap_or_default();
        if asked.direction() == SortDirection::Descending {
            return Err(NodeError::field(
                "paging_info.direction",
                "commit logs are read in ascending order only",
            ));
        }
        let limit = rows(asked.limit);
        let entries = self
            .0
            .inner
            .store
            .commit_log(&request.group_id, asked.id_cursor, limit as usize)
            .await?;
        let next = entries
            .last()
            .filter(|_| entries.len() == limit as usize)
            .map_or(0, |last| last.sequence);
        Ok(QueryCommitLogResponse {
            group_id: request.group_id,
            commit_log_entries: entries
                .into_iter()
                .map(|entry| CommitLogEntry {
                    sequence_id: entry.sequence,
                    serialized_commit_log_entry: entry.published.entry,
                    signature: Some(RecoverableEd25519Signature {
                        bytes: entry.published.signature,
                        public_key: entry.published.signer,
                    }),
                })
                .collect(),
            paging_info: Some(PagingInfo {
                direction: SortDirection::Ascending as i32,
                limit,
                id_cursor: next,
            }),
        })
    }
}

/// The topic of a kind and an identifier that a client gave in `field`.
fn topic(field: &str, kind: TopicKind, identifier: &[u8]) -> Result<Topic, NodeError> {
    required(field, identifier)?;
    Topic::new(kind, identifier).map_err(|cause| NodeError::Topic {
        field: field.to_owned(),
        cause,
    })
}

/// One cursor a topic; of a topic that is named twice, the one that reads more.
fn cursors(
    field: &str,
    kind: TopicKind,
    filters: impl Iterator<Item = (Bytes, u64)>,
) -> Result<Vec<(Topic, After)>, NodeError> {
    let mut cursors: HashMap<Topic, u64> = HashMap::new();
    for (at, (identifier, cursor)) in filters.enumerate() {
        let topic = topic(&format!("filters[{at}].{field}"), kind, &identifier)?;
        cursors
            .entry(topic)
            .and_modify(|lowest| *lowest = cursor.min(*lowest))
            .or_insert(cursor);
    }
    Ok(cursors
        .into_iter()
        .map(|(topic, cursor)| (topic, After::Id(cursor)))
        .collect())
}

fn commit_log_entry(request: PublishCommitLogRequest) -> Result<NewCommitLogEntry, NodeError> {
    required("group_id", &request.group_id)?;
    required(
        "serialized_commit_log_entry",
        &request.serialized_commit_log_entry,
    )?;
    let Some(signature) = request.signature else {
        return Err(NodeError::field("signature", "is missing"));
    };
    Ok(NewCommitLogEntry {
        group_id: request.group_id,
        entry: request.serialized_commit_log_entry,
        signature: signature.bytes,
        signer: signature.public_key,
    })
}

/// Refuses a list that is empty or too long.
fn some(field: &str, len: usize, most: usize) -> Result<(), NodeError> {
    if len == 0 {
        return Err(NodeError::field(field, "is empty"));
    }
    at_most(field, len, most)
}

/// How many rows a page has.
const fn rows(asked: u32) -> u32 {
    if asked == 0 || asked > PAGE_ROWS {
        PAGE_ROWS
    } else {
        asked
    }
}
