//! The one task that appends: it commits what is waiting together.

use std::sync::Arc;

use keyledger_domain::{KeyId, Position, RecordedEvent, Revision, StoredForm, encode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::journal::{Append, AppendError, Appended, Cause, NewEvent};

/// The most appends that share one commit.
const GROUP: usize = 256;
/// How many commits a subscription may lie behind before it has to read them from the file.
const REMEMBERED_COMMITS: usize = 256;

/// Events that were committed together, oldest first. An empty one says that something may have
/// been committed that only the file knows.
pub(super) type Committed = Arc<[RecordedEvent]>;

/// Hands appends to the writing task.
#[derive(Debug)]
pub(super) struct Writer {
    appends: mpsc::Sender<Pending>,
    committed: broadcast::Sender<Committed>,
}

struct Pending {
    key_id: KeyId,
    first: Revision,
    events: Vec<(NewEvent, StoredForm)>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Writer {
    pub(super) async fn start(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        sqlx::migrate!("migrations/journal/sqlite").run(&mut connection).await?;
        let head = head(&mut connection).await?;
        let (appends, waiting) = mpsc::channel(GROUP * 4);
        let (committed, _) = broadcast::channel(REMEMBERED_COMMITS);
        let task = Task { options, open: Some((connection, head)), committed: committed.clone() };
        tokio::spawn(task.run(waiting));
        Ok(Self { appends, committed })
    }

    pub(super) fn committed(&self) -> broadcast::Sender<Committed> {
        self.committed.clone()
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let first = append.expected.next();
        let first = first.ok_or_else(|| AppendError::Invalid("the stream is full".into()))?;
        let encoded = append.events.into_iter().map(|new| {
            let form = encode(&new.event, &new.metadata)?;
            Ok((new, form))
        });
        let events: Vec<_> =
            encoded.collect::<Result<_, _>>().map_err(|e: serde_json::Error| {
                AppendError::Invalid(e.into())
            })?;
        let (reply, answer) = oneshot::channel();
        let pending = Pending { key_id: append.key_id, first, events, reply };
        let stopped = || "the journal's writer has stopped".into();
        self.appends.send(pending).await.map_err(|_| AppendError::Unavailable(stopped()))?;
        answer.await.map_err(|_| AppendError::Ambiguous(stopped()))?
    }
}

struct Task {
    options: SqliteConnectOptions,
    /// The connection and the position of the last event; `None` after an error, so that the next
    /// group begins with a fresh connection and a fresh look.
    open: Option<(SqliteConnection, Position)>,
    committed: broadcast::Sender<Committed>,
}

/// What became of the appends of one group, in their order, and the events they added.
struct Group {
    outcomes: Vec<Result<Appended, AppendError>>,
    recorded: Vec<RecordedEvent>,
}

/// A group failed as a whole, before its commit was asked for or in it.
enum Failure {
    Before(sqlx::Error),
    InCommit(sqlx::Error),
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Pending>) {
        let mut group = Vec::with_capacity(GROUP);
        while waiting.recv_many(&mut group, GROUP).await > 0 {
            let outcome = self.commit(&group).await;
            if let Err(Failure::Before(error) | Failure::InCommit(error)) = &outcome {
                tracing::error!(error = %error, appends = group.len(), "journal commit failed");
            }
            self.answer(group.drain(..), outcome);
        }
    }

    async fn commit(&mut self, group: &[Pending]) -> Result<Group, Failure> {
        let (mut connection, before) = match self.open.take() {
            Some(open) => open,
            None => self.reopen().await.map_err(Failure::Before)?,
        };
        let mut transaction =
            connection.begin_with("BEGIN IMMEDIATE").await.map_err(Failure::Before)?;
        let mut written = Group { outcomes: Vec::with_capacity(group.len()), recorded: Vec::new() };
        let mut head = before;
        for pending in group {
            let outcome = insert(&mut transaction, pending, &mut head, &mut written.recorded);
            written.outcomes.push(match outcome.await {
                Ok(appended) => Ok(appended),
                Err(InsertError::Refused(refusal)) => Err(refusal),
                Err(InsertError::Failed(error)) => return Err(Failure::Before(error)),
            });
        }
        transaction.commit().await.map_err(Failure::InCommit)?;
        self.open = Some((connection, head));
        Ok(written)
    }

    async fn reopen(&self) -> Result<(SqliteConnection, Position), sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let head = head(&mut connection).await?;
        // A commit that failed may be in the file all the same.
        let _ = self.committed.send(Arc::new([]));
        Ok((connection, head))
    }

    fn answer(&self, group: impl Iterator<Item = Pending>, outcome: Result<Group, Failure>) {
        match outcome {
            Ok(written) => {
                // No receiver: nobody subscribes now, and the events are in the file.
                let _ = self.committed.send(written.recorded.into());
                for (pending, outcome) in group.zip(written.outcomes) {
                    let _ = pending.reply.send(outcome);
                }
            }
            Err(failure) => {
                let (text, in_commit) = match failure {
                    Failure::Before(error) => (error.to_string(), false),
                    Failure::InCommit(error) => (error.to_string(), true),
                };
                for pending in group {
                    let cause: Cause = text.clone().into();
                    let _ = pending.reply.send(Err(if in_commit {
                        AppendError::Ambiguous(cause)
                    } else {
                        AppendError::Unavailable(cause)
                    }));
                }
            }
        }
    }
}

enum InsertError {
    Refused(AppendError),
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for InsertError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// Inserts the events of one append, if its stream is as expected.
async fn insert(
    connection: &mut SqliteConnection,
    pending: &Pending,
    head: &mut Position,
    recorded: &mut Vec<RecordedEvent>,
) -> Result<Appended, InsertError> {
    let full = || InsertError::Refused(AppendError::Invalid("the journal is full".into()));
    let stream = pending.key_id.stream();
    let mut last = None;
    let mut next = Some(pending.first);
    for (new, form) in &pending.events {
        let revision = next.ok_or_else(full)?;
        let position = head.plus(1).map_err(|_| full())?;
        let inserted = sqlx::query(
            "INSERT INTO events (position, stream, revision, id, type, data, metadata)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE (SELECT coalesce(max(revision), -1) FROM events WHERE stream = $2) = $3 - 1",
        )
        .bind(position.as_i64())
        .bind(&*stream)
        .bind(i64::from(revision.as_u32()))
        .bind(new.id.as_uuid().as_bytes().as_slice())
        .bind(form.event_type)
        .bind(&*form.data)
        .bind(&*form.metadata)
        .execute(&mut *connection)
        .await?;
        if inserted.rows_affected() == 0 {
            // Only the first can be refused: the others follow it in the same transaction.
            return resent(connection, pending, &stream).await;
        }
        *head = position;
        last = Some(Appended { position, revision });
        next = revision.next();
        recorded.push(RecordedEvent {
            position,
            revision,
            id: new.id,
            event: new.event.clone(),
            metadata: new.metadata.clone(),
        });
    }
    last.ok_or_else(|| {
        InsertError::Refused(AppendError::Invalid("an append needs an event".into()))
    })
}

/// The stream is not as expected: either someone else was first, or these very events are there.
async fn resent(
    connection: &mut SqliteConnection,
    pending: &Pending,
    stream: &str,
) -> Result<Appended, InsertError> {
    let rows = sqlx::query(
        "SELECT position, revision, id FROM events
         WHERE stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3",
    )
    .bind(stream)
    .bind(i64::from(pending.first.as_u32()))
    .bind(i64::try_from(pending.events.len()).unwrap_or(i64::MAX))
    .fetch_all(&mut *connection)
    .await?;
    let conflict = || InsertError::Refused(AppendError::Conflict);
    let same = rows.len() == pending.events.len()
        && rows.iter().zip(&pending.events).all(|(row, (new, _))| {
            row.try_get::<&[u8], _>("id").is_ok_and(|id| id == new.id.as_uuid().as_bytes())
        });
    let last = rows.last().filter(|_| same).ok_or_else(conflict)?;
    let position = Position::try_from(last.try_get::<i64, _>("position")?);
    let revision = Revision::try_from(last.try_get::<i64, _>("revision")?);
    match (position, revision) {
        (Ok(position), Ok(revision)) => Ok(Appended { position, revision }),
        _ => Err(conflict()),
    }
}

async fn head(connection: &mut SqliteConnection) -> Result<Position, sqlx::Error> {
    let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
        .fetch_one(connection)
        .await?;
    Position::try_from(head).map_err(|e| sqlx::Error::Decode(e.into()))
}
