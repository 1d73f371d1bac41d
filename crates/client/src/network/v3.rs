//! The v3 generation: one server, `IdentityApi` and `MlsApi`.

pub(super) mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_conversation::{ContentType, GroupMessageHeader};
use folkmoot_identity::{ContractCheck, Identifier};
use folkmoot_wire::{
    COMMIT_ORIGINATOR, GroupId, InboxId, InstallationKey,
    proto::xmtp::{
        identity::{
            api::v1::{self as identity, identity_api_client::IdentityApiClient},
            associations::{IdentifierKind, RecoverableEd25519Signature},
        },
        mls::api::v1::{self as mls, mls_api_client::MlsApiClient},
    },
};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};

use super::{
    CommitLogEntry, ContractAnswer, Cursor, GroupEnvelope, IdentityEntry, IdentityLog, Network,
    NetworkError, NetworkOptions, Newest, OutgoingCommitLogEntry, OutgoingMessage, Page,
    Subscription, Topics, V3_MESSAGES, V3_WELCOMES, Welcome, WelcomeContent, WelcomeEnvelope,
    batch::batches,
    connection::{Connection, MOST_BYTES, Repeat, Service},
    counts::{CallCount, Counts},
    link, v3_group_id,
};

/// Inboxes in one question for their logs.
const INBOXES_AT_ONCE: usize = 50;
/// Questions that are under way together.
const QUESTIONS_AT_ONCE: usize = 4;
/// Installations in one question for their key packages.
const KEY_PACKAGES_AT_ONCE: usize = 1000;
/// Groups in one question for their newest messages.
const GROUPS_AT_ONCE: usize = 1000;
/// Welcomes in one request.
const WELCOMES_AT_ONCE: usize = 50;
/// Messages in one request.
const MESSAGES_AT_ONCE: usize = 1000;
/// Commit log entries that a server takes, and questions for them that it answers, at once.
const LOG_ENTRIES_AT_ONCE: usize = 10;
const LOGS_AT_ONCE: usize = 20;
/// Most rows in a page.
const PAGE: usize = 100;
/// The largest id that is believed: a node that numbers one envelope in each microsecond comes to it
/// after nine years.
const LARGEST_ID: u64 = 1 << 48;

/// A v3 node.
pub(super) struct V3 {
    connection: Arc<Connection>,
    counts: Arc<Counts>,
    wire: Arc<wire::V3Wire>,
}

impl V3 {
    pub(super) fn new(url: &str, options: &NetworkOptions) -> Result<Self, NetworkError> {
        let counts = Arc::default();
        let connection = Arc::new(Connection::new(url, options, false, &counts)?);
        let wire = Arc::new(wire::V3Wire::new(
            Arc::clone(&connection),
            options.plain_streams,
        ));
        Ok(Self {
            connection,
            counts,
            wire,
        })
    }
}

impl V3 {
    /// The key packages of some installations, in their order.
    async fn key_packages_of(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<Option<Bytes>>, NetworkError> {
        const CALL: &str = "MlsApi/FetchKeyPackages";
        let keys = installations.iter();
        let request = mls::FetchKeyPackagesRequest {
            installation_keys: keys
                .map(|key| Bytes::copy_from_slice(key.as_bytes()))
                .collect(),
        };
        let call = |service| {
            let request = request.clone();
            async move { mls_client(service).fetch_key_packages(request).await }
        };
        let answer = match self.connection.call(CALL, Repeat::Safe, call).await {
            Err(error) if error.is_too_large() && installations.len() > 1 => {
                let (some, others) = installations.split_at(installations.len() / 2);
                let mut packages = Box::pin(self.key_packages_of(some)).await?;
                packages.extend(Box::pin(self.key_packages_of(others)).await?);
                return Ok(packages);
            }
            answer => answer?,
        };
        let count = answer.key_packages.len();
        expect_count(CALL, "key_packages", installations.len(), count)?;
        let packages = answer.key_packages.into_iter();
        Ok(packages
            .map(|one| some(one.key_package_tls_serialized))
            .collect())
    }

    /// The logs of a few inboxes, in their order.
    async fn identity_logs(
        &self,
        wanted: &[(InboxId, u64)],
    ) -> Result<Vec<IdentityLog>, NetworkError> {
        const CALL: &str = "IdentityApi/GetIdentityUpdates";
        let requests = wanted.iter().map(|(inbox, sequence_id)| {
            identity::get_identity_updates_request::Request {
                inbox_id: inbox.to_string(),
                sequence_id: *sequence_id,
            }
        });
        let request = identity::GetIdentityUpdatesRequest {
            requests: requests.collect(),
        };
        let call = |service| {
            let request = request.clone();
            async move { identity_client(service).get_identity_updates(request).await }
        };
        let answer = match self.connection.call(CALL, Repeat::Safe, call).await {
            Err(error) if error.is_too_large() && wanted.len() > 1 => {
                let (some, others) = wanted.split_at(wanted.len() / 2);
                let mut logs = Box::pin(self.identity_logs(some)).await?;
                logs.extend(Box::pin(self.identity_logs(others)).await?);
                return Ok(logs);
            }
            // This one alone: it says nothing about the others.
            Err(error) if error.is_too_large() => return Ok(vec![Err(error)]),
            answer => answer?,
        };
        expect_count(CALL, "responses", wanted.len(), answer.responses.len())?;
        let logs = wanted.iter().zip(answer.responses);
        let logs = logs.map(|((inbox, after), log)| identity_log(CALL, inbox, *after, log));
        Ok(logs.collect())
    }

    /// A page of a log, of at most `limit` rows: fewer, if so many are more than an answer holds.
    async fn page<T, F>(
        &self,
        call: &'static str,
        limit: usize,
        ask: impl Fn(Service, usize) -> F,
    ) -> Result<T, NetworkError>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let mut limit = limit.clamp(1, PAGE);
        loop {
            let answer = self
                .connection
                .call(call, Repeat::Safe, |service| ask(service, limit));
            match answer.await {
                Err(error) if error.is_too_large() && limit > 1 => limit /= 2,
                answer => return answer,
            }
        }
    }
}

/// A client of `MlsApi` with the network's limits.
fn mls_client(service: Service) -> MlsApiClient<Service> {
    MlsApiClient::new(service)
        .max_decoding_message_size(MOST_BYTES)
        .max_encoding_message_size(MOST_BYTES)
}

/// A client of `IdentityApi` with the network's limits.
pub(super) fn identity_client(service: Service) -> IdentityApiClient<Service> {
    IdentityApiClient::new(service)
        .max_decoding_message_size(MOST_BYTES)
        .max_encoding_message_size(MOST_BYTES)
}

#[async_trait]
impl Network for V3 {
    fn address(&self) -> &str {
        self.connection.address()
    }

    fn calls(&self) -> BTreeMap<&'static str, CallCount> {
        self.counts.read()
    }

    fn clear_calls(&self) {
        self.counts.clear();
    }

    async fn inbox_ids(
        &self,
        identifiers: &[Identifier],
    ) -> Result<Vec<Option<InboxId>>, NetworkError> {
        const CALL: &str = "IdentityApi/GetInboxIds";
        let requests =
            identifiers
                .iter()
                .map(|identifier| identity::get_inbox_ids_request::Request {
                    identifier: identifier.to_string(),
                    identifier_kind: identifier_kind(identifier).into(),
                });
        let request = identity::GetInboxIdsRequest {
            requests: requests.collect(),
        };
        let call = |service| {
            let request = request.clone();
            async move { identity_client(service).get_inbox_ids(request).await }
        };
        let answer = self.connection.call(CALL, Repeat::Safe, call).await?;
        let answers = answer.responses.into_iter().map(|one| one.inbox_id);
        parse_inboxes(CALL, identifiers.len(), answers)
    }

    async fn identity_updates(
        &self,
        wanted: &[(InboxId, u64)],
    ) -> Result<Vec<IdentityLog>, NetworkError> {
        let questions = wanted.chunks(INBOXES_AT_ONCE);
        let questions = questions.map(|chunk| self.identity_logs(chunk).boxed());
        let logs = in_order(questions.collect()).await?;
        Ok(logs.into_iter().flatten().collect())
    }

    async fn publish_identity_update(
        &self,
        _: &InboxId,
        update: Bytes,
    ) -> Result<(), NetworkError> {
        let request = identity::PublishIdentityUpdateRequest {
            identity_update: update,
        };
        let call = |service| {
            let request = request.clone();
            async move {
                identity_client(service)
                    .publish_identity_update(request)
                    .await
            }
        };
        let call = self
            .connection
            .call("IdentityApi/PublishIdentityUpdate", Repeat::Never, call);
        call.await.map(drop)
    }

    async fn verify_contract_signatures(
        &self,
        checks: &[ContractCheck],
    ) -> Result<Vec<ContractAnswer>, NetworkError> {
        verify_contract_signatures(&self.connection, checks).await
    }

    async fn upload_key_package(
        &self,
        _: &InstallationKey,
        key_package: Bytes,
    ) -> Result<(), NetworkError> {
        let request = mls::UploadKeyPackageRequest {
            key_package: Some(mls::KeyPackageUpload {
                key_package_tls_serialized: key_package,
            }),
            is_inbox_id_credential: true,
        };
        let call = |service| {
            let request = request.clone();
            async move { mls_client(service).upload_key_package(request).await }
        };
        self.connection
            .call("MlsApi/UploadKeyPackage", Repeat::Safe, call)
            .await
    }

    async fn key_packages(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<Option<Bytes>>, NetworkError> {
        let mut found = Vec::with_capacity(installations.len());
        for chunk in installations.chunks(KEY_PACKAGES_AT_ONCE) {
            found.extend(self.key_packages_of(chunk).await?);
        }
        Ok(found)
    }

    async fn publish_group_messages(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<(), NetworkError> {
        let size = |one: &OutgoingMessage| one.data.len() + one.sender_hmac.len() + 16;
        for batch in batches(messages, MESSAGES_AT_ONCE, size) {
            let request = mls::SendGroupMessagesRequest {
                messages: batch.into_iter().map(group_message_input).collect(),
            };
            let call = |service| {
                let request = request.clone();
                async move { mls_client(service).send_group_messages(request).await }
            };
            self.connection
                .call("MlsApi/SendGroupMessages", Repeat::Safe, call)
                .await?;
        }
        Ok(())
    }

    async fn group_messages(
        &self,
        group: &GroupId,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<GroupEnvelope>, NetworkError> {
        const CALL: &str = "MlsApi/QueryGroupMessages";
        let ask = |service, limit| {
            let request = mls::QueryGroupMessagesRequest {
                group_id: Bytes::copy_from_slice(group.as_bytes()),
                paging_info: Some(ascending(v3_group_id(after), limit)),
            };
            async move { mls_client(service).query_group_messages(request).await }
        };
        let answer = self.page(CALL, limit, ask).await?;
        let more = has_more(answer.paging_info);
        let mut envelopes = Vec::with_capacity(answer.messages.len());
        let mut last = v3_group_id(after);
        for message in answer.messages {
            let Some(envelope) = readable(group_envelope(message), CALL)? else {
                continue;
            };
            if envelope.group_id != *group {
                return Err(bad(CALL, "group_id", "it is another group's"));
            }
            if envelope.sequence <= last {
                return Err(bad(CALL, "id", "ids do not ascend"));
            }
            last = envelope.sequence;
            envelopes.push(envelope);
        }
        Ok(Page { envelopes, more })
    }

    async fn newest_group_messages(
        &self,
        groups: &[GroupId],
    ) -> Result<Vec<Option<Newest>>, NetworkError> {
        const CALL: &str = "MlsApi/GetNewestGroupMessage";
        let mut found = Vec::with_capacity(groups.len());
        for chunk in groups.chunks(GROUPS_AT_ONCE) {
            let ids = chunk
                .iter()
                .map(|group| Bytes::copy_from_slice(group.as_bytes()));
            let request = mls::GetNewestGroupMessageRequest {
                group_ids: ids.collect(),
                include_content: false,
            };
            let call = |service| {
                let request = request.clone();
                async move { mls_client(service).get_newest_group_message(request).await }
            };
            let answer = self.connection.call(CALL, Repeat::Safe, call).await?;
            expect_count(CALL, "responses", chunk.len(), answer.responses.len())?;
            found.extend(answer.responses.into_iter().map(|one| {
                let mls::group_message::Version::V1(newest) = one.group_message?.version?;
                Some(Newest {
                    originator: if newest.is_commit {
                        COMMIT_ORIGINATOR
                    } else {
                        V3_MESSAGES
                    },
                    sequence: newest.id,
                    created_ns: newest.created_ns,
                })
            }));
        }
        Ok(found)
    }

    async fn publish_welcomes(&self, welcomes: Vec<Welcome>) -> Result<(), NetworkError> {
        for batch in batches(welcomes, WELCOMES_AT_ONCE, welcome_bytes) {
            let request = mls::SendWelcomeMessagesRequest {
                messages: batch.into_iter().map(welcome_input).collect(),
            };
            let call = |service| {
                let request = request.clone();
                async move { mls_client(service).send_welcome_messages(request).await }
            };
            self.connection
                .call("MlsApi/SendWelcomeMessages", Repeat::Safe, call)
                .await?;
        }
        Ok(())
    }

    async fn welcomes(
        &self,
        destination: &InstallationKey,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<WelcomeEnvelope>, NetworkError> {
        const CALL: &str = "MlsApi/QueryWelcomeMessages";
        let mut last = after.last_seen(V3_WELCOMES);
        let ask = |service, limit| {
            let request = mls::QueryWelcomeMessagesRequest {
                installation_key: Bytes::copy_from_slice(destination.as_bytes()),
                paging_info: Some(ascending(last, limit)),
            };
            async move { mls_client(service).query_welcome_messages(request).await }
        };
        let answer = self.page(CALL, limit, ask).await?;
        let more = has_more(answer.paging_info);
        let mut envelopes = Vec::with_capacity(answer.messages.len());
        for message in answer.messages {
            let Some(envelope) = readable(welcome_envelope(message), CALL)? else {
                continue;
            };
            if envelope.welcome.destination != *destination {
                return Err(bad(CALL, "installation_key", "it is another one's"));
            }
            if envelope.sequence <= last {
                return Err(bad(CALL, "id", "ids do not ascend"));
            }
            last = envelope.sequence;
            envelopes.push(envelope);
        }
        Ok(Page { envelopes, more })
    }

    fn subscribe(&self, topics: Topics) -> Subscription {
        let wire = Arc::clone(&self.wire);
        Subscription::start(|feed| link::run(wire, topics, feed))
    }

    async fn publish_commit_log(
        &self,
        entries: Vec<OutgoingCommitLogEntry>,
    ) -> Result<(), NetworkError> {
        let size = |one: &OutgoingCommitLogEntry| one.entry.len() + 256;
        for batch in batches(entries, LOG_ENTRIES_AT_ONCE, size) {
            let requests = batch.into_iter().map(|one| mls::PublishCommitLogRequest {
                group_id: Bytes::copy_from_slice(one.group_id.as_bytes()),
                serialized_commit_log_entry: one.entry,
                signature: Some(RecoverableEd25519Signature {
                    bytes: one.signature,
                    public_key: one.public_key,
                }),
            });
            let request = mls::BatchPublishCommitLogRequest {
                requests: requests.collect(),
            };
            let call = |service| {
                let request = request.clone();
                async move { mls_client(service).batch_publish_commit_log(request).await }
            };
            self.connection
                .call("MlsApi/BatchPublishCommitLog", Repeat::Never, call)
                .await?;
        }
        Ok(())
    }

    async fn commit_log(
        &self,
        wanted: &[(GroupId, u64)],
        limit: usize,
    ) -> Result<Vec<Vec<CommitLogEntry>>, NetworkError> {
        const CALL: &str = "MlsApi/BatchQueryCommitLog";
        let mut found = Vec::with_capacity(wanted.len());
        for chunk in wanted.chunks(LOGS_AT_ONCE) {
            let requests = chunk
                .iter()
                .map(|(group, after)| mls::QueryCommitLogRequest {
                    group_id: Bytes::copy_from_slice(group.as_bytes()),
                    paging_info: Some(ascending(*after, limit.clamp(1, PAGE))),
                });
            let request = mls::BatchQueryCommitLogRequest {
                requests: requests.collect(),
            };
            let call = |service| {
                let request = request.clone();
                async move { mls_client(service).batch_query_commit_log(request).await }
            };
            let answer = self.connection.call(CALL, Repeat::Safe, call).await?;
            expect_count(CALL, "responses", chunk.len(), answer.responses.len())?;
            for ((group, _), log) in chunk.iter().zip(answer.responses) {
                if log.group_id != group.as_bytes() {
                    return Err(bad(CALL, "group_id", "it is another group's"));
                }
                let entries = log.commit_log_entries.into_iter().map(|one| {
                    let signature = one.signature.unwrap_or_default();
                    CommitLogEntry {
                        sequence: one.sequence_id,
                        entry: one.serialized_commit_log_entry,
                        signature: signature.bytes,
                        public_key: signature.public_key,
                    }
                });
                found.push(entries.collect());
            }
        }
        Ok(found)
    }
}

/// Asks the node's chains about contract wallets. Shared with d14n, whose services lack it.
pub(super) async fn verify_contract_signatures(
    connection: &Connection,
    checks: &[ContractCheck],
) -> Result<Vec<ContractAnswer>, NetworkError> {
    const CALL: &str = "IdentityApi/VerifySmartContractWalletSignatures";
    let signatures =
        checks.iter().map(
            |check| identity::VerifySmartContractWalletSignatureRequestSignature {
                account_id: format!("eip155:{}:0x{}", check.chain_id, hex::encode(check.address)),
                block_number: check.block,
                signature: check.signature.clone().into(),
                hash: Bytes::copy_from_slice(&check.hash),
            },
        );
    let request = identity::VerifySmartContractWalletSignaturesRequest {
        signatures: signatures.collect(),
    };
    let call = |service| {
        let request = request.clone();
        async move {
            identity_client(service)
                .verify_smart_contract_wallet_signatures(request)
                .await
        }
    };
    let answer = connection.call(CALL, Repeat::Safe, call).await?;
    expect_count(CALL, "responses", checks.len(), answer.responses.len())?;
    let answers = answer.responses.into_iter().map(|one| ContractAnswer {
        verdict: match one.error {
            Some(error) if !one.is_valid && !error.is_empty() => Err(error),
            _ => Ok(one.is_valid),
        },
        block: one.block_number,
    });
    Ok(answers.collect())
}

/// The number of an identifier's kind.
pub(super) const fn identifier_kind(identifier: &Identifier) -> IdentifierKind {
    match identifier {
        Identifier::Ethereum(_) => IdentifierKind::Ethereum,
        Identifier::Passkey(_) => IdentifierKind::Passkey,
    }
}

/// The inbox ids of an answer to a question for `count` identifiers.
pub(super) fn parse_inboxes(
    call: &'static str,
    count: usize,
    answers: impl ExactSizeIterator<Item = Option<String>>,
) -> Result<Vec<Option<InboxId>>, NetworkError> {
    expect_count(call, "responses", count, answers.len())?;
    let parse = |answer: Option<String>| {
        let inbox = answer.filter(|text| !text.is_empty());
        let inbox = inbox.map(|text| text.parse()).transpose();
        inbox.map_err(|cause| bad(call, "inbox_id", cause))
    };
    answers.map(parse).collect()
}

/// One inbox's part of an answer.
fn identity_log(
    call: &'static str,
    inbox: &InboxId,
    after: u64,
    log: identity::get_identity_updates_response::Response,
) -> Result<Vec<IdentityEntry>, NetworkError> {
    if log.inbox_id != inbox.to_string() {
        return Err(bad(call, "inbox_id", "it is another inbox"));
    }
    let mut last = after;
    let mut entries = Vec::with_capacity(log.updates.len());
    for entry in log.updates {
        if entry.sequence_id <= last {
            return Err(bad(call, "sequence_id", "sequence ids do not ascend"));
        }
        last = entry.sequence_id;
        entries.push(IdentityEntry {
            sequence: entry.sequence_id,
            created_ns: entry.server_timestamp_ns,
            update: entry.update,
        });
    }
    Ok(entries)
}

/// A message as it is published, in both generations.
pub(super) fn group_message_input(message: OutgoingMessage) -> mls::GroupMessageInput {
    let v1 = mls::group_message_input::V1 {
        data: message.data,
        sender_hmac: message.sender_hmac,
        should_push: message.should_push,
    };
    mls::GroupMessageInput {
        version: Some(mls::group_message_input::Version::V1(v1)),
    }
}

/// A welcome as it is published, in both generations.
pub(super) fn welcome_input(welcome: Welcome) -> mls::WelcomeMessageInput {
    use mls::welcome_message_input::{V1, Version, WelcomePointer};
    let installation_key = Bytes::copy_from_slice(welcome.destination.as_bytes());
    let version = match welcome.content {
        WelcomeContent::Welcome {
            data,
            hpke_public_key,
            wrapper_algorithm,
            metadata,
        } => Version::V1(V1 {
            installation_key,
            data,
            hpke_public_key,
            wrapper_algorithm,
            welcome_metadata: metadata,
        }),
        WelcomeContent::Pointer {
            data,
            hpke_public_key,
            wrapper_algorithm,
        } => Version::WelcomePointer(WelcomePointer {
            installation_key,
            welcome_pointer: data,
            hpke_public_key,
            wrapper_algorithm,
        }),
    };
    mls::WelcomeMessageInput {
        version: Some(version),
    }
}

/// About how many bytes a welcome takes in a request.
pub(super) fn welcome_bytes(welcome: &Welcome) -> usize {
    let content = match &welcome.content {
        WelcomeContent::Welcome {
            data,
            hpke_public_key,
            metadata,
            ..
        } => data.len() + hpke_public_key.len() + metadata.len(),
        WelcomeContent::Pointer {
            data,
            hpke_public_key,
            ..
        } => data.len() + hpke_public_key.len(),
    };
    content + 96
}

/// What is wrong with a part of an answer; the call is named by who made it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) cause: String,
}

impl Wrong {
    pub(super) fn new(field: &'static str, cause: impl ToString) -> Self {
        Self {
            field,
            cause: cause.to_string(),
        }
    }

    /// Whether the number is wrong under which an envelope stands. Passing over it would mean to
    /// pass over what stands there in truth.
    pub(super) fn is_about_place(&self) -> bool {
        self.field == "id"
    }

    pub(super) fn of(self, call: &'static str) -> NetworkError {
        NetworkError::Answer {
            call,
            field: self.field,
            cause: self.cause,
        }
    }
}

/// The id of an envelope, if it can be one.
///
/// Ids of a node are one series. One far beyond it would be taken for the place to go on reading
/// from, and whatever the node numbers properly afterwards would never be asked for.
fn possible_id(id: u64) -> Result<u64, Wrong> {
    if id > LARGEST_ID {
        return Err(Wrong::new(
            "id",
            format!("{id} is no number that a node has come to"),
        ));
    }
    Ok(id)
}

/// An envelope of a page. What is none is left out, unless it would stand where nothing can stand.
fn readable<T>(envelope: Result<T, Wrong>, call: &'static str) -> Result<Option<T>, NetworkError> {
    match envelope {
        Ok(envelope) => Ok(Some(envelope)),
        Err(wrong) if wrong.is_about_place() => Err(wrong.of(call)),
        Err(wrong) => {
            wire::skip(wrong);
            Ok(None)
        }
    }
}

/// A message as a v3 node gives it.
pub(super) fn group_envelope(message: mls::GroupMessage) -> Result<GroupEnvelope, Wrong> {
    let Some(mls::group_message::Version::V1(message)) = message.version else {
        return Err(Wrong::new("version", "it is missing or unknown"));
    };
    let group_id =
        GroupId::try_from(&message.group_id[..]).map_err(|cause| Wrong::new("group_id", cause))?;
    let is_commit = is_commit(&message.data).unwrap_or(message.is_commit);
    Ok(GroupEnvelope {
        group_id,
        originator: if is_commit {
            COMMIT_ORIGINATOR
        } else {
            V3_MESSAGES
        },
        sequence: possible_id(message.id)?,
        created_ns: message.created_ns,
        data: message.data,
        sender_hmac: message.sender_hmac,
        should_push: message.should_push,
        is_commit,
        depends_on: Cursor::new(),
    })
}

/// A welcome as a v3 node gives it.
pub(super) fn welcome_envelope(message: mls::WelcomeMessage) -> Result<WelcomeEnvelope, Wrong> {
    use mls::welcome_message::Version;
    let (sequence, created_ns, key, content) = match message.version {
        Some(Version::V1(one)) => (
            one.id,
            one.created_ns,
            one.installation_key,
            WelcomeContent::Welcome {
                data: one.data,
                hpke_public_key: one.hpke_public_key,
                wrapper_algorithm: one.wrapper_algorithm,
                metadata: one.welcome_metadata,
            },
        ),
        Some(Version::WelcomePointer(one)) => (
            one.id,
            one.created_ns,
            one.installation_key,
            WelcomeContent::Pointer {
                data: one.welcome_pointer,
                hpke_public_key: one.hpke_public_key,
                wrapper_algorithm: one.wrapper_algorithm,
            },
        ),
        None => return Err(Wrong::new("version", "it is missing or unknown")),
    };
    let destination = InstallationKey::try_from(&key[..])
        .map_err(|cause| Wrong::new("installation_key", cause))?;
    Ok(WelcomeEnvelope {
        originator: V3_WELCOMES,
        sequence: possible_id(sequence)?,
        created_ns,
        welcome: Welcome {
            destination,
            content,
        },
    })
}

/// Whether a message is framed as a commit; `None` for what is no MLS message.
pub(super) fn is_commit(data: &[u8]) -> Option<bool> {
    let header = GroupMessageHeader::parse(data).ok()?;
    Some(header.content == ContentType::Commit)
}

fn ascending(id_cursor: u64, limit: usize) -> mls::PagingInfo {
    mls::PagingInfo {
        direction: mls::SortDirection::Ascending.into(),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        id_cursor,
    }
}

fn has_more(paging: Option<mls::PagingInfo>) -> bool {
    paging.is_some_and(|paging| paging.id_cursor != 0)
}

/// Nodes say "none" by an empty value.
fn some(bytes: Bytes) -> Option<Bytes> {
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

pub(super) fn bad(call: &'static str, field: &'static str, cause: impl ToString) -> NetworkError {
    Wrong::new(field, cause).of(call)
}

pub(super) fn expect_count(
    call: &'static str,
    field: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), NetworkError> {
    if expected == found {
        return Ok(());
    }
    Err(bad(
        call,
        field,
        format!("{found} answers to {expected} questions"),
    ))
}

/// Runs a few questions at a time and gives the answers in order.
pub(super) async fn in_order<T>(
    questions: Vec<BoxFuture<'_, Result<T, NetworkError>>>,
) -> Result<Vec<T>, NetworkError> {
    stream::iter(questions)
        .buffered(QUESTIONS_AT_ONCE)
        .try_collect()
        .await
}
