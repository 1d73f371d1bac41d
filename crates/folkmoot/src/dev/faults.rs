//! Faults on purpose, so that people see how their apps bear a bad network.
//!
//! Each call is drawn a fate: it may wait, be refused with `UNAVAILABLE`, or lose its
//! connection, before it is done, after it is done but before the answer, or in the middle of
//! the answer. All fates follow from one seed and the order of calls.

use std::{
    fmt,
    future::pending,
    ops::RangeInclusive,
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_TYPE, ORIGIN},
};
use http_body::Frame;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Sleep, sleep};

use crate::listen::Connection;

/// Longest that an answer goes on before its connection is cut, in milliseconds.
const ANSWER: u64 = 5_000;
/// The gRPC status `UNAVAILABLE`.
const UNAVAILABLE: &str = "14";

/// Which faults there are, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// How long each call waits, in milliseconds.
    latency: RangeInclusive<u64>,
    /// The share of calls that are refused: 0 to 1.
    drop: f64,
    /// The share of calls that lose their connection: 0 to 1.
    cut: f64,
    /// What chance begins with.
    seed: u64,
}

/// The text does not describe faults.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidFaults {
    /// Something that is not `name=value`, or an unknown name.
    #[error("{0:?} is no fault; write latency=50ms..200ms, drop=1%, cut=0.1% or seed=7")]
    Unknown(String),
    /// Not a time.
    #[error("{0:?} is no latency; write 50ms, or 50ms..2s")]
    Latency(String),
    /// Not a share.
    #[error("{0:?} is no share of calls; write 1% or 0.1%, up to 100%")]
    Share(String),
    /// Not a number.
    #[error("{0:?} is no seed; write a whole number")]
    Seed(String),
}

impl FromStr for Faults {
    type Err = InvalidFaults;

    fn from_str(text: &str) -> Result<Self, InvalidFaults> {
        let mut faults = Self {
            latency: 0..=0,
            drop: 0.0,
            cut: 0.0,
            seed: 0,
        };
        for part in text.split(',').map(str::trim) {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| InvalidFaults::Unknown(part.to_owned()))?;
            match name {
                "latency" => {
                    faults.latency =
                        latency(value).ok_or_else(|| InvalidFaults::Latency(value.to_owned()))?;
                }
                "drop" => faults.drop = share(value)?,
                "cut" => faults.cut = share(value)?,
                "seed" => {
                    faults.seed = value
                        .parse()
                        .map_err(|_| InvalidFaults::Seed(value.to_owned()))?;
                }
                _ => return Err(InvalidFaults::Unknown(part.to_owned())),
            }
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.latency.start(), self.latency.end());
        let (drop, cut) = (self.drop * 100.0, self.cut * 100.0);
        write!(
            formatter,
            "latency {least} to {most} ms, {drop}% of calls refused, {cut}% cut, seed {}",
            self.seed
        )
    }
}

/// `50ms`, or `50ms..2s`; in milliseconds.
fn latency(text: &str) -> Option<RangeInclusive<u64>> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (milliseconds(least)?, milliseconds(most)?);
    (least <= most).then_some(least..=most)
}

fn milliseconds(text: &str) -> Option<u64> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let found = match text.trim().strip_suffix("ms") {
        Some(text) => number(text)?,
        None => number(text.trim().strip_suffix('s')?)?.checked_mul(1000)?,
    };
    (found <= 600_000).then_some(found)
}

fn share(text: &str) -> Result<f64, InvalidFaults> {
    text.strip_suffix('%')
        .and_then(|percent| percent.trim().parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| InvalidFaults::Share(text.to_owned()))
}

impl Faults {
    /// Begins to draw fates.
    pub(super) fn begin(self) -> Chance {
        let random = Mutex::new(StdRng::seed_from_u64(self.seed));
        Chance {
            faults: self,
            random,
        }
    }
}

/// Draws a fate for each call.
#[derive(Debug)]
pub(super) struct Chance {
    faults: Faults,
    random: Mutex<StdRng>,
}

/// What becomes of a call, after it has waited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Goes,
    Refused,
    /// The connection goes before the call is done.
    CutBefore,
    /// The call is done, but the caller does not hear of it.
    CutAfter,
    /// The answer goes on for this long at most.
    CutAmid(Duration),
}

impl Chance {
    fn draw(&self) -> (Duration, Fate) {
        let mut random = self.random.lock();
        let wait = Duration::from_millis(random.random_range(self.faults.latency.clone()));
        let fate = if random.random_bool(self.faults.cut) {
            match random.random_range(0..3) {
                0 => Fate::CutBefore,
                1 => Fate::CutAfter,
                _ => Fate::CutAmid(Duration::from_millis(random.random_range(0..ANSWER))),
            }
        } else if random.random_bool(self.faults.drop) {
            Fate::Refused
        } else {
            Fate::Goes
        };
        (wait, fate)
    }
}

/// Lets a call meet its fate.
pub(super) async fn disturb(
    State(chance): State<Arc<Chance>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let (wait, fate) = chance.draw();
    if !wait.is_zero() {
        sleep(wait).await;
    }
    let Some(connection) = request.extensions().get::<Connection>().cloned() else {
        return next.run(request).await;
    };
    match fate {
        Fate::Goes => next.run(request).await,
        Fate::Refused => refusal(&request),
        Fate::CutBefore => {
            connection.cut();
            pending().await
        }
        Fate::CutAfter => {
            drop(next.run(request).await);
            connection.cut();
            pending().await
        }
        Fate::CutAmid(after) => {
            let response = next.run(request).await;
            let end = Box::pin(sleep(after));
            response.map(|body| {
                Body::new(CutBody {
                    body,
                    end,
                    connection,
                })
            })
        }
    }
}

/// `UNAVAILABLE`, in the language of the caller.
fn refusal(request: &Request) -> Response {
    let content_type = request.headers().get(CONTENT_TYPE).cloned();
    let is_grpc = content_type
        .as_ref()
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let mut response = if is_grpc {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
        headers.insert("grpc-status", HeaderValue::from_static(UNAVAILABLE));
        headers.insert(
            "grpc-message",
            HeaderValue::from_static("refused by --faults"),
        );
        response
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "refused by --faults\n").into_response()
    };
    if request.headers().contains_key(ORIGIN) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin"),
        );
    }
    response
}

/// An answer whose connection is cut when its time is over.
struct CutBody {
    body: Body,
    end: Pin<Box<Sleep>>,
    connection: Connection,
}

impl HttpBody for CutBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.end.as_mut().poll(context).is_ready() {
            self.connection.cut();
            return Poll::Pending;
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_people_write_them() {
        let faults: Faults = "latency=50ms..2s,drop=1%,cut=0.1%,seed=7".parse().unwrap();
        assert_eq!(faults.latency, 50..=2000);
        assert_eq!((faults.drop, faults.cut, faults.seed), (0.01, 0.001, 7));
        assert_eq!("latency=5ms".parse::<Faults>().unwrap().latency, 5..=5);
        for wrong in [
            "",
            "drop",
            "drop=1",
            "drop=101%",
            "latency=2s..1s",
            "latency=5",
            "loss=1%",
            "seed=x",
            "cut=-1%",
            "cut=NaN%",
        ] {
            assert!(wrong.parse::<Faults>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_seed_gives_one_story() {
        let faults: Faults = "latency=1ms..9ms,drop=20%,cut=20%,seed=3".parse().unwrap();
        let [one, other] = [0, 1].map(|_| {
            let chance = faults.clone().begin();
            (0..100).map(|_| chance.draw()).collect::<Vec<_>>()
        });
        assert_eq!(one, other);
        let refused = one
            .iter()
            .filter(|(_, fate)| *fate == Fate::Refused)
            .count();
        assert!((5..40).contains(&refused), "{refused}");
    }
}
