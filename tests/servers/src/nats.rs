//! A real nats-server with JetStream.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use tempfile::TempDir;

use crate::free_port;
use crate::process::Process;

/// The versions that are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2.9, the version of Debian 12.
    Old,
    /// The version that `tests/tools.sh` installs.
    Current,
}

/// A server with a folder of its own.
#[derive(Debug)]
pub struct Nats {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    process: Mutex<Option<Process>>,
    /// Files of a certificate and its key, for TLS.
    certificate: Option<(PathBuf, PathBuf)>,
    /// The arguments by which it wants clients to log in.
    authorization: Vec<String>,
}

impl Nats {
    /// Starts a server.
    #[must_use]
    pub fn start(version: Version) -> Self {
        Self::with(version, None, &[])
    }

    /// Starts a current server that wants TLS, with this certificate and its key.
    #[must_use]
    pub fn start_with_tls(certificate: PathBuf, key: PathBuf) -> Self {
        Self::with(Version::Current, Some((certificate, key)), &[])
    }

    /// Starts a server that admits only this user with this password.
    #[must_use]
    pub fn start_with_user(version: Version, user: &str, password: &str) -> Self {
        Self::with(version, None, &["--user", user, "--pass", password])
    }

    /// Starts a server that admits only clients with this token.
    #[must_use]
    pub fn start_with_token(version: Version, token: &str) -> Self {
        Self::with(version, None, &["--auth", token])
    }

    fn with(
        version: Version,
        certificate: Option<(PathBuf, PathBuf)>,
        authorization: &[&str],
    ) -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
        let program = match version {
            Version::Old => "/usr/sbin/nats-server".into(),
            Version::Current => tools.join("nats-server/nats-server"),
        };
        let folder = TempDir::new().unwrap();
        let process = Mutex::new(None);
        let authorization = authorization.iter().map(|&argument| argument.to_owned()).collect();
        let server =
            Self { program, folder, port: free_port(), process, certificate, authorization };
        server.start_again();
        server
    }

    /// Starts it again where it was stopped.
    pub fn start_again(&self) {
        let mut command = Command::new(&self.program);
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string()]);
        command.arg("--store_dir").arg(self.folder.path());
        command.args(&self.authorization);
        if let Some((certificate, key)) = &self.certificate {
            command.arg("--tls").arg("--tlscert").arg(certificate).arg("--tlskey").arg(key);
        }
        *self.process.lock().unwrap() = Some(Process::start_until("Server is ready", &mut command));
    }

    /// Ends it at once.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.signal("KILL");
            process.ended();
        }
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}
