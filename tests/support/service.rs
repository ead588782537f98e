//! The real executable with a folder and a port of its own.

use std::process::{Command, ExitStatus};
use std::sync::Arc;

use keyledger_domain::RecordedEvent;
use keyledger_identity::Claims;
use keyledger_test_servers::process::{Process, run};
use keyledger_test_servers::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stores::{Stores, events_of};
use super::token::{claims, token, token_of};
use super::{Answer, Client, Setup};

/// A running service.
pub(crate) struct Service {
    process: Process,
    folder: Arc<TempDir>,
    pub(crate) address: String,
    pub(crate) internal: String,
}

impl Service {
    /// Starts a service in a new folder, and waits until it serves.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    /// A service that runs, once it listens.
    #[track_caller]
    pub(super) fn new(process: Process, folder: Arc<TempDir>) -> Self {
        let mut service = Self { process, folder, address: String::new(), internal: String::new() };
        let listening = service.logged("listening");
        let address = |name: &str| listening[name].as_str().unwrap().to_owned();
        (service.address, service.internal) = (address("address"), address("internal_address"));
        service
    }

    /// Waits until it has logged this message; tells the whole entry.
    #[track_caller]
    pub(super) fn logged(&mut self, message: &str) -> Value {
        self.process.said(&format!("the log entry {message:?}"), |output| {
            let mut entries = output.lines().filter_map(|line| serde_json::from_str(line).ok());
            entries.find(|entry: &Value| entry["message"] == message)
        })
    }

    /// Its folder, which outlives it.
    pub(crate) fn folder(&self) -> Arc<TempDir> {
        self.folder.clone()
    }

    /// Where its journal and its read tables are.
    pub(crate) fn stores(&self) -> Stores {
        Stores::at(self.folder.path())
    }

    /// All events of its journal.
    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        events_of(&self.stores().journal).await
    }

    /// A client that is signed in as this user.
    pub(crate) fn user(&self, name: &str) -> Client {
        Client::new(&self.address, Some(token(name, &[])))
    }

    /// A client with a token of this user that names this address, and was issued at this time in seconds
    /// since 1970.
    pub(crate) fn user_with_email(&self, name: &str, email: &str, issued_at: i64) -> Client {
        let email = Some(email.to_owned());
        let claims = Claims { email, issued_at, ..claims(name, &[], 3600) };
        Client::new(&self.address, Some(token_of(&claims)))
    }

    /// Waits until it verifies the key with this address.
    pub(crate) async fn verifies_with_email(&self, secret: &str, email: &str) {
        let gateway = self.gateway();
        until(format!("the address {email}"), async || {
            let told = gateway.post("/verify", &json!({ "key": secret })).await;
            let told = told.expect_status(200).json();
            if told["user_email"] == email { Ok(()) } else { Err(told) }
        })
        .await;
    }

    /// A client that is signed in as an auditor of this name.
    pub(crate) fn auditor(&self, name: &str) -> Client {
        Client::new(&self.address, Some(token(name, &["keyledger:audit"])))
    }

    /// A client that is not signed in.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(&self.address, None)
    }

    /// A gateway, which asks on the internal listener.
    pub(crate) fn gateway(&self) -> Client {
        Client::new(&self.internal, None)
    }

    /// The value of a metric; `None` if there is no such metric.
    pub(crate) async fn metric(&self, name: &str) -> Option<i64> {
        self.metric_text(name).await.map(|value| value.parse().unwrap())
    }

    /// The value of a metric as text.
    pub(crate) async fn metric_text(&self, name: &str) -> Option<String> {
        let text = self.gateway().get("/metrics").await.text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(ToOwned::to_owned)
    }

    /// Waits until a metric has this value.
    pub(crate) async fn metric_is(&self, name: &str, value: i64) {
        until(format!("the metric {name} to be {value}"), async || match self.metric(name).await {
            Some(now) if now == value => Ok(()),
            now => Err(format!("{now:?}")),
        })
        .await;
    }

    /// Limits the size of the files that it writes, or ends the limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let id = self.process.id().to_string();
        let fsize = format!("--fsize={limit}:unlimited");
        let limited = run(Command::new("prlimit").args(["--pid", &id, &fsize]));
        assert!(limited.status.success(), "{limited:?}");
    }

    /// How many bytes of memory it takes up.
    pub(crate) fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib = resident.split_whitespace().next().unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// The names of its threads, of which the system keeps 15 characters.
    pub(crate) fn threads(&self) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let name = |thread: std::io::Result<std::fs::DirEntry>| {
            // A thread may end meanwhile.
            std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap_or_default()
        };
        threads.map(|thread| name(thread).trim().to_owned()).collect()
    }

    /// Waits until it says that it can do its work.
    pub(crate) async fn ready(self) -> Self {
        self.readiness_is(200).await;
        self
    }

    /// Waits until `/readyz` has this status.
    pub(crate) async fn readiness_is(&self, status: u16) {
        self.until_readiness(format!("readiness {status}"), |answer| answer.status == status).await;
    }

    /// Waits until a part of it is in this state.
    pub(crate) async fn part_is(&self, part: &str, state: &str) {
        let what = format!("the part {part} to be {state}");
        self.until_readiness(what, |answer| answer.json()["parts"][part] == state).await;
    }

    async fn until_readiness(&self, what: String, is_so: impl Fn(&Answer) -> bool) {
        until(what, async || {
            let answer = self.stranger().get("/readyz").await;
            if is_so(&answer) { Ok(()) } else { Err(answer) }
        })
        .await;
    }

    /// Waits until it has printed this; tells all that it has printed.
    pub(crate) async fn printed(&self, text: &str) -> String {
        until(format!("{text:?} in the output"), async || {
            let output = self.output();
            if output.contains(text) { Ok(output) } else { Err(output) }
        })
        .await
    }

    /// All that it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// Ends it at once, with no chance to finish anything.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Arc<TempDir> {
        self.process.kill();
        self.folder.clone()
    }

    /// Asks it to end, and waits until it has; its folder stays.
    #[track_caller]
    pub(crate) fn stop_well(self) -> Arc<TempDir> {
        let folder = self.folder.clone();
        let (status, output) = self.stop();
        assert!(status.success(), "{output}");
        folder
    }

    /// Waits until it has ended; tells how, and all that it printed.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        self.process.ended_with_output()
    }

    /// Asks it to end, and waits until it has; tells how it ended and all that it printed.
    #[track_caller]
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.ended()
    }

    /// Sends it a signal, such as `STOP`.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The last lines of its log, without the requests.
            let output = self.output();
            let lines: Vec<_> =
                output.lines().filter(|line| !line.contains("request done")).collect();
            let last = lines.len().saturating_sub(30);
            println!("the service {} said:\n{}", self.address, lines[last..].join("\n"));
        }
    }
}

/// Which of these nodes was the last to take the lease of this part of the service.
pub(crate) fn latest(nodes: &[Service], part: &str) -> usize {
    let times = nodes.iter().map(|node| took_lease(node, part)).enumerate();
    times.max_by_key(|(_, time)| time.clone()).unwrap().0
}

/// When this node last took the lease of a part, if it ever did.
pub(crate) fn took_lease(node: &Service, part: &str) -> Option<String> {
    let output = node.output();
    let entries = output.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
    let mut taken = entries.filter(|entry: &Value| {
        entry["message"] == "this node holds the lease" && entry["part"] == part
    });
    taken.next()?["timestamp"].as_str().map(ToOwned::to_owned)
}
