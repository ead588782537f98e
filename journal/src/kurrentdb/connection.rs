//! The client for appends and reads, which is replaced when it fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eventstore::{Client, Error};
use keyledger_domain::Position;
use tokio::sync::watch;

use super::settings::Settings;
use super::{ANSWER, sockets};

/// A call that takes longer than this may have been delayed by Nagle's algorithm.
const SLOW: Duration = Duration::from_millis(15);
/// The shortest time between two searches for sockets with Nagle's algorithm.
const SEARCH_INTERVAL: Duration = Duration::from_millis(500);

/// The connection of this process to the server.
#[derive(Debug)]
pub(super) struct Connection {
    settings: Settings,
    current: Mutex<Option<Arc<CurrentClient>>>,
    /// The highest position that the server has acknowledged to this process.
    acknowledged: watch::Sender<Position>,
}

struct CurrentClient {
    client: Client,
    /// When its sockets were last searched for.
    searched: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for CurrentClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CurrentClient").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(settings: Settings) -> Self {
        let acknowledged = watch::Sender::new(Position::START);
        Self { settings, current: Mutex::new(None), acknowledged }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Adds this connection's credentials to options.
    pub(super) fn signed<O: Signed>(&self, options: O) -> O {
        match &self.settings.credentials {
            Some(credentials) => options.signed(credentials.clone()),
            None => options,
        }
    }

    /// Calls the server, and waits for the answer no longer than [`ANSWER`]. If the client has failed,
    /// it is dropped, and the next call makes another.
    pub(super) async fn ask<T>(
        &self,
        call: impl AsyncFnOnce(&Client) -> eventstore::Result<T>,
    ) -> eventstore::Result<T> {
        let current = self.current()?;
        let started = Instant::now();
        let answered = tokio::time::timeout(ANSWER, call(&current.client)).await;
        let answer = answered.unwrap_or(Err(Error::DeadlineExceeded));
        match &answer {
            Err(error) if is_client_failure(error) => self.discard(&current),
            Ok(_) | Err(_) if started.elapsed() > SLOW => current.turn_off_nagle(),
            Ok(_) | Err(_) => {}
        }
        answer
    }

    fn current(&self) -> eventstore::Result<Arc<CurrentClient>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*current {
            return Ok(client.clone());
        }
        let client = Client::new(self.settings.client.clone())?;
        let client = Arc::new(CurrentClient { client, searched: Mutex::new(None) });
        Ok(current.insert(client).clone())
    }

    fn discard(&self, failed: &Arc<CurrentClient>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|client| Arc::ptr_eq(client, failed)) {
            *current = None;
        }
    }

    /// Notes that the server has acknowledged an event at this position. A subscription that never
    /// delivers it is stuck.
    pub(super) fn acknowledge(&self, position: Position) {
        self.acknowledged.send_if_modified(|highest| {
            let is_higher = position > *highest;
            *highest = position.max(*highest);
            is_higher
        });
    }

    /// The highest position that the server has acknowledged to this process.
    pub(super) fn acknowledged(&self) -> Position {
        *self.acknowledged.borrow()
    }
}

impl CurrentClient {
    fn turn_off_nagle(&self) {
        let mut searched = self.searched.lock().unwrap_or_else(PoisonError::into_inner);
        if searched.is_none_or(|at| at.elapsed() > SEARCH_INTERVAL) {
            *searched = Some(Instant::now());
            sockets::turn_off_nagle();
        }
    }
}

/// Whether the client or its node has failed, rather than the one call.
fn is_client_failure(error: &Error) -> bool {
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
    eventstore::ReadAllOptions,
    eventstore::ReadStreamOptions,
    eventstore::SubscribeToAllOptions
);
