//! Making load: connections, closed loops, fixed schedules, and what they measured.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use http::Uri;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};
use tonic::body::Body;
use tower::Service;

/// Connections that share the calls of one workload. Few, because each costs a task on either
/// side, and more than one, so that neither side's connection task is the limit.
pub(crate) const LINKS: usize = 4;

/// One cleartext HTTP/2 connection, on which the generated clients run directly: no
/// reconnecting and no queue, so that the generator costs little of the machine that it shares
/// with the node.
#[derive(Clone)]
pub(crate) struct Link(SendRequest<Body>);

impl Link {
    /// Connects to `origin`, such as `http://127.0.0.1:5556`.
    pub(crate) async fn connect(origin: &Uri) -> anyhow::Result<Self> {
        if origin.scheme_str() != Some("http") {
            bail!("{origin} is not an http:// address; the bench speaks cleartext HTTP/2");
        }
        let host = origin.host().context("the address names no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = origin.port_u16().unwrap_or(80);
        let socket = TcpStream::connect((host, port))
            .await
            .with_context(|| format!("connect to {origin}"))?;
        socket.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(256 << 10)
            .handshake(TokioIo::new(socket))
            .await
            .with_context(|| format!("speak HTTP/2 with {origin}"))?;
        tokio::spawn(async move {
            // When the connection ends, its calls fail, and they say why.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Several connections to the same address.
    pub(crate) async fn several(origin: &Uri, count: usize) -> anyhow::Result<Vec<Self>> {
        let mut links = Vec::with_capacity(count);
        for _ in 0..count {
            links.push(Self::connect(origin).await?);
        }
        Ok(links)
    }
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Keeps `in_flight` calls under way for `length`. `call` gets the number of its worker and,
/// counted over all workers, its own. The first error ends the loop.
pub(crate) async fn closed_loop<F, Fut>(
    in_flight: usize,
    length: Duration,
    call: F,
) -> anyhow::Result<Timings>
where
    F: Fn(usize, u64) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let calls = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..in_flight {
        let calls = Arc::clone(&calls);
        let call = call.clone();
        workers.spawn(async move {
            let mut latencies = Vec::new();
            while began.elapsed() < length {
                let sent = Instant::now();
                call(worker, calls.fetch_add(1, Ordering::Relaxed)).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(worker) = workers.join_next().await {
        latencies.extend(worker.context("a worker of the load generator")??);
    }
    Ok(Timings::new(began.elapsed(), latencies))
}

/// Ticks on a fixed schedule that no answer can delay: tick `n` is due at its start plus `n`
/// times `every`, and carries that instant, so that latencies count from when a call was due
/// and not from when it could be made. Kept by a thread of its own, since tokio's timer counts
/// whole milliseconds.
pub(crate) fn schedule(every: Duration, ticks: u64) -> mpsc::UnboundedReceiver<(u64, Instant)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let start = Instant::now() + Duration::from_millis(20);
    thread::spawn(move || {
        let mut due = start;
        for tick in 0..ticks {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send((tick, due)).is_err() {
                return;
            }
            due += every;
        }
    });
    receiver
}

/// How long a workload took, and how long each of its calls.
#[derive(Clone, Debug)]
pub(crate) struct Timings {
    elapsed: Duration,
    sorted: Vec<Duration>,
}

impl Timings {
    /// Of calls that together took `elapsed`.
    pub(crate) fn new(elapsed: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self {
            elapsed,
            sorted: latencies,
        }
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.sorted.len()
    }

    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        self.sorted.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `share` of the calls kept within, in milliseconds; 0 without calls.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.sorted
            .get(at)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// The median; 0 of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_latencies_that_occurred() {
        let latencies = (1..=100).rev().map(Duration::from_millis).collect();
        let timings = Timings::new(Duration::from_secs(2), latencies);
        assert_eq!(timings.rate(), 50.0);
        assert_eq!(timings.percentile_ms(0.0), 1.0);
        assert_eq!(timings.percentile_ms(0.99), 99.0);
        assert_eq!(timings.percentile_ms(1.0), 100.0);
        assert_eq!(
            Timings::new(Duration::ZERO, Vec::new()).percentile_ms(0.5),
            0.0
        );
    }

    #[test]
    fn a_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![4.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[tokio::test]
    async fn a_schedule_is_not_delayed_by_its_reader() {
        let every = Duration::from_micros(500);
        let mut ticks = schedule(every, 20);
        let (first, start) = ticks.recv().await.unwrap();
        assert_eq!(first, 0);
        let mut seen = 1;
        while let Some((tick, due)) = ticks.recv().await {
            assert_eq!(due, start + every * u32::try_from(tick).unwrap());
            seen += 1;
        }
        assert_eq!(seen, 20);
    }
}
