//! Certificates for this machine, and their keys.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::run;

/// A certificate for 127.0.0.1, its key and its authority, in a folder of its own.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
    is_own_authority: bool,
}

impl Certificate {
    /// Makes a certificate that is its own authority.
    #[must_use]
    pub fn make() -> Self {
        let certificate = Self { folder: TempDir::new().unwrap(), is_own_authority: true };
        certificate.request(&["-addext", "basicConstraints=CA:FALSE"], "certificate", "key");
        certificate
    }

    /// Makes a private authority, and a certificate that it has issued.
    #[must_use]
    pub fn issued() -> Self {
        let certificate = Self { folder: TempDir::new().unwrap(), is_own_authority: false };
        certificate.request(&[], "authority", "authority-key");
        let authority = certificate.file("authority").display().to_string();
        let key = certificate.file("authority-key").display().to_string();
        let issuer = ["-CA", &authority, "-CAkey", &key, "-addext", "basicConstraints=CA:FALSE"];
        certificate.request(&issuer, "certificate", "key");
        certificate
    }

    fn request(&self, how: &[&str], certificate: &str, key: &str) {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-subj", &format!("/CN={certificate}")])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(how);
        let files = [self.file(certificate), self.file(key)];
        let made = run(openssl.arg("-out").arg(&files[0]).arg("-keyout").arg(&files[1]));
        assert!(made.status.success(), "{made:?}");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).with_extension("pem")
    }

    /// The file of the certificate.
    pub fn path(&self) -> PathBuf {
        self.file("certificate")
    }

    /// The file of its private key.
    pub fn key(&self) -> PathBuf {
        self.file("key")
    }

    /// The file of the authority's certificate.
    pub fn authority(&self) -> PathBuf {
        if self.is_own_authority { self.path() } else { self.file("authority") }
    }
}
