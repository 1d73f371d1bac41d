//! The page that a person sees who opens the node in a browser: what this is, which address
//! goes into which setting, what happens right now, and what clients asked for in vain.
//!
//! The page is one file without anything from elsewhere. It reads `/api/status` every second.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use folkmoot_store::Maintenance;
use http::{HeaderValue, header};
use serde::Serialize;

use crate::observe::{Counters, Observer, RecentCall};

const PAGE: &str = include_str!("page.html");
/// The page's own style and script, and nothing from anywhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page says beside what it counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PageConfig {
    /// A sentence on what happens to the data, such as that it is gone when the program ends.
    pub note: String,
    /// The addresses of the network, in the order in which they are shown.
    pub addresses: Vec<PageAddress>,
}

/// One address on the page.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PageAddress {
    /// What is there, in a few words.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Which setting of which SDK takes the address, if any.
    pub setting: String,
}

struct Page {
    observer: Arc<Observer>,
    upkeep: Arc<dyn Maintenance>,
    config: PageConfig,
}

/// What `/api/status` answers.
#[derive(Serialize)]
struct Status {
    version: &'static str,
    note: String,
    addresses: Vec<PageAddress>,
    #[serde(flatten)]
    counters: Counters,
    store: Option<StoreStatus>,
    recent: Vec<RecentCall>,
    unknown: Vec<Unknown>,
}

#[derive(Serialize)]
struct StoreStatus {
    envelopes: u64,
    topics: u64,
    bytes_on_disk: u64,
}

#[derive(Serialize)]
struct Unknown {
    path: String,
    times: u64,
}

/// `GET /` and `GET /api/status`.
pub(crate) fn router(
    observer: Arc<Observer>,
    upkeep: Arc<dyn Maintenance>,
    config: PageConfig,
) -> Router {
    let page = Page {
        observer,
        upkeep,
        config,
    };
    Router::new()
        .route("/", get(html))
        .route("/api/status", get(status))
        .with_state(Arc::new(page))
}

async fn html() -> Response {
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, Html(PAGE)).into_response()
}

async fn status(State(page): State<Arc<Page>>) -> Json<Status> {
    let store = page.upkeep.stats().await.ok().map(|stats| StoreStatus {
        envelopes: stats.envelopes,
        topics: stats.topics,
        bytes_on_disk: stats.bytes_on_disk,
    });
    let unknown = page.observer.unknown().into_iter();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        note: page.config.note.clone(),
        addresses: page.config.addresses.clone(),
        counters: page.observer.counters(),
        store,
        recent: page.observer.recent(),
        unknown: unknown
            .map(|(path, times)| Unknown { path, times })
            .collect(),
    })
}
