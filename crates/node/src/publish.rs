//! From what clients publish to drafts for the log, through the stateless checks.

use std::time::SystemTime;

use bytes::Bytes;
use folkmoot_conversation::{GroupMessageHeader, KeyPackageIn};
use folkmoot_store::{AddressChange, Draft, Fingerprint, Form, Placed, StoreError};
use folkmoot_wire::{
    COMMIT_ORIGINATOR, IDENTITY_ORIGINATOR, InboxId, InstallationKey, Topic, TopicKind,
    proto::xmtp::mls::api::v1::{
        GroupMessageInput, KeyPackageUpload, WelcomeMessageInput, WelcomePointerWrapperAlgorithm,
        WelcomeWrapperAlgorithm, group_message_input, welcome_message_input,
    },
};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{
    Node, NodeError,
    identity::{Candidate, Prepared},
};

/// How often a request is tried again after another update for one of its inboxes came first.
const IDENTITY_ATTEMPTS: usize = 8;

/// Something to publish.
#[derive(Debug)]
pub(crate) enum Entry {
    /// An identity update, which has to fit its inbox.
    Update {
        /// The path of what holds it in the request; empty for the request itself.
        within: String,
        update: Bytes,
        /// How `payload` is encoded.
        form: Form,
        /// What the log keeps.
        payload: Bytes,
    },
    /// Something that passed all checks.
    Ready(Draft),
}

impl Entry {
    const fn is_update(&self) -> bool {
        matches!(self, Self::Update { .. })
    }

    fn candidate(&self) -> Option<Candidate<'_>> {
        match self {
            Self::Update { within, update, .. } => Some(Candidate { within, update }),
            Self::Ready(_) => None,
        }
    }
}

impl Node {
    /// Appends all drafts, or none of them.
    pub(crate) async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Placed>, NodeError> {
        Ok(self.inner.store.append(drafts).await?)
    }

    /// Appends all entries in order, or none of them. Identity updates are checked against their
    /// inboxes' logs first, each as those before it leave its inbox.
    pub(crate) async fn publish(
        &self,
        entries: &[Entry],
    ) -> Result<Vec<(Draft, Placed)>, NodeError> {
        let candidates: Vec<_> = entries.iter().filter_map(Entry::candidate).collect();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let prepared = self.inner.identity.prepare(&candidates).await?;
            let drafts = drafts(entries, &prepared);
            match self.inner.store.append(drafts.clone()).await {
                Ok(placed) => {
                    let stored: Vec<_> = drafts.into_iter().zip(placed).collect();
                    let updates = entries
                        .iter()
                        .zip(&stored)
                        .filter(|(entry, _)| entry.is_update());
                    for (prepared, (_, (_, placed))) in prepared.into_iter().zip(updates) {
                        self.inner.identity.appended(prepared, placed.id);
                    }
                    return Ok(stored);
                }
                Err(StoreError::Conflict { .. }) if attempts < IDENTITY_ATTEMPTS => {}
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    /// The draft of a group message.
    pub(crate) fn group_message(&self, input: GroupMessageInput) -> Result<Draft, NodeError> {
        let Some(group_message_input::Version::V1(message)) = input.version else {
            return Err(NodeError::field("v1", "is missing"));
        };
        self.check_size("v1.data", &message.data)?;
        let header =
            GroupMessageHeader::parse(&message.data).map_err(|cause| NodeError::Framing {
                field: "v1.data".to_owned(),
                cause,
            })?;
        let topic = Topic::new(TopicKind::GroupMessages, &header.group_id).map_err(|cause| {
            NodeError::Topic {
                field: "v1.data".to_owned(),
                cause,
            }
        })?;
        let is_commit = header.content.is_commit_or_proposal();
        Ok(Draft {
            fingerprint: Some(fingerprint(0, &message.data)),
            sender_hmac: message.sender_hmac,
            should_push: message.should_push,
            is_commit,
            ..Draft::new(topic, self.originator(is_commit), message.data)
        })
    }

    /// The draft of a welcome, or of a pointer to one.
    pub(crate) fn welcome_message(&self, input: &WelcomeMessageInput) -> Result<Draft, NodeError> {
        let (topic, fingerprint) = match &input.version {
            Some(welcome_message_input::Version::V1(welcome)) => {
                let topic = welcome_topic("v1.installation_key", &welcome.installation_key)?;
                required("v1.data", &welcome.data)?;
                if welcome.wrapper_algorithm() != WelcomeWrapperAlgorithm::SymmetricKey {
                    required("v1.hpke_public_key", &welcome.hpke_public_key)?;
                }
                (topic, fingerprint(1, &welcome.data))
            }
            Some(welcome_message_input::Version::WelcomePointer(pointer)) => {
                let topic = welcome_topic(
                    "welcome_pointer.installation_key",
                    &pointer.installation_key,
                )?;
                required("welcome_pointer.welcome_pointer", &pointer.welcome_pointer)?;
                required("welcome_pointer.hpke_public_key", &pointer.hpke_public_key)?;
                let xwing = WelcomePointerWrapperAlgorithm::XwingMlkem768Draft6 as i32;
                if pointer.wrapper_algorithm != xwing {
                    return Err(NodeError::field(
                        "welcome_pointer.wrapper_algorithm",
                        format!(
                            "is {}; pointers are wrapped with {xwing}",
                            pointer.wrapper_algorithm
                        ),
                    ));
                }
                (topic, fingerprint(2, &pointer.welcome_pointer))
            }
            None => {
                return Err(NodeError::field(
                    "version",
                    "is missing; set v1 or welcome_pointer",
                ));
            }
        };
        let payload: Bytes = input.encode_to_vec().into();
        self.check_size("version", &payload)?;
        Ok(Draft {
            fingerprint: Some(fingerprint),
            ..Draft::new(topic, self.inner.config.node_id, payload)
        })
    }

    /// The draft of a key package, and the installation that it belongs to.
    pub(crate) fn key_package(
        &self,
        upload: Option<KeyPackageUpload>,
    ) -> Result<(Draft, InstallationKey), NodeError> {
        let Some(upload) = upload else {
            return Err(NodeError::field("key_package", "is missing"));
        };
        let bytes = upload.key_package_tls_serialized;
        let field = "key_package.key_package_tls_serialized";
        self.check_size(field, &bytes)?;
        let package = KeyPackageIn::decode(&bytes)
            .and_then(|package| package.verify(SystemTime::now()))
            .map_err(|cause| NodeError::KeyPackage {
                field: field.to_owned(),
                cause,
            })?;
        let installation = InstallationKey::from_bytes(*package.installation_key.as_bytes());
        let draft = Draft::new(
            Topic::key_package(&installation),
            self.inner.config.node_id,
            bytes,
        );
        Ok((draft, installation))
    }

    /// Who numbers a group message.
    pub(crate) fn originator(&self, is_commit: bool) -> u32 {
        if is_commit {
            COMMIT_ORIGINATOR
        } else {
            self.inner.config.node_id
        }
    }

    /// Refuses an envelope that no answer could carry.
    pub(crate) fn check_size(&self, field: &str, bytes: &[u8]) -> Result<(), NodeError> {
        let most = self.inner.config.max_envelope_bytes;
        if bytes.len() > most {
            return Err(NodeError::field(
                field,
                format!("has {} bytes; the most is {most}", bytes.len()),
            ));
        }
        Ok(())
    }
}

/// What makes two envelopes of a topic the same; `domain` keeps kinds of payload apart.
fn fingerprint(domain: u8, bytes: &[u8]) -> Fingerprint {
    let digest = Sha256::new()
        .chain_update([domain])
        .chain_update(bytes)
        .finalize();
    digest[..16].try_into().expect("a digest has 32 bytes")
}

/// The entries as drafts; `prepared` are the updates among them, in order.
fn drafts(entries: &[Entry], prepared: &[Prepared]) -> Vec<Draft> {
    let mut prepared = prepared.iter();
    let draft = |entry: &Entry| match entry {
        Entry::Ready(draft) => draft.clone(),
        Entry::Update { form, payload, .. } => {
            let prepared = prepared.next().expect("each update was prepared");
            let topic = Topic::identity(&prepared.inbox);
            Draft {
                form: *form,
                expected_newest: prepared.expected_newest,
                addresses: prepared.addresses.clone(),
                inbox: Some(prepared.inbox),
                ..Draft::new(topic, IDENTITY_ORIGINATOR, payload.clone())
            }
        }
    };
    entries.iter().map(draft).collect()
}

fn welcome_topic(field: &str, installation_key: &[u8]) -> Result<Topic, NodeError> {
    required(field, installation_key)?;
    Topic::new(TopicKind::WelcomeMessages, installation_key).map_err(|cause| NodeError::Topic {
        field: field.to_owned(),
        cause,
    })
}

/// Refuses an empty byte field.
pub(crate) fn required(field: &str, bytes: &[u8]) -> Result<(), NodeError> {
    if bytes.is_empty() {
        return Err(NodeError::field(field, "is missing or empty"));
    }
    Ok(())
}

/// The inbox id in a field.
pub(crate) fn inbox_id(field: &str, text: &str) -> Result<InboxId, NodeError> {
    text.parse()
        .map_err(|cause| NodeError::field(field, format!("{cause}, not {:?}", shortened(text))))
}

/// At most 80 characters of what somebody sent, for an error message.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What an identity update changes in the address index.
pub(crate) type AddressChanges = Vec<AddressChange>;
