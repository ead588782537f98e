//! A self-signed certificate for 127.0.0.1, and its key.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    pub fn new() -> Self {
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

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
