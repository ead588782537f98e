//! The journal in KurrentDB or EventStoreDB, through the `eventstore` client.
//!
//! The client has defects that its makers will not mend any more, so this adapter owns its life. A
//! client that has failed is thrown away and another is made, since an old one never finds a new
//! leader, and one that could not connect at first never will ([`link`]). A subscription has a client
//! and a thread of its own, since a stream that the server ends makes the client spin
//! ([`feed`]); one that has fallen silent is noticed by what this process itself has appended
//! ([`follow`]). The client's sockets are told not to wait ([`sockets`]).
//!
//! A position is an event's commit position. The head is asked for by appending a small event, a
//! pulse: its acknowledgement rules out a leader that was deposed.

mod append;
mod decode;
mod feed;
mod follow;
mod link;
mod settings;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventstore::{ReadStreamOptions, StreamPosition};
use keyledger_domain::{KeyId, Position, RecordedEvent};

use super::{
    Append, AppendError, Appended, Journal, JournalReader, OpenError, ReadError, Subscription,
};
use decode::decode_event;
use link::Link;
use settings::Settings;

/// Where pulses go. Only the last one is kept.
const PULSE: &str = "keyledger-pulse";
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How often a question that only reads is asked.
const READS: u32 = 3;

/// The journal in KurrentDB.
#[derive(Debug)]
pub(super) struct KurrentJournal {
    link: Arc<Link>,
}

impl KurrentJournal {
    /// Checks the URL, and that the server answers.
    pub(super) async fn open(url: &str) -> Result<Self, OpenError> {
        let settings = Settings::parse(url)?;
        let place = settings.place().to_owned();
        let journal = Self { link: Arc::new(Link::new(settings)) };
        match journal.head().await {
            Ok(_) => Ok(journal),
            Err(error) => Err(OpenError::Unavailable { place, source: error.into() }),
        }
    }

    async fn read_once(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadOnceError> {
        let options = ReadStreamOptions::default().position(StreamPosition::Start);
        let options = self.link.signed(options);
        let stream = key_id.stream();
        let recorded = self.link.ask(async |client| {
            let mut recorded = Vec::new();
            let mut events = client.read_stream(stream.as_str(), &options).await?;
            while let Some(event) = events.next().await? {
                recorded.extend(event.event);
            }
            Ok(recorded)
        });
        match recorded.await {
            Ok(recorded) => recorded
                .into_iter()
                .map(decode_event)
                .collect::<Result<_, _>>()
                .map_err(ReadOnceError::Final),
            // A key that never was, and one whose stream an operator has deleted.
            Err(eventstore::Error::ResourceNotFound | eventstore::Error::ResourceDeleted) => {
                Ok(Vec::new())
            }
            Err(error) => Err(ReadOnceError::Again(error)),
        }
    }
}

/// Why a stream was not read.
enum ReadOnceError {
    Final(ReadError),
    Again(eventstore::Error),
}

#[async_trait]
impl JournalReader for KurrentJournal {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut tries = 1;
        loop {
            match self.read_once(key_id).await {
                Ok(events) => return Ok(events),
                Err(ReadOnceError::Final(error)) => return Err(error),
                Err(ReadOnceError::Again(error)) if tries == READS => {
                    return Err(ReadError::Unavailable(error.into()));
                }
                Err(ReadOnceError::Again(_)) => tries += 1,
            }
        }
    }

    fn subscribe(&self, after: Position) -> Subscription {
        follow::subscribe(self.link.clone(), after)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let appended = append::pulse(&self.link).await;
        appended.map_err(|error| ReadError::Unavailable(error.into()))
    }
}

#[async_trait]
impl Journal for KurrentJournal {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        append::append(&self.link, append).await
    }
}
