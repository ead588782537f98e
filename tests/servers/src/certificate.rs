//! A self-signed certificate for 127.0.0.1, and its key.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::run;

/// A certificate that is its own authority, in a folder of its own.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes a certificate.
    #[must_use]
    pub fn make() -> Self {
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
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The file of its private key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
