//! `keyledger rebuild`, while the service runs and serves.

use crate::support::{Process, Service, Setup, keyledger, run};

#[keyledger_bounded::test]
async fn requests_are_served_all_through_a_rebuild() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    for number in 0..30 {
        ann.create(&format!("before {number}")).await;
    }
    for _ in 0..3 {
        let folder = service.folder();
        let mut command = keyledger(folder.path());
        command.arg("rebuild");
        let stores = service.stores();
        command.env("KEYLEDGER_JOURNAL_URL", stores.journal);
        command.env("KEYLEDGER_READ_URL", stores.read);
        let mut rebuilding = Process::start(&mut command);
        let mut asked = 0;
        while rebuilding.is_running() || asked < 20 {
            let before = ann.keys().await.len();
            ann.create("meanwhile").await;
            assert_eq!(ann.keys().await.len(), before + 1, "each write shows at once");
            asked += 1;
        }
        assert!(rebuilding.ended().success(), "{}", rebuilding.output());
        let before = ann.keys().await.len();
        ann.create("after").await;
        assert_eq!(ann.keys().await.len(), before + 1, "the projector follows the new table");
    }
    service.stranger().get("/readyz").await.expect_status(200);
    let (status, output) = service.stop();
    assert!(status.success());
    assert!(output.contains("read_tables loads its state again and goes on"), "{output}");
}

#[keyledger_bounded::test]
async fn tables_of_another_journal_are_told_and_built_anew() {
    let service = Service::start().ready().await;
    for _ in 0..3 {
        service.user("ann").create("lost").await;
    }
    let folder = service.folder();
    service.stop_well();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join("data").join(file));
    }
    let service = Setup::in_folder(folder).start().ready().await;
    let output = service.output();
    assert!(output.contains("at position 3, which the journal does not have"), "{output}");
    assert!(output.contains("\"message\":\"the read tables are built anew\""), "{output}");
    assert!(service.user("ann").keys().await.is_empty());
    service.user("ann").create("new").await;
    assert_eq!(service.user("ann").keys().await.len(), 1);
}

#[keyledger_bounded::test]
async fn read_tables_that_are_gone_are_made_again_at_the_start() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    let ids = [ann.create("one").await, ann.create("two").await];
    ann.delete(&format!("/keys/{}", ids[0])).await;
    let before = ann.keys().await;
    let folder = service.kill();
    for file in ["read.db", "read.db-wal", "read.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join("data").join(file));
    }
    let service = Setup::in_folder(folder).start().ready().await;
    assert_eq!(service.user("ann").keys().await, before);
}

#[keyledger_bounded::test]
fn a_rebuild_without_a_journal_says_so() {
    let folder = tempfile::TempDir::new().unwrap();
    let output = run(keyledger(folder.path()).arg("rebuild"));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("there is no journal at data/journal.db"), "{told}");
}
