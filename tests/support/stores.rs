//! The stores that services under test use: files, unless `TEST_STORES` names others, such as
//! `kurrentdb+postgres`: first the journal, then the read tables.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use futures::StreamExt;
use keyledger_domain::{Delivery, Position, RecordedEvent};
use keyledger_test_servers::kurrentdb::Server;
use keyledger_test_servers::postgres::{Postgres, program};
use keyledger_test_servers::process::run;
use keyledger_test_servers::wait::within;

use super::keyledger;

/// The URLs of the stores of a service.
pub(crate) struct Stores {
    pub(crate) journal: String,
    pub(crate) read: String,
}

impl Stores {
    /// Stores of the kinds that `TEST_STORES` names, always the same for a folder; `None` if it is not
    /// set.
    #[expect(clippy::disallowed_methods, reason = "the tests have a setting of their own")]
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let kinds = std::env::var("TEST_STORES").ok()?;
        let note = folder.join("stores");
        if let Ok(known) = std::fs::read_to_string(&note) {
            let (journal, read) = known.split_once('\n')?;
            return Some(Self { journal: journal.to_owned(), read: read.to_owned() });
        }
        let (journal, read) = kinds.split_once('+')?;
        let stores =
            Self { journal: new(folder, journal, "journal"), read: new(folder, read, "read") };
        std::fs::write(note, format!("{}\n{}", stores.journal, stores.read)).unwrap();
        Some(stores)
    }
}

impl Stores {
    /// The stores of a service that runs in this folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self::of(folder).unwrap_or_else(|| Self::files(folder))
    }

    /// Files in this folder, where a service has its stores by default.
    pub(crate) fn files(folder: &Path) -> Self {
        let file = |name| format!("sqlite://{}/data/{name}.db", folder.display());
        Self { journal: file("journal"), read: file("read") }
    }

    /// All data in the journal and in the read tables, as text.
    pub(crate) fn at_rest(&self) -> [String; 2] {
        [at_rest(&self.journal), at_rest(&self.read)]
    }
}

fn at_rest(url: &str) -> String {
    let bytes = match url.split_once("://").unwrap() {
        ("sqlite", path) => {
            let mut bytes = std::fs::read(path).unwrap();
            bytes.extend(std::fs::read(format!("{path}-wal")).unwrap_or_default());
            bytes
        }
        ("postgres", _) => {
            // Not pg_dump, which refuses a server that is newer than itself.
            let told = |query: &str| {
                let told = run(Command::new(program("psql")).args([url, "-Atc", query]));
                assert!(told.status.success(), "{told:?}");
                told.stdout
            };
            let tables = told("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
            let tables = String::from_utf8(tables).unwrap();
            tables.lines().flat_map(|table| told(&format!("COPY {table} TO STDOUT"))).collect()
        }
        _ => {
            let servers = SERVERS.lock().unwrap();
            servers.iter().find(|server| server.url() == url).unwrap().at_rest()
        }
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Servers that live as long as the tests do.
static SERVERS: Mutex<Vec<Server>> = Mutex::new(Vec::new());

fn new(folder: &Path, kind: &str, name: &str) -> String {
    match kind {
        "sqlite" => format!("sqlite://{}/data/{name}.db", folder.display()),
        "postgres" => new_database(Postgres::shared()),
        "kurrentdb" => {
            let server = Server::start();
            let url = server.url();
            SERVERS.lock().unwrap().push(server);
            url
        }
        unknown => panic!("there is no {unknown}"),
    }
}

/// A new database. This blocks, and may be called on a runtime and elsewhere.
pub(crate) fn new_database(server: &'static Postgres) -> String {
    let made =
        std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(server.database()));
    made.join().unwrap()
}

/// The program, with the stores of the service that has run in this folder.
pub(crate) fn keyledger_at(folder: &Path) -> Command {
    let mut command = keyledger(folder);
    if let Some(stores) = Stores::of(folder) {
        command.env("KEYLEDGER_JOURNAL_URL", stores.journal);
        command.env("KEYLEDGER_READ_URL", stores.read);
    }
    command
}

/// All events of a journal.
pub(crate) async fn events_of(url: &str) -> Vec<RecordedEvent> {
    let reading = async {
        let reader = keyledger_journal::open_reader(url).await.unwrap();
        let mut subscription = reader.subscribe(Position::START);
        let mut events = Vec::new();
        while let Delivery::Event(event) = subscription.next().await.unwrap().unwrap() {
            events.push(event);
        }
        events
    };
    within("all events of the journal", reading).await
}
