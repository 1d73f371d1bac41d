//! A stream that counts what was read from it, and gathers what is written to it.
//!
//! HTTP/2 hands over each frame of a body by itself and flushes after it, which is a system call
//! for every message of every stream. While a connection is polled, its frames are gathered
//! here, and written together afterwards.

use std::{
    io::{IoSlice, Result},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are gathered.
const GATHERED: usize = 64 << 10;
/// Room for gathering that a quiet connection keeps, in bytes.
const KEPT: usize = 1 << 10;

/// One end of a [`Watched`] stream: for whoever polls the connection that uses it.
#[derive(Debug)]
pub(super) struct Watch<S>(Arc<Mutex<Shared<S>>>);

/// A stream that tells [`Watch`], and waits for it.
#[derive(Debug)]
pub(super) struct Watched<S>(Arc<Mutex<Shared<S>>>);

#[derive(Debug)]
struct Shared<S> {
    stream: S,
    /// Bytes read until now.
    seen: u64,
    /// Whether flushing is left to [`Watch::release`].
    gathers: bool,
    gathered: Vec<u8>,
    /// How much of it has been written.
    written: usize,
}

impl<S> Watched<S> {
    /// `stream`, watched.
    pub(super) fn new(stream: S) -> (Self, Watch<S>) {
        let shared = Arc::new(Mutex::new(Shared {
            stream,
            seen: 0,
            gathers: false,
            gathered: Vec::new(),
            written: 0,
        }));
        (Self(Arc::clone(&shared)), Watch(shared))
    }
}

impl<S: AsyncWrite + Unpin> Watch<S> {
    /// Bytes read until now.
    pub(super) fn seen(&self) -> u64 {
        self.0.lock().seen
    }

    /// Gathers what is written from now on.
    pub(super) fn gather(&self) {
        self.0.lock().gathers = true;
    }

    /// Writes what was gathered, and gathers no more. What the other side does not take yet is
    /// written when the connection is polled next.
    pub(super) fn release(&self, context: &mut Context<'_>) -> Result<()> {
        let mut shared = self.0.lock();
        shared.gathers = false;
        match shared.poll_flush(context) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Shared<S> {
    /// Writes what was gathered.
    fn poll_empty(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        while self.written < self.gathered.len() {
            let rest = &self.gathered[self.written..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.written = 0;
        self.gathered.clear();
        self.gathered.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_empty(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if !self.gathers || self.gathered.len() + bytes > GATHERED {
            ready!(self.poll_empty(context))?;
        }
        if !self.gathers || bytes > GATHERED {
            return Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        }
        for piece in pieces {
            self.gathered.extend_from_slice(piece);
        }
        Poll::Ready(Ok(bytes))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let mut shared = self.0.lock();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut shared.stream).poll_read(context, buffer);
        shared.seen += (buffer.filled().len() - before) as u64;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.0.lock().poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut shared = self.0.lock();
        if shared.gathers {
            return Poll::Ready(Ok(()));
        }
        shared.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut shared = self.0.lock();
        ready!(shared.poll_flush(context))?;
        Pin::new(&mut shared.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.0.lock().poll_write(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_gathered_comes_out_whole_however_slowly_it_is_taken() {
        let (near, mut far) = tokio::io::duplex(1000);
        let (mut stream, watch) = Watched::new(near);
        let sent: Vec<u8> = (0..3 * GATHERED).map(|at| (at % 251) as u8).collect();
        let taken = tokio::spawn(async move {
            let mut taken = Vec::new();
            far.read_to_end(&mut taken).await.unwrap();
            taken
        });
        for piece in sent.chunks(777) {
            watch.gather();
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
            poll_fn(|context| Poll::Ready(watch.release(context)))
                .await
                .unwrap();
        }
        watch.gather();
        stream.shutdown().await.unwrap();
        assert_eq!(taken.await.unwrap(), sent);
    }

    #[tokio::test]
    async fn nothing_leaves_before_it_is_released() {
        let (near, mut far) = tokio::io::duplex(1000);
        let (mut stream, watch) = Watched::new(near);
        watch.gather();
        stream.write_all(b"one, ").await.unwrap();
        stream.flush().await.unwrap();
        let mut taken = [0; 8];
        let early = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut taken);
            Poll::Ready(
                Pin::new(&mut far)
                    .poll_read(context, &mut buffer)
                    .is_ready(),
            )
        });
        assert!(!early.await);
        stream.write_all(b"two").await.unwrap();
        poll_fn(|context| Poll::Ready(watch.release(context)))
            .await
            .unwrap();
        far.read_exact(&mut taken).await.unwrap();
        assert_eq!(&taken, b"one, two");
    }
}
