//! N5: how fast a node says who somebody is, and hands out key packages.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::ensure;
use bytes::Bytes;
use folkmoot_wire::proto::xmtp::{
    identity::api::v1::{
        GetInboxIdsRequest, PublishIdentityUpdateRequest, get_inbox_ids_request,
        identity_api_client::IdentityApiClient,
    },
    mls::api::v1::{FetchKeyPackagesRequest, KeyPackageUpload, UploadKeyPackageRequest},
};
use http::Uri;

use super::{
    Workload,
    floor::Floors,
    load::{LINKS, Link, closed_loop, median},
    node::{identity, mls},
    report::Report,
    traffic,
};

/// Key packages of one call.
const PACKAGES: usize = 250;
const IDENTITIES: usize = 100;

/// People and installations that were registered for the bench.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Address and inbox id.
    people: Vec<(String, String)>,
    installation_keys: Vec<Bytes>,
    /// In the order of the keys.
    key_packages: Vec<Bytes>,
}

impl Directory {
    /// Registers everybody.
    pub(crate) async fn register(origin: &Uri) -> anyhow::Result<Self> {
        let link = Link::connect(origin).await?;
        let (mut identities, mut packages) = (identity(&link, origin), mls(&link, origin));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut directory = Self {
            people: Vec::new(),
            installation_keys: Vec::new(),
            key_packages: Vec::new(),
        };
        for _ in 0..IDENTITIES {
            let (address, inbox_id, update) = traffic::identity(u64::try_from(now.as_nanos())?)?;
            identities
                .publish_identity_update(PublishIdentityUpdateRequest {
                    identity_update: update,
                })
                .await?;
            directory.people.push((address, inbox_id));
        }
        for at in 0..PACKAGES {
            let (_, inbox_id) = &directory.people[at % IDENTITIES];
            let (key, package) = traffic::key_package(inbox_id, now.as_secs())?;
            packages
                .upload_key_package(UploadKeyPackageRequest {
                    key_package: Some(KeyPackageUpload {
                        key_package_tls_serialized: package.clone(),
                    }),
                    is_inbox_id_credential: true,
                })
                .await?;
            directory.installation_keys.push(key);
            directory.key_packages.push(package);
        }
        Ok(directory)
    }

    /// Asks whose inbox is that of person `number`, and checks the answer.
    pub(crate) async fn look_up(
        &self,
        mut client: IdentityApiClient<Link>,
        number: u64,
    ) -> anyhow::Result<()> {
        let (address, inbox_id) = &self.people[(number % self.people.len() as u64) as usize];
        let request = GetInboxIdsRequest {
            requests: vec![get_inbox_ids_request::Request {
                identifier: address.clone(),
                identifier_kind: 1,
            }],
        };
        let answer = client.get_inbox_ids(request).await?.into_inner();
        ensure!(
            matches!(&answer.responses[..], [one]
                if one.identifier == *address && one.inbox_id.as_ref() == Some(inbox_id)),
            "an address got another inbox, or none"
        );
        Ok(())
    }
}

pub(crate) struct Lookups {
    origin: Uri,
    directory: Arc<Directory>,
    length: Duration,
    inbox_ids: Vec<f64>,
    key_packages: Vec<f64>,
}

impl Lookups {
    /// Asks for `length` for each of both in each round.
    pub(crate) fn new(origin: &Uri, directory: &Arc<Directory>, length: Duration) -> Self {
        Self {
            origin: origin.clone(),
            directory: Arc::clone(directory),
            length,
            inbox_ids: Vec::new(),
            key_packages: Vec::new(),
        }
    }
}

impl Workload for Lookups {
    const ID: &'static str = "N5";

    async fn round(&mut self, _: u16, _: &Floors) -> anyhow::Result<()> {
        let links = Link::several(&self.origin, LINKS).await?;
        let inbox_ids = {
            let (links, origin) = (links.clone(), self.origin.clone());
            let directory = Arc::clone(&self.directory);
            closed_loop(64, self.length, move |worker, number| {
                let client = identity(&links[worker % LINKS], &origin);
                let directory = Arc::clone(&directory);
                async move { directory.look_up(client, number).await }
            })
            .await?
        };
        let request = FetchKeyPackagesRequest {
            installation_keys: self.directory.installation_keys.clone(),
        };
        let (origin, directory) = (self.origin.clone(), Arc::clone(&self.directory));
        let key_packages = closed_loop(8, self.length, move |worker, _| {
            let mut client = mls(&links[worker % LINKS], &origin);
            let (request, directory) = (request.clone(), Arc::clone(&directory));
            async move {
                let answer = client.fetch_key_packages(request).await?.into_inner();
                let found = answer.key_packages.iter();
                ensure!(
                    found
                        .map(|package| &package.key_package_tls_serialized)
                        .eq(&directory.key_packages),
                    "other key packages came back, or in another order"
                );
                Ok(())
            }
        })
        .await?;
        self.inbox_ids.push(inbox_ids.rate());
        self.key_packages.push(key_packages.rate());
        Ok(())
    }

    fn report(self, report: &mut Report) {
        let rate = median(self.inbox_ids);
        report.at_least(Self::ID, "GetInboxIds of 1", rate, "calls/s", 10_000.0);
        let rate = median(self.key_packages);
        let metric = format!("FetchKeyPackages of {PACKAGES}");
        report.at_least(Self::ID, metric, rate, "calls/s", 500.0);
    }
}
