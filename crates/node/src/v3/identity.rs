//! `IdentityApi`: inbox logs, and which inbox an address belongs to.

use bytes::Bytes;
use folkmoot_identity::ContractCheck;
use folkmoot_store::{Address, AddressKind, Form, Order, Page};
use folkmoot_wire::{
    Topic,
    proto::xmtp::identity::{
        api::v1::{
            GetIdentityUpdatesRequest, GetIdentityUpdatesResponse, GetInboxIdsRequest,
            GetInboxIdsResponse, PublishIdentityUpdateRequest, PublishIdentityUpdateResponse,
            VerifySmartContractWalletSignatureRequestSignature as Question,
            VerifySmartContractWalletSignaturesRequest,
            VerifySmartContractWalletSignaturesResponse,
            get_identity_updates_response::{self, IdentityUpdateLog},
            get_inbox_ids_response,
            identity_api_server::IdentityApi,
            verify_smart_contract_wallet_signatures_response::ValidationResponse,
        },
        associations::IdentifierKind,
    },
};
use tonic::{Request, Response, Status};

use crate::{
    Node, NodeError, envelope,
    identity::MOST_UPDATES,
    publish::{Entry, inbox_id, required, shortened},
};

/// Most inboxes, addresses or signatures in one request; clients send 50.
const MOST_REQUESTS: usize = 10_000;
/// Most contract questions in one request: each costs a round trip to a chain.
const MOST_QUESTIONS: usize = 100;

pub(crate) struct Identity(pub(crate) Node);

#[tonic::async_trait]
impl IdentityApi for Identity {
    async fn publish_identity_update(
        &self,
        request: Request<PublishIdentityUpdateRequest>,
    ) -> Result<Response<PublishIdentityUpdateResponse>, Status> {
        let update = request.into_inner().identity_update;
        required("identity_update", &update)?;
        self.0.check_size("identity_update", &update)?;
        let entry = Entry::Update {
            within: String::new(),
            payload: update.clone(),
            form: Form::V3,
            update,
        };
        self.0.publish(&[entry]).await?;
        Ok(Response::new(PublishIdentityUpdateResponse {}))
    }

    async fn get_identity_updates(
        &self,
        request: Request<GetIdentityUpdatesRequest>,
    ) -> Result<Response<GetIdentityUpdatesResponse>, Status> {
        let requests = request.into_inner().requests;
        at_most("requests", requests.len(), MOST_REQUESTS)?;
        let mut responses = Vec::with_capacity(requests.len());
        let mut left = self.0.inner.config.max_page_bytes;
        for (at, request) in requests.into_iter().enumerate() {
            let inbox = inbox_id(&format!("requests[{at}].inbox_id"), &request.inbox_id)?;
            let updates = self.updates(&inbox, request.sequence_id).await?;
            let size: usize = updates.iter().map(log_bytes).sum();
            left = left.checked_sub(size).ok_or_else(|| {
                NodeError::TooMuch(format!(
                    "the answer would pass {} bytes at requests[{at}]; ask for fewer inboxes",
                    self.0.inner.config.max_page_bytes
                ))
            })?;
            responses.push(get_identity_updates_response::Response {
                inbox_id: request.inbox_id,
                updates,
            });
        }
        Ok(Response::new(GetIdentityUpdatesResponse { responses }))
    }

    async fn get_inbox_ids(
        &self,
        request: Request<GetInboxIdsRequest>,
    ) -> Result<Response<GetInboxIdsResponse>, Status> {
        let requests = request.into_inner().requests;
        at_most("requests", requests.len(), MOST_REQUESTS)?;
        let asked = requests
            .into_iter()
            .map(|request| (request.identifier, request.identifier_kind))
            .collect();
        let responses = self.0.inboxes(asked).await?.into_iter();
        Ok(Response::new(GetInboxIdsResponse {
            responses: responses
                .map(|found| get_inbox_ids_response::Response {
                    identifier: found.identifier,
                    inbox_id: found.inbox_id,
                    identifier_kind: found.kind as i32,
                })
                .collect(),
        }))
    }

    async fn verify_smart_contract_wallet_signatures(
        &self,
        request: Request<VerifySmartContractWalletSignaturesRequest>,
    ) -> Result<Response<VerifySmartContractWalletSignaturesResponse>, Status> {
        verify_contract_signatures(&self.0, request.into_inner())
            .await
            .map(Response::new)
    }
}

impl Identity {
    async fn updates(
        &self,
        inbox: &folkmoot_wire::InboxId,
        after: u64,
    ) -> Result<Vec<IdentityUpdateLog>, NodeError> {
        let page = Page {
            envelopes: MOST_UPDATES,
            bytes: usize::MAX,
        };
        let topic = Topic::identity(inbox);
        let envelopes = self
            .0
            .inner
            .store
            .page(&topic, after, Order::Ascending, page)
            .await?;
        envelopes
            .iter()
            .map(|envelope| {
                Ok(IdentityUpdateLog {
                    sequence_id: envelope.id,
                    server_timestamp_ns: envelope.time_ns,
                    update: envelope::identity_update(envelope)?,
                })
            })
            .collect()
    }
}

/// The answer to one address.
pub(crate) struct InboxOf {
    pub(crate) identifier: String,
    pub(crate) inbox_id: Option<String>,
    pub(crate) kind: IdentifierKind,
}

impl Node {
    /// The inbox of each address and kind number, in the order asked. Both generations use it.
    pub(crate) async fn inboxes(
        &self,
        asked: Vec<(String, i32)>,
    ) -> Result<Vec<InboxOf>, NodeError> {
        let mut addresses = Vec::with_capacity(asked.len());
        for (at, (identifier, kind)) in asked.into_iter().enumerate() {
            let kind = match IdentifierKind::try_from(kind) {
                Ok(IdentifierKind::Unspecified | IdentifierKind::Ethereum) => AddressKind::Ethereum,
                Ok(IdentifierKind::Passkey) => AddressKind::Passkey,
                Err(_) => {
                    return Err(NodeError::field(
                        format!("requests[{at}].identifier_kind"),
                        format!("{kind} is unknown; use 1 (Ethereum) or 2 (passkey)"),
                    ));
                }
            };
            if identifier.is_empty() || identifier.len() > 1024 {
                return Err(NodeError::field(
                    format!("requests[{at}].identifier"),
                    format!("has {} bytes; it has 1 to 1024", identifier.len()),
                ));
            }
            addresses.push(Address {
                kind,
                text: identifier,
            });
        }
        let inboxes = self.inner.store.inboxes(&addresses).await?;
        Ok(addresses
            .into_iter()
            .zip(inboxes)
            .map(|(address, inbox)| InboxOf {
                identifier: address.text,
                inbox_id: inbox.map(|inbox| inbox.to_string()),
                kind: match address.kind {
                    AddressKind::Ethereum => IdentifierKind::Ethereum,
                    AddressKind::Passkey => IdentifierKind::Passkey,
                },
            })
            .collect())
    }
}

/// Answers questions to contract wallets, each for itself: a failure is an answer too.
pub(crate) async fn verify_contract_signatures(
    node: &Node,
    request: VerifySmartContractWalletSignaturesRequest,
) -> Result<VerifySmartContractWalletSignaturesResponse, Status> {
    at_most("signatures", request.signatures.len(), MOST_QUESTIONS)?;
    let answers = request
        .signatures
        .iter()
        .map(|question| async { answer(node, question).await });
    Ok(VerifySmartContractWalletSignaturesResponse {
        responses: futures::future::join_all(answers).await,
    })
}

async fn answer(node: &Node, question: &Question) -> ValidationResponse {
    let refused = |error: String| ValidationResponse {
        is_valid: false,
        block_number: None,
        error: Some(error),
    };
    let hash: &Bytes = &question.hash;
    let check = ContractCheck::parse(
        &question.account_id,
        hash,
        &question.signature,
        question.block_number,
    );
    let check = match check {
        Ok(check) => check,
        Err(cause) => {
            return refused(format!(
                "account_id {:?}: {cause}",
                shortened(&question.account_id)
            ));
        }
    };
    match node.inner.contracts.verify(&check).await {
        Ok(verdict) => ValidationResponse {
            is_valid: verdict.valid,
            block_number: Some(verdict.block),
            error: None,
        },
        Err(cause) => refused(cause.to_string()),
    }
}

/// Refuses a list that is longer than `most`.
pub(crate) fn at_most(field: &str, len: usize, most: usize) -> Result<(), NodeError> {
    if len > most {
        return Err(NodeError::field(
            field,
            format!("has {len} entries; the most is {most}"),
        ));
    }
    Ok(())
}

fn log_bytes(log: &IdentityUpdateLog) -> usize {
    log.update.len() + 32
}
