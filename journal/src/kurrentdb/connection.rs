//! The client for appends and reads, which is replaced when it fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eventstore::{Client, Error, ReadStreamOptions, StreamPosition};
use keyledger_domain::Position;
use tokio::sync::watch;

use super::settings::Settings;
use super::{ANSWER, PULSE, sockets};

/// A call that takes longer than this may hang.
const HANGING: Duration = Duration::from_secs(1);
/// How long another client may take to get an answer, and the pause before the next one is tried.
const PROBE: Duration = Duration::from_millis(700);
const PROBE_PAUSE: Duration = Duration::from_millis(200);
/// A call that takes longer than this may have been delayed by Nagle's algorithm.
const SLOW: Duration = Duration::from_millis(15);
/// The shortest time between two searches for sockets with Nagle's algorithm.
const SEARCH_INTERVAL: Duration = Duration::from_millis(500);

/// The connection of this process to the server.
#[derive(Debug)]
pub(super) struct Connection {
    settings: Settings,
    current: Mutex<Option<Arc<CurrentClient>>>,
    /// How many times a client that hung was replaced by one that answers.
    replacements: watch::Sender<u64>,
    /// Held by the one call that looks for a client that answers.
    search: tokio::sync::Mutex<()>,
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
        Self {
            settings,
            current: Mutex::new(None),
            replacements: watch::Sender::new(0),
            search: tokio::sync::Mutex::new(()),
            acknowledged,
        }
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
    /// it is dropped, and the next call makes another. A call that hangs is given up as soon as another
    /// client gets an answer: a leader that hangs is replaced after some seconds, and only a new client
    /// finds the next one.
    pub(super) async fn ask<T>(
        &self,
        call: impl AsyncFnOnce(&Client) -> eventstore::Result<T>,
    ) -> eventstore::Result<T> {
        let current = self.current()?;
        let started = Instant::now();
        let answer = tokio::select! {
            answer = call(&current.client) => answer,
            () = self.is_replaced(&current) => Err(Error::DeadlineExceeded),
            () = self.replace(&current) => Err(Error::DeadlineExceeded),
            () = tokio::time::sleep(ANSWER) => Err(Error::DeadlineExceeded),
        };
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
        Ok(current.insert(CurrentClient::new(client)).clone())
    }

    /// Waits until another call has replaced this client.
    async fn is_replaced(&self, client: &Arc<CurrentClient>) {
        let mut replacements = self.replacements.subscribe();
        while replacements.changed().await.is_ok() {
            if !self.is_current(client) {
                return;
            }
        }
    }

    /// Replaces a client that gets no answer, as soon as another one does. A server that is slow answers
    /// both. If the client was dropped meanwhile because another call failed, this one goes on.
    async fn replace(&self, hung: &Arc<CurrentClient>) {
        tokio::time::sleep(HANGING).await;
        let only_one = self.search.lock().await;
        while self.is_current(hung) {
            let found = tokio::select! {
                () = self.answer(&hung.client) => None,
                found = self.another_than(hung) => found,
            };
            if let Some(client) = found {
                let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
                *current = Some(CurrentClient::new(client));
                drop(current);
                self.replacements.send_modify(|count| *count = count.saturating_add(1));
                tracing::warn!("a server that did not answer is left for another");
                return;
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        drop(only_one);
        std::future::pending().await
    }

    /// Gives a client [`PROBE`] to answer, and then looks for another one that gets an answer, for as
    /// long as this client is not replaced.
    async fn another_than(&self, hung: &Arc<CurrentClient>) -> Option<Client> {
        tokio::time::sleep(PROBE).await;
        while self.is_current(hung) {
            if let Ok(client) = Client::new(self.settings.client.clone())
                && tokio::time::timeout(PROBE, self.answer(&client)).await.is_ok()
            {
                return Some(client);
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        None
    }

    /// Waits until the leader that this client knows has answered: it is asked for the last pulse. If
    /// the call fails, this waits for ever.
    async fn answer(&self, client: &Client) {
        let last =
            ReadStreamOptions::default().position(StreamPosition::End).backwards().max_count(1);
        let options = self.signed(last);
        let asked = async { client.read_stream(PULSE, &options).await?.next().await };
        if !matches!(asked.await, Ok(_) | Err(Error::ResourceNotFound)) {
            std::future::pending().await
        }
    }

    /// How many times a client that hung was replaced: subscriptions of before may hang too. The
    /// receiver tells of the next time.
    pub(super) fn replacements(&self) -> watch::Receiver<u64> {
        self.replacements.subscribe()
    }

    fn is_current(&self, client: &Arc<CurrentClient>) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().is_none_or(|current| Arc::ptr_eq(current, client))
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
    fn new(client: Client) -> Arc<Self> {
        Arc::new(Self { client, searched: Mutex::new(None) })
    }

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
    ReadStreamOptions,
    eventstore::SubscribeToAllOptions
);
