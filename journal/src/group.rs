//! Group commit: one task appends, and commits what is waiting together, so that many callers share
//! one commit. For journals that are a table of a SQL database.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use keyledger_domain::{EventId, KeyId, Position, RecordedEvent, Revision, StoredForm, encode};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::news::{Committed, News, Tell};
use super::{
    Append, AppendError, Appended, Cause, Journal, JournalReader, NewEvent, ReadError, Subscription,
};
use keyledger_domain::chain;

/// The most events that share one commit.
pub(super) const MOST_EVENTS: usize = 256;

/// The table that a group is committed to.
#[async_trait]
pub(super) trait Table: Send + 'static {
    /// Commits what can be of a group's appends, each of them whole or not at all.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] and [`AppendError::Ambiguous`], for all of the group.
    async fn commit(&mut self, group: &[Pending]) -> Result<Outcome, AppendError>;
}

/// What became of a group: of each append, in their order, and the events that were added.
pub(super) struct Outcome {
    pub(super) appended: Vec<Result<Appended, AppendError>>,
    pub(super) committed: Committed,
}

/// Hands appends to the task that commits them.
#[derive(Debug)]
pub(super) struct Writer {
    appends: mpsc::Sender<Pending>,
}

/// An append that waits for its turn.
pub(super) struct Pending {
    pub(super) key_id: KeyId,
    pub(super) first: Revision,
    /// At least one.
    pub(super) events: Vec<(NewEvent, StoredForm)>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// A row of [`Pending::RESENT`]: position, revision, id.
pub(super) type ResentRow = (i64, i64, Uuid);

impl Pending {
    /// Finds the events that stand where those of an append were to stand: `$1` stream, `$2` first
    /// revision, `$3` how many.
    pub(super) const RESENT: &str = "
        SELECT position, revision, id FROM events
        WHERE stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3";

    /// The append's events as they were recorded at these positions; none if they were refused.
    pub(super) fn recorded(&self, positions: &HashMap<EventId, Position>) -> Vec<RecordedEvent> {
        let revisions = std::iter::successors(Some(self.first), |revision| revision.next());
        let recorded = self.events.iter().zip(revisions).map(|((new, _), revision)| {
            let position = *positions.get(&new.id)?;
            let (id, event, metadata) = (new.id, new.event.clone(), new.metadata.clone());
            Some(RecordedEvent { position, revision, id, event, metadata })
        });
        recorded.collect::<Option<_>>().unwrap_or_default()
    }

    /// What became of the append when it was sent before, if these rows are its very events.
    pub(super) fn resent(&self, rows: &[ResentRow]) -> Result<Appended, AppendError> {
        let sent = self.events.iter().map(|(new, _)| new.id.as_uuid());
        let Some((position, revision, _)) = rows.last() else {
            return Err(AppendError::Conflict);
        };
        if !rows.iter().map(|(_, _, id)| *id).eq(sent) {
            return Err(AppendError::Conflict);
        }
        let invalid = |error: Cause| AppendError::Invalid(error);
        Ok(Appended {
            position: Position::try_from(*position).map_err(|e| invalid(e.into()))?,
            revision: Revision::try_from(*revision).map_err(|e| invalid(e.into()))?,
        })
    }
}

impl Writer {
    /// Starts the task; it tells what it commits, and ends when the writer is dropped.
    pub(super) fn start(table: impl Table, tell: Tell) -> Self {
        let (appends, waiting) = mpsc::channel(MOST_EVENTS * 4);
        tokio::spawn(run(table, waiting, tell));
        Self { appends }
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let invalid = |cause: &str| AppendError::Invalid(cause.into());
        let first = append.expected.next().ok_or_else(|| invalid("the stream is full"))?;
        let count = append.events.len();
        if count == 0 || count > MOST_EVENTS {
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

/// A journal whose appends are committed in groups, and whose events are read beside that.
#[derive(Debug)]
pub(super) struct Grouped<R> {
    reader: R,
    writer: Writer,
    /// Held open for the lock on it, which ends with the process, however that ends.
    _lock: Option<File>,
}

impl<R: JournalReader> Grouped<R> {
    pub(super) fn new(reader: R, writer: Writer, lock: Option<File>) -> Self {
        Self { reader, writer, _lock: lock }
    }
}

#[async_trait]
impl<R: JournalReader> JournalReader for Grouped<R> {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read(key_id).await
    }

    fn subscribe(&self, after: Position) -> Subscription {
        self.reader.subscribe(after)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.reader.head().await
    }
}

#[async_trait]
impl<R: JournalReader> Journal for Grouped<R> {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.writer.append(append).await
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
        if events > MOST_EVENTS || !self.streams.insert(pending.key_id) {
            return Some(pending);
        }
        self.events = events;
        self.appends.push(pending);
        None
    }
}

async fn run(mut table: impl Table, mut waiting: mpsc::Receiver<Pending>, tell: Tell) {
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
        while group.events < MOST_EVENTS
            && let Ok(pending) = waiting.try_recv()
        {
            held.extend(group.add(pending));
        }
        let outcome = table.commit(&group.appends).await;
        answer(group.appends, outcome, &tell);
    }
}

fn answer(group: Vec<Pending>, outcome: Result<Outcome, AppendError>, tell: &Tell) {
    // Nobody may be subscribed, and a caller may have gone: the events are in the table.
    match outcome {
        Ok(Outcome { appended, committed }) => {
            for (pending, appended) in group.into_iter().zip(appended) {
                let _ = pending.reply.send(appended);
            }
            // Whoever is woken last runs first, and those above wait for what these will do.
            if !committed.events.is_empty() {
                let _ = tell.send(Arc::new(News::Committed(committed)));
            }
        }
        Err(error) => {
            // Each request that fails for it tells so.
            tracing::debug!(cause = %chain(&error), appends = group.len(), "commit failed");
            let is_unknown = matches!(error, AppendError::Ambiguous(_));
            if is_unknown {
                let _ = tell.send(Arc::new(News::Unknown));
            }
            for pending in group {
                let cause: Cause = chain(&error).into();
                let _ = pending.reply.send(Err(if is_unknown {
                    AppendError::Ambiguous(cause)
                } else {
                    AppendError::Unavailable(cause)
                }));
            }
        }
    }
}
