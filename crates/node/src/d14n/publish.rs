//! From client and payer envelopes to drafts for the log, through the same checks as v3 has.
//!
//! Both doors give a message the same fingerprint, so what was published through one is a
//! duplicate at the other. The log keeps the envelope's bytes as they came.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_identity::IdentityUpdate;
use folkmoot_store::{Draft, Envelope, Form, Order, Page, Placed};
use folkmoot_wire::{
    Topic, TopicKind, VectorClock,
    proto::xmtp::xmtpv4::envelopes::{
        AuthenticatedData, ClientEnvelope, Cursor, OriginatorEnvelope, PayerEnvelope,
        client_envelope::Payload,
    },
};
use prost::Message;

use crate::{
    NodeError,
    d14n::{D14n, clock, fields::topic},
    envelope::is_of_chain,
    publish::{Entry, inbox_id},
    sign::payer_of,
    v3::at_most,
};

/// Most envelopes of one publish.
const MOST_ENVELOPES: usize = 1000;
/// Bytes that an answer adds to an envelope, at most.
const ANSWER_BYTES: usize = 512;
/// Originators from here on are nodes, which nothing may depend on.
const FIRST_NODE: u32 = 100;
/// For how many days a payer may want an envelope to be kept, unless it is for ever.
const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 2..=365;
/// "For ever", in days.
const NO_EXPIRY: u32 = u32::MAX;
/// Bytes of a group id and of an inbox id in the topics that the chain numbers.
const GROUP_ID: usize = 16;

impl D14n {
    /// Publishes what clients made, as a whole or not at all, and answers with it in signed form,
    /// in the same order.
    pub(super) async fn publish_client_envelopes(
        &self,
        envelopes: Vec<Bytes>,
    ) -> Result<Vec<OriginatorEnvelope>, NodeError> {
        self.check_sizes("envelopes", &envelopes)?;
        let mut entries = Vec::with_capacity(envelopes.len());
        for (at, envelope) in envelopes.into_iter().enumerate() {
            let within = format!("envelopes[{at}]");
            let size = envelope.len();
            let checked = self.check_client_envelope(envelope).await;
            let checked = checked.and_then(|entry| self.check_chain_payload(entry, size));
            let mut entry = checked.map_err(|error| error.within(&within))?;
            if let Entry::Update { within: place, .. } = &mut entry {
                *place = within;
            }
            entries.push(entry);
        }
        self.publish(&entries).await
    }

    /// Publishes what payers signed for this node, as a whole or not at all.
    pub(super) async fn publish_payer_envelopes(
        &self,
        envelopes: Vec<Bytes>,
    ) -> Result<Vec<OriginatorEnvelope>, NodeError> {
        if envelopes.is_empty() {
            return Err(NodeError::field("payer_envelopes", "is empty"));
        }
        self.check_sizes("payer_envelopes", &envelopes)?;
        let mut entries = Vec::with_capacity(envelopes.len());
        let mut payers = Vec::with_capacity(1);
        for (at, envelope) in envelopes.into_iter().enumerate() {
            let one = self.check_payer_envelope(envelope).await;
            let (draft, payer) =
                one.map_err(|error| error.within(&format!("payer_envelopes[{at}]")))?;
            if !payers.is_empty() && !payers.contains(&payer) {
                return Err(NodeError::field(
                    format!("payer_envelopes[{at}].payer_signature"),
                    "is of another payer than the first; one request has one payer",
                ));
            }
            payers.push(payer);
            entries.push(Entry::Ready(draft));
        }
        self.publish(&entries).await
    }

    fn check_sizes(&self, field: &str, envelopes: &[Bytes]) -> Result<(), NodeError> {
        at_most(field, envelopes.len(), MOST_ENVELOPES)?;
        let together: usize = envelopes.iter().map(|one| one.len() + ANSWER_BYTES).sum();
        let most = self.node.inner.config.max_message_bytes;
        if together > most && envelopes.len() > 1 {
            return Err(NodeError::field(
                field,
                format!("would be answered with {together} bytes; the most is {most}"),
            ));
        }
        Ok(())
    }

    /// Refuses what no chain would take of what belongs there: an entry of so many bytes.
    fn check_chain_payload(&self, entry: Entry, size: usize) -> Result<Entry, NodeError> {
        let most = self.node.inner.config.max_chain_payload_bytes;
        let is_of_chain = match &entry {
            Entry::Update { .. } => true,
            Entry::Ready(draft) => is_of_chain(draft.originator),
        };
        if is_of_chain && size > most {
            return Err(NodeError::field(
                "payload",
                format!(
                    "makes an envelope of {size} bytes; with a commit, a proposal or an identity \
                     update it has at most {most}"
                ),
            ));
        }
        Ok(entry)
    }

    async fn check_payer_envelope(&self, bytes: Bytes) -> Result<(Draft, [u8; 20]), NodeError> {
        self.node.check_size("", &bytes)?;
        let payer_envelope =
            PayerEnvelope::decode(bytes.clone()).map_err(|cause| NodeError::Protobuf {
                field: String::new(),
                cause,
            })?;
        let node_id = self.node.inner.config.node_id;
        if payer_envelope.target_originator != node_id {
            return Err(NodeError::field(
                "target_originator",
                format!(
                    "is {}; this node is {node_id}",
                    payer_envelope.target_originator
                ),
            ));
        }
        let days = payer_envelope.message_retention_days;
        if days != NO_EXPIRY && !RETENTION_DAYS.contains(&days) {
            return Err(NodeError::field(
                "message_retention_days",
                format!("is {days}; it is 2 to 365, or {NO_EXPIRY} for ever"),
            ));
        }
        let client = payer_envelope.unsigned_client_envelope;
        let payer = payer_envelope
            .payer_signature
            .and_then(|signature| payer_of(node_id, &client, &signature.bytes))
            .ok_or_else(|| {
                NodeError::field(
                    "payer_signature",
                    "is missing, or names no payer: 65 bytes r, s, v with v 0 or 1",
                )
            })?;
        let within = |error: NodeError| error.within("unsigned_client_envelope");
        match self.check_client_envelope(client).await.map_err(within)? {
            Entry::Ready(draft) if !is_of_chain(draft.originator) => {
                let draft = Draft {
                    form: Form::Payer,
                    payload: bytes,
                    ..draft
                };
                Ok((draft, payer))
            }
            _ => Err(NodeError::field(
                "unsigned_client_envelope",
                "is a commit, a proposal or an identity update; publish it through the gateway",
            )),
        }
    }

    async fn check_client_envelope(&self, bytes: Bytes) -> Result<Entry, NodeError> {
        self.node.check_size("", &bytes)?;
        let client =
            ClientEnvelope::decode(bytes.clone()).map_err(|cause| NodeError::Protobuf {
                field: String::new(),
                cause,
            })?;
        let Some(AuthenticatedData {
            target_topic,
            depends_on,
        }) = client.aad
        else {
            return Err(NodeError::field("aad", "is missing"));
        };
        let target = topic("aad.target_topic", target_topic)?;
        let Some(payload) = client.payload else {
            return Err(NodeError::field("payload", "is missing"));
        };
        same_kind(&target, &payload)?;
        let draft = match payload {
            Payload::IdentityUpdate(update) => {
                check_inbox(&target, &update)?;
                return Ok(Entry::Update {
                    within: String::new(),
                    update,
                    form: Form::Client,
                    payload: bytes,
                });
            }
            Payload::GroupMessage(input) => self
                .node
                .group_message(input)
                .map_err(|error| error.within("group_message"))?,
            Payload::WelcomeMessage(input) => self
                .node
                .welcome_message(&input)
                .map_err(|error| error.within("welcome_message"))?,
            Payload::UploadKeyPackage(upload) => {
                let checked = self.node.key_package(upload.key_package);
                checked
                    .map_err(|error| error.within("upload_key_package"))?
                    .0
            }
            Payload::PayerReport(_) | Payload::PayerReportAttestation(_) => {
                return Err(NodeError::field(
                    "payload",
                    "is a payer report or its attestation, which only nodes publish",
                ));
            }
        };
        if draft.topic != target {
            return Err(NodeError::field(
                "aad.target_topic",
                format!(
                    "is not the topic of the payload, which is 0x{}",
                    hex::encode(draft.topic.as_bytes())
                ),
            ));
        }
        if draft.is_commit {
            identifier_length(&target, GROUP_ID)?;
        } else {
            self.check_depends_on(depends_on.unwrap_or_default())
                .await?;
        }
        Ok(Entry::Ready(Draft {
            form: Form::Client,
            payload: bytes,
            // The envelope has it.
            sender_hmac: Bytes::new(),
            ..draft
        }))
    }

    /// Readers hold an envelope back until they have what it depends on, so that must exist.
    async fn check_depends_on(&self, depends_on: Cursor) -> Result<(), NodeError> {
        let depends_on: VectorClock = clock("aad.depends_on", depends_on)?;
        for (originator, sequence) in depends_on.iter() {
            if originator >= FIRST_NODE {
                return Err(NodeError::field(
                    "aad.depends_on",
                    format!("names node {originator}; only originators below {FIRST_NODE} may be"),
                ));
            }
            if !self.seen.has(&self.node, originator, sequence).await? {
                return Err(NodeError::field(
                    "aad.depends_on",
                    format!(
                        "names sequence {sequence} of originator {originator}, which is not here"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Appends the entries as a whole and answers with what the log has for them.
    async fn publish(&self, entries: &[Entry]) -> Result<Vec<OriginatorEnvelope>, NodeError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut stored = Vec::with_capacity(entries.len());
        for (draft, placed) in self.node.publish(entries).await? {
            stored.push(self.stored(draft, placed).await?);
        }
        self.node.inner.signer.signed(&stored).await
    }

    /// What the log has where a draft went: a duplicate may have come in another form.
    async fn stored(&self, draft: Draft, placed: Placed) -> Result<Arc<Envelope>, NodeError> {
        if placed.duplicate {
            let one = Page {
                envelopes: 1,
                bytes: 0,
            };
            let before = placed.id.saturating_sub(1);
            let found = self
                .node
                .inner
                .store
                .page(&draft.topic, before, Order::Ascending, one)
                .await?;
            let found = found.into_iter().find(|found| found.id == placed.id);
            return found.map(Arc::new).ok_or(NodeError::Stored(placed.id));
        }
        Ok(Arc::new(Envelope {
            id: placed.id,
            originator: draft.originator,
            sequence: placed.id,
            topic: draft.topic,
            time_ns: placed.time_ns,
            form: draft.form,
            payload: draft.payload,
            sender_hmac: draft.sender_hmac,
            should_push: draft.should_push,
            is_commit: draft.is_commit,
            // Only what came through v3 is wrapped, and needs it.
            previous_commit: 0,
        }))
    }
}

/// Refuses a payload that belongs under topics of another kind.
fn same_kind(target: &Topic, payload: &Payload) -> Result<(), NodeError> {
    let (field, kind) = match payload {
        Payload::GroupMessage(_) => ("group_message", TopicKind::GroupMessages),
        Payload::WelcomeMessage(_) => ("welcome_message", TopicKind::WelcomeMessages),
        Payload::IdentityUpdate(_) => ("identity_update", TopicKind::IdentityUpdates),
        Payload::UploadKeyPackage(_) => ("upload_key_package", TopicKind::KeyPackages),
        Payload::PayerReport(_) => ("payer_report", TopicKind::PayerReports),
        Payload::PayerReportAttestation(_) => (
            "payer_report_attestation",
            TopicKind::PayerReportAttestations,
        ),
    };
    if target.kind() == kind {
        return Ok(());
    }
    Err(NodeError::field(
        "aad.target_topic",
        format!(
            "is of kind {}; the payload is {field}, which belongs to kind {}",
            target.kind() as u8,
            kind as u8
        ),
    ))
}

/// Refuses an identity update whose topic is not that of its inbox.
fn check_inbox(target: &Topic, update: &[u8]) -> Result<(), NodeError> {
    identifier_length(target, 32)?;
    let update = IdentityUpdate::decode(update).map_err(refused_update)?;
    let inbox = inbox_id("identity_update.inbox_id", update.inbox_id())?;
    if *target == Topic::identity(&inbox) {
        return Ok(());
    }
    Err(NodeError::field(
        "aad.target_topic",
        format!("is not the topic of inbox {inbox}, which the payload is about"),
    ))
}

fn refused_update(cause: folkmoot_identity::DecodeError) -> NodeError {
    NodeError::Update {
        field: "identity_update".to_owned(),
        cause,
    }
}

fn identifier_length(target: &Topic, length: usize) -> Result<(), NodeError> {
    let found = target.identifier().len();
    if found == length {
        return Ok(());
    }
    Err(NodeError::field(
        "aad.target_topic",
        format!("has an identifier of {found} bytes; here it has {length}"),
    ))
}
