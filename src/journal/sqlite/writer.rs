//! The one task that appends: it commits what is waiting together.

use std::collections::HashSet;
use std::sync::Arc;

use keyledger_domain::{KeyId, Position, RecordedEvent, Revision, StoredForm, encode};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::insert::{MOST_EVENTS, head, insert, resent};
use crate::journal::{Append, AppendError, Appended, Cause, NewEvent};
use crate::telemetry::chain;

/// The most events that share one commit.
const GROUP: usize = MOST_EVENTS;
/// How many commits a subscription may lie behind before it has to read them from the file.
const REMEMBERED_COMMITS: usize = 256;

/// Events that were committed together.
#[derive(Debug)]
pub(super) struct Committed {
    /// The position of the last event before them.
    pub(super) after: Position,
    /// Oldest first; none says that something may have been committed that only the file knows.
    pub(super) events: Vec<RecordedEvent>,
}

/// Hands appends to the writing task.
#[derive(Debug)]
pub(super) struct Writer {
    appends: mpsc::Sender<Pending>,
    committed: broadcast::Sender<Arc<Committed>>,
}

/// An append that waits for its turn.
pub(super) struct Pending {
    pub(super) key_id: KeyId,
    pub(super) first: Revision,
    /// At least one.
    pub(super) events: Vec<(NewEvent, StoredForm)>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Writer {
    pub(super) async fn start(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        // `run` would do the same with a future that cannot be sent between threads.
        let migrations = sqlx::migrate!("migrations/journal/sqlite");
        migrations.run_direct(None, &mut connection, false).await?;
        let head = head(&mut connection).await?;
        let (appends, waiting) = mpsc::channel(GROUP * 4);
        let (committed, _) = broadcast::channel(REMEMBERED_COMMITS);
        let task = Task { options, open: Some((connection, head)), committed: committed.clone() };
        tokio::spawn(task.run(waiting));
        Ok(Self { appends, committed })
    }

    pub(super) fn committed(&self) -> broadcast::Sender<Arc<Committed>> {
        self.committed.clone()
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let invalid = |cause: &str| AppendError::Invalid(cause.into());
        let first = append.expected.next().ok_or_else(|| invalid("the stream is full"))?;
        let count = append.events.len();
        if count == 0 || count > GROUP {
            return Err(invalid("an append has 1 to 256 events"));
        }
        if u32::try_from(count).ok().and_then(|count| first.as_u32().checked_add(count)).is_none() {
            return Err(invalid("the stream is full"));
        }
        let with_form = |new: NewEvent| encode(&new.event, &new.metadata).map(|form| (new, form));
        let events = append.events.into_iter().map(with_form).collect::<Result<Vec<_>, _>>();
        let events = events.map_err(|error| AppendError::Invalid(error.into()))?;
        let (reply, answer) = oneshot::channel();
        let pending = Pending { key_id: append.key_id, first, events, reply };
        let stopped = || "the journal's writer has stopped".into();
        self.appends.send(pending).await.map_err(|_| AppendError::Unavailable(stopped()))?;
        answer.await.map_err(|_| AppendError::Ambiguous(stopped()))?
    }
}

/// Appends that are committed together. All are tried against what was there before, so no two of
/// them change the same stream.
#[derive(Default)]
struct Group {
    appends: Vec<Pending>,
    streams: HashSet<KeyId>,
    events: usize,
}

impl Group {
    /// Adds an append, or gives it back to wait for the next group.
    fn add(&mut self, pending: Pending) -> Option<Pending> {
        let events = self.events + pending.events.len();
        if events > GROUP || !self.streams.insert(pending.key_id) {
            return Some(pending);
        }
        self.events = events;
        self.appends.push(pending);
        None
    }
}

struct Task {
    options: SqliteConnectOptions,
    /// The connection and the position of the last event; `None` when they are unknown, after an
    /// error.
    open: Option<(SqliteConnection, Position)>,
    committed: broadcast::Sender<Arc<Committed>>,
}

/// What became of a group: of each append, in their order, and the events that were added.
struct Outcome {
    appended: Vec<Result<Appended, AppendError>>,
    committed: Committed,
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Pending>) {
        let mut held = Vec::new();
        loop {
            let mut group = Group::default();
            for pending in std::mem::take(&mut held) {
                held.extend(group.add(pending));
            }
            if group.appends.is_empty() {
                match waiting.recv().await {
                    Some(pending) => held.extend(group.add(pending)),
                    None => return,
                }
            }
            while group.events < GROUP
                && let Ok(pending) = waiting.try_recv()
            {
                held.extend(group.add(pending));
            }
            let outcome = self.commit(&group.appends).await;
            self.answer(group.appends.into_iter(), outcome);
        }
    }

    /// Commits what can be appended of a group; on an error, finds out what became of it.
    async fn commit(&mut self, group: &[Pending]) -> Result<Outcome, AppendError> {
        let (mut connection, before) = match self.open.take() {
            Some(open) => open,
            None => self.reopen().await.map_err(|e| AppendError::Unavailable(e.into()))?,
        };
        let error = match append_all(&mut connection, before, group).await {
            Ok((outcome, head)) => {
                self.open = Some((connection, head));
                return Ok(outcome);
            }
            Err(error) => error,
        };
        tracing::error!(cause = %chain(&error), appends = group.len(), "journal commit failed");
        // Closing it takes back what was not committed.
        drop(connection);
        match self.reopen().await {
            Ok((connection, head)) if head == before => {
                self.open = Some((connection, head));
                Err(AppendError::Unavailable(error.into()))
            }
            Ok(open) => {
                self.open = Some(open);
                // Subscriptions have to look into the file.
                let unknown = Committed { after: before, events: Vec::new() };
                let _ = self.committed.send(Arc::new(unknown));
                Err(AppendError::Ambiguous(error.into()))
            }
            Err(_) => Err(AppendError::Ambiguous(error.into())),
        }
    }

    async fn reopen(&self) -> Result<(SqliteConnection, Position), sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let head = head(&mut connection).await?;
        Ok((connection, head))
    }

    fn answer(&self, group: impl Iterator<Item = Pending>, outcome: Result<Outcome, AppendError>) {
        // Nobody may be subscribed, and a caller may have gone: the events are in the file.
        match outcome {
            Ok(Outcome { appended, committed }) => {
                for (pending, appended) in group.zip(appended) {
                    let _ = pending.reply.send(appended);
                }
                // Whoever is woken last runs first, and those above wait for what these will do.
                if !committed.events.is_empty() {
                    let _ = self.committed.send(Arc::new(committed));
                }
            }
            Err(error) => {
                for pending in group {
                    let cause: Cause = chain(&error).into();
                    let is_unknown = matches!(error, AppendError::Ambiguous(_));
                    let _ = pending.reply.send(Err(if is_unknown {
                        AppendError::Ambiguous(cause)
                    } else {
                        AppendError::Unavailable(cause)
                    }));
                }
            }
        }
    }
}

/// Appends and commits what can be, and tells the position of the last event then.
async fn append_all(
    connection: &mut SqliteConnection,
    before: Position,
    group: &[Pending],
) -> Result<(Outcome, Position), sqlx::Error> {
    let inserted = insert(connection, before, group).await?;
    let mut appended = Vec::with_capacity(group.len());
    let mut events = Vec::with_capacity(group.len());
    for pending in group {
        let recorded = inserted.recorded(pending);
        appended.push(match recorded.last() {
            Some(last) => Ok(Appended { position: last.position, revision: last.revision }),
            None => resent(connection, pending).await?.ok_or(AppendError::Conflict),
        });
        // Positions were given in this order.
        events.extend(recorded);
    }
    let committed = Committed { after: before, events };
    Ok((Outcome { appended, committed }, inserted.head))
}
