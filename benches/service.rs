//! The servers that are measured, each a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keyledger_domain::Clock;
use keyledger_identity::{Claims, SharedSecret, SigningKey, mint};
use keyledger_node::clock::SystemClock;

const SECRET: &str = "a secret of the benches, 32 bytes or more";

/// A running server, which is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts keyledger on the stores in a folder.
pub(crate) fn keyledger(folder: &Path) -> Server {
    keyledger_with(folder, &[])
}

/// The same, with these settings.
pub(crate) fn keyledger_with(folder: &Path, settings: &[(&str, &str)]) -> Server {
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyledger"))
        .arg("serve")
        .current_dir(folder)
        .env("KEYLEDGER_LISTEN", "127.0.0.1:0")
        .env("KEYLEDGER_INTERNAL_LISTEN", "127.0.0.1:0")
        .env("KEYLEDGER_JWT_HS256_SECRET", SECRET)
        .env("KEYLEDGER_LOG_FORMAT", "json")
        .env("KEYLEDGER_MAX_KEYS_PER_OWNER", "100000")
        .envs(settings.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut said = |message: &str| {
        let mut entries = lines.by_ref().map(|line| serde_json::from_str(&line).unwrap());
        entries.find(|entry: &serde_json::Value| entry["message"] == message).unwrap()
    };
    let address = said("listening")["address"].as_str().unwrap().to_owned();
    said("serving");
    std::thread::spawn(move || lines.for_each(drop));
    Server { child, address }
}

/// Starts the server to compare with.
pub(crate) fn bare(folder: &Path) -> Server {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("bare-server")
        .arg(folder.join("log"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    Server { child, address: address.trim().to_owned() }
}

/// A sign-in token for a user.
pub(crate) fn token(user: &str) -> String {
    let now = SystemClock.now().unix_seconds();
    let key = SigningKey::hs256(&SharedSecret::new(SECRET.to_owned()).unwrap());
    let claims = Claims {
        user_id: user.to_owned(),
        email: Some(format!("{user}@example.com")),
        roles: Vec::new(),
        audience: None,
        issuer: None,
        issued_at: now,
        expires_at: now + 24 * 3600,
    };
    mint(&key, &claims, None).unwrap()
}
