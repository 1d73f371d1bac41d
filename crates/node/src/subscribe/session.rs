//! The only place where requests, the store, the hub, the clock and the engine meet.

use std::{pin::Pin, sync::Arc, time::Instant};

use folkmoot_store::{Envelope, StoreError};
use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tonic::{Status, Streaming};

use crate::{
    End, Node, NodeError, Subscription,
    follow::HISTORY_PAGE,
    subscribe::engine::{Caps, Engine, Frame, Output, Request},
};

/// Requests that are taken in between two frames, at most.
const REQUESTS_AT_A_STRETCH: usize = 64;

/// What a stream of answers is to a handler.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// One generation's messages.
pub(super) trait Generation: 'static {
    /// What clients send.
    type Request: Send + 'static;
    /// What they receive.
    type Response: Send + 'static;

    /// Reads a request; `None` if it is of a kind that is to be ignored.
    fn read(request: Self::Request) -> Result<Option<Request>, NodeError>;

    /// Writes a frame.
    fn write(
        node: &Node,
        frame: Frame,
    ) -> impl Future<Output = Result<Self::Response, NodeError>> + Send;
}

/// Answers `requests` until the client is done, or an error ends the stream.
pub(super) fn run<G: Generation>(
    node: &Node,
    requests: Streaming<G::Request>,
) -> Answers<G::Response> {
    // `Streaming` is no stream that can be polled after its end, a fused one is.
    let requests = requests.fuse().boxed();
    let session = Session {
        engine: Engine::new(Caps::default(), node.inner.config.keepalive, now()),
        subscription: node.inner.hub.subscribe([]),
        node: node.clone(),
        requests,
        history: None,
    };
    stream::try_unfold(session, |mut session: Session<G::Request>| async move {
        let frame = session.next(G::read).await?;
        let Some(frame) = frame else {
            return Ok::<_, Status>(None);
        };
        let response = G::write(&session.node, frame).await?;
        Ok(Some((response, session)))
    })
    .boxed()
}

struct Session<R> {
    node: Node,
    engine: Engine,
    subscription: Subscription,
    requests: BoxStream<'static, Result<R, Status>>,
    /// The read that is under way.
    history: Option<BoxFuture<'static, Result<Vec<Envelope>, StoreError>>>,
}

impl<R: Send + 'static> Session<R> {
    /// The next frame; `None` at the end.
    async fn next(
        &mut self,
        read: fn(R) -> Result<Option<Request>, NodeError>,
    ) -> Result<Option<Frame>, Status> {
        loop {
            // While frames go out one by one, pings are answered and the live queue is emptied.
            self.take_in_what_is_there(read)?;
            while let Some(output) = self.engine.poll_output() {
                match output {
                    Output::Begin { wave, topics } => {
                        let boundary = self.subscription.add(topics);
                        self.engine.handle_begun(wave, boundary);
                    }
                    Output::Leave(topics) => self.subscription.remove(&topics),
                    Output::Read {
                        cursors,
                        after,
                        up_to,
                    } => {
                        let store = Arc::clone(&self.node.inner.store);
                        let page =
                            async move { store.merged(&cursors, after, up_to, HISTORY_PAGE).await };
                        self.history = Some(page.boxed());
                        break;
                    }
                    Output::Send(frame) => return Ok(Some(frame)),
                    Output::Close => return Ok(None),
                }
            }
            let deadline = self
                .engine
                .poll_timeout()
                .map(tokio::time::Instant::from_std);
            let timeout = async move {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = self.requests.next(), if self.engine.wants_requests() => {
                    self.handle(request, read)?;
                }
                live = self.subscription.next(), if self.engine.wants_live() => {
                    self.handle_live(live)?;
                }
                page = page(&mut self.history) => {
                    self.history = None;
                    let page = page.map_err(|cause| {
                        tracing::error!(%cause, "the history of a stream could not be read");
                        NodeError::CatchUp
                    })?;
                    let page = page.into_iter().map(Arc::new).collect();
                    self.engine.handle_history(page, now());
                }
                () = timeout => self.engine.handle_timeout(now())?,
            }
        }
    }

    fn take_in_what_is_there(
        &mut self,
        read: fn(R) -> Result<Option<Request>, NodeError>,
    ) -> Result<(), Status> {
        for _ in 0..REQUESTS_AT_A_STRETCH {
            if !self.engine.wants_requests() {
                break;
            }
            let Some(request) = self.requests.next().now_or_never() else {
                break;
            };
            self.handle(request, read)?;
        }
        if self.engine.wants_live()
            && let Some(live) = self.subscription.next().now_or_never()
        {
            self.handle_live(live)?;
        }
        Ok(())
    }

    fn handle(
        &mut self,
        request: Option<Result<R, Status>>,
        read: fn(R) -> Result<Option<Request>, NodeError>,
    ) -> Result<(), Status> {
        let request = match request {
            None => Some(Request::HalfClose),
            Some(request) => read(request?)?,
        };
        if let Some(request) = request {
            self.engine.handle(request, now())?;
        }
        Ok(())
    }

    fn handle_live(&mut self, live: Result<Vec<Arc<Envelope>>, End>) -> Result<(), NodeError> {
        self.engine.handle_live(live?, now())
    }
}

/// The page that is being read; never, if none is.
async fn page(
    history: &mut Option<BoxFuture<'static, Result<Vec<Envelope>, StoreError>>>,
) -> Result<Vec<Envelope>, StoreError> {
    match history {
        Some(page) => page.await,
        None => std::future::pending().await,
    }
}

/// The runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
