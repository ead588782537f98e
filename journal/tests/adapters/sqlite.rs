//! The journal in a SQLite file.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::{join_all, maybe_done};
use keyledger_domain::{Position, chain};
use keyledger_journal::testing::{
    JournalUnderTest, after, closes_one_key, create, created, deleted, first, new_key, next_event,
    revoked, until_caught_up,
};
use keyledger_journal::{
    AppendError, Journal, JournalReader, OpenError, ReadError, contract_suite,
};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

/// A file of its own in a folder that is removed at the end.
struct Sqlite(TempDir);

impl Sqlite {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path("journal.db").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("data").join(name)
    }

    /// Changes the file as another program could.
    async fn tamper(&self, statement: &'static str) -> Result<(), sqlx::Error> {
        let mut connection = SqliteConnection::connect(&self.url()).await?;
        sqlx::query(statement).execute(&mut connection).await.map(drop)
    }
}

#[async_trait]
impl JournalUnderTest for Sqlite {
    async fn open(&self) -> Arc<dyn Journal> {
        keyledger_journal::open(&self.url()).await.unwrap()
    }

    async fn open_reader(&self) -> Arc<dyn JournalReader> {
        keyledger_journal::open_reader(&self.url()).await.unwrap()
    }
}

contract_suite!(Sqlite::new());

#[keyledger_bounded::test]
async fn a_second_writer_is_refused() {
    let file = Sqlite::new();
    let journal = file.open().await;
    let second = keyledger_journal::open(&file.url()).await;
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    create(&*journal).await;
    drop(journal);
    create(&*file.open().await).await;
}

#[keyledger_bounded::test]
async fn what_is_no_file_is_refused() {
    for url in ["sqlite://", "sqlite::memory:", "sqlite://:memory:", "sqlite://x?mode=memory"] {
        let opened = keyledger_journal::open(url).await;
        assert!(
            matches!(opened, Err(OpenError::BadUrl { .. } | OpenError::UnknownScheme(_))),
            "{url} {opened:?}"
        );
    }
    for url in ["mysql://x", "journal.db", ""] {
        let opened = keyledger_journal::open(url).await;
        assert!(matches!(opened, Err(OpenError::UnknownScheme(_))), "{url} {opened:?}");
    }
    let folder = TempDir::new().unwrap();
    let opened = keyledger_journal::open(&format!("sqlite://{}", folder.path().display())).await;
    assert!(matches!(opened, Err(OpenError::Refused { .. })), "{opened:?}");
    let missing = format!("sqlite://{}/none.db", folder.path().display());
    let opened = keyledger_journal::open_reader(&missing).await;
    assert!(matches!(opened, Err(OpenError::Missing(_))), "{opened:?}");
}

#[keyledger_bounded::test]
async fn the_file_itself_refuses_changes() {
    let file = Sqlite::new();
    create(&*file.open().await).await;
    assert!(file.tamper("UPDATE events SET data = '{}'").await.is_err());
    assert!(file.tamper("DELETE FROM events").await.is_err());
}

#[keyledger_bounded::test]
async fn an_event_that_cannot_be_read_stops_whoever_needs_every_event_and_else_closes_its_key() {
    for change in [
        "UPDATE events SET type = 'KeyRenamed' WHERE position = 2",
        "UPDATE events SET data = '{}' WHERE position = 2",
        "UPDATE events SET data = 'x' WHERE position = 2",
        "UPDATE events SET metadata = replace(metadata, '\"v\":1', '\"v\":2') WHERE position = 2",
        "UPDATE events SET id = x'00' WHERE position = 2",
        "UPDATE events SET revision = -1 WHERE position = 2",
        "UPDATE events SET stream = 'apikey-01890a5d-ac96-774b-bcce-b302099a8057' WHERE position = 2",
        "UPDATE events SET stream = 'other' WHERE position = 2",
    ] {
        let file = Sqlite::new();
        let journal = file.open().await;
        for _ in 0..3 {
            create(&*journal).await;
        }
        file.tamper("DROP TRIGGER events_are_never_changed").await.unwrap();
        file.tamper(change).await.unwrap();
        let deliveries: Vec<_> = journal.subscribe(Position::START).collect().await;
        let [.., Err(ReadError::Undecodable { position, .. })] = deliveries.as_slice() else {
            panic!("{change}: {deliveries:?}");
        };
        assert_eq!(position.as_u64(), 2, "{change}");
        assert!(deliveries.iter().rev().skip(1).all(Result::is_ok), "{change}");
        closes_one_key(&*journal, !change.contains("'other'"), change).await;
    }
}

#[keyledger_bounded::test]
async fn a_file_that_refuses_writes_is_unavailable_until_it_takes_them() {
    let file = Sqlite::new();
    let journal = file.open().await;
    let (key_id, _) = create(&*journal).await;
    let (_, caught_up) = until_caught_up(&mut journal.subscribe(Position::START)).await;
    file.tamper(
        "CREATE TRIGGER full BEFORE INSERT ON events
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .await
    .unwrap();
    for _ in 0..3 {
        let outcome = journal.append(after(0, key_id, vec![revoked(key_id)])).await;
        assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
        assert_eq!(journal.read(key_id).await.unwrap().len(), 1);
    }
    let mut subscription = journal.subscribe(caught_up);
    file.tamper("DROP TRIGGER full").await.unwrap();
    let appended = journal.append(after(0, key_id, vec![revoked(key_id)])).await.unwrap();
    let event = next_event(&mut subscription).await;
    assert_eq!(event.position, appended.position);
}

#[keyledger_bounded::test]
async fn a_waiting_append_is_written_though_its_caller_has_gone() {
    let file = Sqlite::new();
    let journal = file.open().await;
    let mut subscription = journal.subscribe(Position::START);
    until_caught_up(&mut subscription).await;
    let key_id = new_key();
    let append = first(key_id, vec![created(key_id)]);
    {
        let appending = std::pin::pin!(journal.append(append.clone()));
        // Polled once, the append is sent to the task that commits; then its caller is gone.
        let _ = futures::poll!(appending);
    }
    let event = next_event(&mut subscription).await;
    assert_eq!(event.event.key_id(), key_id);
    assert_eq!(journal.append(append).await.unwrap().position, event.position);
}

/// Checks that an operation is refused because another file is at the journal's path, or none.
fn refused<T: std::fmt::Debug, E: std::error::Error>(outcome: Result<T, E>) {
    let told = chain(&outcome.unwrap_err());
    assert!(told.contains("journal.db is not the one that was opened"), "{told}");
}

#[keyledger_bounded::test]
async fn a_file_that_is_no_longer_at_its_path_is_neither_read_nor_appended_to() {
    let file = Sqlite::new();
    let backup = Sqlite::new();
    create(&*backup.open().await).await;
    let journal = file.open().await;
    let reader = file.open_reader().await;
    let (key_id, _) = create(&*journal).await;
    let (path, aside) = (file.path("journal.db"), file.path("aside.db"));
    for replacement in [None, Some(backup.path("journal.db"))] {
        std::fs::rename(&path, &aside).unwrap();
        if let Some(replacement) = replacement {
            std::fs::copy(replacement, &path).unwrap();
        }
        for _ in 0..2 {
            let appended = journal.append(after(0, key_id, vec![revoked(key_id)])).await;
            assert!(matches!(appended, Err(AppendError::Unavailable(_))), "{appended:?}");
            refused(appended);
            refused(journal.probe().await);
        }
        for reader in [&*journal as &dyn JournalReader, &*reader] {
            refused(reader.read(key_id).await);
            refused(reader.head().await);
            let mut subscription = reader.subscribe(Position::START);
            refused(subscription.next().await.unwrap());
        }
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(reader.read(key_id).await.unwrap().len(), 1);
    }
    journal.append(after(0, key_id, vec![revoked(key_id)])).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    refused(journal.append(first(new_key(), vec![created(new_key())])).await);
    assert!(!path.exists(), "no other file is created");
}

#[keyledger_bounded::test]
async fn a_journal_that_was_closed_is_in_one_file() {
    let (file, copy) = (Sqlite::new(), Sqlite::new());
    let journal = file.open().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(create(&*journal).await.0);
    }
    // As another process: with its connection, SQLite keeps the write-ahead log.
    let reader = file.open_reader().await;
    journal.close().await.unwrap();
    std::fs::create_dir(copy.path("")).unwrap();
    std::fs::copy(file.path("journal.db"), copy.path("journal.db")).unwrap();
    let copied = copy.open_reader().await;
    for key_id in ids {
        assert_eq!(copied.read(key_id).await.unwrap().len(), 1);
        assert_eq!(reader.read(key_id).await.unwrap().len(), 1);
    }
    let appended = journal.append(first(new_key(), vec![created(new_key())])).await;
    assert!(matches!(appended, Err(AppendError::Unavailable(_))), "{appended:?}");
    journal.close().await.unwrap();
}

#[keyledger_bounded::test]
async fn a_journal_that_was_moved_has_everything_in_one_file_after_a_close() {
    let (file, copy) = (Sqlite::new(), Sqlite::new());
    let journal = file.open().await;
    let (key_id, _) = create(&*journal).await;
    std::fs::create_dir(copy.path("")).unwrap();
    std::fs::rename(file.path("journal.db"), copy.path("journal.db")).unwrap();
    journal.close().await.unwrap();
    assert_eq!(copy.open_reader().await.read(key_id).await.unwrap().len(), 1);
}

#[keyledger_bounded::test]
async fn a_file_without_a_journal_in_it_is_not_there_yet() {
    let file = Sqlite::new();
    std::fs::create_dir(file.path("")).unwrap();
    std::fs::write(file.path("journal.db"), "").unwrap();
    let opened = keyledger_journal::open_reader(&file.url()).await;
    assert!(matches!(opened, Err(OpenError::Missing(_))), "{opened:?}");
    assert!(opened.unwrap_err().is_passing());
    create(&*file.open().await).await;
    file.open_reader().await;
}

#[keyledger_bounded::test]
async fn a_probe_needs_as_much_of_the_disk_as_a_usual_append() {
    let file = Sqlite::new();
    let journal = file.open().await;
    journal.probe().await.unwrap();
    let size = || std::fs::metadata(file.path("journal.db-wal")).unwrap().len();
    let before = size();
    journal.probe().await.unwrap();
    let probe = size() - before;
    create(&*journal).await;
    let append = size() - before - probe;
    assert!(probe >= 64 * 1024 && probe > 2 * append, "{probe} and {append} bytes");
}

/// Appends to one stream are not in one commit.
#[keyledger_bounded::test]
async fn a_close_waits_for_appends_that_wait_for_others() {
    let file = Sqlite::new();
    let journal = file.open().await;
    let key_id = new_key();
    let mut appends = pin!(maybe_done(join_all([
        journal.append(first(key_id, vec![created(key_id)])),
        journal.append(after(0, key_id, vec![revoked(key_id)])),
        journal.append(after(1, key_id, vec![deleted(key_id)])),
    ])));
    // Polled once, the appends are sent.
    let _ = futures::poll!(appends.as_mut());
    journal.close().await.unwrap();
    appends.as_mut().await;
    for outcome in appends.take_output().unwrap() {
        outcome.unwrap();
    }
    assert_eq!(file.open_reader().await.read(key_id).await.unwrap().len(), 3);
}
