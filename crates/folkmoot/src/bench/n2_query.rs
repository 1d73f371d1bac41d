//! N2: how fast pages are read, at random places of a large log.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use folkmoot_wire::proto::xmtp::mls::api::v1::mls_api_client::MlsApiClient;
use http::Uri;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Workload,
    floor::Floors,
    load::{LINKS, Link, closed_loop, median},
    node::mls,
    report::Report,
    stock::{PAGE, Stock, page},
    traffic::Traffic,
};

/// Calls under way.
const IN_FLIGHT: usize = 16;

pub(crate) struct Query {
    origin: Uri,
    traffic: Traffic,
    stock: Arc<Stock>,
    seed: u64,
    length: Duration,
    rates: Vec<f64>,
    p99: Vec<f64>,
}

impl Query {
    /// Reads from `stock` for `length` in each round; `seed` picks the places.
    pub(crate) fn new(
        origin: &Uri,
        traffic: &Traffic,
        stock: &Arc<Stock>,
        seed: u64,
        length: Duration,
    ) -> Self {
        Self {
            origin: origin.clone(),
            traffic: traffic.clone(),
            stock: Arc::clone(stock),
            seed,
            length,
            rates: Vec::new(),
            p99: Vec::new(),
        }
    }
}

impl Workload for Query {
    const ID: &'static str = "N2";

    async fn round(&mut self, round: u16, _: &Floors) -> anyhow::Result<()> {
        let links = Link::several(&self.origin, LINKS).await?;
        let (origin, traffic) = (self.origin.clone(), self.traffic.clone());
        let stock = Arc::clone(&self.stock);
        let seed = self.seed ^ (u64::from(round) << 48);
        let timings = closed_loop(IN_FLIGHT, self.length, move |worker, number| {
            let client = mls(&links[worker % LINKS], &origin);
            let (traffic, stock) = (traffic.clone(), Arc::clone(&stock));
            let mut random = StdRng::seed_from_u64(seed ^ number);
            let at = random.random_range(0..stock.groups.len());
            let row = random.random_range(0..=stock.ids[at].len() - PAGE);
            async move { query(client, &traffic, &stock, at, row).await }
        })
        .await?;
        self.rates.push(timings.rate());
        self.p99.push(timings.percentile_ms(0.99));
        Ok(())
    }

    fn report(self, report: &mut Report) {
        let metric = "query a page of 100 at a random cursor";
        report.at_least(Self::ID, metric, median(self.rates), "calls/s", 2000.0);
        report.note(Self::ID, "… p99", median(self.p99), "ms");
    }
}

/// Reads the page that begins with `row` of group `at`, and checks all of it.
pub(crate) async fn query(
    mut client: MlsApiClient<Link>,
    traffic: &Traffic,
    stock: &Stock,
    at: usize,
    row: usize,
) -> anyhow::Result<()> {
    let (group, ids) = (&stock.groups[at], &stock.ids[at]);
    let after = row.checked_sub(1).map_or(0, |before| ids[before]);
    let messages = page(&mut client, group, after).await?;
    ensure!(
        messages.len() == PAGE,
        "a page after id {after} has {} messages",
        messages.len()
    );
    for (message, row) in messages.iter().zip(row..) {
        let (id, number) = traffic.received(group, message)?;
        ensure!(
            id == ids[row] && number == row as u64,
            "a page after id {after} has message {number} in row {row}"
        );
    }
    Ok(())
}
