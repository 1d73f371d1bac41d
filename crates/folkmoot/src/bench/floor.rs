//! What the machine can do at most: the disk alone, and gRPC without a node behind it.

use std::{
    convert::Infallible,
    fs::{self, File},
    future::{Ready, ready},
    io::Write,
    path::Path,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use folkmoot_wire::{codec::ProtobufCodec, proto::xmtp::mls::api::v1::GroupMessageInput};
use http::{Uri, uri::PathAndQuery};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tonic::{
    Request, Response, Status,
    body::Body,
    client::Grpc,
    server::{NamedService, UnaryService},
    transport::server::TcpIncoming,
};
use tower::Service;

use super::{
    load::{LINKS, Link, Timings, closed_loop, median},
    report::Floor,
    traffic::{Traffic, Use},
};

/// The floors of one round.
#[derive(Clone, Debug)]
pub(crate) struct Floors {
    /// Appends of 4 KiB, each made durable by itself.
    pub(crate) fdatasync: Timings,
    /// Echo calls, 64 in flight.
    pub(crate) echo: Timings,
    /// Echo calls, one at a time.
    pub(crate) echo_alone: Timings,
}

impl Floors {
    /// Measures all, the disk in `dir`, for `length` each.
    pub(crate) async fn measure(
        dir: &Path,
        echo: &EchoProcess,
        traffic: &Traffic,
        length: Duration,
    ) -> anyhow::Result<Self> {
        let file = dir.join("floor");
        let fdatasync = tokio::task::spawn_blocking(move || append_durably(&file, length))
            .await
            .context("measure the disk")??;
        Ok(Self {
            fdatasync,
            echo: echo.measure(traffic, 64, length).await?,
            echo_alone: echo.measure(traffic, 1, length / 2).await?,
        })
    }

    /// The medians over all rounds.
    pub(crate) fn summary(rounds: &[Self], load_before: f64) -> Floor {
        let over = |value: fn(&Self) -> f64| median(rounds.iter().map(value).collect());
        Floor {
            fdatasync_per_s: over(|round| round.fdatasync.rate()),
            fdatasync_p50_ms: over(|round| round.fdatasync.percentile_ms(0.5)),
            echo_per_s: over(|round| round.echo.rate()),
            echo_p50_ms: over(|round| round.echo_alone.percentile_ms(0.5)),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            load_before,
        }
        .rounded()
    }
}

/// The load average over one minute; 0 where the system does not tell.
pub(crate) fn load_average() -> f64 {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .unwrap_or(0.0)
}

fn append_durably(path: &Path, length: Duration) -> anyhow::Result<Timings> {
    let mut file = File::create(path).context("create a file to measure the disk")?;
    let block = [0x5a; 4096];
    let mut latencies = Vec::new();
    let began = Instant::now();
    while began.elapsed() < length {
        let sent = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.push(sent.elapsed());
    }
    let elapsed = began.elapsed();
    fs::remove_file(path)?;
    Ok(Timings::new(elapsed, latencies))
}

/// A gRPC server that answers with what it was sent, in a process of its own like the node.
pub(crate) struct EchoProcess {
    /// Kept for its end: the process ends with this.
    _child: Child,
    origin: Uri,
}

impl EchoProcess {
    /// Starts the process: this same program.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program's file")?;
        let mut child = Command::new(program)
            .args(["bench", "echo"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start the echo server")?;
        let stdout = child.stdout.take().context("the echo server's output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let origin = line.trim().parse().context("the echo server's address")?;
        Ok(Self {
            _child: child,
            origin,
        })
    }

    async fn measure(
        &self,
        traffic: &Traffic,
        in_flight: usize,
        length: Duration,
    ) -> anyhow::Result<Timings> {
        let links = Link::several(&self.origin, LINKS).await?;
        let origin = self.origin.clone();
        let traffic = traffic.clone();
        let group = traffic.group(Use::Publish, u16::MAX, 0);
        closed_loop(in_flight, length, move |worker, number| {
            let link = links[worker % LINKS].clone();
            let message = traffic.message(&group, number);
            let mut client = Grpc::with_origin(link, origin.clone());
            async move {
                client.ready().await?;
                let request = Request::new(message.clone());
                let path = PathAndQuery::from_static(ECHO_PATH);
                let answer: GroupMessageInput = client
                    .unary(request, path, ProtobufCodec::default())
                    .await?
                    .into_inner();
                ensure!(answer == message, "the echo differs");
                Ok(())
            }
        })
        .await
    }
}

/// Runs the echo server until the process is ended; tells its address on `out`.
pub(crate) async fn echo_server(out: &mut impl Write) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(out, "http://{}", listener.local_addr()?)?;
    out.flush()?;
    tonic::transport::Server::builder()
        .add_service(Echo)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

const ECHO_PATH: &str = "/folkmoot.bench.Echo/Say";

#[derive(Clone, Copy, Debug)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "folkmoot.bench.Echo";
}

impl UnaryService<GroupMessageInput> for Echo {
    type Response = GroupMessageInput;
    type Future = Ready<Result<Response<GroupMessageInput>, Status>>;

    fn call(&mut self, request: Request<GroupMessageInput>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec = ProtobufCodec::<GroupMessageInput, GroupMessageInput>::default();
            Ok(tonic::server::Grpc::new(codec).unary(Self, request).await)
        })
    }
}
