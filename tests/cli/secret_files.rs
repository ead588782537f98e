//! Secrets in files, as Docker and Kubernetes mount them.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use keyledger::config::{SETTINGS, Setting};
use keyledger_identity::{SharedSecret, SigningKey, mint};
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::postgres::Postgres;
use tempfile::TempDir;

use crate::support::setup::{is_root, without_rights_of_root};
use crate::support::stores::new_database;
use crate::support::{Client, SECRET, Setup, claims, events_of, keyledger, run};

/// A file that nobody but its owner may read.
fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// What `serve` says of a file with the value of a setting.
fn told(setting: &Setting, path: &str) -> String {
    let folder = TempDir::new().unwrap();
    let (_, variable) = setting.file().unwrap();
    let mut serve = without_rights_of_root(keyledger(folder.path()).arg("serve"));
    serve.env(variable, path);
    if setting.env != "KEYLEDGER_JWT_HS256_SECRET" {
        serve.env("KEYLEDGER_JWT_HS256_SECRET", SECRET);
    }
    // So that it does not start in any case.
    let output = run(serve.env("KEYLEDGER_LISTEN", "everywhere"));
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[keyledger_bounded::test]
fn a_file_of_any_secret_that_cannot_be_used_is_told_without_its_content() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = |name: &str| at(name).display().to_string();
    write(&at("empty"), "\n \n");
    write(&at("large"), "s3cr3t ".repeat(10_000));
    write(&at("binary"), [b"s3cr3t".as_slice(), &[0xff]].concat());
    write(&at("closed"), "s3cr3t");
    std::fs::set_permissions(at("closed"), PermissionsExt::from_mode(0o000)).unwrap();
    write(&at("open"), "s3cr3t");
    std::fs::set_permissions(at("open"), PermissionsExt::from_mode(0o644)).unwrap();
    write(&at("shared"), "s3cr3t");
    std::fs::set_permissions(at("shared"), PermissionsExt::from_mode(0o660)).unwrap();
    // No value of any of the settings.
    write(&at("wrong"), "s3cr3t\n");
    for setting in SETTINGS.iter().filter(|setting| setting.file().is_some()) {
        let (_, variable) = setting.file().unwrap();
        let chmod = |name| format!("type: chmod u=rw,g=,o= {}", path(name));
        for (path, sentence) in [
            (path("missing"), "the file cannot be read: No such file".to_owned()),
            ("s3cr3t".to_owned(), "the file cannot be read: No such file".to_owned()),
            (String::new(), "must not be empty".to_owned()),
            (path(""), format!("{} is no file", path(""))),
            (path("empty"), "the file is empty".to_owned()),
            (path("large"), format!("{} has more than 64 KiB", path("large"))),
            (path("binary"), "the file is no text in UTF-8".to_owned()),
            (path("closed"), "the file cannot be read: Permission denied".to_owned()),
            (path("open"), chmod("open")),
            (path("shared"), chmod("shared")),
            (path("wrong"), String::new()),
        ] {
            let told = told(setting, &path);
            let line = told.lines().find(|line| line.starts_with(&format!("  {variable}: ")));
            let line = line.unwrap_or_else(|| panic!("{variable} {path}: {told}"));
            assert!(line.contains(&sentence), "{sentence:?}: {line}");
            assert!(!told.contains("s3cr3t"), "{told}");
        }
    }
}

#[keyledger_bounded::test]
fn a_secret_in_a_file_and_in_a_variable_is_a_mistake() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("secret");
    write(&file, SECRET);
    let mut serve = keyledger(folder.path());
    serve.arg("serve").env("KEYLEDGER_JWT_HS256_SECRET", SECRET);
    let output = run(serve.env("KEYLEDGER_JWT_HS256_SECRET_FILE", &file));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    let mistake =
        "KEYLEDGER_JWT_HS256_SECRET_FILE: give either this or KEYLEDGER_JWT_HS256_SECRET, not both";
    assert!(told.contains(mistake), "{told}");
}

/// A folder as Kubernetes mounts a secret: each file is a link into a folder that is itself behind a link.
fn mounted(folder: &Path, files: &[(&str, &str)]) -> PathBuf {
    let secret = folder.join("secret");
    let version = secret.join("..2026_03_01_12_00_00.1");
    std::fs::create_dir_all(&version).unwrap();
    symlink("..2026_03_01_12_00_00.1", secret.join("..data")).unwrap();
    for (name, content) in files {
        let file = version.join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o440)).unwrap();
        symlink(Path::new("..data").join(name), secret.join(name)).unwrap();
    }
    secret
}

#[keyledger_bounded::test]
async fn a_service_runs_with_every_secret_in_a_file() {
    let nats = Nats::start_with_user(Version::Current, "ann", "pass");
    let servers = nats.url().replace("nats://", "nats://ann:pass@");
    let (journal, read) = (new_database(Postgres::shared()), new_database(Postgres::shared()));
    let setup = Setup::new();
    let folder = TempDir::new().unwrap();
    let secrets = [
        ("KEYLEDGER_JOURNAL_URL", format!("{journal}\n")),
        ("KEYLEDGER_READ_URL", format!("{read}\r\n")),
        ("KEYLEDGER_NATS_URL", servers),
        ("KEYLEDGER_JWT_HS256_SECRET", format!("{SECRET}\n")),
    ];
    let files: Vec<_> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let secret = mounted(folder.path(), &files);
    let setup = files.iter().fold(setup, |setup, (name, _)| {
        let file = secret.join(name).display().to_string();
        setup.unset(name).set(&format!("{name}_FILE"), &file)
    });
    let service = setup.start().ready().await;
    service.user("ann").create("kept").await;
    service.part_is("relay", "ready").await;
    let (_, output) = service.stop();
    assert!(!output.contains("others may read"), "{output}");
    let events = events_of(&journal).await;
    assert_eq!(events.len(), 1, "it is the journal that the file names");
    // Scripts mint tokens with the same file.
    let mut mint = keyledger(folder.path());
    mint.args(["token", "--user=ann", "--jwt-hs256-secret-file"]);
    let minted = run(mint.arg(secret.join("KEYLEDGER_JWT_HS256_SECRET")));
    assert!(minted.status.success(), "{minted:?}");
}

#[keyledger_bounded::test]
async fn a_secret_of_another_user_that_others_may_read_is_taken_and_warned_of() {
    let folder = TempDir::new().unwrap();
    // A file that this user does not own.
    let file = if is_root() {
        let file = folder.path().join("secret");
        std::fs::write(&file, SECRET).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).unwrap();
        chown(&file, Some(65_534), Some(65_534)).unwrap();
        file
    } else {
        "/etc/os-release".into()
    };
    let secret = std::fs::read_to_string(&file).unwrap();
    let setup = Setup::new().unset("KEYLEDGER_JWT_HS256_SECRET");
    let service = setup.set("KEYLEDGER_JWT_HS256_SECRET_FILE", file.to_str().unwrap()).start();
    service.printed("others may read the file of KEYLEDGER_JWT_HS256_SECRET_FILE").await;
    let key = SigningKey::hs256(&SharedSecret::new(secret.trim().to_owned()).unwrap());
    let token = mint(&key, &claims("ann", &[], 3600), None).unwrap();
    Client::new(&service.address, Some(token)).get("/keys").await.expect_status(200);
}
