//! Doors: connections come in, within limits.

use std::{collections::HashMap, io::Error, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::{Door, connection::Connection, login, router::Router};

/// How long to wait after the system refused to accept.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// Accepts connections until the server closes.
pub(crate) async fn accept(router: Arc<Router>, door: Door, socket: TcpListener) {
    let closing = router.closing.clone();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = closing.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                tracing::debug!(%cause, "no connection can be accepted; trying again");
                sleep(AFTER_FAILED_ACCEPT).await;
                continue;
            }
        };
        let peer = peer.ip().to_canonical();
        let Some(place) = Gate::enter(&router, peer) else {
            tracing::debug!(%peer, "too many connections; one was refused");
            continue;
        };
        let served = Arc::clone(&router);
        router.tasks.spawn(async move {
            if let Err(cause) = serve(served, door, stream, peer).await {
                tracing::debug!(%peer, %cause, "a connection ended before its login");
            }
            drop(place);
        });
    }
}

async fn serve(
    router: Arc<Router>,
    door: Door,
    stream: TcpStream,
    peer: IpAddr,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    match door {
        Door::StartTls => login::run(router, Connection::plain(stream, peer), None).await,
        Door::DirectTls => {
            let Some(tls) = router.options.tls.clone() else {
                return Ok(());
            };
            let stream = timeout(HANDSHAKE, tls.acceptor().accept(stream)).await??;
            let bindings = tls.bindings(stream.get_ref().1);
            login::run(router, Connection::tls(stream, peer), Some(bindings)).await;
        }
    }
    Ok(())
}

/// Goes over to TLS on a connection that began without it.
pub(crate) async fn secure(
    router: &Router,
    connection: Connection,
) -> Option<(Connection, folkmoot_xmpp::sasl::ChannelBindings)> {
    let tls = router.options.tls.clone()?;
    let (socket, peer) = connection.into_socket()?;
    let stream = timeout(HANDSHAKE, tls.acceptor().accept(socket))
        .await
        .ok()?
        .ok()?;
    let bindings = tls.bindings(stream.get_ref().1);
    Some((Connection::tls(stream, peer), bindings))
}

/// How many connections there are, and from where.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    open: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; free again when dropped.
struct Place {
    router: Arc<Router>,
    peer: IpAddr,
}

impl Gate {
    fn enter(router: &Arc<Router>, peer: IpAddr) -> Option<Place> {
        let mut places = router.gate.0.lock();
        let from_there = places.by_address.get(&peer).copied().unwrap_or(0);
        let is_many = from_there >= router.options.connections_per_address && !peer.is_loopback();
        if is_many || places.open >= router.options.connections {
            return None;
        }
        places.open += 1;
        *places.by_address.entry(peer).or_default() += 1;
        Some(Place {
            router: Arc::clone(router),
            peer,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.router.gate.0.lock();
        places.open -= 1;
        if let Some(count) = places.by_address.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                places.by_address.remove(&self.peer);
            }
        }
    }
}
