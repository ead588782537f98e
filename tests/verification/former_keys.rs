//! Keys of former services as those services left them: their hashes, their forms, their files.

use std::fmt::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::{StreamExt, stream};
use keyledger_domain::{HmacSecret, KeyHash};
use serde_json::{Value, json};

use super::{gateway, verdict};
use crate::support::stores::keyledger_at;
use crate::support::{Service, Setup, run, run_within};

const HMAC_SECRET: &str = "the session secret of the former service";

/// A key of a former service. There are six forms.
fn key(number: u32) -> String {
    let hex: String = KeyHash::of(&number.to_string()).to_hex();
    match number % 6 {
        0 => format!("orag_{}", &hex[..43]),
        1 => format!("sk-{hex}"),
        2 => format!("lf_{}", &hex[..32]),
        3 => hex,
        4 => format!("{}-{}-4000-8000-{}", &hex[..8], &hex[8..12], &hex[12..24]),
        _ => format!("eyJhbGciOiJIUzI1NiJ9.{}.{hex}-_~", hex.repeat(5)),
    }
}

/// Its hash, as the former service stored it. There are three forms.
fn hash(number: u32) -> String {
    let key = key(number);
    match number / 6 % 3 {
        0 => KeyHash::of(&key).to_hex(),
        1 => format!("sha256:{}", KeyHash::of(&key).to_hex().to_uppercase()),
        _ => hmac(&key),
    }
}

fn hmac(key: &str) -> String {
    let secret = HmacSecret::new(HMAC_SECRET.as_bytes()).unwrap();
    format!("hmac-sha256:{}", secret.hash(key).to_hex())
}

fn row(number: u32) -> Value {
    json!({
        "key_id": format!("k-{number}"),
        "key_hash": hash(number),
        "key_prefix": &key(number)[..4],
        "name": format!("former key {number}"),
        "user_id": "ann",
        "user_email": "ann@example.com",
        "created_at": "2025-01-31T12:00:00.123456",
        "revoked": false,
    })
}

fn ndjson(rows: impl IntoIterator<Item = Value>) -> String {
    rows.into_iter().map(|row| format!("{row}\n")).collect()
}

/// The most that an import takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// What an import told: whether it succeeded, its standard output and its standard error.
type Told = (bool, String, String);

/// An import in a folder in which a service has run.
struct Import<'a> {
    folder: &'a Path,
    command: Command,
}

impl<'a> Import<'a> {
    fn of(folder: &'a Path, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(folder.join(name), content).unwrap();
        let mut command = keyledger_at(folder);
        command.args(["import", "--from", name]);
        Self { folder, command }
    }

    fn with_secret(mut self) -> Self {
        self.command.env("KEYLEDGER_IMPORT_HMAC_SECRETS", secrets(self.folder));
        self
    }

    fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    fn sample(self, keys: &str) -> Self {
        write_private(&self.folder.join("sample"), keys);
        self.argument("--sample").argument("sample")
    }

    fn run(mut self) -> Told {
        let output = run_within(LONGEST, &mut self.command);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

/// Two secrets, of which the second is that of the hashes.
fn secrets(folder: &Path) -> String {
    let [other, secret] = ["other.secret", "former.secret"].map(|name| folder.join(name));
    write_private(&other, "another one");
    write_private(&secret, &format!("{HMAC_SECRET}\n"));
    format!("{},{}", other.display(), secret.display())
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

#[keyledger_bounded::test(minutes = 60)]
async fn thirty_thousand_keys_verify_in_the_forms_in_which_they_were_given_out() {
    const ROWS: u32 = 30_000;
    let folder = Service::start().ready().await.stop_well();
    // Each thousandth row has a mistake.
    let is_bad = |number: u32| number % 1_000 == 999;
    let text = ndjson((0..ROWS).map(|number| {
        let mut row = row(number);
        if is_bad(number) {
            row["key_hash"] = json!("$2b$12$…");
        }
        row
    }));
    let sampled = 900..1_100;
    let samples: String = sampled.clone().map(|number| format!("{}\n", key(number))).collect();
    let import = || {
        Import::of(folder.path(), "keys.ndjson", &text)
            .with_secret()
            .sample(&samples)
            .argument("--refused")
            .argument("refused.ndjson")
            .run()
    };
    let (succeeded, said, complaints) = import();
    assert!(!succeeded, "{said}");
    assert!(complaints.contains("1 of the sample keys would not be known"), "{complaints}");
    let last =
        "Keys: 29970 imported, 0 known before, 0 known before and revoked now. Lines refused: 30.";
    assert!(said.contains(last), "{:?}", said.lines().last());
    let told = |number: u32| {
        let code = if is_bad(number) { "NOT_FOUND" } else { "VALID" };
        format!("Sample {}: {code}\n", number - 899)
    };
    assert!(said.starts_with(&sampled.map(told).collect::<String>()));
    let refused = std::fs::read_to_string(folder.path().join("refused.ndjson")).unwrap();
    let mut refused: Vec<Value> =
        refused.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    refused.sort_by_key(|refusal| refusal["line"].as_u64());
    let lines: Vec<_> = refused.iter().map(|refusal| refusal["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=30).map(|thousand| thousand * 1_000).collect::<Vec<u64>>());
    assert!(refused.iter().all(|refusal| refusal["column"] == "key_hash"), "{refused:?}");

    let journal = || std::fs::read(folder.path().join("data/journal.db")).unwrap();
    let before = journal();
    let (_, said, _) = import();
    assert!(said.contains("0 imported, 29970 known before, 0 known before and revoked now"));
    assert!(journal() == before, "the same file again changes nothing");

    let service = Setup::in_folder(folder.clone())
        .set("KEYLEDGER_IMPORT_HMAC_SECRETS", &secrets(folder.path()))
        .start()
        .ready()
        .await;
    let gateway = gateway(&service);
    let verified = stream::iter(0..ROWS).map(async |number| {
        let code = verdict(&gateway, &key(number)).await;
        assert_eq!(code, if is_bad(number) { "NOT_FOUND" } else { "VALID" }, "{number}");
    });
    verified.buffer_unordered(32).collect::<()>().await;
    // All forms, and each with each hash.
    for number in 0..36 {
        let asked = gateway.with("authorization", &format!("Bearer {}", key(number)));
        asked.get("/auth").await.expect_status(200);
    }
    assert_eq!(verdict(&gateway, &key(ROWS)).await, "NOT_FOUND");
}

#[keyledger_bounded::test]
async fn a_text_of_another_form_is_looked_up_only_where_keys_were_imported() {
    let service = Setup::new().start().ready().await;
    let own = super::key(&service).await;
    let cases =
        [key(1), key(3), "x".repeat(512), "x".repeat(513), "a b".to_owned(), "é".to_owned()];
    for text in &cases {
        assert_eq!(verdict(&gateway(&service), text).await, "NOT_FOUND");
    }
    let folder = service.stop_well();
    let rows = cases.iter().zip(0..).map(|(text, number)| {
        let mut row = row(number);
        row["key_hash"] = json!(KeyHash::of(text).to_hex());
        row
    });
    let (succeeded, said, complaints) =
        Import::of(folder.path(), "keys.ndjson", ndjson(rows)).sample(&cases.join("\n")).run();
    assert!(!succeeded, "{said}{complaints}");
    let service = Setup::in_folder(folder).start().ready().await;
    for (text, number) in cases.iter().zip(1..) {
        // A key has at most 512 visible ASCII characters: the sample shows which would never verify.
        let code = if number <= 3 { "VALID" } else { "NOT_FOUND" };
        assert!(said.contains(&format!("Sample {number}: {code}\n")), "{said}");
        assert_eq!(verdict(&gateway(&service), text).await, code, "{text:.20}");
    }
    assert_eq!(verdict(&gateway(&service), &own.secret).await, "VALID");
}

#[keyledger_bounded::test]
async fn a_key_with_an_hmac_is_valid_only_where_its_secret_is_known() {
    let folder = Service::start().ready().await.stop_well();
    let text = ndjson([row(12)]);
    let (succeeded, _, complaints) = Import::of(folder.path(), "keys.ndjson", &text).run();
    assert!(!succeeded);
    assert!(complaints.contains("line 1, key_hash: it is an HMAC"), "{complaints}");
    let (succeeded, said, complaints) =
        Import::of(folder.path(), "keys.ndjson", &text).with_secret().run();
    assert!(succeeded && said.contains("Keys: 1 imported"), "{said}{complaints}");

    let without = Setup::in_folder(folder.clone()).start().ready().await;
    without.printed("imported keys are refused: set KEYLEDGER_IMPORT_HMAC_SECRETS").await;
    assert_eq!(verdict(&gateway(&without), &key(12)).await, "NOT_FOUND");
    without.metric_is("keyledger_unverifiable_keys", 1).await;
    let id = without.user("ann").keys().await[0]["key_id"].as_str().unwrap().to_owned();
    let state = without.auditor("eve").get(&format!("/audit/keys/{id}")).await.json();
    assert_eq!(state["verdict"], "NOT_FOUND", "{state}");
    assert_eq!(state["status"], "active");
    let at = |secrets: Option<String>| {
        let mut command = keyledger_at(folder.path());
        command.envs(secrets.map(|secrets| ("KEYLEDGER_IMPORT_HMAC_SECRETS", secrets)));
        let output = run(command.args(["audit", "at", "--key", &id]));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(at(None)["verdict"], "NOT_FOUND");
    assert_eq!(at(Some(secrets(folder.path())))["verdict"], "VALID");
    drop(without.stop_well());

    let service = Setup::in_folder(folder.clone())
        .set("KEYLEDGER_IMPORT_HMAC_SECRETS", &secrets(folder.path()))
        .start()
        .ready()
        .await;
    assert_eq!(verdict(&gateway(&service), &key(12)).await, "VALID");
    service.metric_is("keyledger_unverifiable_keys", 0).await;
    let state = service.auditor("eve").get(&format!("/audit/keys/{id}")).await.json();
    assert_eq!(state["verdict"], "VALID", "{state}");
    let answer = service.user("ann").delete(&format!("/keys/{id}")).await;
    answer.expect_status(200);
    assert_eq!(verdict(&gateway(&service), &key(12)).await, "REVOKED");
}

#[keyledger_bounded::test]
async fn a_key_that_was_hashed_in_another_way_since_its_import_is_the_same_key() {
    let folder = Service::start().ready().await.stop_well();
    // The former service has rewritten the hashes of keys that were used.
    let exported = |hash: String, revoked: bool| {
        let mut row = row(0);
        row["key_hash"] = json!(hash);
        row["revoked"] = json!(revoked);
        ndjson([row])
    };
    let (plain, anew) = (KeyHash::of(&key(0)).to_hex(), hmac(&key(0)));
    for (text, told) in [
        (exported(plain.clone(), false), "1 imported, 0 known before, 0 known"),
        (exported(anew.clone(), false), "0 imported, 1 known before, 0 known"),
        (exported(anew.clone(), true), "0 imported, 0 known before, 1 known"),
        (exported(plain, true), "0 imported, 1 known before, 0 known"),
    ] {
        let (succeeded, said, complaints) =
            Import::of(folder.path(), "keys.ndjson", text).with_secret().run();
        assert!(succeeded && said.contains(told), "{said}{complaints}");
    }
    // Two keys have one id: one of the files is of another service.
    let (succeeded, _, complaints) =
        Import::of(folder.path(), "keys.ndjson", exported(KeyHash::of("x").to_hex(), false)).run();
    assert!(!succeeded);
    assert!(complaints.contains("line 1, key_id: another key with this key_id"), "{complaints}");
    // Rows of one file are imported side by side: of two with one id, the first is taken.
    let row_of = |hash: String| {
        let mut row = row(1);
        row["key_hash"] = json!(hash);
        row
    };
    let text = ndjson([row_of(KeyHash::of(&key(1)).to_hex()), row_of(hmac(&key(1)))]);
    let (succeeded, said, complaints) =
        Import::of(folder.path(), "keys.ndjson", text).with_secret().run();
    assert!(!succeeded && said.contains("1 imported"), "{said}");
    assert!(complaints.contains("line 2, key_id: another key with this key_id"), "{complaints}");
    let service = Setup::in_folder(folder.clone())
        .set("KEYLEDGER_IMPORT_HMAC_SECRETS", &secrets(folder.path()))
        .start()
        .ready()
        .await;
    assert_eq!(verdict(&gateway(&service), &key(1)).await, "VALID");
    assert_eq!(verdict(&gateway(&service), &key(0)).await, "REVOKED");
    assert_eq!(service.user("ann").keys().await.len(), 2);
}

#[keyledger_bounded::test]
async fn services_that_number_their_keys_alike_can_both_be_imported() {
    let folder = Service::start().ready().await.stop_well();
    let numbered = |number: u32, owner: &str| {
        let mut row = row(number);
        (row["key_id"], row["user_id"]) = (json!(1), json!(owner));
        ndjson([row])
    };
    // The second has HMACs.
    for (number, owner) in [(0, "ann"), (12, "bob")] {
        let (succeeded, said, complaints) =
            Import::of(folder.path(), "keys.ndjson", numbered(number, owner)).with_secret().run();
        assert!(succeeded && said.contains("1 imported"), "{said}{complaints}");
    }
}

#[keyledger_bounded::test]
async fn a_key_that_is_known_by_its_sha_256_is_revoked_by_its_hmac_without_the_secret() {
    let folder = Service::start().ready().await.stop_well();
    let exported = |hash: String, revoked: bool| {
        let mut row = row(0);
        (row["key_hash"], row["revoked"]) = (json!(hash), json!(revoked));
        ndjson([row])
    };
    for (text, told) in [
        (exported(KeyHash::of(&key(0)).to_hex(), false), "1 imported"),
        (exported(hmac(&key(0)), true), "0 imported, 0 known before, 1 known"),
    ] {
        let (succeeded, said, complaints) = Import::of(folder.path(), "keys.ndjson", text).run();
        assert!(succeeded && said.contains(told), "{said}{complaints}");
    }
    let service = Setup::in_folder(folder).start().ready().await;
    assert_eq!(verdict(&gateway(&service), &key(0)).await, "REVOKED");
}

#[keyledger_bounded::test]
async fn a_whole_key_is_not_taken_for_its_beginning() {
    let folder = Service::start().ready().await.stop_well();
    let whole = "0123456789abcdef0123456789abcdef";
    let rows = [KeyHash::of(whole).to_hex(), hmac(whole)].map(|hash| {
        let mut row = row(0);
        (row["key_hash"], row["key_prefix"]) = (json!(hash), json!(whole));
        row
    });
    let (succeeded, said, complaints) =
        Import::of(folder.path(), "keys.ndjson", ndjson(rows)).with_secret().run();
    assert!(!succeeded && said.contains("0 imported"), "{said}");
    for line in [1, 2] {
        let told = format!("line {line}, key_prefix: it is the key itself");
        assert!(complaints.contains(&told), "{complaints}");
    }
    assert!(!format!("{said}{complaints}").contains(whole));
    let service = Setup::in_folder(folder).start().ready().await;
    assert!(service.events().await.is_empty());
}

#[keyledger_bounded::test]
async fn the_id_at_the_former_service_is_shown_in_the_history() {
    let folder = Service::start().ready().await.stop_well();
    let mut numbered = row(2);
    numbered["key_id"] = json!(17);
    let mut without = row(4);
    without.as_object_mut().unwrap().remove("key_id");
    let text = ndjson([row(0), numbered, without]);
    let (succeeded, _, complaints) = Import::of(folder.path(), "keys.ndjson", text).run();
    assert!(succeeded, "{complaints}");
    let service = Setup::in_folder(folder).start().ready().await;
    let ann = service.user("ann");
    let mut ids = Vec::new();
    for key in ann.keys().await {
        let id = key["key_id"].as_str().unwrap();
        let history = ann.get(&format!("/keys/{id}/history")).await.json();
        ids.push(history["events"][0]["data"]["source_id"].clone());
    }
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, [json!("17"), json!("k-0"), Value::Null]);
}

#[keyledger_bounded::test]
async fn a_dry_run_tells_what_an_import_would_do_and_writes_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let (succeeded, _, complaints) =
        Import::of(folder.path(), "keys.ndjson", ndjson([row(0)])).argument("--dry-run").run();
    assert!(!succeeded);
    assert!(complaints.contains("start the service once before a dry run"), "{complaints}");

    let folder = Service::start().ready().await.stop_well();
    let (succeeded, _, complaints) =
        Import::of(folder.path(), "keys.ndjson", ndjson([row(0), row(1)])).run();
    assert!(succeeded, "{complaints}");
    let mut revoked = row(0);
    revoked["revoked"] = json!(true);
    revoked["last_used_at"] = json!("2026-01-01 00:00:00+00");
    let bad = json!({ "key_hash": 1 });
    let text = ndjson([revoked, row(1), row(2), row(2), bad]);
    let files = || {
        let of = |name: &str| std::fs::read(folder.path().join("data").join(name)).unwrap();
        (of("journal.db"), of("read.db"))
    };
    let before = files();
    let import = || {
        Import::of(folder.path(), "keys.ndjson", &text).sample(&[key(0), key(2), key(3)].join("\n"))
    };
    let (succeeded, said, complaints) = import().argument("--dry-run").run();
    assert!(!succeeded);
    let counts =
        "Keys: 1 imported, 2 known before, 1 known before and revoked now. Lines refused: 1.";
    assert!(said.contains(&format!("{counts} Nothing was written: this was a dry run.")), "{said}");
    let samples = "Sample 1: REVOKED\nSample 2: VALID\nSample 3: NOT_FOUND\n";
    assert!(said.starts_with(samples), "{said}");
    assert!(complaints.contains("line 5, key_hash: it must be a SHA-256"), "{complaints}");
    assert!(files() == before, "nothing was written");
    let (_, said, _) = import().run();
    assert!(said.starts_with(samples) && said.contains(counts), "{said}");
}

#[keyledger_bounded::test]
async fn a_table_is_imported_as_postgresql_and_spreadsheets_write_it() {
    let folder = Service::start().ready().await.stop_well();
    let mut text =
        "key_id,user_id,key_hash,key_prefix,name,created_at,last_used_at,revoked\n".to_owned();
    for (number, times, revoked) in [
        (0, "2024-01-01 00:00:00+00,", "f"),
        (1, "2024-01-01 00:00:00.5+02,2026-02-03 04:05:06.7+00", "t"),
        (2, "2024-01-01 00:00:00,", "FALSE"),
    ] {
        writeln!(text, "{number},ann,{},lf_,\"a, {number}\",{times},{revoked}", hash(number))
            .unwrap();
    }
    let separated = text.replace("\"a, ", "\"a; ").replace(",", ";");
    let files = [("a.csv", text.replace('\n', "\r\n")), ("b.csv", format!("\u{feff}{separated}"))];
    for (name, content) in files {
        let (succeeded, said, complaints) = Import::of(folder.path(), name, content).run();
        assert!(succeeded, "{said}{complaints}");
    }
    let service = Setup::in_folder(folder).start().ready().await;
    assert_eq!(service.events().await.len(), 4, "the second file has the same keys");
    let gateway = gateway(&service);
    for (number, code) in [(0, "VALID"), (1, "REVOKED"), (2, "VALID")] {
        assert_eq!(verdict(&gateway, &key(number)).await, code);
    }
    let keys = service.user("ann").keys().await;
    let used = keys.iter().find(|key| key["name"] == "a, 1").unwrap();
    assert_eq!(used["created_at"], "2023-12-31T22:00:00.500000Z");
    assert_eq!(used["last_used_at"], "2026-02-03T04:05:06.700000Z");
}
