//! Stores in files.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use keyledger_test_servers::free_port;
use tempfile::TempDir;

use super::{USUAL, check, checked, migrations};
use crate::support::setup::without_rights_of_root;
use crate::support::stores::Stores;
use crate::support::{SECRET, Setup, keyledger, run};

/// All files below a folder, with their content, mode and time, but for those `…-shm`, which hold no data.
fn all_files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, about) = (entry.path(), entry.metadata().unwrap());
        if about.is_dir() {
            files.extend(all_files(&path));
        } else if !path.to_str().unwrap().ends_with("-shm") {
            let mode = about.permissions().mode();
            files.insert(
                path.clone(),
                (std::fs::read(path).unwrap(), mode, about.modified().unwrap()),
            );
        }
    }
    files
}

/// A service with files that has run before, and has stopped.
fn stopped() -> Arc<TempDir> {
    let folder = Arc::new(TempDir::new().unwrap());
    in_files(folder).start().stop_well()
}

/// A service whose stores are files in its folder, whatever the stores of the other tests are.
fn in_files(folder: Arc<TempDir>) -> Setup {
    let Stores { journal, read } = Stores::files(folder.path());
    let setup = Setup::in_folder(folder).set("KEYLEDGER_JOURNAL_URL", &journal);
    setup.set("KEYLEDGER_READ_URL", &read)
}

fn sqlite(file: &Path, sql: &str) {
    let done = run(Command::new("sqlite3").arg(file).arg(sql));
    assert!(done.status.success(), "{done:?}");
}

#[keyledger_bounded::test]
fn a_new_service_on_files_is_told_in_a_line_for_each_part_and_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let mut check = keyledger(folder.path());
    let output = run(check.arg("check").envs(USUAL));
    assert!(output.status.success(), "{output:?}");
    let file = |part: &str, file: &str, folder: &str| {
        let all = migrations(folder);
        format!(
            "ok      {part}: SQLite at data/{file}.db, writable, {all} of {all} migrations are applied at the \
             start, there is no file yet: the service makes it"
        )
    };
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(),
        [
            "ok      public listener: TCP at 127.0.0.1:0".to_owned(),
            "ok      internal listener: TCP at 127.0.0.1:0".to_owned(),
            file("journal", "journal", "journal/sqlite"),
            file("read tables", "read", "read/sqlite"),
            "ok      sign-in: shared secret".to_owned(),
        ]
    );
    assert!(all_files(folder.path()).is_empty());
}

#[keyledger_bounded::test]
fn mistakes_of_the_configuration_are_those_of_the_service() {
    let folder = TempDir::new().unwrap();
    let told = |command: &str| {
        let mut program = keyledger(folder.path());
        program.arg(command).env("KEYLEDGER_LISTEN", "everywhere").env("KEYLEDGER_JWT_ISUER", "x");
        checked(run(program.env("KEYLEDGER_JWT_HS256_SECRET", SECRET)))
    };
    let (check, serve) = (told("check"), told("serve"));
    assert_eq!(check.code, Some(1));
    assert_eq!((check.code, &check.stderr), (serve.code, &serve.stderr));
    assert!(check.stderr.contains("KEYLEDGER_LISTEN: no address"), "{}", check.stderr);
    assert_eq!(check.stdout, "");
}

#[keyledger_bounded::test]
fn files_of_this_version_are_left_as_they_are() {
    let folder = stopped();
    let before = all_files(folder.path());
    let checked = check(folder.path(), &[]);
    for (part, known) in [("journal", "journal/sqlite"), ("read tables", "read/sqlite")] {
        let part = checked.works().part(part);
        assert_eq!(part["kind"], "SQLite");
        assert_eq!(part["writable"], true);
        assert_eq!(
            part["migrations"],
            serde_json::json!({"known": migrations(known), "pending": 0})
        );
    }
    assert_eq!(all_files(folder.path()), before);
}

#[keyledger_bounded::test]
async fn a_journal_that_a_service_uses_is_told_and_the_service_goes_on() {
    let service = in_files(Arc::new(TempDir::new().unwrap())).start().ready().await;
    let folder = service.folder();
    let told = check(folder.path(), &[]).problem("journal");
    assert_eq!(told, "another keyledger process uses the file");
    // One that appends nothing may run beside it.
    check(folder.path(), &[("KEYLEDGER_ROLES", "verify")]).works();
    service.user("ann").create("undisturbed").await;
    let taken = check(folder.path(), &[("KEYLEDGER_LISTEN", &*service.address)]);
    let listener = taken.part("public listener");
    assert!(listener["problems"][0].as_str().unwrap().contains("in use"), "{listener}");
}

#[keyledger_bounded::test]
fn files_of_a_later_version_are_told() {
    for (file, part) in [("journal.db", "journal"), ("read.db", "read tables")] {
        let folder = stopped();
        let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (99, 'later', 1, x'00', 0)";
        sqlite(&folder.path().join("data").join(file), later);
        let told = check(folder.path(), &[]).problem(part);
        assert_eq!(
            told,
            "the tables are of a later version of keyledger, which has a migration 99"
        );
        assert!(!in_files(folder).run().status.success(), "the service does not start either");
    }
}

#[keyledger_bounded::test]
fn files_whose_tables_were_made_in_another_way_are_told() {
    let folder = stopped();
    let other = "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 2";
    sqlite(&folder.path().join("data/read.db"), other);
    let told = check(folder.path(), &[]).problem("read tables");
    assert!(told.contains("whose migration 2 is another one"), "{told}");
    assert!(!in_files(folder).run().status.success(), "the service does not start either");
}

#[keyledger_bounded::test]
fn files_that_are_no_databases_or_cannot_be_files_are_told() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("journal.db"), "no database ".repeat(1_000)).unwrap();
    let told = check(folder.path(), &[]).problem("journal");
    assert!(told.contains("file is not a database"), "{told}");
    std::fs::remove_file(data.join("journal.db")).unwrap();
    std::fs::create_dir(data.join("read.db")).unwrap();
    let told = check(folder.path(), &[]).part("read tables");
    assert!(told["problems"][0].as_str().unwrap().contains("read.db is no file"), "{told}");
    std::fs::remove_dir(data.join("read.db")).unwrap();
    let below = format!("sqlite://{}/data/plain/read.db", folder.path().display());
    std::fs::write(data.join("plain"), "").unwrap();
    let told = check(folder.path(), &[("KEYLEDGER_READ_URL", &below)]).part("read tables");
    assert!(told["problems"][0].as_str().unwrap().contains("cannot be looked at"), "{told}");
}

#[keyledger_bounded::test]
fn files_and_folders_that_are_read_only_are_told() {
    // Nobody may write to any of these, not even root without its rights.
    let limited = |folder: &Path| {
        let mut limited = without_rights_of_root(keyledger(folder).args(["check", "--json"]));
        checked(run(limited.envs(USUAL)))
    };
    let folder = stopped();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
    limited(folder.path()).works();
    let file = folder.path().join("data/journal.db");
    mode(&file, 0o400).unwrap();
    let told = limited(folder.path()).problem("journal");
    assert!(told.contains("journal.db cannot be written: Permission denied"), "{told}");
    mode(&file, 0o600).unwrap();
    let data = folder.path().join("data");
    mode(&data, 0o500).unwrap();
    let checked = limited(folder.path());
    for part in ["journal", "read tables"] {
        let part = checked.part(part);
        assert_eq!(part["writable"], false);
        let problem = part["problems"][0].as_str().unwrap();
        assert!(problem.contains("data cannot be written: Permission denied"), "{problem}");
    }
    mode(&data, 0o700).unwrap();
    // Files that are not there yet, in a folder that nobody may write to.
    let empty = TempDir::new().unwrap();
    mode(empty.path(), 0o500).unwrap();
    assert_eq!(limited(empty.path()).part("journal")["writable"], false);
    mode(empty.path(), 0o700).unwrap();
}

#[keyledger_bounded::test]
fn a_process_that_only_reads_needs_a_journal_that_is_there() {
    let folder = TempDir::new().unwrap();
    let told = check(folder.path(), &[("KEYLEDGER_ROLES", "verify")]).problem("journal");
    assert_eq!(told, "there is no file yet: a process that appends makes it");
}

#[keyledger_bounded::test]
fn listeners_that_cannot_be_opened_are_told() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = check(folder.path(), &[("KEYLEDGER_LISTEN", &address)]).problem("public listener");
    assert!(told.contains("cannot listen there: Address already in use"), "{told}");
    drop(taken);
    let same = [("KEYLEDGER_LISTEN", &*address), ("KEYLEDGER_INTERNAL_LISTEN", &*address)];
    let told = check(folder.path(), &same).problem("internal listener");
    assert!(told.contains("cannot listen there: Address already in use"), "{told}");
}

#[keyledger_bounded::test]
fn the_file_of_checkpoints_is_checked() {
    let folder = TempDir::new().unwrap();
    let keygen = ["audit", "keygen", "--name", "log.example.com", "--out", "log.key"];
    assert!(run(keyledger(folder.path()).args(keygen)).status.success());
    let key = ("KEYLEDGER_AUDIT_KEY", "log.key");
    let log = check(folder.path(), &[key]).works().part("signed log");
    assert_eq!(log["notes"][0], "1 signing keys of log.example.com");
    std::fs::write(folder.path().join("plain"), "").unwrap();
    let file = ("KEYLEDGER_AUDIT_CHECKPOINTS", "plain/checkpoints");
    let told = check(folder.path(), &[key, file]).problem("signed log");
    assert!(told.contains("plain/checkpoints cannot be looked at: Not a directory"), "{told}");
}
