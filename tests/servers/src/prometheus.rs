//! A real Prometheus.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::Process;
use crate::{free_port, tools};

/// A server with a folder of its own.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    _folder: TempDir,
    port: u16,
}

impl Prometheus {
    /// Starts a server that reads the metrics at this address every second, and evaluates these alerts as often. The
    /// series have the job `keyledger` and the namespace `keys`.
    #[must_use]
    pub fn start(address: &str, alerts: &Path) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let configuration = serde_json::json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [alerts],
            "scrape_configs": [{
                "job_name": "keyledger",
                "static_configs": [{"targets": [address], "labels": {"namespace": "keys"}}],
            }],
        });
        std::fs::write(folder.path().join("prometheus.yaml"), configuration.to_string()).unwrap();
        let mut command = Command::new(program("prometheus"));
        command.args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(folder.path());
        let process = Process::start_until("Server is ready to receive web requests", &mut command);
        Self { _process: process, _folder: folder, port }
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The path of a program of Prometheus, which `tests/tools.sh` has unpacked unless it was installed.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    tools::program(&format!("prometheus/usr/bin/{name}"), &format!("/usr/bin/{name}"))
}
