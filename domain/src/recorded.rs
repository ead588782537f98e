//! Events as the journal holds them, with their place and with who caused them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Uuid, Version};

use crate::key::KeyEvent;
use crate::{EventId, Timestamp, UserId};

/// A position in the journal's total order of events, from 0 (before the first event) to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(i64);

/// The number is not a [`Position`]: it is negative, or above 2^63 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is a whole number from 0 to 9223372036854775807")]
pub struct PositionError;

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
    /// The highest position.
    pub const MAX: Self = Self(i64::MAX);

    /// The position as databases store it; never negative.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        self.0
    }

    /// The position as a number.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// The position this much higher.
    ///
    /// # Errors
    /// [`PositionError`] above 2^63 - 1.
    pub fn plus(self, places: usize) -> Result<Self, PositionError> {
        let places = i64::try_from(places).map_err(|_| PositionError)?;
        self.0.checked_add(places).map(Self).ok_or(PositionError)
    }
}

impl TryFrom<i64> for Position {
    type Error = PositionError;

    fn try_from(value: i64) -> Result<Self, Self::Error> {
        if value < 0 { Err(PositionError) } else { Ok(Self(value)) }
    }
}

impl TryFrom<u64> for Position {
    type Error = PositionError;

    fn try_from(value: u64) -> Result<Self, Self::Error> {
        i64::try_from(value).map(Self).map_err(|_| PositionError)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u64>().map_err(|_| PositionError).and_then(Self::try_from)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The place of an event in the journal: its position and its id.
///
/// A position alone does not identify an event once the journal's past can have changed, as by a
/// restored backup or a failover to a standby that was behind. The id tells whether the event at
/// the position is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The event's position.
    pub position: Position,
    /// The event's id.
    pub event_id: EventId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} at position {}", self.event_id, self.position)
    }
}

/// How far a reader of the journal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reached {
    /// The position up to which the reader includes all events.
    pub position: Position,
    /// The place of the last of these events. `None` if there is none, and where it is unknown
    /// because only the position was stored. It may be before `position`, since a journal has
    /// positions that belong to no event of a key.
    pub last: Option<Place>,
}

impl Reached {
    /// Before the first event.
    pub const START: Self = Self { position: Position::START, last: None };

    /// A position, where the last event is unknown.
    #[must_use]
    pub fn at(position: Position) -> Self {
        Self { position, last: None }
    }

    /// How far a reader has come that was here, once it has applied these events and knows that
    /// there is no event between the last of them and `to`.
    #[must_use]
    pub fn after(self, events: &[RecordedEvent], to: Position) -> Self {
        let last = events.last().map(RecordedEvent::place).or(self.last);
        let least = last.map_or(self.position, |last| last.position.max(self.position));
        Self { position: least.max(to), last }
    }
}

/// The number of an event in its stream, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u32);

impl Revision {
    /// The revision of a stream's first event.
    pub const FIRST: Self = Self(0);

    /// The revision with this number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// The revision of the next event; `None` when the stream is full.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The revision as a number.
    #[must_use]
    pub fn as_u32(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Revision {
    type Error = std::num::TryFromIntError;

    fn try_from(value: i64) -> Result<Self, Self::Error> {
        u32::try_from(value).map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Who caused an event, and in which request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The user who caused the event.
    pub actor: UserId,
    /// The id of the request.
    pub correlation_id: String,
    /// The id of the command that led to the event. For an idempotent request, an id that is the
    /// same in each attempt.
    pub causation_id: Uuid,
    /// The trace of the request (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The caller's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl Metadata {
    /// When the command was given, to the millisecond, if its id says so ([`CommandId::at`]).
    ///
    /// [`CommandId::at`]: crate::CommandId::at
    #[must_use]
    pub fn commanded_at(&self) -> Option<Timestamp> {
        let id = Some(self.causation_id).filter(|id| id.get_version() == Some(Version::SortRand));
        let (seconds, nanos) = id?.get_timestamp()?.to_unix();
        let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
        let micros = micros.checked_add(i64::from(nanos / 1_000))?;
        Timestamp::from_unix_micros(micros).ok()
    }
}

/// An event read from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// The event's position among all events.
    pub position: Position,
    /// The event's number in the key's stream.
    pub revision: Revision,
    /// The event's id.
    pub id: EventId,
    /// What happened.
    pub event: KeyEvent,
    /// Who caused the event, and in which request.
    pub metadata: Metadata,
}

impl RecordedEvent {
    /// The event's place in the journal.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { position: self.position, event_id: self.id }
    }
}
