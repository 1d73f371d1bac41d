//! `NotificationApi`: the live feed that push-notification servers read.

use folkmoot_wire::proto::xmtp::xmtpv4::message_api::{
    SubscribeAllEnvelopesRequest, SubscribeEnvelopesResponse,
    notification_api_server::NotificationApi,
};
use tonic::{Request, Response, Status};

use crate::{d14n::D14n, subscribe::Answers};

#[tonic::async_trait]
impl NotificationApi for D14n {
    type SubscribeAllEnvelopesStream = Answers<SubscribeEnvelopesResponse>;

    async fn subscribe_all_envelopes(
        &self,
        _: Request<SubscribeAllEnvelopesRequest>,
    ) -> Result<Response<Self::SubscribeAllEnvelopesStream>, Status> {
        Ok(Response::new(self.follow_all()))
    }
}
