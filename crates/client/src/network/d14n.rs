//! The d14n generation: a gateway that takes what is published, and nodes to read from.
//!
//! The names of the services are those that shipped clients call (`PayerApi`, `ReplicationApi`);
//! servers of every age have them.

mod envelope;
mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_identity::{ContractCheck, Identifier};
use folkmoot_wire::{
    GroupId, IDENTITY_ORIGINATOR, InboxId, InstallationKey, Topic, TopicKind,
    proto::xmtp::{
        mls::api::v1 as mls,
        xmtpv4::{
            envelopes::{AuthenticatedData, ClientEnvelope, client_envelope::Payload},
            message_api::{
                self, EnvelopesQuery, QueryEnvelopesRequest,
                replication_api_client::ReplicationApiClient,
            },
            payer_api::{self, payer_api_client::PayerApiClient},
        },
    },
};
use futures::{FutureExt, future::select_ok};
use prost::Message;
use tokio::sync::Mutex;
use tonic::Status;

pub(super) use self::envelope::Opened;
use super::{
    CommitLogEntry, ContractAnswer, Cursor, GroupEnvelope, IdentityEntry, IdentityLog, Network,
    NetworkError, NetworkOptions, Newest, OutgoingCommitLogEntry, OutgoingMessage, Page,
    Subscription, Topics, Welcome, WelcomeEnvelope,
    batch::batches,
    connection::{Connection, MOST_BYTES, Repeat, Service},
    counts::{CallCount, Counts},
    link::{self, welcome_topic},
    v3::{self, bad, expect_count, in_order, wire::skip},
};

/// Rows that a node gives at once.
const PAGE: u32 = 1000;
/// What a gateway hands on to a chain: commits, proposals and identity updates (network section 6).
const MAX_COMMIT_BYTES: usize = 200_000;
/// Bytes of a page above which it may have been cut short.
const CUT_BYTES: usize = 8 << 20;
/// Rows and bytes of a group that are held at once.
const MOST_ROWS: usize = 20_000;
const MOST_HELD_BYTES: usize = 64 << 20;
/// Topics of one question: for logs, for newest envelopes.
const INBOXES_AT_ONCE: usize = 50;
const NEWEST_AT_ONCE: usize = 100;
/// Envelopes in one request.
const ENVELOPES_AT_ONCE: usize = 500;
/// Identifiers in one question.
const IDENTIFIERS_AT_ONCE: usize = 1000;

/// A d14n network, seen through a gateway and the node that answered first.
pub(super) struct D14n {
    gateway: Connection,
    nodes: Arc<Nodes>,
    counts: Arc<Counts>,
}

/// The choice of a node.
struct Nodes {
    gateway: Connection,
    options: NetworkOptions,
    chosen: Mutex<Option<Arc<Connection>>>,
    counts: Arc<Counts>,
}

impl D14n {
    pub(super) fn new(url: &str, options: &NetworkOptions) -> Result<Self, NetworkError> {
        let counts = Arc::default();
        Ok(Self {
            gateway: Connection::new(url, options, true, &counts)?,
            nodes: Arc::new(Nodes {
                gateway: Connection::new(url, options, true, &counts)?,
                options: options.clone(),
                chosen: Mutex::default(),
                counts: Arc::clone(&counts),
            }),
            counts,
        })
    }

    /// Publishes envelopes through the gateway. Servers do not tell copies apart, so what may have
    /// arrived is not sent again.
    async fn publish(
        &self,
        repeat: Repeat,
        envelopes: Vec<ClientEnvelope>,
    ) -> Result<(), NetworkError> {
        let encoded = envelopes.iter().map(|one| Bytes::from(one.encode_to_vec()));
        for batch in batches(encoded.collect(), ENVELOPES_AT_ONCE, |one| one.len() + 8) {
            let request = payer_api::PublishClientEnvelopesRequest { envelopes: batch };
            let call = |service| {
                let request = request.clone();
                async move {
                    gateway_client(service)
                        .publish_client_envelopes(request)
                        .await
                }
            };
            self.gateway
                .call("PayerApi/PublishClientEnvelopes", repeat, call)
                .await?;
        }
        Ok(())
    }

    /// Asks the chosen node. A node that went away is given up for another one.
    async fn ask<T, F>(
        &self,
        call: &'static str,
        attempt: impl FnMut(Service) -> F + Send,
    ) -> Result<T, NetworkError>
    where
        T: Send,
        F: Future<Output = Result<tonic::Response<T>, Status>> + Send,
    {
        let node = self.nodes.choose().await?;
        let answer = node.call(call, Repeat::Safe, attempt).await;
        if let Err(NetworkError::Unreachable { .. } | NetworkError::TimedOut { .. }) = &answer {
            self.nodes.give_up(&node).await;
        }
        answer
    }

    /// A page of what `seen` has not seen of `topics`, and how many rows it had with those that do
    /// not even say where they stand: they are left out.
    async fn page(
        &self,
        topics: Vec<Bytes>,
        seen: &Cursor,
        limit: u32,
    ) -> Result<(Vec<Opened>, usize), NetworkError> {
        const CALL: &str = "ReplicationApi/QueryEnvelopes";
        let request = QueryEnvelopesRequest {
            query: Some(EnvelopesQuery {
                topics,
                originator_node_ids: Vec::new(),
                last_seen: Some(seen.into()),
            }),
            limit,
        };
        let call = |service| {
            let request = request.clone();
            async move { node_client(service).query_envelopes(request).await }
        };
        let answer = self.ask(CALL, call).await?;
        let rows = answer.envelopes.len();
        let opened = answer.envelopes.into_iter().map(Opened::open);
        let readable = opened.filter_map(|one| one.map_err(skip).ok());
        Ok((readable.collect(), rows))
    }

    /// All that `seen` has not seen of `topics`, up to a bound; and whether the bound cut it.
    async fn pages(
        &self,
        topics: Vec<Bytes>,
        seen: &Cursor,
    ) -> Result<(Vec<Opened>, bool), NetworkError> {
        let mut seen = seen.clone();
        let mut all: Vec<Opened> = Vec::new();
        let mut held = 0;
        loop {
            let (page, rows) = self.page(topics.clone(), &seen, PAGE).await?;
            let nothing_new = page.is_empty();
            let bytes: usize = page.iter().map(|one| one.bytes).sum();
            for one in &page {
                if one.sequence <= seen.last_seen(one.originator) {
                    let call = "ReplicationApi/QueryEnvelopes";
                    return Err(bad(
                        call,
                        "originator_sequence_id",
                        "sequences do not ascend",
                    ));
                }
                seen.advance(one.originator, one.sequence);
            }
            all.extend(page);
            held += bytes;
            // From where to go on after rows that cannot be read, nobody knows.
            if nothing_new || rows < PAGE as usize && bytes < CUT_BYTES {
                return Ok((all, false));
            }
            if all.len() >= MOST_ROWS || held >= MOST_HELD_BYTES {
                return Ok((all, true));
            }
        }
    }

    /// The newest envelope of each topic, in order.
    async fn newest(&self, topics: Vec<Topic>) -> Result<Vec<Option<Opened>>, NetworkError> {
        let questions = topics.chunks(NEWEST_AT_ONCE);
        let questions = questions.map(|chunk| self.newest_of(chunk).boxed());
        let newest = in_order(questions.collect()).await?;
        Ok(newest.into_iter().flatten().collect())
    }

    /// The newest envelopes of a few topics, in order.
    async fn newest_of(&self, topics: &[Topic]) -> Result<Vec<Option<Opened>>, NetworkError> {
        const CALL: &str = "ReplicationApi/GetNewestEnvelope";
        let names = topics.iter().map(|topic| topic.as_bytes().clone());
        let request = message_api::GetNewestEnvelopeRequest {
            topics: names.collect(),
        };
        let call = |service| {
            let request = request.clone();
            async move { node_client(service).get_newest_envelope(request).await }
        };
        let answer = match self.ask(CALL, call).await {
            Err(error) if error.is_too_large() && topics.len() > 1 => {
                let (some, others) = topics.split_at(topics.len() / 2);
                let mut newest = Box::pin(self.newest_of(some)).await?;
                newest.extend(Box::pin(self.newest_of(others)).await?);
                return Ok(newest);
            }
            answer => answer?,
        };
        expect_count(CALL, "results", topics.len(), answer.results.len())?;
        let envelopes = answer
            .results
            .into_iter()
            .map(|one| one.originator_envelope);
        let opened = envelopes.map(|one| Opened::open(one?).map_err(skip).ok());
        Ok(opened.collect())
    }

    /// What a few inboxes have in their logs after the lowest of the given numbers. A log that is
    /// too long for one answer alone is cut.
    async fn identity_logs(&self, wanted: &[(InboxId, u64)]) -> Result<Vec<Opened>, NetworkError> {
        let topics = wanted
            .iter()
            .map(|(inbox, _)| Topic::identity(inbox).as_bytes().clone());
        let lowest = wanted.iter().map(|(_, after)| *after).min().unwrap_or(0);
        let seen = Cursor::from_iter([(IDENTITY_ORIGINATOR, lowest)]);
        let (found, cut) = self.pages(topics.collect(), &seen).await?;
        if !cut || wanted.len() < 2 {
            return Ok(found);
        }
        // The logs have a few hundred entries each; some of these here are bloated.
        drop(found);
        let (some, others) = wanted.split_at(wanted.len() / 2);
        let mut found = Box::pin(self.identity_logs(some)).await?;
        found.extend(Box::pin(self.identity_logs(others)).await?);
        Ok(found)
    }
}

impl Nodes {
    /// The node to read from: of those that the gateway names, the first that answers.
    async fn choose(&self) -> Result<Arc<Connection>, NetworkError> {
        const CALL: &str = "PayerApi/GetNodes";
        let mut chosen = self.chosen.lock().await;
        if let Some(node) = &*chosen {
            return Ok(Arc::clone(node));
        }
        let call = |service| async move {
            let request = payer_api::GetNodesRequest {};
            gateway_client(service).get_nodes(request).await
        };
        let answer = self.gateway.call(CALL, Repeat::Safe, call).await?;
        let nodes = answer.nodes.values();
        let nodes =
            nodes.filter_map(|url| Connection::new(url, &self.options, false, &self.counts).ok());
        let probes: Vec<_> = nodes.map(|node| probe(Arc::new(node)).boxed()).collect();
        if probes.is_empty() {
            return Err(bad(CALL, "nodes", "it names no node with a usable URL"));
        }
        let (node, _) = select_ok(probes).await?;
        tracing::debug!(node = node.address(), "chose a node");
        Ok(Arc::clone(chosen.insert(node)))
    }

    /// Forgets the choice, if it is still this one.
    async fn give_up(&self, node: &Arc<Connection>) {
        let mut chosen = self.chosen.lock().await;
        if chosen.as_ref().is_some_and(|one| Arc::ptr_eq(one, node)) {
            *chosen = None;
        }
    }
}

/// Finds out whether a node answers, by asking it for nothing.
async fn probe(node: Arc<Connection>) -> Result<Arc<Connection>, NetworkError> {
    let call = |service| async move {
        let nothing = QueryEnvelopesRequest::default();
        node_client(service).query_envelopes(nothing).await
    };
    node.call("ReplicationApi/QueryEnvelopes", Repeat::Safe, call)
        .await?;
    Ok(node)
}

fn gateway_client(service: Service) -> PayerApiClient<Service> {
    PayerApiClient::new(service)
        .max_decoding_message_size(MOST_BYTES)
        .max_encoding_message_size(MOST_BYTES)
}

fn node_client(service: Service) -> ReplicationApiClient<Service> {
    ReplicationApiClient::new(service)
        .max_decoding_message_size(MOST_BYTES)
        .max_encoding_message_size(MOST_BYTES)
}

#[async_trait]
impl Network for D14n {
    fn address(&self) -> &str {
        self.gateway.address()
    }

    fn calls(&self) -> BTreeMap<&'static str, CallCount> {
        self.counts.read()
    }

    fn clear_calls(&self) {
        self.counts.clear();
    }

    fn max_commit_bytes(&self) -> Option<usize> {
        Some(MAX_COMMIT_BYTES)
    }

    async fn inbox_ids(
        &self,
        identifiers: &[Identifier],
    ) -> Result<Vec<Option<InboxId>>, NetworkError> {
        const CALL: &str = "ReplicationApi/GetInboxIds";
        let mut found = Vec::with_capacity(identifiers.len());
        for chunk in identifiers.chunks(IDENTIFIERS_AT_ONCE) {
            let requests =
                chunk
                    .iter()
                    .map(|identifier| message_api::get_inbox_ids_request::Request {
                        identifier: identifier.to_string(),
                        identifier_kind: v3::identifier_kind(identifier).into(),
                    });
            let request = message_api::GetInboxIdsRequest {
                requests: requests.collect(),
            };
            let call = |service| {
                let request = request.clone();
                async move { node_client(service).get_inbox_ids(request).await }
            };
            let answer = self.ask(CALL, call).await?;
            let answers = answer.responses.into_iter().map(|one| one.inbox_id);
            found.extend(v3::parse_inboxes(CALL, chunk.len(), answers)?);
        }
        Ok(found)
    }

    async fn identity_updates(
        &self,
        wanted: &[(InboxId, u64)],
    ) -> Result<Vec<IdentityLog>, NetworkError> {
        // One cursor goes for all topics of a question: those with near cursors ask together.
        let mut sorted = wanted.to_vec();
        sorted.sort_by_key(|(_, after)| *after);
        let questions = sorted.chunks(INBOXES_AT_ONCE);
        let questions = questions.map(|chunk| self.identity_logs(chunk).boxed());
        let mut logs: HashMap<InboxId, Vec<IdentityEntry>> = HashMap::new();
        for one in in_order(questions.collect()).await?.into_iter().flatten() {
            if let Some((inbox, entry)) = one.identity_entry() {
                logs.entry(inbox).or_default().push(entry);
            }
        }
        let log = |(inbox, after): &(InboxId, u64)| {
            let log = logs.get(inbox).into_iter().flatten();
            Ok(log
                .filter(|entry| entry.sequence > *after)
                .cloned()
                .collect())
        };
        Ok(wanted.iter().map(log).collect())
    }

    async fn publish_identity_update(
        &self,
        inbox: &InboxId,
        update: Bytes,
    ) -> Result<(), NetworkError> {
        let topic = Topic::identity(inbox);
        let envelope = envelope(&topic, &Cursor::new(), Payload::IdentityUpdate(update));
        self.publish(Repeat::Never, vec![envelope]).await
    }

    async fn verify_contract_signatures(
        &self,
        checks: &[ContractCheck],
    ) -> Result<Vec<ContractAnswer>, NetworkError> {
        // The services of this generation do not ask chains; nodes that also serve v3 do.
        let node = self.nodes.choose().await?;
        v3::verify_contract_signatures(&node, checks).await
    }

    async fn upload_key_package(
        &self,
        installation: &InstallationKey,
        key_package: Bytes,
    ) -> Result<(), NetworkError> {
        let upload = mls::UploadKeyPackageRequest {
            key_package: Some(mls::KeyPackageUpload {
                key_package_tls_serialized: key_package,
            }),
            is_inbox_id_credential: true,
        };
        let topic = Topic::key_package(installation);
        let envelope = envelope(&topic, &Cursor::new(), Payload::UploadKeyPackage(upload));
        self.publish(Repeat::Safe, vec![envelope]).await
    }

    async fn key_packages(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<Option<Bytes>>, NetworkError> {
        let topics = installations.iter().map(Topic::key_package).collect();
        let newest = self.newest(topics).await?;
        Ok(newest
            .into_iter()
            .map(|one| one.and_then(Opened::key_package))
            .collect())
    }

    async fn publish_group_messages(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<(), NetworkError> {
        let mut envelopes = Vec::with_capacity(messages.len());
        for message in messages {
            let topic = group_topic(&message.group_id)?;
            let depends_on = message.depends_on.clone();
            let payload = Payload::GroupMessage(v3::group_message_input(message));
            envelopes.push(envelope(&topic, &depends_on, payload));
        }
        self.publish(Repeat::Never, envelopes).await
    }

    async fn group_messages(
        &self,
        group: &GroupId,
        after: &Cursor,
        _: usize,
    ) -> Result<Page<GroupEnvelope>, NetworkError> {
        let topic = group_topic(group)?;
        let (found, more) = self.pages(vec![topic.as_bytes().clone()], after).await?;
        let envelopes = found.into_iter().map(|one| one.group_envelope_of(group));
        Ok(Page {
            envelopes: envelope::in_causal_order(envelopes.collect(), after),
            more,
        })
    }

    async fn newest_group_messages(
        &self,
        groups: &[GroupId],
    ) -> Result<Vec<Option<Newest>>, NetworkError> {
        let topics = groups.iter().map(group_topic);
        let newest = self.newest(topics.collect::<Result<_, _>>()?).await?;
        let number = |one: Opened| Newest {
            originator: one.originator,
            sequence: one.sequence,
            created_ns: one.created_ns,
        };
        Ok(newest.into_iter().map(|one| one.map(number)).collect())
    }

    async fn publish_welcomes(&self, welcomes: Vec<Welcome>) -> Result<(), NetworkError> {
        let envelopes = welcomes.into_iter().map(|welcome| {
            let topic = welcome_topic(&welcome.destination);
            let payload = Payload::WelcomeMessage(v3::welcome_input(welcome));
            envelope(&topic, &Cursor::new(), payload)
        });
        self.publish(Repeat::Never, envelopes.collect()).await
    }

    async fn welcomes(
        &self,
        destination: &InstallationKey,
        after: &Cursor,
        _: usize,
    ) -> Result<Page<WelcomeEnvelope>, NetworkError> {
        let topic = welcome_topic(destination);
        let (found, more) = self.pages(vec![topic.as_bytes().clone()], after).await?;
        let envelopes = found.into_iter();
        Ok(Page {
            envelopes: envelopes
                .map(|one| one.welcome_envelope_to(destination))
                .collect(),
            more,
        })
    }

    fn subscribe(&self, topics: Topics) -> Subscription {
        let wire = Arc::new(wire::D14nWire::new(Arc::clone(&self.nodes)));
        Subscription::start(|feed| link::run(wire, topics, feed))
    }

    async fn publish_commit_log(&self, _: Vec<OutgoingCommitLogEntry>) -> Result<(), NetworkError> {
        Err(NetworkError::Unsupported {
            call: "publishing a commit log",
            address: self.address().to_owned(),
        })
    }

    async fn commit_log(
        &self,
        wanted: &[(GroupId, u64)],
        _: usize,
    ) -> Result<Vec<Vec<CommitLogEntry>>, NetworkError> {
        Ok(vec![Vec::new(); wanted.len()])
    }
}

fn envelope(topic: &Topic, depends_on: &Cursor, payload: Payload) -> ClientEnvelope {
    ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic: topic.as_bytes().clone(),
            depends_on: Some(depends_on)
                .filter(|one| !one.is_empty())
                .map(Into::into),
        }),
        payload: Some(payload),
    }
}

fn group_topic(group: &GroupId) -> Result<Topic, NetworkError> {
    let topic = Topic::new(TopicKind::GroupMessages, group.as_bytes());
    topic.map_err(|cause| NetworkError::Refused {
        call: "naming a group's topic",
        cause: cause.to_string(),
    })
}
