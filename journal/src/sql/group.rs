//! Group commit: one task commits all appends that wait, so that many callers share one commit.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use keyledger_domain::{KeyId, chain};
use tokio::sync::{mpsc, oneshot};

use super::{Committed, Notice, NoticeSender, PendingAppend};
use crate::{Append, AppendError, Appended, Cause, CloseError};

/// The most events in one commit.
pub(crate) const MOST_EVENTS: usize = 256;

/// How many appends wait in the channel before callers have to wait to send theirs.
const WAITING: usize = MOST_EVENTS * 4;

/// The table to which groups are committed.
#[async_trait]
pub(crate) trait EventTable: Send + 'static {
    /// Commits those appends of a group whose expectation holds, each of them as a whole.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] or [`AppendError::Ambiguous`], which then applies to all appends.
    async fn commit(&mut self, group: &[PendingAppend]) -> Result<GroupOutcome, AppendError>;

    /// Commits something that is no event.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] or [`AppendError::Ambiguous`].
    async fn probe(&mut self) -> Result<(), AppendError>;

    /// Closes the connection.
    ///
    /// # Errors
    /// [`CloseError`], if the table is in a file that is not complete.
    async fn close(self) -> Result<(), CloseError>
    where
        Self: Sized,
    {
        Ok(())
    }
}

/// The outcome of a group.
pub(crate) struct GroupOutcome {
    /// The outcome of each append, in the order of the group.
    pub(crate) appended: Vec<Result<Appended, AppendError>>,
    /// The events that were added to the journal.
    pub(crate) committed: Committed,
}

/// Sends appends to the task that commits them. The task ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Committer {
    requests: mpsc::Sender<Request>,
}

/// What the task is asked for. Requests are carried out in their order, except appends that wait for an
/// earlier one to the same stream.
enum Request {
    Append(PendingAppend),
    Probe(oneshot::Sender<Result<(), AppendError>>),
    /// The task ends after this.
    Close(oneshot::Sender<Result<(), CloseError>>),
}

/// Why a request has no answer.
const STOPPED: &str = "the task that commits appends has stopped";

impl Committer {
    /// Starts the task, which sends a notice of each commit.
    pub(crate) fn start(table: impl EventTable, notices: NoticeSender) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        tokio::spawn(run(table, waiting, notices));
        Self { requests }
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (pending, outcome) = PendingAppend::new(append)?;
        self.send(Request::Append(pending)).await?;
        outcome.await.map_err(|_| AppendError::Ambiguous(STOPPED.into()))?
    }

    pub(super) async fn probe(&self) -> Result<(), AppendError> {
        let (reply, outcome) = oneshot::channel();
        self.send(Request::Probe(reply)).await?;
        outcome.await.map_err(|_| AppendError::Unavailable(STOPPED.into()))?
    }

    /// Ends the task after the appends that wait. Closing again does nothing.
    pub(super) async fn close(&self) -> Result<(), CloseError> {
        let (reply, closed) = oneshot::channel();
        if self.send(Request::Close(reply)).await.is_err() {
            return Ok(());
        }
        closed.await.unwrap_or(Ok(()))
    }

    async fn send(&self, request: Request) -> Result<(), AppendError> {
        let sent = self.requests.send(request).await;
        sent.map_err(|_| AppendError::Unavailable(STOPPED.into()))
    }
}

/// Appends that are committed together. The statement checks each expectation against the table as it
/// was before the group, so no two appends of a group may write to the same stream.
#[derive(Default)]
struct Group {
    appends: Vec<PendingAppend>,
    streams: HashSet<KeyId>,
    events: usize,
}

impl Group {
    /// Adds an append, or returns it if it has to wait for the next group.
    fn add(&mut self, pending: PendingAppend) -> Option<PendingAppend> {
        let events = self.events + pending.events.len();
        if events > MOST_EVENTS || !self.streams.insert(pending.key_id) {
            return Some(pending);
        }
        self.events = events;
        self.appends.push(pending);
        None
    }
}

async fn run(
    mut table: impl EventTable,
    mut waiting: mpsc::Receiver<Request>,
    notices: NoticeSender,
) {
    let mut held = Vec::new();
    // What is no append, and comes after those that are held or in the group.
    let mut next = None;
    loop {
        let mut group = Group::default();
        for pending in std::mem::take(&mut held) {
            held.extend(group.add(pending));
        }
        if group.appends.is_empty() {
            let request = match next.take() {
                Some(request) => Some(request),
                None => waiting.recv().await,
            };
            // Sending a reply fails if the caller has gone, which is no error.
            match request {
                Some(Request::Append(pending)) => held.extend(group.add(pending)),
                Some(Request::Probe(reply)) => {
                    let _ = reply.send(table.probe().await);
                    continue;
                }
                Some(Request::Close(reply)) => {
                    let _ = reply.send(table.close().await);
                    return;
                }
                None => return,
            }
        }
        while next.is_none()
            && group.events < MOST_EVENTS
            && let Ok(request) = waiting.try_recv()
        {
            match request {
                Request::Append(pending) => held.extend(group.add(pending)),
                request @ (Request::Probe(_) | Request::Close(_)) => next = Some(request),
            }
        }
        let outcome = table.commit(&group.appends).await;
        finish(group.appends, outcome, &notices);
    }
}

fn finish(
    group: Vec<PendingAppend>,
    outcome: Result<GroupOutcome, AppendError>,
    notices: &NoticeSender,
) {
    // Sending a notice fails if there is no subscription, which is no error.
    match outcome {
        Ok(GroupOutcome { appended, committed }) => {
            for (pending, appended) in group.into_iter().zip(appended) {
                pending.finish(appended);
            }
            // The notice comes last because tokio runs the task that was woken last first: callers
            // often wait for what the subscriptions do with these events.
            if !committed.events.is_empty() {
                let _ = notices.send(Arc::new(Notice::Committed(committed)));
            }
        }
        Err(error) => {
            // Only at debug level: each request that fails for this reason logs it too.
            tracing::debug!(cause = %chain(&error), appends = group.len(), "commit failed");
            let is_ambiguous = matches!(error, AppendError::Ambiguous(_));
            if is_ambiguous {
                let _ = notices.send(Arc::new(Notice::Unknown));
            }
            for pending in group {
                let cause: Cause = chain(&error).into();
                pending.finish(Err(if is_ambiguous {
                    AppendError::Ambiguous(cause)
                } else {
                    AppendError::Unavailable(cause)
                }));
            }
        }
    }
}
