//! Who holds a port that cannot be had.

use std::{fmt, fs, net::SocketAddr, path::Path};

/// A process that listens on a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Holder {
    /// Its id.
    pub(crate) pid: u32,
    /// Its name, as the system has it.
    pub(crate) name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (process {})", self.name, self.pid)
    }
}

/// The process that listens on `port`, where the system tells (Linux, and only about processes
/// that this user may look into).
pub(crate) fn holder(port: u16) -> Option<Holder> {
    let sockets: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_sockets(&table, port))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let wanted: Vec<String> = sockets
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if has_open(&process.path(), &wanted) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            return Some(Holder { pid, name });
        }
    }
    None
}

fn has_open(process: &Path, wanted: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter_map(|target| target.into_os_string().into_string().ok())
        .any(|target| wanted.contains(&target))
}

/// The inodes of sockets that listen on `port`, in the table's format (`man 5 proc_pid_net`).
fn listening_sockets(table: &str, port: u16) -> Vec<u64> {
    const LISTENING: &str = "0A";
    let ends = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_it = fields.get(1)?.ends_with(&ends) && *fields.get(3)? == LISTENING;
            is_it.then(|| fields.get(9)?.parse().ok()).flatten()
        })
        .collect()
}

/// What to tell about `address`, which somebody else has.
pub(crate) fn taken(address: SocketAddr) -> String {
    match holder(address.port()) {
        Some(holder) => format!("{address} is taken by {holder}"),
        None => format!("{address} is taken by another process"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_table_of_sockets_names_those_that_listen() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:15B4 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1\n\
            1: 0100007F:15B4 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 4712 1\n\
            2: 0100007F:15B5 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4713 1\n";
        assert_eq!(listening_sockets(table, 5556), [4711]);
        assert_eq!(listening_sockets("", 5556), [0; 0]);
        assert_eq!(listening_sockets("head\nnonsense\n", 5556), [0; 0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_its_own_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(holder(port).unwrap().pid, std::process::id());
    }
}
