//! Cross-origin requests: what a browser must be told so that an app on any origin may call.
//!
//! Credentials are not used by any client, so every origin is welcome. The names below are
//! those that known browser clients send; an app may add a header of its own choice (for its
//! gateway's credential), so names that a preflight asks for are granted too.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ORIGIN, VARY,
    },
};

/// Methods that a page may use.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Request headers that a page may send without asking for more.
const HEADERS: &str = "content-type, accept, authorization, x-grpc-web, x-user-agent, \
    grpc-timeout, user-agent, x-libxmtp-version, x-app-version, x-client-version, baggage, \
    sentry-trace, dnt, sec-ch-ua, sec-ch-ua-mobile, sec-ch-ua-platform, keep-alive, cache-control";
/// Response headers that a page may read: errors before the body are in headers alone.
const EXPOSED: &str = "grpc-status, grpc-message, grpc-status-details-bin";
/// For how long a browser may keep the answer, in seconds.
const MAX_AGE: &str = "86400";
/// Most headers of its own choice that a preflight may ask for.
const MOST_CUSTOM: usize = 16;

/// Answers preflight requests, and lets pages of any origin read all other answers.
pub(crate) async fn cors(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return preflight(request.headers());
    }
    let from_page = request.headers().contains_key(ORIGIN);
    let mut response = next.run(request).await;
    if from_page {
        allow_origin(response.headers_mut());
    }
    response
}

/// Lets pages of any origin read an answer.
fn allow_origin(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED),
    );
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow_origin(headers);
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, granted(asked));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    headers.insert(
        VARY,
        HeaderValue::from_static("access-control-request-headers"),
    );
    response
}

/// The usual names, and those that this preflight asks for besides.
fn granted(asked: &HeaderMap) -> HeaderValue {
    let mut names = HEADERS.to_owned();
    let custom = asked
        .get_all(ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .filter(|name| !HEADERS.split(", ").any(|usual| name == usual))
        .take(MOST_CUSTOM);
    for name in custom {
        names.push_str(", ");
        names.push_str(name.as_str());
    }
    HeaderValue::try_from(names).unwrap_or_else(|_| HeaderValue::from_static(HEADERS))
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn answer(request: http::request::Builder) -> Response {
        Router::new()
            .route("/", get(|| async { "hello" }))
            .layer(middleware::from_fn(cors))
            .oneshot(request.uri("/").body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_preflight_grants_the_usual_headers_and_the_ones_it_asks_for() {
        let response = answer(
            Request::builder()
                .method("OPTIONS")
                .header("origin", "http://app.example")
                .header("access-control-request-method", "POST")
                .header(
                    "access-control-request-headers",
                    "X-My-Token, content-type, b d",
                ),
        )
        .await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        let granted = response.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap();
        assert_eq!(granted, format!("{HEADERS}, x-my-token"));
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-allow-methods"], METHODS);
        assert_eq!(response.headers()["access-control-max-age"], "86400");
    }

    #[tokio::test]
    async fn an_answer_to_a_page_may_be_read_by_it() {
        let response = answer(Request::builder().header("origin", "http://app.example")).await;
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-expose-headers"], EXPOSED);
        let response = answer(Request::builder()).await;
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
}
