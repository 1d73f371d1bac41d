//! Telling the service manager how things stand (`man 3 sd_notify`).

use std::{
    env,
    io::Result,
    os::unix::{
        ffi::OsStrExt as _,
        net::{SocketAddr, UnixDatagram},
    },
};

/// Sends `state`, such as `READY=1`, to whoever started the program and wants to know.
pub(super) fn tell(state: &str) {
    if let Err(cause) = send(state) {
        tracing::warn!(%cause, "the service manager could not be told");
    }
}

fn send(state: &str) -> Result<()> {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => abstract_address(name)?,
        _ => SocketAddr::from_pathname(&socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}

/// A socket's address that is no file's name.
#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;

    SocketAddr::from_abstract_name(name)
}

/// Only Linux has such addresses.
#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> Result<SocketAddr> {
    Err(std::io::ErrorKind::Unsupported.into())
}
