//! The transparency log of a service, and the programs that check it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use keyledger_domain::RecordedEvent;
use keyledger_test_servers::kurrentdb::{Database, Server};
use keyledger_test_servers::postgres::Postgres;
use tempfile::TempDir;

use super::stores::{events_of, new_database};
use super::wait::until;
use super::{Answer, Service, Setup, keyledger, run};

/// The name in every signing key of the tests.
pub(crate) const NAME: &str = "keys.example.com/tests";

/// A log: the folder, the stores and the public key of its service.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) journal: String,
    pub(crate) read: String,
    pub(crate) key: String,
    /// The stand-in for KurrentDB, if it has the journal.
    server: Option<Arc<Server>>,
}

impl Log {
    pub(crate) fn on_sqlite() -> Self {
        Self::new(|folder, name| format!("sqlite://{}/data/{name}.db", folder.display()))
    }

    pub(crate) fn on_postgres() -> Self {
        Self::new(|_, _| new_database(Postgres::shared()))
    }

    /// The journal and the tree in these databases.
    pub(crate) fn in_databases(journal: String, read: String) -> Self {
        Self { journal, read, ..Self::on_sqlite() }
    }

    /// The journal on KurrentDB, the tree in a file.
    pub(crate) fn on_kurrentdb() -> Self {
        let server = Arc::new(Server::start());
        Self { journal: server.url(), server: Some(server), ..Self::on_sqlite() }
    }

    pub(crate) fn database(&self) -> Option<&Database> {
        self.server.as_ref().map(|server| server.database())
    }

    fn new(url: impl Fn(&Path, &str) -> String) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let key = new_key(folder.path(), NAME, "audit.key");
        let (journal, read) = (url(folder.path(), "journal"), url(folder.path(), "read"));
        Self { folder, journal, read, key, server: None }
    }

    pub(crate) fn setup(&self) -> Setup {
        self.configured(Setup::in_folder(self.folder.clone()))
    }

    /// One of several nodes, each with its own folder.
    pub(crate) fn node(&self) -> Setup {
        self.configured(Setup::new())
    }

    fn configured(&self, setup: Setup) -> Setup {
        setup
            .set("KEYLEDGER_JOURNAL_URL", &self.journal)
            .set("KEYLEDGER_READ_URL", &self.read)
            .set("KEYLEDGER_AUDIT_KEY", self.path("audit.key").to_str().unwrap())
            .set("KEYLEDGER_AUDIT_INTERVAL", "1s")
    }

    /// Lets a service work as [`work`] says with this many keys, and stops it; tells all events.
    pub(crate) async fn history(&self, keys: usize) -> Vec<RecordedEvent> {
        let service = self.setup().start().ready().await;
        work(&service, keys).await;
        let events = events_of(&self.journal).await;
        service.stop_well();
        events
    }

    /// The same log, checked with this public key.
    pub(crate) fn trusting(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The checkpoints in the file, the oldest first.
    pub(crate) fn checkpoints(&self) -> Vec<String> {
        checkpoints_in(self.folder.path())
    }

    pub(crate) fn export(&self, out: &str, more: &[&str]) -> Output {
        let _ = std::fs::remove_file(self.path(out));
        run(keyledger(self.folder.path())
            .args(["audit", "export", "--out", out, "--public-key", &self.key])
            .args(more)
            .env("KEYLEDGER_JOURNAL_URL", &self.journal)
            .env("KEYLEDGER_READ_URL", &self.read))
    }

    /// Removes the read tables, with the tree, and all that was signed.
    pub(crate) fn forget_the_tree(&mut self) {
        if self.read.starts_with("postgres") {
            self.read = new_database(Postgres::shared());
        }
        for file in ["read.db", "read.db-wal", "read.db-shm"] {
            let _ = std::fs::remove_file(self.path("data").join(file));
        }
        let _ = std::fs::remove_file(self.path("data/checkpoints"));
    }

    /// Compares two files of checkpoints with `audit diff`; tells its exit code and its lines.
    pub(crate) fn diff(&self, one: &str, other: &str) -> (i32, String) {
        self.diff_trusting(one, other, &[&self.key])
    }

    /// The same with these public keys.
    pub(crate) fn diff_trusting(&self, one: &str, other: &str, keys: &[&str]) -> (i32, String) {
        told(
            keyledger(self.folder.path())
                .args(["audit", "diff", one, other])
                .args(keys.iter().flat_map(|key| ["--public-key", key]))
                .env("KEYLEDGER_READ_URL", &self.read),
        )
    }

    /// Builds the tree anew with `audit rebuild`; tells its exit code and its lines.
    pub(crate) fn rebuild(&self, more: &[&str]) -> (i32, String) {
        told(
            keyledger(self.folder.path())
                .args(["audit", "rebuild", "--public-key", &self.key])
                .args(more)
                .env("KEYLEDGER_JOURNAL_URL", &self.journal)
                .env("KEYLEDGER_READ_URL", &self.read),
        )
    }

    /// Checks an export with `audit verify`; tells its exit code and its lines.
    pub(crate) fn verify(&self, file: &str, more: &[&str]) -> (i32, String) {
        told(
            keyledger(self.folder.path())
                .args(["audit", "verify", file, "--key", &self.key])
                .args(more),
        )
    }
}

/// Makes a private key in a folder; tells its public key.
pub(crate) fn new_key(folder: &Path, name: &str, file: &str) -> String {
    let made = run(keyledger(folder).args(["audit", "keygen", "--name", name, "--out", file]));
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// The checkpoints in the file of the service of a folder, the oldest first.
pub(crate) fn checkpoints_in(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("data/checkpoints")).unwrap_or_default();
    // A note has an empty line within it, and another stands between two.
    let parts: Vec<_> = text.split("\n\n").filter(|part| !part.is_empty()).collect();
    let note = |part: &[&str]| format!("{}\n\n{}\n", part[0], part[1].trim_end());
    parts.chunks(2).map(note).collect()
}

/// How many events the tree of a note has.
pub(crate) fn size_of(note: &str) -> u64 {
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// Waits until a checkpoint of at least this size was signed; tells the answer that has it.
pub(crate) async fn signed(service: &Service, size: u64) -> Answer {
    let stranger = service.stranger();
    until(format!("a checkpoint of {size} events"), async || {
        let answer = stranger.get("/audit/checkpoint").await;
        if answer.status == 200 && size_of(&answer.text) >= size { Ok(answer) } else { Err(answer) }
    })
    .await
}

/// What the example checker, which shares no code with the program, says of a file, given these
/// arguments too: its exit code, and its lines.
pub(crate) fn example_says(log: &Log, file: &str, more: &[&str]) -> (i32, String) {
    const ROOT: &str = env!("CARGO_MANIFEST_DIR");
    let python = format!("{ROOT}/target/tools/audit/bin/python");
    assert!(Path::new(&python).exists(), "run `make tools` first");
    told(
        Command::new(python)
            .arg(format!("{ROOT}/examples/audit/verify.py"))
            .args(["--key", &log.key, file])
            .args(more)
            .current_dir(log.folder.path()),
    )
}

/// Runs a command; tells its exit code, and all that it said.
#[track_caller]
fn told(command: &mut Command) -> (i32, String) {
    let output = run(command);
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), told)
}

/// Creates this many keys and revokes the first: one event more than keys.
pub(crate) async fn work(service: &Service, count: usize) {
    let ann = service.user("ann");
    let first = ann.create("first").await;
    for number in 1..count {
        service.user("bob").create(&format!("k{number}")).await;
    }
    ann.delete(&format!("/keys/{first}")).await;
}
