//! The services of the v3 network, one file each.

mod identity;
mod message;
mod migration;
mod mls;
mod validation;

pub(crate) use identity::{at_most, verify_contract_signatures};

use folkmoot_wire::proto::xmtp::{
    identity::api::v1::identity_api_server::IdentityApiServer,
    message_api::v1::message_api_server::MessageApiServer,
    migration::api::v1::d14n_migration_api_server::D14nMigrationApiServer,
    mls::api::v1::mls_api_server::MlsApiServer,
    mls_validation::v1::validation_api_server::ValidationApiServer,
};
use tonic::{codec::CompressionEncoding::Gzip, service::RoutesBuilder};

use crate::Node;

/// Adds the v3 services to `routes`.
pub(crate) fn add(node: &Node, routes: &mut RoutesBuilder) {
    let most = node.inner.config.max_message_bytes;
    routes
        .add_service(
            MlsApiServer::new(mls::Mls(node.clone()))
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            IdentityApiServer::new(identity::Identity(node.clone()))
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            MessageApiServer::new(message::Push(node.clone()))
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            ValidationApiServer::new(validation::Validation(node.clone()))
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(D14nMigrationApiServer::new(migration::Migration));
}
