//! Numbers for Prometheus.

use std::{sync::OnceLock, time::Duration};

use axum::{Router, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

/// How often what was recorded is folded up, so that it does not pile up while nobody asks.
const UPKEEP: Duration = Duration::from_secs(10);
/// Upper bounds of the buckets of latencies, in seconds.
const LATENCIES: [f64; 12] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// `GET /metrics`: everything that this process has recorded.
pub(crate) fn router() -> Router {
    let recorder = recorder();
    Router::new().route("/metrics", get(|| async move { recorder.render() }))
}

/// The process's one recorder. It is kept up by the runtime that asked first.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let begin = || {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCIES)
            .expect("there are buckets")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder has the metrics");
        }
        let upkeep = handle.clone();
        tokio::spawn(async move {
            let mut time = interval(UPKEEP);
            time.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                time.tick().await;
                upkeep.run_upkeep();
            }
        });
        handle
    };
    RECORDER.get_or_init(begin).clone()
}
