//! A certificate for this machine, and its key.

use std::path::PathBuf;
use std::process::Command;

use keyledger_test_servers::process::run;
use tempfile::TempDir;

/// A certificate that is its own authority, in a folder of its own.
pub(crate) struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let certificate = Self { folder: TempDir::new().unwrap() };
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=CA:FALSE"]);
        let files = [certificate.path(), certificate.key()];
        let made = run(openssl.arg("-out").arg(&files[0]).arg("-keyout").arg(&files[1]));
        assert!(made.status.success(), "{made:?}");
        certificate
    }

    /// The file of the certificate.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The file of its private key.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
