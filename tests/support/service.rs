//! The real executable with a folder and a port of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::StreamExt;
use keyledger_domain::Delivery;
use keyledger_domain::{Position, RecordedEvent};
use keyledger_identity::{Claims, SharedSecret, SigningKey, mint};
use keyledger_node::clock::{Clock, SystemClock};
use tempfile::TempDir;

use super::Client;
use super::stores::Stores;

/// Shared with every service under test.
pub(crate) const SECRET: &str = "a secret of the tests, 32 bytes or more";
/// More than anything here ever takes, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A running service.
pub(crate) struct Service {
    child: Child,
    folder: Arc<TempDir>,
    pub(crate) address: String,
    pub(crate) internal: String,
    output: Arc<Mutex<Vec<String>>>,
    told: Receiver<String>,
    readers: Vec<JoinHandle<()>>,
}

/// A service that is to be started.
pub(crate) struct Setup {
    folder: Arc<TempDir>,
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::in_folder(Arc::new(TempDir::new().unwrap()))
    }

    pub(crate) fn in_folder(folder: Arc<TempDir>) -> Self {
        let settings = [
            ("KEYLEDGER_LISTEN", "127.0.0.1:0"),
            ("KEYLEDGER_INTERNAL_LISTEN", "127.0.0.1:0"),
            ("KEYLEDGER_JWT_HS256_SECRET", SECRET),
            ("KEYLEDGER_LOG_FORMAT", "json"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let stores = Stores::of(folder.path());
        let arguments = vec!["serve".to_owned()];
        let setup = Self { folder, settings: settings.to_vec(), arguments };
        match stores {
            None => setup,
            Some(Stores { journal, read }) => {
                setup.set("KEYLEDGER_JOURNAL_URL", &journal).set("KEYLEDGER_READ_URL", &read)
            }
        }
    }

    /// Where its journal and its read tables will be.
    pub(crate) fn stores(&self) -> Stores {
        Stores::at(self.folder.path())
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = keyledger(self.folder.path());
        command.args(&self.arguments).envs(self.settings.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Starts it, and waits until it serves.
    pub(crate) fn start(self) -> Service {
        let mut service = self.spawn();
        service.is_said("serving");
        service
    }

    /// Starts it, and waits until it listens: its stores may not be there yet.
    pub(crate) fn spawn(self) -> Service {
        let mut child =
            self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let (lines, told) = channel();
        let readers = vec![
            gather(child.stderr.take().unwrap(), output.clone(), Some(lines)),
            gather(child.stdout.take().unwrap(), output.clone(), None),
        ];
        let mut service = Service {
            child,
            folder: self.folder,
            address: String::new(),
            internal: String::new(),
            output,
            told,
            readers,
        };
        let listening = service.is_said("listening");
        let address = |name: &str| listening[name].as_str().unwrap().to_owned();
        (service.address, service.internal) = (address("address"), address("internal_address"));
        service
    }
}

fn gather(
    from: impl std::io::Read + Send + 'static,
    output: Arc<Mutex<Vec<String>>>,
    lines: Option<std::sync::mpsc::Sender<String>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Some(lines) = &lines {
                let _ = lines.send(line.clone());
            }
            output.lock().unwrap().push(line);
        }
    })
}

/// The executable, in a folder and with no settings from outside.
pub(crate) fn keyledger(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyledger"));
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder);
    command
}

impl Service {
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    /// Waits until it has logged this message; tells the whole entry.
    fn is_said(&mut self, message: &str) -> serde_json::Value {
        loop {
            let Ok(line) = self.told.recv_timeout(LIMIT) else {
                panic!("it did not say {message:?}:\n{}", self.output());
            };
            match serde_json::from_str::<serde_json::Value>(&line) {
                Ok(entry) if entry["message"] == message => return entry,
                Ok(_) | Err(_) => {}
            }
        }
    }

    pub(crate) fn folder(&self) -> Arc<TempDir> {
        self.folder.clone()
    }

    /// Where its journal and its read tables are.
    pub(crate) fn stores(&self) -> Stores {
        Stores::at(self.folder.path())
    }

    /// All events of its journal.
    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        self.events_of(&self.stores().journal).await
    }

    /// All events of a journal.
    pub(crate) async fn events_of(&self, url: &str) -> Vec<RecordedEvent> {
        let reader = keyledger_journal::open_reader(url).await.unwrap();
        let mut subscription = reader.subscribe(Position::START);
        let mut events = Vec::new();
        while let Delivery::Event(event) = subscription.next().await.unwrap().unwrap() {
            events.push(event);
        }
        events
    }

    /// Someone who is signed in with a bearer token.
    pub(crate) fn user(&self, name: &str) -> Client {
        Client::new(&self.address, Some(token(name, &[])))
    }

    /// Someone who is signed in as an auditor.
    pub(crate) fn auditor(&self, name: &str) -> Client {
        Client::new(&self.address, Some(token(name, &["keyledger:audit"])))
    }

    /// Someone who is not signed in.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(&self.address, None)
    }

    /// A metric's value; `None` where there is none of it.
    pub(crate) async fn metric(&self, name: &str) -> Option<i64> {
        self.metric_text(name).await.map(|value| value.parse().unwrap())
    }

    /// The same, as it is told.
    pub(crate) async fn metric_text(&self, name: &str) -> Option<String> {
        let text = Client::new(&self.internal, None).get("/metrics").await.text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(ToOwned::to_owned)
    }

    /// How many bytes of memory it takes up.
    pub(crate) fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib = resident.split_whitespace().next().unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Waits until it says that it can do its work.
    pub(crate) async fn ready(self) -> Self {
        while self.stranger().get("/readyz").await.status != 200 {}
        self
    }

    /// Waits until a part of it is in this state.
    pub(crate) async fn part_is(&self, part: &str, state: &str) {
        while self.stranger().get("/readyz").await.json()["parts"][part] != state {}
    }

    /// Waits until it has printed this; tells all that it has printed.
    pub(crate) async fn printed(&self, text: &str) -> String {
        loop {
            let output = self.output();
            if output.contains(text) {
                return output;
            }
            tokio::task::yield_now().await;
        }
    }

    /// All that it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().join("\n")
    }

    /// Ends it at once, with no chance to finish anything.
    pub(crate) fn kill(mut self) -> Arc<TempDir> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.folder.clone()
    }

    /// Asks it to end, and waits until it has; its folder stays.
    pub(crate) fn stop_in_folder(self) -> Arc<TempDir> {
        let folder = self.folder.clone();
        assert!(self.stop().0.success());
        folder
    }

    /// Waits until it has ended; tells how, and all that it printed.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, self.output())
    }

    /// Asks it to end, and waits until it has; tells how it ended and all that it printed.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.ended()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What it said last, but for the requests.
            let output = self.output();
            let lines: Vec<_> =
                output.lines().filter(|line| !line.contains("request done")).collect();
            let last = lines.len().saturating_sub(30);
            println!("the service {} said:\n{}", self.address, lines[last..].join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A token for a user, signed as the service under test expects.
pub(crate) fn token(user: &str, roles: &[&str]) -> String {
    token_with(user, roles, 3600)
}

/// A token that expires this many seconds from now.
pub(crate) fn token_with(user: &str, roles: &[&str], expires_in: i64) -> String {
    let key = SigningKey::hs256(&SharedSecret::new(SECRET.to_owned()).unwrap());
    mint(&key, &claims(user, roles, expires_in), None).unwrap()
}

pub(crate) fn claims(user: &str, roles: &[&str], expires_in: i64) -> Claims {
    let now = SystemClock.now().unix_seconds();
    Claims {
        user_id: user.to_owned(),
        email: Some(format!("{user}@example.com")),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        audience: None,
        issuer: None,
        issued_at: now,
        expires_at: now + expires_in,
    }
}
