//! Group commit: one task commits all appends that wait, so that many callers share one commit.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use keyledger_domain::{InstallationSecret, KeyId, chain};
use tokio::sync::{mpsc, oneshot};

use super::{Committed, Notice, NoticeSender, PendingAppend};
use crate::{Append, AppendError, Appended, Cause, CloseError};

/// The most events in one commit.
pub(crate) const MOST_EVENTS: usize = 256;

/// How many appends wait in the channel before callers have to wait to send theirs.
const WAITING: usize = MOST_EVENTS * 4;

/// Why nothing is committed any more.
const STOPPED: &str = "the task that commits appends has stopped";

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

    /// Keeps this secret of the installation, unless there is one.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] or [`AppendError::Ambiguous`].
    async fn keep_secret(&mut self, secret: InstallationSecret) -> Result<(), AppendError>;

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
    /// These are committed as a whole, in one group.
    Append(Vec<PendingAppend>),
    Probe(oneshot::Sender<Result<(), AppendError>>),
    KeepSecret(InstallationSecret, oneshot::Sender<Result<(), AppendError>>),
    /// The task ends after this.
    Close(oneshot::Sender<Result<(), CloseError>>),
}

impl Committer {
    /// Starts the task, which sends a notice of each commit.
    pub(crate) fn start(table: impl EventTable, notices: NoticeSender) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        tokio::spawn(run(table, waiting, notices));
        Self { requests }
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (pending, outcome) = PendingAppend::new(append)?;
        self.send(Request::Append(vec![pending])).await?;
        outcome.await.map_err(|_| AppendError::Ambiguous(STOPPED.into()))?
    }

    /// Appends to different streams in one commit, in this order.
    pub(super) async fn append_together(
        &self,
        appends: Vec<Append>,
    ) -> Result<Vec<Appended>, AppendError> {
        let together = appends.into_iter().map(PendingAppend::new);
        let (together, outcomes): (Vec<_>, Vec<_>) =
            together.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        if !Group::default().fits(&together) {
            let cause = "appends that are made together have 256 events, each to another stream";
            return Err(AppendError::Invalid(cause.into()));
        }
        self.send(Request::Append(together)).await?;
        let mut appended = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            appended.push(outcome.await.map_err(|_| AppendError::Ambiguous(STOPPED.into()))??);
        }
        Ok(appended)
    }

    pub(super) async fn probe(&self) -> Result<(), AppendError> {
        let (reply, outcome) = oneshot::channel();
        self.send(Request::Probe(reply)).await?;
        outcome.await.map_err(|_| AppendError::Unavailable(STOPPED.into()))?
    }

    pub(super) async fn keep_secret(&self, secret: InstallationSecret) -> Result<(), AppendError> {
        let (reply, outcome) = oneshot::channel();
        self.send(Request::KeepSecret(secret, reply)).await?;
        outcome.await.map_err(|_| AppendError::Ambiguous(STOPPED.into()))?
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
    /// Whether these appends can be committed together with those of the group, and with each other.
    fn fits(&self, together: &[PendingAppend]) -> bool {
        let events: usize = together.iter().map(|pending| pending.events.len()).sum();
        let is_new = |(at, pending): (usize, &PendingAppend)| {
            let mut before = together.iter().take(at).map(|other| other.key_id);
            !self.streams.contains(&pending.key_id) && before.all(|key_id| key_id != pending.key_id)
        };
        self.events + events <= MOST_EVENTS && together.iter().enumerate().all(is_new)
    }

    /// Adds appends, or returns them if they have to wait for the next group.
    fn add(&mut self, together: Vec<PendingAppend>) -> Option<Vec<PendingAppend>> {
        if !self.fits(&together) {
            return Some(together);
        }
        for pending in together {
            self.events += pending.events.len();
            self.streams.insert(pending.key_id);
            self.appends.push(pending);
        }
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
        for together in std::mem::take(&mut held) {
            held.extend(group.add(together));
        }
        if group.appends.is_empty() {
            let request = match next.take() {
                Some(request) => Some(request),
                None => waiting.recv().await,
            };
            // Sending a reply fails if the caller has gone, which is no error.
            match request {
                Some(Request::Append(together)) => held.extend(group.add(together)),
                Some(Request::Probe(reply)) => {
                    let _ = reply.send(table.probe().await);
                    continue;
                }
                Some(Request::KeepSecret(secret, reply)) => {
                    let _ = reply.send(table.keep_secret(secret).await);
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
                Request::Append(together) => held.extend(group.add(together)),
                request @ (Request::Probe(_) | Request::KeepSecret(..) | Request::Close(_)) => {
                    next = Some(request);
                }
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
