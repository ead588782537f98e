//! The connection of the process that appends.

use std::sync::Arc;

use async_trait::async_trait;
use keyledger_domain::{InstallationSecret, Position};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::insert::{head, insert, resent};
use super::{FileLocation, OpenedFile};
use crate::sql::{Committed, EventTable, GroupOutcome, KEEP_SECRET, PendingAppend};
use crate::{AppendError, Appended, CloseError};

/// Writes 64 KiB: an append that needs less would be written too. A row of one page would not tell,
/// since it fits into what a failed append has left of the disk. The bytes are others each time, since
/// SQLite does not write pages that have not changed.
const PROBE: &str = "
    INSERT INTO probe (only_row, filler) VALUES (1, randomblob(65536))
    ON CONFLICT (only_row) DO UPDATE SET filler = excluded.filler";

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/journal/sqlite");

/// Connects to the file; makes or changes its tables if they are not of this version.
pub(super) async fn connect(location: &FileLocation) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = location.options().connect().await?;
    // The future of `run` is not `Send`; that of `run_direct` is, and does the same.
    MIGRATIONS.run_direct(None, &mut connection, false).await?;
    Ok(connection)
}

pub(super) struct SqliteTable {
    /// They do not create the file: without it, the journal is lost, and not empty.
    options: SqliteConnectOptions,
    file: Arc<OpenedFile>,
    /// The connection and the head; `None` after an error, when the head is unknown.
    open: Option<(SqliteConnection, Position)>,
}

impl SqliteTable {
    /// The table in a file that is open.
    pub(super) async fn new(
        location: &FileLocation,
        file: Arc<OpenedFile>,
        mut connection: SqliteConnection,
    ) -> Result<Self, sqlx::Error> {
        let options = location.options().create_if_missing(false);
        let head = head(&mut connection).await?;
        Ok(Self { options, file, open: Some((connection, head)) })
    }

    /// The connection, which is opened if the last change has failed, and the head.
    async fn take(&mut self) -> Result<(SqliteConnection, Position), AppendError> {
        self.check()?;
        match self.open.take() {
            Some(open) => Ok(open),
            None => self.reopen().await,
        }
    }

    async fn reopen(&self) -> Result<(SqliteConnection, Position), AppendError> {
        let opened = async {
            let mut connection = self.options.connect().await?;
            let head = head(&mut connection).await?;
            Ok::<_, sqlx::Error>((connection, head))
        };
        let opened = opened.await.map_err(|error| AppendError::Unavailable(error.into()))?;
        self.check()?;
        Ok(opened)
    }

    fn check(&self) -> Result<(), AppendError> {
        self.file.check().map_err(|error| AppendError::Unavailable(error.into()))
    }
}

#[async_trait]
impl EventTable for SqliteTable {
    /// After an error, the head tells whether the group was committed.
    async fn commit(&mut self, group: &[PendingAppend]) -> Result<GroupOutcome, AppendError> {
        let (mut connection, before) = self.take().await?;
        let error = match append_all(&mut connection, before, group).await {
            Ok((outcome, head)) => {
                self.open = Some((connection, head));
                // Written, but perhaps to a file that nobody finds.
                let written = self.file.check();
                return written.map(|()| outcome).map_err(|e| AppendError::Ambiguous(e.into()));
            }
            Err(error) => error,
        };
        // Closing the connection rolls back what was not committed.
        drop(connection);
        match self.reopen().await {
            Ok((connection, head)) if head == before => {
                self.open = Some((connection, head));
                Err(AppendError::Unavailable(error.into()))
            }
            Ok(open) => {
                self.open = Some(open);
                Err(AppendError::Ambiguous(error.into()))
            }
            Err(_) => Err(AppendError::Ambiguous(error.into())),
        }
    }

    async fn probe(&mut self) -> Result<(), AppendError> {
        let (mut connection, head) = self.take().await?;
        let written = sqlx::query(PROBE).execute(&mut connection).await;
        written.map_err(|error| AppendError::Unavailable(error.into()))?;
        self.open = Some((connection, head));
        self.check()
    }

    async fn keep_secret(&mut self, secret: InstallationSecret) -> Result<(), AppendError> {
        let (mut connection, head) = self.take().await?;
        let written = sqlx::query(KEEP_SECRET)
            .bind(secret.as_bytes().as_slice())
            .execute(&mut connection)
            .await;
        written.map_err(|error| AppendError::Ambiguous(error.into()))?;
        self.open = Some((connection, head));
        self.check()
    }

    /// Copies the write-ahead log into the file, also if that was moved: what was acknowledged must be
    /// in it. SQLite does the same when it closes the last connection, but not while another process
    /// has one.
    async fn close(mut self) -> Result<(), CloseError> {
        let unwritten = |error: AppendError| CloseError(error.into());
        let (mut connection, _) = match self.open.take() {
            Some(open) => open,
            None => self.reopen().await.map_err(unwritten)?,
        };
        let failed = |error: sqlx::Error| CloseError(error.into());
        let copied = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)");
        let is_busy: bool = copied.fetch_one(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        if is_busy { Err(CloseError("another process reads it".into())) } else { Ok(()) }
    }
}

/// Appends and commits the appends whose expectation holds, and returns the head after them.
async fn append_all(
    connection: &mut SqliteConnection,
    before: Position,
    group: &[PendingAppend],
) -> Result<(GroupOutcome, Position), sqlx::Error> {
    let inserted = insert(connection, before, group).await?;
    let mut appended = Vec::with_capacity(group.len());
    let mut events = Vec::with_capacity(group.len());
    for pending in group {
        let recorded = pending.recorded(&inserted.positions);
        appended.push(match recorded.last() {
            Some(last) => Ok(Appended { position: last.position, revision: last.revision }),
            None => pending.resent(&resent(connection, pending).await?),
        });
        // Positions were assigned in the order of the group, so this is journal order.
        events.extend(recorded);
    }
    let committed = Committed { after: before, events };
    Ok((GroupOutcome { appended, committed }, inserted.head))
}
