//! The ready file: how another program finds this one.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde_json::Value;

/// Writes `contents` as JSON. The file appears with all of its contents.
pub(crate) fn write(file: &Path, contents: &Value) -> anyhow::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, format!("{contents:#}\n"))
        .and_then(|()| fs::rename(&partial, file))
        .with_context(|| format!("write the ready file {}", file.display()))
}
