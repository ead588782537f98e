//! A server of one document, over TLS.

use std::process::Command;

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::free_port;
use crate::process::Process;

/// A server that answers with one JSON document.
#[derive(Debug)]
pub struct Https {
    port: u16,
    _folder: TempDir,
    _process: Process,
}

impl Https {
    /// Starts a server with this certificate.
    #[must_use]
    pub fn start(certificate: &Certificate, json: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{json}", json.len());
        std::fs::write(folder.path().join("document"), answer).unwrap();
        let port = free_port();
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-HTTP", "-accept", &format!("127.0.0.1:{port}")]);
        openssl.arg("-cert").arg(certificate.path()).arg("-key").arg(certificate.key());
        let process = Process::start_until("ACCEPT", openssl.current_dir(folder.path()));
        Self { port, _folder: folder, _process: process }
    }

    /// The URL of the document.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/document", self.port)
    }
}
