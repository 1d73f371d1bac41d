//! Taking turns at a database: one process has it at a time (decision 0007), and a script has many.
//!
//! A command waits for the one before it ([`Waiting`]). A command that streams lets others in
//! between: it listens on a socket beside the database ([`Door`]), where whoever waits knocks, and
//! hangs up when the database is theirs. Nothing is ever said there. The stream closes the database
//! meanwhile, and goes on where it was.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use folkmoot_client::{Error, db::DbError};
use futures::FutureExt as _;
use tokio::{
    io::AsyncReadExt as _,
    net::{UnixListener, UnixStream},
    time::{Instant, sleep, timeout},
};

/// Who waits for a database that another process has.
pub(crate) struct Waiting<'a> {
    database: &'a Path,
    who: Who,
    /// How long one and the same process may keep it.
    longest: Duration,
    began: Instant,
    /// The process that has it, and since when we see it.
    holder: (Option<u32>, Instant),
    told: bool,
    knock: Option<UnixStream>,
}

/// What kind of command waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    /// One that is over in a moment: streams let it in between.
    Passes,
    /// One that stays. It waits for the end of whoever is there.
    Stays,
    /// A stream that let others in between. It waits for them, however long.
    Returns,
}

impl<'a> Waiting<'a> {
    /// Begins to wait.
    pub(crate) fn new(database: &'a Path, who: Who, longest: Duration) -> Self {
        let now = Instant::now();
        Self {
            database,
            who,
            longest,
            began: now,
            holder: (None, now),
            told: false,
            knock: None,
        }
    }

    /// Waits a little before the next try, after `cause`. `false`: it is not worth while.
    pub(crate) async fn a_little(&mut self, cause: &Error) -> bool {
        let Error::Database(DbError::InUse { process, .. }) = cause else {
            return false;
        };
        let now = Instant::now();
        // It is not there for an instant, when the database goes from hand to hand.
        if process.is_some() && *process != self.holder.0 {
            self.holder = (*process, now);
        }
        if self.who != Who::Returns && now.duration_since(self.holder.1) >= self.longest {
            return false;
        }
        if self.who == Who::Passes && self.knock.is_none() {
            // Nobody there: the other command does not stay, or lets nobody in.
            self.knock = UnixStream::connect(door(self.database)).await.ok();
        }
        let silent = match self.who {
            Who::Returns => SILENT_STREAM,
            Who::Passes | Who::Stays => SILENT,
        };
        if !self.told && now.duration_since(self.began) >= silent {
            self.told = true;
            let of = process.map_or_else(String::new, |process| format!(" {process}"));
            eprintln!(
                "waiting for process{of}, which has {}",
                self.database.display()
            );
        }
        sleep(BETWEEN_TRIES).await;
        true
    }
}

/// Where those knock who wait while a command streams.
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    /// Those who wait.
    callers: Vec<UnixStream>,
}

impl Door {
    /// Opens the door of a database that this process has. `None`: there can be none here, so
    /// nobody is let in between.
    ///
    /// # Errors
    ///
    /// [`DbError::InUse`] when another stream is there, and only let us in between.
    pub(crate) async fn open(database: &Path) -> Result<Option<Self>, DbError> {
        let path = door(database);
        match UnixStream::connect(&path).await {
            Ok(_) => {
                return Err(DbError::InUse {
                    path: database.into(),
                    process: None,
                });
            }
            // Of a stream that was killed.
            Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                drop(fs::remove_file(&path));
            }
            Err(_) => {}
        }
        let opened = UnixListener::bind(&path).and_then(|listener| {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        Ok(match opened {
            Ok(listener) => Some(Self {
                listener,
                path,
                callers: Vec::new(),
            }),
            Err(cause) => {
                // The name is too long, or the file system has no sockets.
                tracing::debug!(%cause, "other commands have to wait until this one ends");
                None
            }
        })
    }

    /// Waits until somebody knocks. Cancel safe.
    pub(crate) async fn knocked(&mut self) {
        loop {
            match self.listener.accept().await {
                Ok((caller, _)) => {
                    self.callers.push(caller);
                    return;
                }
                Err(cause) => {
                    tracing::debug!(%cause, "somebody knocked and was not heard");
                    sleep(AFTER_AN_ERROR).await;
                }
            }
        }
    }

    /// Waits until nobody waits any more.
    pub(crate) async fn silence(&mut self) {
        let quiet = async {
            loop {
                while let Some(Ok((caller, _))) = self.listener.accept().now_or_never() {
                    self.callers.push(caller);
                }
                let Some(mut caller) = self.callers.pop() else {
                    return;
                };
                // Nothing is said; whatever comes is the end.
                drop(caller.read(&mut [0]).await);
            }
        };
        if timeout(LONGEST_CALL, quiet).await.is_err() {
            self.callers.clear();
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // If it stays, the next stream removes it.
        drop(fs::remove_file(&self.path));
    }
}

fn door(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".door");
    name.into()
}

/// After this it is said who is waited for.
const SILENT: Duration = Duration::from_millis(500);
/// The same for a stream: those it lets in are over in a moment.
const SILENT_STREAM: Duration = Duration::from_secs(5);
const BETWEEN_TRIES: Duration = Duration::from_millis(10);
const AFTER_AN_ERROR: Duration = Duration::from_secs(1);
/// Who knocks and then does nothing for so long is not waited for.
const LONGEST_CALL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use(process: u32) -> Error {
        Error::Database(DbError::InUse {
            path: "a.db".into(),
            process: Some(process),
        })
    }

    #[tokio::test]
    async fn a_stream_is_told_who_waits_and_when_they_have_what_they_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("a.db");
        let mut door = Door::open(&database).await.unwrap().unwrap();
        let mode = fs::metadata(place.path().join("a.db.door")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        let mut waiting = Waiting::new(&database, Who::Passes, Duration::from_secs(60));
        assert!(waiting.a_little(&in_use(1)).await);
        door.knocked().await;
        let silence = timeout(Duration::from_millis(1), door.silence()).await;
        assert!(silence.is_err(), "somebody is there");
        let mut other = Waiting::new(&database, Who::Passes, Duration::from_secs(60));
        assert!(other.a_little(&in_use(1)).await);
        door.knocked().await;
        drop((waiting, other));
        door.silence().await;
        assert!(Door::open(&database).await.is_err(), "one stream at a time");
        drop(door);
        assert!(!place.path().join("a.db.door").exists());
    }

    #[tokio::test]
    async fn a_door_that_a_killed_stream_left_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let database = place.path().join("a.db");
        drop(std::os::unix::net::UnixListener::bind(place.path().join("a.db.door")).unwrap());
        assert!(Door::open(&database).await.unwrap().is_some());
        let long = place.path().join("x".repeat(200));
        assert!(Door::open(&long).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn patience_is_for_one_process_and_not_for_all_together() {
        let nowhere = Path::new("/nowhere/a.db");
        let longest = Duration::from_millis(200);
        let mut waiting = Waiting::new(nowhere, Who::Passes, longest);
        let began = Instant::now();
        for process in 1.. {
            assert!(waiting.a_little(&in_use(process)).await);
            if began.elapsed() > 2 * longest {
                break;
            }
        }
        let began = Instant::now();
        while waiting.a_little(&in_use(0)).await {}
        assert!(began.elapsed() >= longest);
        let closed = Error::Database(DbError::Closed);
        assert!(!waiting.a_little(&closed).await, "only when it is in use");
        let mut returning = Waiting::new(nowhere, Who::Returns, Duration::ZERO);
        assert!(returning.a_little(&in_use(1)).await);
    }
}
