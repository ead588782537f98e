//! The files of SQLite: copied, moved, replaced, and made by several processes at once.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::wait::until;
use crate::support::{Answer, Client, Service, Setup, assert_problem, events_of, keyledger, run};

/// Creates a key; tells its id and its secret.
async fn key(client: &Client) -> (String, String) {
    let answer = client.post("/keys", &json!({"name": "key"})).await;
    answer.expect_status(200);
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (text("key_id"), text("api_key"))
}

async fn verify(service: &Service, secret: &str) -> Answer {
    service.gateway().post("/verify", &json!({"key": secret})).await
}

async fn verdict(service: &Service, secret: &str) -> Value {
    verify(service, secret).await.expect_status(200).json()["code"].clone()
}

fn journal_in(folder: &Path) -> std::path::PathBuf {
    folder.join("data/journal.db")
}

/// A new folder with a copy of nothing but the journal's file.
fn copy_of_the_journal(folder: &Path) -> Arc<TempDir> {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("data")).unwrap();
    std::fs::copy(journal_in(folder), journal_in(copy.path())).unwrap();
    Arc::new(copy)
}

/// Stops a service, and checks that its journal's file alone has all that it has acknowledged.
async fn stops_with_all_in_one_file(service: Service) {
    let ann = service.user("ann");
    let ((live, live_secret), (revoked, revoked_secret)) = (key(&ann).await, key(&ann).await);
    ann.delete(&format!("/keys/{revoked}")).await.expect_status(200);
    let events = service.events().await;
    let folder = service.stop_well();

    let copy = copy_of_the_journal(folder.path());
    let service = Setup::in_folder(copy).start().ready().await;
    assert_eq!(service.events().await, events);
    let listed = service.user("ann").keys().await;
    let shown: Vec<_> =
        listed.iter().map(|key| (key["key_id"].clone(), key["revoked"].clone())).collect();
    assert_eq!(shown, [(json!(revoked), json!(true)), (json!(live), json!(false))]);
    assert_eq!(verdict(&service, &live_secret).await, "VALID");
    assert_eq!(verdict(&service, &revoked_secret).await, "REVOKED");
}

#[keyledger_bounded::test]
async fn the_journal_copied_alone_after_a_stop_has_everything() {
    stops_with_all_in_one_file(Service::start().ready().await).await;
}

#[keyledger_bounded::test]
async fn the_journal_copied_alone_after_a_stop_has_everything_while_another_process_reads_it() {
    let api = Setup::new().set("KEYLEDGER_ROLES", "api,verify").start();
    let reader = Setup::in_folder(api.folder()).set("KEYLEDGER_ROLES", "projector");
    let reader = reader.start().ready().await;
    stops_with_all_in_one_file(api.ready().await).await;
    reader.stop_well();
}

#[keyledger_bounded::test]
async fn the_journal_copied_alone_after_an_import_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let line = json!({
        "key_hash": hash, "key_prefix": "old_abcd", "name": "old", "user_id": "ann",
        "user_email": "ann@example.com", "created_at": "2026-01-01T00:00:00Z",
    });
    std::fs::write(folder.path().join("keys.ndjson"), format!("{line}\n")).unwrap();
    let imported = run(keyledger(folder.path()).args(["import", "--from", "keys.ndjson"]));
    assert!(imported.status.success(), "{imported:?}");
    let copy = copy_of_the_journal(folder.path());
    let url = format!("sqlite://{}", journal_in(copy.path()).display());
    assert_eq!(events_of(&url).await.len(), 1);
}

/// The file that the service has open is not the one at the journal's path. Nothing is acknowledged, and
/// no key is verified for longer than without a journal.
async fn takes_nothing_while_its_file_is_moved(replacement: Option<&Path>) {
    let setup = Setup::new().set("KEYLEDGER_MAX_STALENESS", "1s");
    let service = setup.start().ready().await;
    let ann = service.user("ann");
    let (revoked, secret) = key(&ann).await;
    let (live, live_secret) = key(&ann).await;
    ann.delete(&format!("/keys/{revoked}")).await.expect_status(200);
    let folder = service.folder();
    let (path, aside) = (journal_in(folder.path()), folder.path().join("data/aside.db"));

    std::fs::rename(&path, &aside).unwrap();
    if let Some(replacement) = replacement {
        std::fs::copy(replacement, &path).unwrap();
    }
    for _ in 0..3 {
        let refused = ann.post("/keys", &json!({"name": "lost"})).await;
        assert_problem!(refused, 503, "unavailable");
        assert_problem!(ann.delete(&format!("/keys/{live}")).await, 503, "unavailable");
    }
    service.part_is("appends", "failing").await;
    service.part_is("journal", "failing").await;
    service.readiness_is(503).await;
    for secret in [&secret, &live_secret] {
        until("no verification", async || match verify(&service, secret).await {
            answer if answer.status == 503 => Ok(()),
            answer => {
                let expected = if *secret == live_secret { "VALID" } else { "REVOKED" };
                assert_eq!(answer.json()["code"], expected);
                Err(answer)
            }
        })
        .await;
    }
    let told = "the file at data/journal.db is not the one that was opened";
    let output = service.output();
    let remedy = "put back the file that was opened";
    assert_eq!(output.matches(remedy).count(), 1, "{output}");
    assert!(output.contains(told), "{output}");

    std::fs::rename(&aside, &path).unwrap();
    service.readiness_is(200).await;
    assert_eq!(verdict(&service, &secret).await, "REVOKED");
    assert_eq!(verdict(&service, &live_secret).await, "VALID");
    ann.delete(&format!("/keys/{live}")).await.expect_status(200);
    assert_eq!(service.events().await.len(), 4);
}

#[keyledger_bounded::test]
async fn a_journal_that_was_renamed_takes_nothing_until_it_is_back() {
    takes_nothing_while_its_file_is_moved(None).await;
}

#[keyledger_bounded::test]
async fn a_journal_that_was_replaced_takes_nothing_until_it_is_back() {
    let other = Service::start();
    other.user("ann").create("elsewhere").await;
    let other = other.stop_well();
    takes_nothing_while_its_file_is_moved(Some(&journal_in(other.path()))).await;
}

#[keyledger_bounded::test]
async fn a_service_that_is_restarted_follows_the_journal_that_replaced_its_own() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    let (first, first_secret) = key(&ann).await;
    let folder = service.stop_well();
    let backup = copy_of_the_journal(folder.path());
    let service = Setup::in_folder(folder).start().ready().await;
    let (_, second_secret) = key(&service.user("ann")).await;
    let folder = service.folder();
    let aside = folder.path().join("data/aside.db");

    std::fs::rename(journal_in(folder.path()), &aside).unwrap();
    std::fs::copy(journal_in(backup.path()), journal_in(folder.path())).unwrap();
    let refused = service.user("ann").post("/keys", &json!({"name": "lost"})).await;
    assert_problem!(refused, 503, "unavailable");
    service.stop_well();
    assert_eq!(events_of(&format!("sqlite://{}", aside.display())).await.len(), 2);

    let service = Setup::in_folder(folder).start().ready().await;
    assert_eq!(verdict(&service, &first_secret).await, "VALID");
    assert_eq!(verdict(&service, &second_secret).await, "NOT_FOUND");
    let listed = service.user("ann").keys().await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["key_id"], json!(first));
}

#[keyledger_bounded::test]
async fn a_process_that_only_reads_waits_for_the_journal() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let sentence = "there is no journal at data/journal.db yet: a process that appends creates it";
    let tables = run(keyledger(folder.path()).arg("rebuild"));
    assert!(String::from_utf8_lossy(&tables.stderr).contains(sentence), "{tables:?}");

    let reader = || Setup::in_folder(folder.clone()).set("KEYLEDGER_ROLES", "projector,verify");
    let reader = reader().spawn();
    reader.part_is("journal", "failing").await;
    reader.readiness_is(503).await;
    assert!(reader.printed(sentence).await.contains("cannot be opened yet, trying again"));
    let api = Setup::in_folder(folder.clone()).set("KEYLEDGER_ROLES", "api").start();
    let (_, secret) = key(&api.user("ann")).await;
    let reader = reader.ready().await;
    until("the key", async || match verdict(&reader, &secret).await {
        code if code == "VALID" => Ok(()),
        code => Err(code),
    })
    .await;
}

#[keyledger_bounded::test]
async fn processes_that_start_together_make_the_files_together() {
    for _ in 0..3 {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let process =
            |roles: &str| Setup::in_folder(folder.clone()).set("KEYLEDGER_ROLES", roles).spawn();
        let processes = ["api", "projector", "verify", "verify", "verify"].map(process);
        for process in &processes {
            process.readiness_is(200).await;
        }
        let [api, _, verifier, ..] = &processes;
        let (_, secret) = key(&api.user("ann")).await;
        until("the key", async || match verdict(verifier, &secret).await {
            code if code == "VALID" => Ok(()),
            code => Err(code),
        })
        .await;
        assert_eq!(api.user("ann").keys().await.len(), 1);
    }
}
