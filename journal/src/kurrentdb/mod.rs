//! The journal in KurrentDB or EventStoreDB, through the `eventstore` client.
//!
//! The client has defects that will not be fixed, so this adapter works around them. A client that
//! has failed is replaced by a new one, since it never finds a new leader, and never connects if its
//! first attempt failed ([`connection`]). Each subscription has its own client and thread, because
//! the client loops without a pause when the server ends the stream ([`feed`]). A subscription that
//! delivers nothing is detected by the events that this process itself has appended ([`follow`]). And
//! Nagle's algorithm is turned off on the client's sockets ([`sockets`]).
//!
//! Operators can delete the stream of a key by the server's own means, and other programs can write to it.
//! Such a key is closed ([`removed`], [`decode`]).
//!
//! A position is an event's commit position. The head is read by appending a small event, a pulse,
//! because only a leader that was not deposed can acknowledge it.

mod append;
mod connection;
mod decode;
mod feed;
mod follow;
mod installation;
mod mistakes;
mod removed;
mod settings;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventstore::{Position as LogPosition, ReadAllOptions, ReadStreamOptions, StreamPosition};
use keyledger_checks::Found;
use keyledger_domain::{
    Closure, EventId, InstallationSecret, KeyId, Place, Position, RecordedEvent, Revision, chain,
};

use crate::{
    Append, AppendError, Appended, Cause, Journal, JournalReader, KeySubscription, OpenError,
    ReadError,
};
use connection::Connection;
use decode::{decode_event, position_of};
use mistakes::{Right, cause};
use removed::is_removed;
use settings::Settings;

/// The stream of pulses, of which only the last is kept.
const PULSE: &str = "keyledger-pulse";
/// What the server says of a position at which no record begins.
const INVALID_POSITION: &str = "InvalidPosition";
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How many times at most a query that only reads is sent.
const READS: u32 = 3;

/// The journal in KurrentDB.
#[derive(Debug)]
pub(super) struct KurrentJournal {
    connection: Arc<Connection>,
}

impl KurrentJournal {
    /// Checks the URL, and that the server answers.
    pub(super) async fn open(url: &str) -> Result<Self, OpenError> {
        let settings = Settings::parse(url)?;
        let location = settings.location().to_owned();
        let journal = Self { connection: Arc::new(Connection::new(settings)) };
        match journal.check().await {
            Ok(()) => Ok(journal),
            Err(source) => Err(OpenError::Unreachable { location, source }),
        }
    }

    /// Checks that the server can be reached, and that the user may do what is needed.
    async fn check(&self) -> Result<(), Cause> {
        if let Err(error) = self.head().await {
            let mistake = mistakes::find(self.connection.settings()).await;
            return Err(mistake.map_or_else(|| error.into(), Cause::from));
        }
        let first = ReadAllOptions::default().forwards().max_count(1);
        let first = self.connection.signed(first);
        let read = self.connection.ask(async |client| client.read_all(&first).await?.next().await);
        read.await.map(drop).map_err(|error| cause(error, Right::ReadAll))
    }

    async fn read_once(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadOnceError> {
        let options = ReadStreamOptions::default().position(StreamPosition::Start);
        let options = self.connection.signed(options);
        let stream = key_id.stream();
        let recorded = self.connection.ask(async |client| {
            let mut recorded = Vec::new();
            let mut events = client.read_stream(stream.as_str(), &options).await?;
            while let Some(event) = events.next().await? {
                recorded.extend(event.event);
            }
            Ok(recorded)
        });
        match recorded.await {
            Ok(recorded) => {
                let events = recorded.iter().map(decode_event).collect::<Result<Vec<_>, _>>();
                let events = events.map_err(ReadOnceError::Final)?;
                match events.first() {
                    Some(first) if first.revision != Revision::FIRST => Err(ReadOnceError::REMOVED),
                    Some(_) | None => Ok(events),
                }
            }
            // The key was never created, or an operator has deleted its stream.
            Err(eventstore::Error::ResourceNotFound) => {
                match is_removed(&self.connection, key_id).await {
                    Ok(true) => Err(ReadOnceError::REMOVED),
                    Ok(false) => Ok(Vec::new()),
                    Err(error) => Err(ReadOnceError::Unavailable(error)),
                }
            }
            Err(eventstore::Error::ResourceDeleted) => Err(ReadOnceError::REMOVED),
            Err(error) => Err(ReadOnceError::Unavailable(error)),
        }
    }
}

/// Looks at the server. Appends a pulse, and nothing else.
pub(super) async fn examine(url: &str) -> Result<Found, OpenError> {
    let settings = Settings::parse(url)?;
    let mut found = Found::at("KurrentDB", settings.location());
    found.is_encrypted = Some(settings.client.is_secure_mode_enabled());
    let journal = KurrentJournal { connection: Arc::new(Connection::new(settings)) };
    Ok(match journal.check().await {
        Ok(()) => {
            found.is_writable = Some(true);
            found.with_note("a pulse was appended")
        }
        Err(error) => found.with_problem(chain(&*error)),
    })
}

/// Why one attempt to read a stream failed.
enum ReadOnceError {
    /// Another attempt cannot change this.
    Final(ReadError),
    Unavailable(eventstore::Error),
}

impl ReadOnceError {
    const REMOVED: Self = Self::Final(ReadError::Closed(Closure::Removed));
}

#[async_trait]
impl JournalReader for KurrentJournal {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut attempts = 1;
        loop {
            match self.read_once(key_id).await {
                Ok(events) => return Ok(events),
                Err(ReadOnceError::Final(error)) => return Err(error),
                Err(ReadOnceError::Unavailable(error)) if attempts == READS => {
                    return Err(ReadError::Unavailable(error.into()));
                }
                Err(ReadOnceError::Unavailable(_)) => attempts += 1,
            }
        }
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        follow::subscribe(self.connection.clone(), after)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let appended = append::pulse(&self.connection).await;
        appended.map_err(|error| ReadError::Unavailable(cause(error, Right::Append)))
    }

    /// One read of the log, from the place on. The server answers the record at the position. Where that
    /// was removed by a scavenge, it answers the next one that is left, at a higher position. In a log
    /// that was set back, it answers another record at the position, refuses the position since no record
    /// begins there, or answers nothing since the log ends before it.
    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        let offset = place.position.as_u64();
        let at = LogPosition { commit: offset, prepare: offset };
        let options = ReadAllOptions::default().forwards().max_count(1);
        let options = self.connection.signed(options.position(StreamPosition::Position(at)));
        let read =
            self.connection.ask(async |client| client.read_all(&options).await?.next().await);
        match read.await {
            Ok(None) => Ok(Some(false)),
            Ok(Some(found)) => {
                let found = found.event;
                let position = found.as_ref().and_then(position_of);
                let is_there = position == Some(place.position);
                let id = found.map(|found| EventId::from_uuid(found.id));
                Ok(is_there.then_some(id == Some(place.event_id)))
            }
            Err(eventstore::Error::Grpc { message, .. }) if message.contains(INVALID_POSITION) => {
                Ok(Some(false))
            }
            Err(error) => Err(ReadError::Unavailable(cause(error, Right::ReadAll))),
        }
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        installation::secret(&self.connection).await
    }
}

#[async_trait]
impl Journal for KurrentJournal {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        append::append(&self.connection, append).await
    }

    async fn keep_installation_secret(
        &self,
        secret: InstallationSecret,
    ) -> Result<InstallationSecret, AppendError> {
        installation::keep(&self.connection, secret).await
    }
}
