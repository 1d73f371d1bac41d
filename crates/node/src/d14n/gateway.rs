//! The gateway, which publishes for clients and tells them the nodes: `PayerApi` for shipped
//! clients, `GatewayApi` for later ones.

use folkmoot_wire::proto::xmtp::xmtpv4::{
    gateway_api::{self, gateway_api_server::GatewayApi},
    payer_api::{self, payer_api_server::PayerApi},
};
use tonic::{Request, Response, Status};

use crate::d14n::D14n;

#[tonic::async_trait]
impl PayerApi for D14n {
    async fn publish_client_envelopes(
        &self,
        request: Request<payer_api::PublishClientEnvelopesRequest>,
    ) -> Result<Response<payer_api::PublishClientEnvelopesResponse>, Status> {
        let envelopes = request.into_inner().envelopes;
        let originator_envelopes = Self::publish_client_envelopes(self, envelopes).await?;
        Ok(Response::new(payer_api::PublishClientEnvelopesResponse {
            originator_envelopes,
        }))
    }

    async fn get_nodes(
        &self,
        _: Request<payer_api::GetNodesRequest>,
    ) -> Result<Response<payer_api::GetNodesResponse>, Status> {
        let nodes = self.node.inner.config.nodes.clone().into_iter().collect();
        Ok(Response::new(payer_api::GetNodesResponse { nodes }))
    }
}

#[tonic::async_trait]
impl GatewayApi for D14n {
    async fn publish_client_envelopes(
        &self,
        request: Request<gateway_api::PublishClientEnvelopesRequest>,
    ) -> Result<Response<gateway_api::PublishClientEnvelopesResponse>, Status> {
        let envelopes = request.into_inner().envelopes;
        let originator_envelopes = Self::publish_client_envelopes(self, envelopes).await?;
        Ok(Response::new(gateway_api::PublishClientEnvelopesResponse {
            originator_envelopes,
        }))
    }

    async fn get_nodes(
        &self,
        _: Request<gateway_api::GetNodesRequest>,
    ) -> Result<Response<gateway_api::GetNodesResponse>, Status> {
        let nodes = self.node.inner.config.nodes.clone().into_iter().collect();
        Ok(Response::new(gateway_api::GetNodesResponse { nodes }))
    }
}
