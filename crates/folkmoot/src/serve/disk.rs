//! The disk alarm: while too little is free, nothing new is taken in, and what is there is safe.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use metrics::gauge;

use crate::config::DiskSection;

const MIB: u64 = 1 << 20;

/// Whether the disk is too full. Cheap to clone; all clones are the same alarm.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    alarm_bytes: u64,
    warn_bytes: u64,
    is_on: AtomicBool,
    has_warned: AtomicBool,
}

/// How much is free, seen against the limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Enough,
    Little,
    TooLittle,
}

impl Alarm {
    /// The alarm for the disk that `directory` is on. It is looked at before this returns.
    pub(super) fn new(directory: &Path, section: &DiskSection) -> Self {
        let alarm = Self {
            shared: Arc::new(Shared {
                directory: directory.to_owned(),
                alarm_bytes: section.alarm_free_mib.saturating_mul(MIB),
                warn_bytes: section.warn_free_mib.saturating_mul(MIB),
                is_on: AtomicBool::new(false),
                has_warned: AtomicBool::new(false),
            }),
        };
        alarm.look();
        alarm
    }

    /// Whether nothing may be taken in.
    pub(super) fn is_on(&self) -> bool {
        self.shared.is_on.load(Ordering::Relaxed)
    }

    /// Looks how much is free.
    pub(super) fn look(&self) {
        match free_bytes(&self.shared.directory) {
            Ok(free) => self.see(free),
            Err(cause) => tracing::warn!(%cause, "how much disk is free cannot be told"),
        }
    }

    fn see(&self, free: u64) {
        let shared = &self.shared;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge is a floating-point number"
        )]
        gauge!("folkmoot_disk_free_bytes").set(free as f64);
        let level = match free {
            free if free < shared.alarm_bytes => Level::TooLittle,
            free if free < shared.warn_bytes => Level::Little,
            _ => Level::Enough,
        };
        let free_mib = free / MIB;
        let is_on = level == Level::TooLittle;
        if shared.is_on.swap(is_on, Ordering::Relaxed) != is_on {
            if is_on {
                tracing::error!(free_mib, "the disk is nearly full; publishes are refused");
            } else {
                tracing::info!(free_mib, "there is room again; publishes are taken");
            }
        }
        let has_warned = shared
            .has_warned
            .swap(level != Level::Enough, Ordering::Relaxed);
        if level == Level::Little && !has_warned {
            tracing::warn!(free_mib, "the disk gets full");
        }
    }
}

/// Bytes that this user may still write to the disk that `directory` is on.
pub(crate) fn free_bytes(directory: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// `history` without uploads while the alarm is on.
pub(super) fn spare(history: Router, alarm: &Alarm) -> Router {
    history.layer(middleware::from_fn_with_state(
        alarm.clone(),
        refuse_uploads,
    ))
}

async fn refuse_uploads(State(alarm): State<Alarm>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST && alarm.is_on() {
        let text = "the server's disk is nearly full; try again later\n";
        return (StatusCode::INSUFFICIENT_STORAGE, text).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_goes_on_and_off_with_the_room() {
        let section = DiskSection {
            alarm_free_mib: 10,
            warn_free_mib: 20,
            every_seconds: 1,
        };
        let alarm = Alarm::new(Path::new("/"), &section);
        for (free, is_on) in [(30, false), (15, false), (9, true), (10, false), (0, true)] {
            alarm.see(free * MIB);
            assert_eq!(alarm.is_on(), is_on, "{free} MiB");
        }
    }

    #[test]
    fn the_free_room_of_a_directory_is_known() {
        assert!(free_bytes(Path::new(".")).unwrap() > 0);
        assert!(free_bytes(Path::new("/nowhere")).is_err());
    }
}
