//! What every store promises, run against each of them.

mod backend;
mod properties;
mod topic_log;
