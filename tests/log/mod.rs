//! History that proves itself: the tree, its checkpoints, exports and their check.

mod agreement;
mod alterations;
mod csv;
mod files;
mod journals;
mod nodes;
mod publishing;
mod rotation;
mod stopping;
mod tampering;
mod walkthrough;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use keyledger_test_servers::kurrentdb::{Database, Server};
use keyledger_test_servers::postgres::Postgres;

use crate::support::stores::new_database;
use crate::support::{Service, Setup, keyledger};

const NAME: &str = "keys.example.com/tests";

/// A log: where its service runs, with which stores and which key.
#[derive(Clone)]
pub(crate) struct Log {
    folder: std::sync::Arc<tempfile::TempDir>,
    pub(crate) journal: String,
    pub(crate) read: String,
    pub(crate) key: String,
    /// The stand-in that has the journal, if it has.
    server: Option<std::sync::Arc<Server>>,
}

impl Log {
    pub(crate) fn on_sqlite() -> Self {
        Self::new(|folder, name| format!("sqlite://{}/data/{name}.db", folder.display()))
    }

    pub(crate) fn on_postgres() -> Self {
        Self::new(|_, _| new_database(Postgres::shared()))
    }

    /// The journal on KurrentDB, the tree in a file.
    pub(crate) fn on_kurrentdb() -> Self {
        let server = std::sync::Arc::new(Server::start());
        Self { journal: server.url(), server: Some(server), ..Self::on_sqlite() }
    }

    pub(crate) fn database(&self) -> Option<&Database> {
        self.server.as_ref().map(|server| server.database())
    }

    fn new(url: impl Fn(&Path, &str) -> String) -> Self {
        let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
        let key = new_key(folder.path(), NAME, "audit.key");
        let (journal, read) = (url(folder.path(), "journal"), url(folder.path(), "read"));
        Self { folder, journal, read, key, server: None }
    }

    pub(crate) fn setup(&self) -> Setup {
        self.configured(Setup::in_folder(self.folder.clone()))
    }

    /// One of several nodes, with a folder of its own.
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

    /// The same, for someone who trusts this public key.
    pub(crate) fn trusting(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The checkpoints in the file, the oldest first.
    pub(crate) fn checkpoints(&self) -> Vec<String> {
        checkpoints_in(self.folder.path())
    }

    pub(crate) fn export(&self, out: &str, more: &[&str]) -> Output {
        let _ = std::fs::remove_file(self.path(out));
        keyledger(self.folder.path())
            .args(["audit", "export", "--out", out, "--public-key", &self.key])
            .args(more)
            .env("KEYLEDGER_JOURNAL_URL", &self.journal)
            .env("KEYLEDGER_READ_URL", &self.read)
            .output()
            .unwrap()
    }

    /// The read tables will be made anew, as if nothing had been signed.
    pub(crate) fn forget_the_tree(&mut self) {
        if self.read.starts_with("postgres") {
            self.read = new_database(Postgres::shared());
        }
        for file in ["read.db", "read.db-wal", "read.db-shm"] {
            let _ = std::fs::remove_file(self.path("data").join(file));
        }
    }

    /// Whether one of these continues the other.
    pub(crate) fn diff(&self, one: &str, other: &str) -> (i32, String) {
        let compared = keyledger(self.folder.path())
            .args(["audit", "diff", one, other, "--public-key", &self.key])
            .env("KEYLEDGER_READ_URL", &self.read)
            .output()
            .unwrap();
        let told = String::from_utf8([compared.stdout, compared.stderr].concat()).unwrap();
        (compared.status.code().unwrap(), told)
    }

    /// What the check of a file says: its exit code, and its lines.
    pub(crate) fn verify(&self, file: &str, more: &[&str]) -> (i32, String) {
        let checked = keyledger(self.folder.path())
            .args(["audit", "verify", file, "--key", &self.key])
            .args(more)
            .output()
            .unwrap();
        let told = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
        (checked.status.code().unwrap(), told)
    }
}

/// Makes a private key in a folder; tells its public key.
pub(crate) fn new_key(folder: &Path, name: &str, file: &str) -> String {
    let made = keyledger(folder)
        .args(["audit", "keygen", "--name", name, "--out", file])
        .output()
        .unwrap();
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

/// How many events the tree held that a note tells of.
pub(crate) fn size_of(note: &str) -> u64 {
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// Waits until a checkpoint of this size, or a larger one, was signed.
pub(crate) async fn signed(service: &Service, size: u64) {
    loop {
        let answer = service.stranger().get("/audit/checkpoint").await;
        if answer.status == 200 && size_of(&answer.text) >= size {
            return;
        }
    }
}

/// What the example checker, which shares no code with the program, says of a file.
pub(crate) fn example_says(log: &Log, file: &str) -> (i32, String) {
    example(log, file, &[])
}

/// The same, given these arguments too.
fn example(log: &Log, file: &str, more: &[&str]) -> (i32, String) {
    const ROOT: &str = env!("CARGO_MANIFEST_DIR");
    let python = format!("{ROOT}/target/tools/audit/bin/python");
    assert!(Path::new(&python).exists(), "run `make tools` first");
    let checked = std::process::Command::new(python)
        .arg(format!("{ROOT}/examples/audit/verify.py"))
        .args(["--key", &log.key, file])
        .args(more)
        .current_dir(log.folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    (checked.status.code().unwrap(), told)
}

/// Some keys, of which the first is revoked.
pub(crate) async fn work(service: &Service, count: usize) {
    let ann = service.user("ann");
    let first = ann.create("first").await;
    for number in 1..count {
        service.user("bob").create(&format!("k{number}")).await;
    }
    ann.delete(&format!("/keys/{first}")).await;
}

#[test]
fn a_private_key_is_for_its_owner_alone_and_is_never_overwritten() {
    let log = Log::on_sqlite();
    assert!(log.key.starts_with(&format!("{NAME}+")));
    let mode = std::fs::metadata(log.path("audit.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = keyledger(log.folder.path())
        .args(["audit", "keygen", "--name", NAME, "--out", "audit.key"])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
}

async fn checkpoints_are_signed_at_the_interval_and_at_the_end(log: Log) {
    let service = log.setup().start().ready().await;
    work(&service, 5).await;
    service.printed("checkpoint signed").await;
    service.part_is("tree", "ready").await;
    service.user("ann").create("last").await;
    assert!(service.stop().0.success());
    let checkpoints = log.checkpoints();
    let last = checkpoints.last().unwrap();
    assert!(checkpoints.len() >= 2, "{checkpoints:?}");
    assert!(last.starts_with(&format!("{NAME}\n7\n")), "{last}");
    std::fs::write(log.path("first"), &checkpoints[0]).unwrap();
    let (code, told) = log.diff("first", "data/checkpoints");
    assert!(code == 0 && told.contains("7 events continue "), "{told}");
    // A restart signs nothing again, and goes on.
    let service = log.setup().start().ready().await;
    service.part_is("tree", "ready").await;
    assert!(service.stop().0.success());
    assert_eq!(log.checkpoints(), checkpoints);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_signed_on_sqlite() {
    checkpoints_are_signed_at_the_interval_and_at_the_end(Log::on_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_signed_on_postgres() {
    checkpoints_are_signed_at_the_interval_and_at_the_end(Log::on_postgres()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_needs_a_checkpoint_and_is_checked_offline() {
    let log = Log::on_sqlite();
    let service = log.setup().set("KEYLEDGER_AUDIT_INTERVAL", "10m").start().ready().await;
    service.part_is("tree", "ready").await;
    let refused = log.export("all", &[]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("no checkpoint was signed yet"), "{told}");
    work(&service, 270).await;
    assert!(service.stop().0.success());
    let service = log.setup().start().ready().await;
    std::fs::write(log.path("kept"), log.checkpoints().last().unwrap()).unwrap();
    // An older checkpoint cannot be compared with a subset; this one is the same.
    for (file, more, kept) in
        [("all", &[][..], "data/checkpoints"), ("ann", &["--user", "ann"], "kept")]
    {
        let exported = log.export(file, more);
        assert!(exported.status.success(), "{exported:?}");
        let (code, told) = log.verify(file, &["--checkpoint", kept]);
        assert_eq!(code, 0, "{told}");
    }
    assert!(log.verify("all", &[]).1.starts_with("271 events are as"));
    assert!(log.verify("ann", &[]).1.starts_with("2 events are as"));
    assert!(!std::fs::read_to_string(log.path("ann")).unwrap().contains("bob"));
    assert_eq!(log.verify("no-such-file", &[]).0, 2);
    drop(service);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checkpoint_is_public_and_proofs_are_for_auditors() {
    use keyledger_tlog::merkle::{verify_consistency, verify_inclusion};
    use keyledger_tlog::{Checkpoint, TreeHash};

    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    let stranger = service.stranger();
    assert_eq!(stranger.get("/audit/checkpoint").await.problem().1, "no_checkpoint");
    work(&service, 20).await;
    let checkpoint = loop {
        let answer = stranger.get("/audit/checkpoint").await;
        if answer.status == 200 {
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
            let checkpoint = Checkpoint::open(&answer.text, &[log.key.parse().unwrap()]).unwrap();
            if checkpoint.size == 21 {
                break checkpoint;
            }
        }
    };
    let eve = service.auditor("eve");
    let hash = |text: &serde_json::Value| text.as_str().unwrap().parse::<TreeHash>().unwrap();
    let proof = |body: &serde_json::Value| -> Vec<TreeHash> {
        body["proof"].as_array().unwrap().iter().map(hash).collect()
    };
    for (index, event) in (0..).zip(service.events_of(&log.journal).await) {
        let answer = eve.get(&format!("/audit/proofs/inclusion?event_id={}", event.id)).await;
        let body = answer.json();
        assert_eq!(body["index"], index);
        let proven = (hash(&body["leaf"]), proof(&body));
        verify_inclusion(proven.0, index, 21, &proven.1, checkpoint.root).unwrap();
    }
    let body = eve.get("/audit/proofs/consistency?from=7&to=21").await.json();
    let earlier = (7, hash(&body["from_root"]));
    verify_consistency(earlier, (21, checkpoint.root), &proof(&body)).unwrap();
    for path in ["inclusion?index=21", "inclusion?index=0&size=22", "consistency?from=2&to=1"] {
        let answer = eve.get(&format!("/audit/proofs/{path}")).await;
        assert_eq!(answer.problem().1, "not_in_tree", "{path}");
    }
}
