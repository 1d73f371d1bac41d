//! Starting the program, and talking to it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The program, without variables of this test's own surroundings.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_folkmoot"));
    command.env_remove("COLUMNS");
    for (name, _) in std::env::vars() {
        if name.starts_with("FOLKMOOT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The program while it runs. It is killed when the test is over.
pub(crate) struct Running {
    child: Child,
    pub(crate) ready: Value,
    ready_file: PathBuf,
    place: TempDir,
}

impl Running {
    /// Starts the program with these arguments and a ready file, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at(arguments, Path::new("."))
    }

    pub(crate) fn start_at(arguments: &[&str], directory: &Path) -> Self {
        let place = TempDir::new().unwrap();
        let ready_file = place.path().join("ready.json");
        let log = fs::File::create(place.path().join("log")).unwrap();
        let mut child = program()
            .args(arguments)
            .arg("--ready-file")
            .arg(&ready_file)
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let ready = loop_until(|| {
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(place.path().join("log")).unwrap();
                panic!("{status}: {log}");
            }
            fs::read_to_string(&ready_file).ok()
        });
        Self {
            child,
            ready: serde_json::from_str(&ready).unwrap(),
            ready_file,
            place,
        }
    }

    /// What it has written to standard error until now.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready_file.exists()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let child = &mut self.child;
        loop_until(|| child.try_wait().unwrap())
    }

    /// The address behind a name in the ready file.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let url = match &self.ready[name] {
            Value::Array(urls) => urls[0].as_str(),
            url => url.as_str(),
        };
        let url = url.unwrap();
        url.split_once("://").unwrap().1.parse().unwrap()
    }

    /// The status line and the body that a request gets.
    pub(crate) fn http(&self, door: &str, method: &str, path: &str) -> (String, String) {
        http(self.address(door), method, path, b"")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked kindly, it leaves no temporary files.
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::TERM);
            drop(self.child.wait());
        }
    }
}

/// An HTTP request of the simplest kind.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Waits until `found` finds something, asking again and again.
pub(crate) fn loop_until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < SOON, "it did not happen");
        std::thread::yield_now();
    }
}
