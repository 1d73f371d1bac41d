//! `ValidationApi`: the node's stateless checks, offered to others.

use folkmoot_conversation::{GroupMessageHeader, KeyPackageIn};
use folkmoot_identity::{AssociationState, IdentityUpdate, Rules};
use folkmoot_wire::proto::xmtp::{
    identity::{
        MlsCredential,
        api::v1::{
            VerifySmartContractWalletSignaturesRequest, VerifySmartContractWalletSignaturesResponse,
        },
        associations as proto,
    },
    mls_validation::v1::{
        GetAssociationStateRequest, GetAssociationStateResponse, ValidateGroupMessagesRequest,
        ValidateGroupMessagesResponse, ValidateInboxIdKeyPackagesRequest,
        ValidateInboxIdKeyPackagesResponse, validate_group_messages_response,
        validate_inbox_id_key_packages_response, validation_api_server::ValidationApi,
    },
};
use std::time::SystemTime;
use tonic::{Request, Response, Status};

use crate::{
    Node, NodeError,
    identity::{MOST_UPDATES, contract_checks},
    v3::{identity::at_most, verify_contract_signatures},
};

/// Most messages or key packages in one request.
const MOST_ITEMS: usize = 1000;

pub(crate) struct Validation(pub(crate) Node);

#[tonic::async_trait]
impl ValidationApi for Validation {
    async fn validate_group_messages(
        &self,
        request: Request<ValidateGroupMessagesRequest>,
    ) -> Result<Response<ValidateGroupMessagesResponse>, Status> {
        use validate_group_messages_response::ValidationResponse;

        let messages = request.into_inner().group_messages;
        at_most("group_messages", messages.len(), MOST_ITEMS)?;
        let responses = messages
            .iter()
            .map(|message| {
                match GroupMessageHeader::parse(&message.group_message_bytes_tls_serialized) {
                    Ok(header) => ValidationResponse {
                        is_ok: true,
                        error_message: String::new(),
                        group_id: hex::encode(&header.group_id),
                        is_commit: header.content.is_commit_or_proposal(),
                    },
                    Err(cause) => ValidationResponse {
                        error_message: cause.to_string(),
                        ..ValidationResponse::default()
                    },
                }
            })
            .collect();
        Ok(Response::new(ValidateGroupMessagesResponse { responses }))
    }

    async fn get_association_state(
        &self,
        request: Request<GetAssociationStateRequest>,
    ) -> Result<Response<GetAssociationStateResponse>, Status> {
        let request = request.into_inner();
        at_most("old_updates", request.old_updates.len(), MOST_UPDATES)?;
        at_most("new_updates", request.new_updates.len(), MOST_UPDATES)?;
        let old = self
            .replay("old_updates", None, request.old_updates)
            .await?;
        let new = self
            .replay("new_updates", old.clone(), request.new_updates)
            .await?;
        let Some(new) = new else {
            return Err(NodeError::field("new_updates", "is empty, and so is old_updates").into());
        };
        let diff = AssociationState::diff(old.as_ref(), &new);
        Ok(Response::new(GetAssociationStateResponse {
            association_state: Some(new.to_proto()),
            state_diff: Some(diff.to_proto()),
        }))
    }

    async fn validate_inbox_id_key_packages(
        &self,
        request: Request<ValidateInboxIdKeyPackagesRequest>,
    ) -> Result<Response<ValidateInboxIdKeyPackagesResponse>, Status> {
        use validate_inbox_id_key_packages_response::Response as Answer;

        let packages = request.into_inner().key_packages;
        at_most("key_packages", packages.len(), MOST_ITEMS)?;
        let responses = packages
            .iter()
            .map(|package| {
                let verified = KeyPackageIn::decode(&package.key_package_bytes_tls_serialized)
                    .and_then(|package| package.verify(SystemTime::now()));
                match verified {
                    Ok(package) => Answer {
                        is_ok: true,
                        credential: Some(MlsCredential {
                            inbox_id: package.inbox_id.to_string(),
                        }),
                        installation_public_key: package
                            .installation_key
                            .as_bytes()
                            .to_vec()
                            .into(),
                        ..Answer::default()
                    },
                    Err(cause) => Answer {
                        error_message: cause.to_string(),
                        ..Answer::default()
                    },
                }
            })
            .collect();
        Ok(Response::new(ValidateInboxIdKeyPackagesResponse {
            responses,
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

impl Validation {
    /// Applies updates to a state, exactly as clients would.
    async fn replay(
        &self,
        field: &str,
        mut state: Option<AssociationState>,
        updates: Vec<proto::IdentityUpdate>,
    ) -> Result<Option<AssociationState>, NodeError> {
        for (at, update) in updates.into_iter().enumerate() {
            let field = || format!("{field}[{at}]");
            let update = IdentityUpdate::from_proto(update).map_err(|cause| NodeError::Update {
                field: field(),
                cause,
            })?;
            let checks = contract_checks(&update).map_err(|error| error.within(&field()))?;
            let verdicts = self.0.inner.identity.ask_contracts(checks).await;
            let next = update.verify(&verdicts).and_then(|verified| {
                AssociationState::apply(state.as_ref(), &verified, Rules::Libxmtp)
            });
            state = Some(next.map_err(|cause| NodeError::Association {
                field: field(),
                cause,
            })?);
        }
        Ok(state)
    }
}
