//! Controls for test suites: empty the network, note its state, go back to it.
//!
//! Only programs and pages on this machine may use them: the caller's address must be a loopback
//! one, and a page must come from this machine too, lest any page on the internet could do it.

use std::{fs, net::IpAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use folkmoot_node::{ClientAddr, Node};
use folkmoot_store::StoreError;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN},
};
use serde_json::json;
use tokio::sync::Mutex;

/// Most snapshots that are kept at a time.
const MOST: usize = 1000;

/// The controls of one network.
#[derive(Clone)]
pub(super) struct Control {
    node: Node,
    snapshots: Arc<Snapshots>,
}

struct Snapshots {
    directory: PathBuf,
    /// How many were made; also held while the state changes, so that one thing happens at a time.
    made: Mutex<usize>,
}

impl Control {
    /// Controls of `node`, with snapshots in `directory`, which is made anew.
    pub(super) fn new(node: Node, directory: PathBuf) -> anyhow::Result<Self> {
        drop(fs::remove_dir_all(&directory));
        fs::create_dir(&directory).context("make a directory for snapshots")?;
        Ok(Self {
            node,
            snapshots: Arc::new(Snapshots {
                directory,
                made: Mutex::new(0),
            }),
        })
    }

    /// `POST /dev/reset`, `/dev/snapshot` and `/dev/restore/{id}`.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/dev/reset", post(reset))
            .route("/dev/snapshot", post(snapshot))
            .route("/dev/restore/{id}", post(restore))
            .layer(middleware::from_fn(only_from_here))
            .with_state(self)
    }
}

async fn reset(State(control): State<Control>) -> Result<Response, Refusal> {
    let _alone = control.snapshots.made.lock().await;
    control.node.reset().await?;
    Ok(Json(json!({})).into_response())
}

async fn snapshot(State(control): State<Control>) -> Result<Response, Refusal> {
    let mut made = control.snapshots.made.lock().await;
    if *made == MOST {
        return Err(Refusal::TooMany);
    }
    let id = *made + 1;
    let file = control.snapshots.directory.join(id.to_string());
    control.node.store().copy_to(&file).await?;
    *made = id;
    Ok(Json(json!({ "id": id.to_string() })).into_response())
}

async fn restore(
    State(control): State<Control>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let made = control.snapshots.made.lock().await;
    let number: usize = id.parse().map_err(|_| Refusal::Unknown)?;
    if number == 0 || number > *made {
        return Err(Refusal::Unknown);
    }
    let file = control.snapshots.directory.join(number.to_string());
    control.node.replace_with(&file).await?;
    Ok(Json(json!({ "id": number.to_string() })).into_response())
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is no such snapshot; POST /dev/snapshot makes one and answers its id")]
    Unknown,
    #[error("there are {MOST} snapshots already; restart the network")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::TooMany => StatusCode::INSUFFICIENT_STORAGE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

async fn only_from_here(request: Request, next: Next) -> Response {
    let client = request.extensions().get::<ClientAddr>();
    let is_here = client.is_some_and(|client| client.0.is_loopback())
        && names_this_machine(request.headers(), HOST, request.uri().host());
    let page = request.headers().get(ORIGIN).cloned();
    let page_is_here = page.is_none() || names_this_machine(request.headers(), ORIGIN, None);
    if !is_here || !page_is_here {
        let text = "only programs and pages on the network's own machine may do this\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    if let Some(page) = page {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page);
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
    }
    response
}

/// Whether a header, or else `otherwise`, names a host that can only be this machine.
fn names_this_machine(headers: &HeaderMap, name: HeaderName, otherwise: Option<&str>) -> bool {
    let named = headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<Uri>().ok());
    let host = named.as_ref().and_then(Uri::host).or(otherwise);
    host.is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || bare
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    async fn status(client: &str, host: &str, origin: Option<&str>) -> StatusCode {
        let mut request = Request::builder().uri("/").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let client = ClientAddr(client.parse().unwrap());
        request.extensions_mut().insert(client);
        Router::new()
            .route("/", get(|| async {}))
            .layer(middleware::from_fn(only_from_here))
            .oneshot(request)
            .await
            .unwrap()
            .status()
    }

    #[tokio::test]
    async fn programs_and_pages_of_this_machine_have_control() {
        assert_eq!(
            status("127.0.0.1", "127.0.0.1:5555", None).await,
            StatusCode::OK
        );
        assert_eq!(status("::1", "[::1]:5555", None).await, StatusCode::OK);
        let page = Some("http://localhost:5173");
        assert_eq!(
            status("127.0.0.1", "localhost:5555", page).await,
            StatusCode::OK
        );
    }

    #[tokio::test]
    async fn others_have_not() {
        let no = StatusCode::FORBIDDEN;
        assert_eq!(status("192.0.2.1", "localhost:5555", None).await, no);
        let page = Some("https://app.example");
        assert_eq!(status("127.0.0.1", "localhost:5555", page).await, no);
        assert_eq!(
            status("127.0.0.1", "localhost:5555", Some("null")).await,
            no
        );
        assert_eq!(status("127.0.0.1", "rebound.example:5555", None).await, no);
    }
}
