//! Carries out commands: load the key's stream, fold it, decide, append the events.
//!
//! A command does nothing else. All other parts follow the journal.

mod create;
mod import;
mod trace;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyledger_domain::key::{Command, Corrupt, Key, KeyEvent, Refusal, decide, evolve, fold};
use keyledger_domain::{
    CommandId, InstallationSecret, KeyId, KeyPrefix, Metadata, Position, Timestamp, UserId,
};
use rand::{CryptoRng, RngExt};
use tokio::sync::OnceCell;
use tracing::Instrument;
use uuid::Uuid;

pub use create::{Created, Expiry, NewKey};
pub use import::Imported;
use keyledger_domain::Clock;
use keyledger_journal::{
    Append, AppendError, Appended, Cause, Expected, Journal, NewEvent, ReadError,
};

/// How often a command is decided if other commands change the same key at the same time.
const DECISIONS: u32 = 5;
/// For how long an append is sent again while its outcome is unknown: long enough for a cluster to
/// elect another leader.
const RESENDING: Duration = Duration::from_secs(4);

/// Why nothing is written although the journal is there.
const CLOCK: &str = "this machine's clock is outside the years 1970 to 9999";

/// Carries out commands against the journal.
pub struct Commands {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    random: Mutex<Box<dyn CryptoRng + Send>>,
    key_prefix: KeyPrefix,
    /// The secret of the installation, once it was needed.
    secret: OnceCell<InstallationSecret>,
}

/// Who sends a command, in which request.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The user who sends the command.
    pub actor: UserId,
    /// The id of the request.
    pub correlation_id: String,
    /// The trace of the request (W3C Trace Context).
    pub traceparent: Option<String>,
    /// The caller's `User-Agent`.
    pub client: Option<String>,
}

/// The result of a command.
#[derive(Debug)]
pub struct Done {
    /// The key's state after the command.
    pub key: Key,
    /// The position of the last event of the key's stream.
    pub position: Position,
    /// Whether the command led to events.
    pub has_changed: bool,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The rules forbid the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Other commands changed the key during each attempt; nothing was written.
    #[error("other commands changed the key during each attempt")]
    Contended,
    /// The same request with the same idempotency key was carried out before.
    #[error("the request was carried out before")]
    Replayed {
        /// The id of the key that the request created.
        key_id: KeyId,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// The key is closed: it is refused, and nothing can be written to its stream.
    #[error("the key is closed")]
    Closed(#[source] Cause),
    /// The journal is unavailable; nothing was written.
    #[error("the journal is unavailable")]
    Unavailable(#[source] Cause),
    /// The journal did not answer whether the events were written.
    #[error("it is unknown whether the command was carried out")]
    OutcomeUnknown(#[source] Cause),
    /// The rules do not allow the events of the key's stream; nothing was written.
    #[error("the key's stream is corrupt")]
    Corrupt(#[source] Cause),
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(cause) => Self::Unavailable(cause),
            ReadError::Undecodable { .. } | ReadError::Closed(_) => Self::Closed(error.into()),
        }
    }
}

impl From<Corrupt> for CommandError {
    fn from(error: Corrupt) -> Self {
        Self::Corrupt(error.into())
    }
}

/// A key and the place of its last event, as loaded from its stream.
struct Loaded {
    key: Option<Key>,
    last: Option<Appended>,
}

impl Commands {
    /// Commands on this journal. Secrets and ids come from the generator, which must be fit for
    /// cryptography.
    pub fn new(
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        random: Box<dyn CryptoRng + Send>,
        key_prefix: KeyPrefix,
    ) -> Self {
        Self { journal, clock, random: Mutex::new(random), key_prefix, secret: OnceCell::new() }
    }

    /// Carries out a command on a key that exists.
    ///
    /// # Errors
    /// Every variant of [`CommandError`] but those of idempotency keys.
    #[tracing::instrument(
        name = "command",
        skip_all,
        fields(otel.kind = "internal", otel.name = trace::name(command), key.id = %key_id)
    )]
    #[tracing::instrument(level = "debug", skip_all, fields(key.id = %key_id))]
    pub async fn execute(
        &self,
        key_id: KeyId,
        command: &Command,
        origin: &Origin,
    ) -> Result<Done, CommandError> {
        let command_id = self.with_random(CommandId::generate);
        for decision in 1..=DECISIONS {
            let Loaded { key, last } = self.load(key_id).await?;
            let events = decide(key.as_ref(), command, self.now()?)?;
            let key = events.iter().try_fold(key, |key, event| evolve(key, event).map(Some))?;
            let key = key.ok_or(Refusal::NotFound)?;
            if events.is_empty() {
                let position = last.map_or(Position::START, |last| last.position);
                return Ok(Done { key, position, has_changed: false });
            }
            let expected =
                last.map_or(Expected::NoStream, |last| Expected::Revision(last.revision));
            let events = recorded_by(command_id, command_id.as_uuid(), events, origin);
            match self.append(Append { key_id, expected, events }).await? {
                Some(appended) => {
                    return Ok(Done { key, position: appended.position, has_changed: true });
                }
                None => self.back_off(decision).await,
            }
        }
        Err(CommandError::Contended)
    }

    /// The current time, for events.
    fn now(&self) -> Result<Timestamp, CommandError> {
        let now = self.clock.now();
        // An event of a wrong time cannot be corrected afterwards.
        if now == Timestamp::MAX { Err(CommandError::Unavailable(CLOCK.into())) } else { Ok(now) }
    }

    /// The journal's head: a node that includes it refuses each key that was closed before.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`].
    pub async fn head(&self) -> Result<Position, CommandError> {
        self.journal.head().await.map_err(CommandError::from)
    }

    async fn load(&self, key_id: KeyId) -> Result<Loaded, CommandError> {
        let events = self.journal.read(key_id).await?;
        let last =
            events.last().map(|last| Appended { position: last.position, revision: last.revision });
        let key = fold(events.iter().map(|recorded| &recorded.event))?;
        Ok(Loaded { key, last })
    }

    /// Appends events; `None` if the stream does not have the expected revision.
    async fn append(&self, append: Append) -> Result<Option<Appended>, CommandError> {
        let span = trace::append(&append);
        let outcome = self.append_until_known(append).instrument(span.clone()).await;
        trace::appended(&span, &outcome);
        outcome
    }

    /// The same. An append whose outcome is unknown is sent again with the same ids, for up to
    /// [`RESENDING`].
    async fn append_until_known(&self, append: Append) -> Result<Option<Appended>, CommandError> {
        let mut resends = 0;
        let begun = tokio::time::Instant::now();
        loop {
            match self.journal.append(append.clone()).await {
                Ok(appended) => return Ok(Some(appended)),
                Err(AppendError::Conflict) => return Ok(None),
                Err(AppendError::Unavailable(cause)) if resends == 0 => {
                    return Err(CommandError::Unavailable(cause));
                }
                // If an earlier attempt had an unknown outcome, this failure does not make it
                // known.
                Err(AppendError::Ambiguous(cause) | AppendError::Unavailable(cause)) => {
                    if begun.elapsed() > RESENDING {
                        return Err(CommandError::OutcomeUnknown(cause));
                    }
                    resends += 1;
                    self.back_off(resends).await;
                }
                Err(error @ AppendError::Closed) => return Err(CommandError::Closed(error.into())),
                Err(AppendError::Invalid(cause)) => return Err(CommandError::Corrupt(cause)),
            }
        }
    }

    /// Waits 5 to 50 ms times the number of attempts, so that colliding commands do not collide
    /// again.
    async fn back_off(&self, tries: u32) {
        let millis = self.with_random(|random| random.random_range(5..=50));
        tokio::time::sleep(Duration::from_millis(millis) * tries).await;
    }

    fn with_random<T>(&self, draw: impl FnOnce(&mut Box<dyn CryptoRng + Send>) -> T) -> T {
        // The lock is held only while the generator draws, so a panic elsewhere cannot leave it
        // invalid.
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

fn recorded_by(
    command_id: CommandId,
    causation_id: Uuid,
    events: Vec<KeyEvent>,
    origin: &Origin,
) -> Vec<NewEvent> {
    let metadata = Metadata {
        actor: origin.actor.clone(),
        correlation_id: origin.correlation_id.clone(),
        causation_id,
        traceparent: origin.traceparent.clone(),
        client: origin.client.clone(),
    };
    events
        .into_iter()
        .enumerate()
        .map(|(index, event)| NewEvent {
            id: command_id.event_id(index),
            event,
            metadata: metadata.clone(),
        })
        .collect()
}
