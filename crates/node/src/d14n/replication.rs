//! `ReplicationApi`, which every shipped client reads from, and its successors `QueryApi` and
//! `PublishApi`: one set of handlers under several names.

use folkmoot_wire::proto::xmtp::xmtpv4::message_api::{
    GetInboxIdsRequest, GetInboxIdsResponse, GetNewestEnvelopeRequest, GetNewestEnvelopeResponse,
    PublishPayerEnvelopesRequest, PublishPayerEnvelopesResponse, QueryEnvelopesRequest,
    QueryEnvelopesResponse, SubscribeEnvelopesRequest, SubscribeEnvelopesResponse,
    SubscribeOriginatorsRequest, SubscribeOriginatorsResponse, SubscribeRequest, SubscribeResponse,
    SubscribeTopicsRequest, SubscribeTopicsResponse, publish_api_server::PublishApi,
    query_api_server::QueryApi, replication_api_server::ReplicationApi,
};
use tonic::{Request, Response, Status, Streaming};

use crate::{d14n::D14n, subscribe::Answers};

#[tonic::async_trait]
impl ReplicationApi for D14n {
    type SubscribeEnvelopesStream = Answers<SubscribeEnvelopesResponse>;
    type SubscribeTopicsStream = Answers<SubscribeTopicsResponse>;
    type SubscribeOriginatorsStream = Answers<SubscribeOriginatorsResponse>;

    async fn subscribe_envelopes(
        &self,
        request: Request<SubscribeEnvelopesRequest>,
    ) -> Result<Response<Self::SubscribeEnvelopesStream>, Status> {
        let stream = self.follow_query(request.into_inner().query.unwrap_or_default())?;
        Ok(Response::new(stream))
    }

    async fn subscribe_topics(
        &self,
        request: Request<SubscribeTopicsRequest>,
    ) -> Result<Response<Answers<SubscribeTopicsResponse>>, Status> {
        let stream = self.follow_topics(request.into_inner().filters)?;
        Ok(Response::new(stream))
    }

    async fn subscribe_originators(
        &self,
        request: Request<SubscribeOriginatorsRequest>,
    ) -> Result<Response<Self::SubscribeOriginatorsStream>, Status> {
        let stream = self.follow_originators(request.into_inner().filter)?;
        Ok(Response::new(stream))
    }

    async fn query_envelopes(
        &self,
        request: Request<QueryEnvelopesRequest>,
    ) -> Result<Response<QueryEnvelopesResponse>, Status> {
        let envelopes = self.envelopes(request.into_inner()).await?;
        Ok(Response::new(QueryEnvelopesResponse { envelopes }))
    }

    async fn publish_payer_envelopes(
        &self,
        request: Request<PublishPayerEnvelopesRequest>,
    ) -> Result<Response<PublishPayerEnvelopesResponse>, Status> {
        let envelopes = request.into_inner().payer_envelopes;
        let originator_envelopes = Self::publish_payer_envelopes(self, envelopes).await?;
        Ok(Response::new(PublishPayerEnvelopesResponse {
            originator_envelopes,
        }))
    }

    async fn get_inbox_ids(
        &self,
        request: Request<GetInboxIdsRequest>,
    ) -> Result<Response<GetInboxIdsResponse>, Status> {
        Ok(Response::new(self.inbox_ids(request.into_inner()).await?))
    }

    async fn get_newest_envelope(
        &self,
        request: Request<GetNewestEnvelopeRequest>,
    ) -> Result<Response<GetNewestEnvelopeResponse>, Status> {
        let results = self.newest_envelopes(request.into_inner().topics).await?;
        Ok(Response::new(GetNewestEnvelopeResponse { results }))
    }
}

#[tonic::async_trait]
impl QueryApi for D14n {
    type SubscribeTopicsStream = Answers<SubscribeTopicsResponse>;
    type SubscribeStream = Answers<SubscribeResponse>;

    async fn subscribe_topics(
        &self,
        request: Request<SubscribeTopicsRequest>,
    ) -> Result<Response<Answers<SubscribeTopicsResponse>>, Status> {
        ReplicationApi::subscribe_topics(self, request).await
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let stream = crate::subscribe::d14n(&self.node, request.into_inner());
        Ok(Response::new(stream))
    }

    async fn query_envelopes(
        &self,
        request: Request<QueryEnvelopesRequest>,
    ) -> Result<Response<QueryEnvelopesResponse>, Status> {
        ReplicationApi::query_envelopes(self, request).await
    }

    async fn get_inbox_ids(
        &self,
        request: Request<GetInboxIdsRequest>,
    ) -> Result<Response<GetInboxIdsResponse>, Status> {
        ReplicationApi::get_inbox_ids(self, request).await
    }

    async fn get_newest_envelope(
        &self,
        request: Request<GetNewestEnvelopeRequest>,
    ) -> Result<Response<GetNewestEnvelopeResponse>, Status> {
        ReplicationApi::get_newest_envelope(self, request).await
    }
}

#[tonic::async_trait]
impl PublishApi for D14n {
    async fn publish_payer_envelopes(
        &self,
        request: Request<PublishPayerEnvelopesRequest>,
    ) -> Result<Response<PublishPayerEnvelopesResponse>, Status> {
        ReplicationApi::publish_payer_envelopes(self, request).await
    }
}
