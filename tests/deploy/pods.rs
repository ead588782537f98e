//! The program takes the settings that the chart gives its pods, and works with them.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use keyledger_domain::KeyHash;
use keyledger_test_servers::kurrentdb::Server;
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::postgres::Postgres;
use keyledger_test_servers::wait::until;
use serde_json::json;
use tempfile::TempDir;

use super::Objects;
use crate::support::log::{NAME, new_key};
use crate::support::stores::new_database;
use crate::support::{SECRET, Service, Setup, run};

/// A machine on which a pod of the chart would run.
struct Machine(Arc<TempDir>);

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["secrets", "data"] {
            DirBuilder::new().mode(0o750).create(folder.path().join(name)).unwrap();
        }
        Self(Arc::new(folder))
    }

    fn secrets(&self) -> std::path::PathBuf {
        self.0.path().join("secrets")
    }

    /// A file of the Secret, as Kubernetes mounts it.
    fn secret(&self, name: &str, content: &str) -> &Self {
        let path = self.secrets().join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o440).open(path);
        file.unwrap().write_all(content.as_bytes()).unwrap();
        self
    }

    /// Runs a pod until it can verify keys. Only paths and addresses are those of this machine.
    async fn runs(&self, objects: &Objects) -> Service {
        let mut setup = Setup::in_folder(self.0.clone());
        for unset in
            ["JOURNAL_URL", "READ_URL", "JWT_HS256_SECRET", "LOG_FORMAT", "MAX_KEYS_PER_OWNER"]
        {
            setup = setup.unset(&format!("KEYLEDGER_{unset}"));
        }
        let folder = self.0.path().to_str().unwrap();
        let own = |name: &str, value: &str| match name {
            "KEYLEDGER_LISTEN" | "KEYLEDGER_INTERNAL_LISTEN" => "127.0.0.1:0".to_owned(),
            _ => value
                .replace("/run/secrets/keyledger", &format!("{folder}/secrets"))
                .replace("/var/lib/keyledger", folder),
        };
        let settings = objects.environment().into_iter();
        for (name, value) in settings.filter(|(name, _)| name.starts_with("KEYLEDGER_")) {
            setup = setup.set(&name, &own(&name, &value));
        }
        let service = setup.start();
        until("a pod that is ready", async || {
            let answer = service.gateway().get("/readyz").await;
            if answer.status == 200 { Ok(()) } else { Err(answer) }
        })
        .await;
        service
    }
}

/// The public key of a new pair, as PEM.
fn public_key(folder: &Path) -> String {
    let openssl = |arguments: &[&str]| {
        let output = run(Command::new("openssl").args(arguments).current_dir(folder));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "sign-in.key"]);
    openssl(&["pkey", "-in", "sign-in.key", "-pubout"])
}

#[keyledger_bounded::test]
async fn a_pod_on_sqlite_makes_and_verifies_keys() {
    let machine = Machine::new();
    machine.secret("KEYLEDGER_JWT_HS256_SECRET", SECRET);
    let service = machine.runs(&Objects::of("sqlite")).await;
    let key = service.user("ann").post("/keys", &json!({"name": "first"})).await;
    let key = key.expect_status(200).json()["api_key"].clone();
    let verdict = service.gateway().post("/verify", &json!({ "key": key })).await;
    assert_eq!(verdict.json()["code"], "VALID");
    for name in ["journal.db", "read.db"] {
        assert!(machine.0.path().join("data").join(name).exists(), "{name}");
    }
}

#[keyledger_bounded::test]
async fn pods_on_postgresql_share_its_tables_and_sign() {
    let machine = Machine::new();
    let url = new_database(Postgres::shared());
    machine.secret("KEYLEDGER_JOURNAL_URL", &url).secret("KEYLEDGER_READ_URL", &format!("{url}\n"));
    machine.secret("sign-in.pem", &public_key(machine.0.path()));
    new_key(&machine.secrets(), NAME, "audit.key");
    let (one, other) = (machine.runs(&Objects::of("postgres")).await, Machine::new());
    // A second pod has the same Secret, and files of its own.
    for name in ["KEYLEDGER_JOURNAL_URL", "KEYLEDGER_READ_URL", "sign-in.pem", "audit.key"] {
        let content = std::fs::read_to_string(machine.secrets().join(name)).unwrap();
        other.secret(name, &content);
    }
    let other = other.runs(&Objects::of("postgres")).await;
    for service in [&one, &other] {
        service.readiness_is(200).await;
        service.part_is("tree", "ready").await;
    }
}

#[keyledger_bounded::test]
async fn a_pod_with_everything_publishes_and_admits_callers_with_a_token() {
    let machine = Machine::new();
    let (journal, nats) = (Server::start(), Nats::start(Version::Current));
    let read = new_database(Postgres::shared());
    machine.secret("KEYLEDGER_JOURNAL_URL", &journal.url());
    machine.secret("KEYLEDGER_NATS_URL", &nats.url());
    let token = "t".repeat(64);
    machine.secret("internal-tokens", &format!("{}  -\n", KeyHash::of(&token).to_hex()));
    for name in ["audit.key", "new.key"] {
        new_key(&machine.secrets(), NAME, name);
    }
    // One NATS server cannot keep three copies.
    let settings = json!({"KEYLEDGER_READ_URL": read, "KEYLEDGER_NATS_REPLICAS": 1});
    let objects = Objects::with("everything", &json!({ "settings": settings }));
    let service = machine.runs(&objects).await;
    for part in ["appends", "read_tables", "relay", "tree", "checkpoints"] {
        service.part_is(part, "ready").await;
    }
    service.gateway().get("/metrics").await.expect_status(401);
    let prometheus = service.gateway().with("authorization", &format!("Bearer {token}"));
    prometheus.get("/metrics").await.expect_status(200);
}
