//! A PostgreSQL cluster for one test run: made below `target/`, listening on a free port of
//! the loopback address, gone afterwards. It offers TLS with a certificate of its own.

use std::{
    env, fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::{
    report,
    steps::{in_path, output_of},
};

/// A running cluster; dropping it stops the server and removes the files.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    as_root: bool,
    port: u16,
}

impl Cluster {
    /// Makes and starts a cluster; `None` when PostgreSQL's server programs are not installed.
    pub(crate) fn start() -> anyhow::Result<Option<Self>> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let as_root = output_of(Command::new("id").arg("-u"))?.trim() == "0";
        sweep(&programs, as_root);
        let mut cluster = Self {
            programs,
            folder: make_folder(as_root)?,
            as_root,
            port: free_port()?,
        };
        cluster.run(
            cluster
                .program("initdb")
                .arg("--pgdata")
                .arg(cluster.data())
                .args([
                    "--username=folkmoot",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ]),
        )?;
        cluster.make_certificate()?;
        // Another process may take the port between our look and the server's: look again then.
        let mut attempt = 1;
        while let Err(error) = cluster.start_server() {
            if attempt == 3 {
                return Err(error);
            }
            attempt += 1;
            cluster.port = free_port()?;
        }
        report::line(&format!(
            "PostgreSQL for this run listens on port {}",
            cluster.port
        ));
        Ok(Some(cluster))
    }

    /// Puts the cluster's addresses into the environment of a command.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("FOLKMOOT_TEST_POSTGRES", self.address())
            .env("FOLKMOOT_TEST_POSTGRES_CERTIFICATE", self.certificate())
            .env("FOLKMOOT_TEST_REQUIRE_POSTGRES", "1")
    }

    /// The address for `FOLKMOOT_TEST_POSTGRES`. Tests make databases or schemas of their own in it.
    fn address(&self) -> String {
        format!("postgres://folkmoot@127.0.0.1:{}/postgres", self.port)
    }

    /// The file with the server's certificate, which is for `localhost` and for no address.
    fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// Makes the certificate and puts it, with its key, where the server looks for them.
    fn make_certificate(&self) -> anyhow::Result<()> {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(self.certificate(), own.cert.pem()).context("write a certificate")?;
        fs::write(self.data().join("server.crt"), own.cert.pem()).context("write a certificate")?;
        let key = self.data().join("server.key");
        fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&key)?
            .write_all(own.signing_key.serialize_pem().as_bytes())?;
        // The server takes a key only from its own user.
        let owner = fs::metadata(self.data())?.uid();
        chown(&key, Some(owner), None).context("give the key to the server's user")
    }

    fn start_server(&self) -> anyhow::Result<()> {
        let settings = format!(
            "-p {} -c ssl=on -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300",
            self.port
        );
        self.run(
            self.program("pg_ctl")
                .arg("--pgdata")
                .arg(self.data())
                .arg("--log")
                .arg(self.folder.join("server.log"))
                .args(["--options", &settings])
                .args(["--wait", "--timeout=60", "start"]),
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of PostgreSQL's programs. It refuses to work as root, so it runs as the user that
    /// the Debian package makes.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if self.as_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder);
        command
    }

    fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder.join("setup.log"))?;
        let status = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        if !status.success() {
            for file in ["setup.log", "server.log"] {
                let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
                report::line(text.trim_end());
            }
        }
        ensure!(status.success(), "PostgreSQL did not start: {status}");
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            let stopped = self
                .program("pg_ctl")
                .arg("--pgdata")
                .arg(self.data())
                .args(["--mode=immediate", "--wait", "stop"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status();
            if !stopped.is_ok_and(|status| status.success()) {
                report::line(&format!(
                    "PostgreSQL in {} did not stop",
                    self.folder.display()
                ));
                return;
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            report::line(&format!("remove {}: {error}", self.folder.display()));
        }
    }
}

/// Stops and removes the clusters of runs that were killed before they could.
fn sweep(programs: &Path, as_root: bool) {
    let folders = fs::read_dir("target").into_iter().flatten().flatten();
    for folder in folders.map(|entry| entry.path()) {
        let owner = folder
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("postgres-"));
        if let Some(owner) = owner
            && !Path::new("/proc").join(owner).exists()
            && let Ok(folder) = fs::canonicalize(&folder)
        {
            drop(Cluster {
                programs: programs.to_owned(),
                folder,
                as_root,
                port: 0,
            });
        }
    }
}

/// Where `initdb` and `pg_ctl` are: in `PATH`, or where Debian keeps them.
fn programs() -> Option<PathBuf> {
    let has_all =
        |folder: &Path| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file();
    if let Some(folder) = in_path("initdb").and_then(|file| Some(file.parent()?.to_owned()))
        && has_all(&folder)
    {
        return Some(folder);
    }
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| has_all(folder))
        .collect();
    versions.sort();
    versions.pop().map(|(_, folder)| folder)
}

/// A new folder below `target/` that the server's user owns, or below the system's folder
/// for temporary files when that user may not enter ours.
fn make_folder(as_root: bool) -> anyhow::Result<PathBuf> {
    let name = format!("postgres-{}", process::id());
    let below_target = env::current_dir()?.join("target").join(&name);
    fs::create_dir_all(&below_target)
        .with_context(|| format!("create {}", below_target.display()))?;
    if !as_root {
        return Ok(below_target);
    }
    if owned_by_postgres(&below_target)? {
        return Ok(below_target);
    }
    fs::remove_dir(&below_target).context("remove the folder that user postgres may not enter")?;
    let elsewhere = env::temp_dir().join(format!("folkmoot-{name}"));
    fs::create_dir(&elsewhere).with_context(|| format!("create {}", elsewhere.display()))?;
    ensure!(
        owned_by_postgres(&elsewhere)?,
        "user postgres may not enter {}",
        elsewhere.display()
    );
    Ok(elsewhere)
}

/// Gives `folder` to user postgres; `false` when that user cannot reach it.
fn owned_by_postgres(folder: &Path) -> anyhow::Result<bool> {
    let given = Command::new("chown")
        .arg("postgres")
        .arg(folder)
        .status()
        .context("start chown")?;
    ensure!(
        given.success(),
        "there is no user postgres to run PostgreSQL as"
    );
    let enters = Command::new("runuser")
        .args(["-u", "postgres", "--", "test", "-w"])
        .arg(folder)
        .current_dir("/")
        .status()
        .context("start runuser")?;
    Ok(enters.success())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")
        .context("find a free port")?
        .local_addr()?
        .port())
}
