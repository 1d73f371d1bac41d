//! `MetadataApi`: how far the node is, which version it runs, and what payers owe: nothing.

use folkmoot_wire::{
    TopicKind, VectorClock,
    proto::xmtp::xmtpv4::metadata_api::{
        GetPayerInfoRequest, GetPayerInfoResponse, GetSyncCursorRequest, GetSyncCursorResponse,
        GetVersionRequest, GetVersionResponse, metadata_api_server::MetadataApi,
    },
};
use futures::{StreamExt, stream};
use tonic::{Request, Response, Status};

use crate::{
    End, NodeError, Subscription, d14n::D14n, publish::shortened, subscribe::Answers, v3::at_most,
};

/// Most payers in one question.
const MOST_PAYERS: usize = 1000;

#[tonic::async_trait]
impl MetadataApi for D14n {
    type SubscribeSyncCursorStream = Answers<GetSyncCursorResponse>;

    async fn get_sync_cursor(
        &self,
        _: Request<GetSyncCursorRequest>,
    ) -> Result<Response<GetSyncCursorResponse>, Status> {
        let newest = self.seen.newest(&self.node).await?;
        Ok(Response::new(response(&newest)))
    }

    async fn subscribe_sync_cursor(
        &self,
        _: Request<GetSyncCursorRequest>,
    ) -> Result<Response<Self::SubscribeSyncCursorStream>, Status> {
        let watch = Watch {
            subscription: self.node.inner.hub.subscribe_all(&TopicKind::ALL),
            d14n: self.clone(),
            told: false,
        };
        let cursors = stream::try_unfold(watch, |mut watch| async move {
            let newest = watch.next().await?;
            Ok::<_, Status>(newest.map(|newest| (response(&newest), watch)))
        });
        Ok(Response::new(cursors.boxed()))
    }

    async fn get_version(
        &self,
        _: Request<GetVersionRequest>,
    ) -> Result<Response<GetVersionResponse>, Status> {
        Ok(Response::new(GetVersionResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    async fn get_payer_info(
        &self,
        request: Request<GetPayerInfoRequest>,
    ) -> Result<Response<GetPayerInfoResponse>, Status> {
        let payers = request.into_inner().payer_addresses;
        at_most("payer_addresses", payers.len(), MOST_PAYERS)?;
        let Some(first) = payers.first() else {
            return Err(NodeError::field("payer_addresses", "is empty").into());
        };
        Err(NodeError::NotFound(format!(
            "payer {:?} is unknown: this node charges nothing and keeps no accounts",
            shortened(first)
        ))
        .into())
    }
}

/// One open stream of cursors.
struct Watch {
    d14n: D14n,
    subscription: Subscription,
    told: bool,
}

impl Watch {
    /// The cursor: at once, after each change, and after each silence. `None` at shutdown.
    async fn next(&mut self) -> Result<Option<VectorClock>, NodeError> {
        if self.told {
            let keepalive = self.d14n.node.inner.config.keepalive;
            match tokio::time::timeout(keepalive, self.subscription.next()).await {
                Ok(Ok(committed)) => self.d14n.seen.note(committed.iter().map(AsRef::as_ref)),
                Ok(Err(End::Closed)) => return Ok(None),
                Ok(Err(End::Lagged)) => {
                    // Only the newest cursor matters, and the store has it.
                    if self.subscription.begin_again().is_err() {
                        return Ok(None);
                    }
                }
                Err(_) => {}
            }
        }
        self.told = true;
        self.d14n.seen.newest(&self.d14n.node).await.map(Some)
    }
}

fn response(newest: &VectorClock) -> GetSyncCursorResponse {
    GetSyncCursorResponse {
        latest_sync: Some(newest.into()),
    }
}
