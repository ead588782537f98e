//! A connection for statements that change something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::future::BoxFuture;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::session::Backend;
use crate::{
    ANSWER, Location, bounded, failed, is_collision, is_read_only, is_unreachable, within,
};

/// How many more times a statement is tried that collides with one of another session.
const COLLISIONS: u32 = 20;

/// Why a statement failed.
#[derive(Debug)]
pub enum ChangeError {
    /// The server cannot be reached, or an earlier statement has not ended: this one was not sent.
    NotSent(sqlx::Error),
    /// The server's error; or [`sqlx::Error::Io`] if there is no answer, and the statement may be
    /// carried out or not.
    Sent(sqlx::Error),
}

impl From<ChangeError> for sqlx::Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotSent(error) | ChangeError::Sent(error) => error,
        }
    }
}

/// One connection for statements that change something; they run one after another. A clone shares
/// it.
///
/// A commit may wait without limit, for a standby that is gone. The server then does not notice that
/// its client has closed the connection: the session stays, and holds its locks. So a statement that
/// has no answer in time goes on, and so does its connection. Until the statement ends, further ones
/// are refused at once, and no other connection is opened. The connection is closed only when the
/// server says that the statement does not run any more, or cannot be reached.
#[derive(Clone, Debug)]
pub struct Changes {
    location: Location,
    /// `None` after an error.
    place: Arc<Mutex<Option<Open>>>,
    /// Whether the running statement has not ended in time.
    is_overdue: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Open {
    connection: PgConnection,
    backend: Backend,
    /// A time before the connection was opened.
    opened: Instant,
}

impl Changes {
    /// A connection that is opened when it is used first.
    #[must_use]
    pub fn new(location: Location) -> Self {
        Self { location, place: Arc::default(), is_overdue: Arc::default() }
    }

    /// Runs a statement that is its own transaction. If another session's change collides with it,
    /// nothing was written, and it is run again, at most 20 times. After any other error the
    /// connection is closed; if the server is read-only, so are all connections to this location,
    /// since another server may be the primary by now.
    ///
    /// # Errors
    /// Both variants of [`ChangeError`], within [`ANSWER`] and the time to connect.
    pub async fn run<T: Send + 'static>(
        &self,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
        + Send
        + Sync
        + 'static,
    ) -> Result<T, ChangeError> {
        let busy = || ChangeError::NotSent(failed("an earlier statement has not ended yet"));
        if self.is_overdue.load(Ordering::Acquire) {
            return Err(busy());
        }
        let waiting = tokio::time::timeout(ANSWER, self.place.clone().lock_owned()).await;
        let mut place = waiting.map_err(|_| busy())?;
        let open = match place.take().filter(|open| !self.location.is_outdated(open.opened)) {
            Some(open) => open,
            None => {
                let opened = Instant::now();
                let connected = self.location.open().await;
                let (connection, backend) = connected.map_err(ChangeError::NotSent)?;
                Open { connection, backend, opened }
            }
        };
        let (answer, answered) = oneshot::channel();
        let changes = self.clone();
        tokio::spawn(async move {
            let outcome = changes.carry_out(place, open, statement).await;
            // The caller may have stopped waiting.
            let _ = answer.send(outcome);
        });
        within(ANSWER, async { answered.await.map_err(|_| lost())? })
            .await
            .map_err(ChangeError::Sent)
    }

    /// Runs the statement to its end, and gives the connection back if it succeeds.
    async fn carry_out<T>(
        &self,
        mut place: OwnedMutexGuard<Option<Open>>,
        mut open: Open,
        statement: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let running = tried(&mut open.connection, &statement);
        let outcome = tokio::select! {
            outcome = running => outcome,
            () = self.until_lost(open.backend) => Err(lost()),
        };
        self.is_overdue.store(false, Ordering::Release);
        match &outcome {
            Ok(_) => *place = Some(open),
            Err(error) if is_read_only(error) => self.location.renew(),
            Err(_) => {}
        }
        outcome
    }

    /// Waits until the server's process is not at work on the statement any more, and its answer was
    /// lost.
    async fn until_lost(&self, backend: Backend) {
        loop {
            tokio::time::sleep(ANSWER).await;
            if !self.is_overdue.swap(true, Ordering::AcqRel) {
                tracing::warn!(
                    place = %self.location,
                    "a commit has not ended in time: a standby that must agree may be gone"
                );
            }
            if !self.is_at_work(backend).await {
                return;
            }
        }
    }

    /// Asks the server on another connection. A server that cannot be reached has lost this one; if it
    /// refuses to say, its process may still be at work.
    async fn is_at_work(&self, backend: Backend) -> bool {
        let asked = async {
            let mut connection = self.location.connect().await?;
            bounded(backend.is_at_work(&mut connection)).await
        };
        asked.await.unwrap_or_else(|error| !is_unreachable(&error))
    }
}

async fn tried<T>(
    connection: &mut PgConnection,
    statement: &impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let mut collisions = 0;
    loop {
        match statement(connection).await {
            Err(error) if is_collision(&error) && collisions < COLLISIONS => collisions += 1,
            outcome => return outcome,
        }
    }
}

fn lost() -> sqlx::Error {
    failed("the connection was lost before the statement ended")
}
