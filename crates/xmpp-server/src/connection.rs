//! One connection: bytes in as elements, bytes out.

use std::{
    future::poll_fn,
    io::{Error, ErrorKind},
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use folkmoot_xmpp::xml::{Event, Limits, Reader, XmlError};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::server::TlsStream;

/// How long one write may take before the connection counts as cut.
const WRITE: Duration = Duration::from_secs(60);
/// How long a peer may take to close its side after this one did.
const CLOSE: Duration = Duration::from_secs(2);

/// A connection with what was read from it.
pub(crate) struct Connection {
    io: Io,
    reader: Reader,
    /// Who is at the other end.
    pub(crate) peer: IpAddr,
    /// When the peer last sent anything.
    pub(crate) heard: Instant,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why nothing more is read.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The peer sent what may not be.
    Xml(XmlError),
    /// The connection is cut.
    Cut,
}

impl Connection {
    pub(crate) fn plain(stream: TcpStream, peer: IpAddr) -> Self {
        Self::new(Io::Plain(stream), peer)
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>, peer: IpAddr) -> Self {
        Self::new(Io::Tls(Box::new(stream)), peer)
    }

    fn new(io: Io, peer: IpAddr) -> Self {
        Self {
            io,
            reader: Reader::new(Limits::STRANGER),
            peer,
            heard: Instant::now(),
        }
    }

    /// Gives up the socket for a TLS handshake, with nothing of what was read from it.
    pub(crate) fn into_socket(self) -> Option<(TcpStream, IpAddr)> {
        match self.io {
            Io::Plain(stream) => Some((stream, self.peer)),
            Io::Tls(_) => None,
        }
    }

    /// Another stream begins.
    pub(crate) fn restart(&mut self, limits: Limits) {
        self.reader = Reader::new(limits);
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.reader.set_limits(limits);
    }

    /// The next thing that is complete. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Event, Lost> {
        loop {
            if let Some(event) = self.reader.next().map_err(Lost::Xml)? {
                return Ok(event);
            }
            let Self { io, reader, .. } = self;
            let read = poll_fn(|context| poll_read(io, reader, context)).await;
            match read {
                Ok(0) | Err(_) => return Err(Lost::Cut),
                Ok(_) => self.heard = Instant::now(),
            }
        }
    }

    /// Sends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let write = async {
            match &mut self.io {
                Io::Plain(stream) => stream.write_all(bytes).await,
                Io::Tls(stream) => {
                    stream.write_all(bytes).await?;
                    stream.flush().await
                }
            }
        };
        let written = timeout(WRITE, write).await;
        written.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    /// Closes this side, and waits a moment for the other one, so that what was sent last arrives.
    pub(crate) async fn close(mut self) {
        let close = async {
            let shut = match &mut self.io {
                Io::Plain(stream) => stream.shutdown().await,
                Io::Tls(stream) => stream.shutdown().await,
            };
            if shut.is_err() {
                return;
            }
            let mut reader = Reader::new(Limits::STRANGER);
            while let Ok(1..) =
                poll_fn(|context| poll_read(&mut self.io, &mut reader, context)).await
            {
                reader = Reader::new(Limits::STRANGER);
            }
        };
        // Who does not close in time is closed on.
        let _ = timeout(CLOSE, close).await;
    }
}

/// Reads what there is into the reader. The buffer lives as long as this call: who waits holds none.
fn poll_read(
    io: &mut Io,
    reader: &mut Reader,
    context: &mut Context<'_>,
) -> Poll<Result<usize, Error>> {
    let mut bytes = [0; 8192];
    let mut buffer = ReadBuf::new(&mut bytes);
    ready!(match io {
        Io::Plain(stream) => Pin::new(stream).poll_read(context, &mut buffer),
        Io::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, &mut buffer),
    })?;
    reader.push(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}
