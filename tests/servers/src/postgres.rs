//! A real PostgreSQL server.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::free_port;
use crate::process::{Process, delete_in_the_end, run};
use crate::wait::{until, within};

/// The variable with the folder of the server's programs, to test with another version.
pub const SERVER_PROGRAMS: &str = "TEST_POSTGRES";

/// A server with a folder of its own. It keeps no promise about power cuts (`fsync=off`) unless it
/// is started as durable, but every one about processes that are killed.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    is_durable: bool,
    /// Whether it has a certificate, and takes connections with TLS.
    has_tls: bool,
    process: Mutex<Option<Process>>,
}

impl Postgres {
    /// The server of all tests of a process that do not stop it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| {
            let server = Self::start();
            // What is static is never dropped.
            delete_in_the_end(server.folder.path());
            server
        })
    }

    /// Starts a server for one test.
    #[must_use]
    pub fn start() -> Self {
        Self::initialise(false)
    }

    /// Starts a server that syncs to disk, as in production: for measurements, and where durability is what
    /// is tested.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::initialise(true)
    }

    /// Starts a server that takes connections with TLS too, with this certificate.
    #[must_use]
    pub fn start_with_tls(certificate: &Certificate) -> Self {
        let mut server = Self::in_folder(false);
        server.has_tls = true;
        for (from, to) in [(certificate.path(), "tls.pem"), (certificate.key(), "tls.key")] {
            let to = server.folder.path().join(to);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
            if let Some((user, group)) = unprivileged() {
                chown(&to, Some(user), Some(group)).unwrap();
            }
        }
        server.initialised()
    }

    /// Starts a standby of the server that listens on this port. It may be read from, and is behind until
    /// it has replayed what it gets over its connection.
    #[must_use]
    pub fn standby_of(port: u16) -> Self {
        let standby = Self::in_folder(false);
        let mut copy = standby.program("pg_basebackup");
        copy.args([
            "--no-sync",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--username=postgres",
        ]);
        copy.args(["--host=127.0.0.1", "--port", &port.to_string(), "--pgdata"]);
        let made = run(copy.arg(standby.data()));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        standby.start_until("ready to accept read");
        standby
    }

    fn in_folder(is_durable: bool) -> Self {
        let folder = TempDir::new().unwrap();
        if let Some((user, group)) = unprivileged() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let process = Mutex::new(None);
        Self { folder, port: free_port(), is_durable, has_tls: false, process }
    }

    fn initialise(is_durable: bool) -> Self {
        Self::in_folder(is_durable).initialised()
    }

    fn initialised(self) -> Self {
        let server = self;
        let mut initdb = server.program("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]);
        let made = run(initdb.args(["--no-locale", "--pgdata"]).arg(server.data()));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.start_again();
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(server_program(name));
        // The server refuses to run as root.
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        command
    }

    /// Starts it again where it was stopped.
    pub fn start_again(&self) {
        self.start_until("ready to accept connections");
    }

    fn start_until(&self, words: &str) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-p", &self.port.to_string(), "-h", "127.0.0.1"]);
        command.args(["-c", "max_connections=300", "-c", "log_min_messages=warning"]);
        // By default it keeps up to a GB of its log.
        command.args(["-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"]);
        if self.has_tls {
            let file = |name| self.folder.path().join(name).display().to_string();
            command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", file("tls.pem"))]);
            command.args(["-c", &format!("ssl_key_file={}", file("tls.key"))]);
        }
        if !self.is_durable {
            command.args(["-c", "fsync=off"]);
        }
        let process = Process::start_until(words, &mut command);
        *self.process.lock().unwrap() = Some(process);
    }

    /// Ends it at once, without a shutdown.
    pub fn kill(&self) {
        // SIGQUIT ends all of its processes immediately; the next start recovers.
        self.end("QUIT");
    }

    /// Ends it in good order.
    pub fn stop(&self) {
        self.end("INT");
    }

    fn end(&self, signal: &str) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.signal(signal);
            process.ended();
        }
    }

    /// Waits until a standby of it has replayed everything that is committed here now.
    pub async fn is_replayed_by(&self, standby: &Self) {
        let here: String = value(&self.url("postgres"), "SELECT pg_current_wal_lsn()::text").await;
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{here}'::pg_lsn");
        until("the standby to have replayed everything", async || {
            let is_there: bool = value(&standby.url("postgres"), &replayed).await;
            if is_there { Ok(()) } else { Err("it has not") }
        })
        .await;
    }

    /// Makes a standby the primary: from then on it takes writes.
    pub async fn promote(&self) {
        let promoted: bool = value(&self.url("postgres"), "SELECT pg_promote()").await;
        assert!(promoted, "it did not become the primary in time");
    }

    /// From now on it wants the password of this role; restarts it.
    pub fn ask_password_of(&self, role: &str) {
        self.stop();
        let rules = self.data().join("pg_hba.conf");
        let others = std::fs::read_to_string(&rules).unwrap();
        let first = format!("host all {role} 127.0.0.1/32 scram-sha-256\n");
        std::fs::write(&rules, first + &others).unwrap();
        self.start_again();
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new, empty database; tells its URL.
    pub async fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name}");
        let creating = async {
            let mut connection = PgConnection::connect(&self.url("postgres")).await?;
            sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await
        };
        within("a new database", creating).await.unwrap();
        self.url(&name)
    }

    /// A new, empty database that cannot hold every text; tells its URL.
    pub async fn latin1_database(&self) -> String {
        let create = "CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
        sql(&self.url("postgres"), &[create]).await;
        self.url("latin1")
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end("QUIT");
    }
}

/// The one value that a query in the database at this URL returns.
pub async fn value<T>(url: &str, query: &str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let asking = async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await
    };
    within("the value of a query", asking).await.unwrap()
}

/// Runs statements in the database at this URL one by one, each as its own transaction.
pub async fn sql(url: &str, statements: &[&str]) {
    let running = async {
        let mut connection = PgConnection::connect(url).await?;
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut connection).await?;
        }
        connection.close().await
    };
    within("statements", running).await.unwrap();
}

/// The URL of the same database for another role; `url` names the role `postgres`.
#[must_use]
pub fn as_role(url: &str, role: &str) -> String {
    url.replace("postgres@", &format!("{role}@"))
}

/// A program of PostgreSQL: of the newest version that is installed, or found by `PATH`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name));
    newest.filter(|path| path.exists()).max().unwrap_or_else(|| PathBuf::from(name))
}

/// A program of the server: of the version that [`SERVER_PROGRAMS`] names, if it does.
#[expect(clippy::disallowed_methods, reason = "the tests have a setting of their own")]
fn server_program(name: &str) -> PathBuf {
    match std::env::var(SERVER_PROGRAMS) {
        Ok(folder) => Path::new(&folder).join(name),
        Err(_) => program(name),
    }
}

/// User and group for PostgreSQL where the tests run as root: those of `postgres`, or of `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        return None;
    }
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let ids = |name: &str| {
        let user = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = user.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).unwrap_or((65534, 65534)))
}
