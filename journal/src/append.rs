//! What is appended to a journal, and on which condition.

use keyledger_domain::key::KeyEvent;
use keyledger_domain::{EventId, KeyId, Metadata, Position, Revision};

/// The condition of an append: the state that the stream must be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The stream has no event yet.
    NoStream,
    /// The stream's last event has this revision.
    Revision(Revision),
}

impl Expected {
    /// The revision that the first appended event will have; `None` if the stream is full.
    #[must_use]
    pub fn next(self) -> Option<Revision> {
        match self {
            Self::NoStream => Some(Revision::FIRST),
            Self::Revision(revision) => revision.next(),
        }
    }
}

/// Events to append to one stream.
#[derive(Clone, Debug)]
pub struct Append {
    /// The key whose stream gets the events.
    pub key_id: KeyId,
    /// The condition.
    pub expected: Expected,
    /// The events in order, at least one.
    pub events: Vec<NewEvent>,
}

/// An event that is not in the journal yet.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The id, by which the journal recognises an event that is sent again.
    pub id: EventId,
    /// What happened to the key.
    pub event: KeyEvent,
    /// Who caused it, and in which request.
    pub metadata: Metadata,
}

/// Where the last of the appended events was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position in the journal.
    pub position: Position,
    /// The revision in the key's stream.
    pub revision: Revision,
}
