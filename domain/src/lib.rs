//! The rules of keyledger: what a key is, which commands it accepts, and which events follow.
//!
//! Everything here is pure and synchronous. There is no I/O, no clock and no global random number
//! generator: time and randomness are parameters, so that each rule can be tested alone and gives
//! the same result whenever it is run again.

#![deny(missing_docs)]

mod as_of;
mod clock;
mod delivery;
mod error_chain;
mod filter;
mod hex;
mod id;
mod installation;
pub mod key;
mod name;
mod position_time;
mod published;
mod recorded;
mod redact;
mod sealed;
mod secret;
mod stored;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod timestamp;

pub use as_of::{KeyAsOf, Moment, MomentError, Reasoning};
pub use clock::Clock;
pub use delivery::{Batch, ClosedKey, Closure, Delivery, KeyDelivery};
pub use error_chain::{Cause, chain};
pub use filter::EventFilter;
pub use hex::{from_hex, hex};
pub use id::{CommandId, EventId, KeyId, OwnerId, UserId, UserIdError};
pub use installation::{InstallationSecret, InstallationSecretError};
pub use name::{Email, KeyName, KeyNameError, Reason, ReasonError, SourceId, SourceIdError};
pub use position_time::PositionTime;
pub use published::{PublishedData, PublishedEvent};
pub use recorded::{Metadata, Place, Position, PositionError, Reached, RecordedEvent, Revision};
pub use redact::without_password;
pub use sealed::{Commitment, CommitmentError, Erasure, SealedText};
pub use secret::{DisplayPrefix, DisplayPrefixError, HashFunction, HmacSecret, HmacSecretError};
pub use secret::{KeyHash, KeyHashError, KeyPrefix, KeyPrefixError, Secret, UnrecognisedSecret};
pub use secret::{hash_presented, may_be_imported};
pub use stored::{DecodeError, StoredForm, decode, encode, is_metadata};
pub use timestamp::{Timestamp, TimestampError};
