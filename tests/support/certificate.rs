//! A certificate for this machine, and its key.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

pub(crate) struct Certificate {
    folder: TempDir,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let certificate = Self { folder: TempDir::new().unwrap() };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=CA:FALSE"])
            .arg("-out")
            .arg(certificate.path())
            .arg("-keyout")
            .arg(certificate.key())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        certificate
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
