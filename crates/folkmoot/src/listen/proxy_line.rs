//! What a proxy below HTTP says of its client: one line before everything else, which begins
//! with `PROXY ` (the PROXY protocol of HAProxy, version 1). It is looked for only on
//! connections of trusted proxies; without it, such a connection begins as any other.

use std::{
    io::{Error, ErrorKind, Result},
    net::IpAddr,
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, net::TcpStream, time::sleep};

/// What the line begins with.
const BEGINNING: &[u8] = b"PROXY ";
/// The longest line, its end included.
const LONGEST: usize = 107;
/// Pause before looking again at a beginning that came in pieces, which hardly ever happens.
const PAUSE: Duration = Duration::from_millis(5);

/// Takes the line from the beginning of `stream`, if it is there, and returns the address in it.
/// A proxy that speaks for itself (`UNKNOWN`) names none.
pub(super) async fn take(stream: &mut TcpStream) -> Result<Option<IpAddr>> {
    if !begins(stream).await? {
        return Ok(None);
    }
    let mut line = Vec::with_capacity(LONGEST);
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?);
    }
    address(&line).ok_or_else(malformed)
}

/// Whether the stream begins with such a line. Nothing is taken from it.
async fn begins(stream: &TcpStream) -> Result<bool> {
    let mut first = [0; BEGINNING.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 || !BEGINNING.starts_with(&first[..count]) {
            return Ok(false);
        }
        if count == BEGINNING.len() {
            return Ok(true);
        }
        sleep(PAUSE).await;
    }
}

/// The client in `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`; `Some(None)` if it is unknown.
fn address(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = std::str::from_utf8(line).ok()?;
    let words: Vec<_> = line.trim_end_matches("\r\n").split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", family, client, _, _, _] => {
            let client: IpAddr = client.parse().ok()?;
            let fits = match family {
                "TCP4" => client.is_ipv4(),
                "TCP6" => client.is_ipv6(),
                _ => false,
            };
            fits.then_some(Some(client.to_canonical()))
        }
        _ => None,
    }
}

fn malformed() -> Error {
    Error::new(
        ErrorKind::InvalidData,
        "the proxy's first line is malformed",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_client() {
        let named =
            |line: &str| address(line.as_bytes()).map(|found| found.map(|ip| ip.to_string()));
        let four = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
        assert_eq!(named(four), Some(Some("192.0.2.1".to_owned())));
        let six = "PROXY TCP6 2001:db8::1 ::1 56324 443\r\n";
        assert_eq!(named(six), Some(Some("2001:db8::1".to_owned())));
        assert_eq!(named("PROXY UNKNOWN\r\n"), Some(None));
        for wrong in [
            "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
        assert_eq!(address(b"PROXY TCP4 \xff"), None);
    }
}
