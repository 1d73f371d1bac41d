//! `D14nMigrationApi`: when clients leave v3. Here never: both generations stay.

use folkmoot_wire::proto::xmtp::migration::api::v1::{
    FetchD14nCutoverResponse, d14n_migration_api_server::D14nMigrationApi,
};
use tonic::{Request, Response, Status};

/// A time that clients will not live to see. Zero would mean that the day has come.
const NEVER: u64 = i64::MAX as u64;

pub(crate) struct Migration;

#[tonic::async_trait]
impl D14nMigrationApi for Migration {
    async fn fetch_d14n_cutover(
        &self,
        _: Request<()>,
    ) -> Result<Response<FetchD14nCutoverResponse>, Status> {
        Ok(Response::new(FetchD14nCutoverResponse {
            timestamp_ns: NEVER,
        }))
    }
}
