//! The services of the decentralised network, under the names that shipped clients use and the
//! newer ones.
//!
//! They answer from the same log as v3 does. There is no chain: the originators that the
//! network fills from chain contracts (0 for commits, 1 for identity updates) are numbered
//! here, and this node signs them like its own.

mod fields;
mod gateway;
mod metadata;
mod notification;
mod publish;
mod query;
mod replication;
mod seen;
mod streams;

pub(crate) use fields::clock;

use std::sync::Arc;

use folkmoot_wire::proto::xmtp::xmtpv4::{
    gateway_api::gateway_api_server::GatewayApiServer,
    message_api::{
        notification_api_server::NotificationApiServer, publish_api_server::PublishApiServer,
        query_api_server::QueryApiServer, replication_api_server::ReplicationApiServer,
    },
    metadata_api::metadata_api_server::MetadataApiServer,
    payer_api::payer_api_server::PayerApiServer,
};
use tonic::{codec::CompressionEncoding::Gzip, service::RoutesBuilder};

use crate::{Node, d14n::seen::Seen};

/// What all services of this generation share.
#[derive(Clone)]
struct D14n {
    node: Node,
    seen: Arc<Seen>,
}

/// Adds the d14n services to `routes`.
pub(crate) fn add(node: &Node, routes: &mut RoutesBuilder) {
    let most = node.inner.config.max_message_bytes;
    let d14n = D14n {
        node: node.clone(),
        seen: Arc::default(),
    };
    routes
        .add_service(
            PayerApiServer::new(d14n.clone())
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            GatewayApiServer::new(d14n.clone())
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            ReplicationApiServer::new(d14n.clone())
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            QueryApiServer::new(d14n.clone())
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            PublishApiServer::new(d14n.clone())
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            NotificationApiServer::new(d14n.clone())
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        )
        .add_service(
            MetadataApiServer::new(d14n)
                .accept_compressed(Gzip)
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
        );
}
