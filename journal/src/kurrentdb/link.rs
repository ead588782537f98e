//! The client for commands and questions, for as long as it works.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eventstore::{Client, Error};
use keyledger_domain::Position;
use tokio::sync::watch;

use super::settings::Settings;
use super::{ANSWER, sockets};

/// A call that takes longer than this may have waited for the client's own socket.
const SLOW: Duration = Duration::from_millis(15);
/// How often at most sockets are looked through.
const LOOK_THROUGH: Duration = Duration::from_millis(500);

/// The way to the server.
#[derive(Debug)]
pub(super) struct Link {
    settings: Settings,
    current: Mutex<Option<Arc<Live>>>,
    /// The furthest position that was acknowledged to this process.
    acknowledged: watch::Sender<Position>,
}

/// A client, and when its sockets were last looked through.
struct Live {
    client: Client,
    smoothed: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(settings: Settings) -> Self {
        let acknowledged = watch::Sender::new(Position::START);
        Self { settings, current: Mutex::new(None), acknowledged }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Options with the credentials of this link.
    pub(super) fn signed<O: Signed>(&self, options: O) -> O {
        match &self.settings.credentials {
            Some(credentials) => options.signed(credentials.clone()),
            None => options,
        }
    }

    /// Asks the server for something, and waits for its answer no longer than [`ANSWER`]. A client
    /// that fails is thrown away: the next question is asked by another.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Client) -> eventstore::Result<T>,
    ) -> eventstore::Result<T> {
        let live = self.live()?;
        let begun = Instant::now();
        let answered = tokio::time::timeout(ANSWER, question(&live.client)).await;
        let answer = answered.unwrap_or(Err(Error::DeadlineExceeded));
        match &answer {
            Err(error) if is_of_no_more_use(error) => self.throw_away(&live),
            Ok(_) | Err(_) if begun.elapsed() > SLOW => live.smooth(),
            Ok(_) | Err(_) => {}
        }
        answer
    }

    fn live(&self) -> eventstore::Result<Arc<Live>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = &*current {
            return Ok(live.clone());
        }
        let client = Client::new(self.settings.client.clone())?;
        let live = Arc::new(Live { client, smoothed: Mutex::new(None) });
        Ok(current.insert(live).clone())
    }

    fn throw_away(&self, failed: &Arc<Live>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|live| Arc::ptr_eq(live, failed)) {
            *current = None;
        }
    }

    /// Notes what the server has acknowledged: a subscription has to come to it.
    pub(super) fn acknowledge(&self, position: Position) {
        self.acknowledged.send_if_modified(|furthest| {
            let is_further = position > *furthest;
            *furthest = position.max(*furthest);
            is_further
        });
    }

    /// The furthest position that was acknowledged to this process.
    pub(super) fn acknowledged(&self) -> Position {
        *self.acknowledged.borrow()
    }
}

impl Live {
    fn smooth(&self) {
        let mut smoothed = self.smoothed.lock().unwrap_or_else(PoisonError::into_inner);
        if smoothed.is_none_or(|at| at.elapsed() > LOOK_THROUGH) {
            *smoothed = Some(Instant::now());
            sockets::send_at_once();
        }
    }
}

/// Whether an error tells of the client or its node rather than of the question.
fn is_of_no_more_use(error: &Error) -> bool {
    matches!(
        error,
        Error::ServerError(_)
            | Error::ConnectionClosed
            | Error::GrpcConnectionError(_)
            | Error::DeadlineExceeded
            | Error::Grpc { .. }
            | Error::IllegalStateError(_)
            | Error::InitializationError(_)
            | Error::InternalClientError
    )
}

/// Options that take credentials.
pub(super) trait Signed {
    fn signed(self, credentials: eventstore::Credentials) -> Self;
}

macro_rules! signed {
    ($($options:ty),*) => {
        $(
            impl Signed for $options {
                fn signed(self, credentials: eventstore::Credentials) -> Self {
                    self.authenticated(credentials)
                }
            }
        )*
    };
}

signed!(
    eventstore::AppendToStreamOptions,
    eventstore::ReadStreamOptions,
    eventstore::SubscribeToAllOptions
);
