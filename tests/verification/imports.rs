//! `keyledger import`: keys of a former service, by their hashes.

use std::path::Path;

use keyledger_domain::{KeyId, hash_presented};
use keyledger_test_servers::kurrentdb::{Database, Server};
use serde_json::{Value, json};

use super::{gateway, verdict};
use crate::support::stores::keyledger_at;
use crate::support::wait::until;
use crate::support::{Process, Service, Setup, keyledger, run};

/// A key of the former service, whose keys have no checksum.
fn former(number: u32) -> String {
    let text = format!("orag_{number:043}");
    assert_eq!(text.len(), 48);
    text
}

fn line(number: u32) -> Value {
    json!({
        "key_hash": hash_presented(&former(number)).unwrap().to_hex(),
        "key_prefix": &former(number)[..13],
        "name": format!("former key {number}"),
        "user_id": "ann",
        "user_email": "ann@example.com",
        "created_at": "2025-01-31T12:00:00Z",
    })
}

/// Imports a file with this text; tells whether that succeeded, and what was written to standard
/// output and standard error.
fn import(folder: &Path, name: &str, text: &str) -> (bool, String, String) {
    std::fs::write(folder.join(name), text).unwrap();
    let mut command = keyledger_at(folder);
    let output = run(command.args(["import", "--from", name]));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[keyledger_bounded::test]
async fn a_key_that_was_taken_out_of_the_journal_is_not_imported_again() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let start = || Setup::new().set("KEYLEDGER_JOURNAL_URL", &server.url()).start();
    let service = start().ready().await;
    let hash = hash_presented(&former(0)).unwrap();
    let import = |text: &str| {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("keys.ndjson"), text).unwrap();
        let mut command = keyledger(folder.path());
        command.env("KEYLEDGER_JOURNAL_URL", server.url());
        let output = run(command.args(["import", "--from", "keys.ndjson"]));
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let told = import(&lines(&[line(0)]));
    let becomes = async |wanted: &str| {
        until(format!("the verdict {wanted}"), async || {
            let code = verdict(&gateway(&service), &former(0)).await;
            if code == wanted { Ok(()) } else { Err(format!("{code}: {told}")) }
        })
        .await;
    };
    becomes("VALID").await;
    database.soft_delete(&KeyId::for_imported_hash(&hash).stream());
    let before = database.key_events();
    let told = import(&lines(&[line(0), line(1)]));
    assert!(told.contains("line 1: the key was imported before, and its events were"), "{told}");
    assert_eq!(database.key_events().0, before.0 + 1, "the other line was imported: {told}");
    becomes("REVOKED").await;
}

fn lines(of: &[Value]) -> String {
    of.iter().map(|line| format!("{line}\n")).collect()
}

#[keyledger_bounded::test]
async fn keys_of_a_former_service_verify_once_they_are_imported() {
    let folder = Service::start().ready().await.stop_well();
    let (mut used, mut revoked, mut expiring) = (line(1), line(2), line(3));
    used["last_used_at"] = json!("2026-02-03T04:05:06.000007Z");
    revoked["revoked"] = json!(true);
    expiring["expires_at"] = json!("2025-06-30T12:00:00Z");
    expiring["user_email"] = json!(null);
    let text = lines(&[line(0), used, revoked, expiring]);
    let (succeeded, said, complaints) = import(folder.path(), "keys.ndjson", &text);
    assert!(succeeded, "{complaints}");
    assert_eq!(
        said,
        "Keys: 4 imported, 0 known before, 0 known before and revoked now. Lines refused: 0.\n"
    );

    let service = Setup::in_folder(folder).start().ready().await;
    let gateway = gateway(&service);
    for (number, code) in [(0, "VALID"), (1, "VALID"), (2, "REVOKED"), (3, "EXPIRED")] {
        assert_eq!(verdict(&gateway, &former(number)).await, code);
    }
    assert_eq!(verdict(&gateway, &former(4)).await, "NOT_FOUND");
    let keys = service.user("ann").keys().await;
    let shown = |number: u32| {
        let name = format!("former key {number}");
        keys.iter().find(|key| key["name"] == name.as_str()).unwrap()
    };
    assert_eq!(keys.len(), 4);
    assert_eq!(shown(0)["created_at"], "2025-01-31T12:00:00.000000Z");
    assert_eq!(shown(0)["key_prefix"], "orag_00000000");
    assert_eq!(shown(1)["last_used_at"], "2026-02-03T04:05:06.000007Z");
    assert_eq!(shown(2)["revoked"], true);
    // Its owner can revoke it, as any other key.
    let id = shown(0)["key_id"].as_str().unwrap();
    let ann = service.user("ann");
    let history = ann.get(&format!("/keys/{id}/history")).await.json();
    assert_eq!(history["events"][0]["actor"], "keyledger import");
    ann.delete(&format!("/keys/{id}")).await.expect_status(200);
    assert_eq!(verdict(&gateway, &former(0)).await, "REVOKED");
}

#[keyledger_bounded::test]
async fn a_file_that_is_imported_again_changes_only_what_was_revoked_since() {
    let folder = Service::start().ready().await.stop_well();
    let (first, second) = (lines(&[line(0), line(1)]), {
        let mut revoked = line(1);
        revoked["revoked"] = json!(true);
        lines(&[line(0), revoked, line(2)])
    });
    for (text, expected) in [
        (&first, "2 imported, 0 known before, 0 known before and revoked now"),
        (&first, "0 imported, 2 known before, 0 known before and revoked now"),
        (&second, "1 imported, 1 known before, 1 known before and revoked now"),
        (&second, "0 imported, 3 known before, 0 known before and revoked now"),
    ] {
        let (succeeded, said, complaints) = import(folder.path(), "keys.ndjson", text);
        assert!(succeeded, "{complaints}");
        assert!(said.contains(expected), "{said}");
    }
    let service = Setup::in_folder(folder).start().ready().await;
    assert_eq!(verdict(&gateway(&service), &former(1)).await, "REVOKED");
    assert_eq!(service.events().await.len(), 4);
}

#[keyledger_bounded::test]
async fn csv_is_read_too() {
    let folder = Service::start().ready().await.stop_well();
    let hash = |number| hash_presented(&former(number)).unwrap().to_hex();
    let text = format!(
        "name,key_hash,key_prefix,user_id,user_email,created_at,last_used_at,revoked\r\n\
         \"a, \"\"quoted\"\" name\",{},orag_00000000,ann,,2025-01-31T12:00:00+01:00,,\r\n\
         plain,{},orag_00000000,ann,ann@example.com,2025-01-31T12:00:00Z,2026-01-01T00:00:00Z,true\r\n\
         short,{}\r\n",
        hash(0).to_uppercase(),
        hash(1),
        hash(2),
    );
    let (succeeded, said, complaints) = import(folder.path(), "keys.CSV", &text);
    assert!(!succeeded);
    assert!(said.contains("2 imported") && said.contains("refused: 1"), "{said}{complaints}");
    assert!(
        complaints.contains("line 4: it has more or fewer columns than the header"),
        "{complaints}"
    );
    let service = Setup::in_folder(folder).start().ready().await;
    let gateway = gateway(&service);
    assert_eq!(verdict(&gateway, &former(0)).await, "VALID");
    assert_eq!(verdict(&gateway, &former(1)).await, "REVOKED");
    let names: Vec<_> = service.user("ann").keys().await;
    assert!(names.iter().any(|key| key["name"] == "a, \"quoted\" name"), "{names:?}");
}

#[keyledger_bounded::test]
async fn lines_that_are_no_keys_are_told_and_the_others_imported() {
    let folder = Service::start().ready().await.stop_well();
    let with = |field: &str, value: Value| {
        let mut line = line(1);
        line[field] = value;
        line.to_string()
    };
    let other_owner = {
        let mut line = line(0);
        line["user_id"] = json!("bob");
        line.to_string()
    };
    let cases = [
        ("{".to_owned(), "it is no JSON"),
        (json!({"key_hash": "x"}).to_string(), "key_hash: it must be a SHA-256 in hexadecimal"),
        (with("key", json!("orag_x")), "a column \"key\" is not known"),
        (with("revoked", json!("yes")), "revoked: it must be true or false"),
        (with("key_hash", json!("abc")), "and is a text of 3 characters"),
        (with("key_prefix", json!(former(1))), "key_prefix: it must be 1 to 32 visible"),
        (with("name", json!(" ")), "name: Name is required"),
        (with("user_id", json!("")), "user_id: it must be a text of 1 to 255 characters"),
        (with("user_email", json!("a\u{0}")), "user_email: it must be a text of 1 to 320"),
        (with("created_at", json!("yesterday")), "created_at: it must be a date and time"),
        (with("last_used_at", json!(1)), "last_used_at: it must be a date and time"),
        (with("created_at", json!("2999-01-01T00:00:00Z")), "created_at: it lies in the future"),
    ];
    let mut text = lines(&[line(0)]) + "\n";
    for (case, _) in &cases {
        text += &format!("{case}\n");
    }
    let (succeeded, said, complaints) = import(folder.path(), "keys.ndjson", &text);
    assert!(!succeeded);
    assert!(said.contains("1 imported") && said.contains("refused: 12"), "{said}");
    for (at, (case, complaint)) in cases.iter().enumerate() {
        let told = complaints.lines().find(|told| told.starts_with(&format!("line {}", at + 3)));
        assert!(told.is_some_and(|told| told.contains(complaint)), "{case}: {complaints}");
    }
    for number in [0, 1] {
        let hash = hash_presented(&former(number)).unwrap().to_hex();
        assert!(!complaints.contains(&hash) && !said.contains(&hash));
    }
    // A key that was imported for one owner stays theirs.
    let (succeeded, _, complaints) = import(folder.path(), "keys.ndjson", &other_owner);
    assert!(!succeeded);
    assert!(complaints.contains("another key with this hash was imported before"), "{complaints}");
}

#[keyledger_bounded::test]
async fn a_file_that_cannot_be_read_is_told() {
    let folder = Service::start().ready().await.stop_well();
    let output = run(keyledger(folder.path()).args(["import", "--from", "nowhere.csv"]));
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("\"nowhere.csv\" cannot be read"), "{told}");
}

#[keyledger_bounded::test]
async fn many_keys_are_imported_and_an_import_that_was_broken_off_goes_on() {
    const KEYS: u32 = 3_000;
    let folder = Service::start().ready().await.stop_well();
    let text = lines(&(0..KEYS).map(line).collect::<Vec<_>>());
    std::fs::write(folder.path().join("keys.ndjson"), &text).unwrap();
    let importing = ["import", "--from", "keys.ndjson"];
    let mut first = Process::start(keyledger(folder.path()).args(importing));
    let journal = folder.path().join("data/journal.db-wal");
    until("a part of the keys in the journal, or the end of the import", async || {
        match std::fs::metadata(&journal).map_or(0, |wal| wal.len()) {
            bytes @ 0..200_000 if first.is_running() => Err(format!("{bytes} bytes")),
            _ => Ok(()),
        }
    })
    .await;
    first.kill();
    let (succeeded, said, complaints) = import(folder.path(), "keys.ndjson", &text);
    assert!(succeeded, "{complaints}");
    assert!(said.contains("refused: 0"), "{said}");
    let service = Setup::in_folder(folder).start().ready().await;
    assert_eq!(u32::try_from(service.events().await.len()), Ok(KEYS));
    assert_eq!(service.metric("keyledger_index_keys").await, Some(i64::from(KEYS)));
}
