//! How many files and connections the system lets the program have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks for as many as this user may have; many systems give only 1024 unless asked.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(cause) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%cause, "the limit on open files stays as it was");
    }
}

/// How many there may be at most.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}
