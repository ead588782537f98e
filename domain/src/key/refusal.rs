//! Why the rules forbid a command, and which streams cannot be.

use crate::KeyId;

/// Why the rules forbid a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A key with this id exists.
    #[error("the key exists already")]
    AlreadyExists,
    /// There is no key with this id, or the key was deleted.
    #[error("there is no such key")]
    NotFound,
    /// The user who asks to revoke the key is not its owner.
    #[error("the key is another user's, and cannot be revoked by this one")]
    NotYoursToRevoke,
    /// The user who asks to delete the key is not its owner.
    #[error("the key is another user's, and cannot be deleted by this one")]
    NotYoursToDelete,
    /// The expiry is not later than the creation.
    #[error("the key would expire before it exists")]
    ExpiryNotInFuture,
    /// The creation of an imported key is dated later than now.
    #[error("the key was created in the future")]
    CreatedInFuture,
}

/// A stream that no sequence of decisions could have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream of key {key_id} holds {event_type} where the key is {state}")]
pub struct Corrupt {
    /// The id of the stream's key.
    pub key_id: KeyId,
    /// The type of the event that cannot follow.
    pub event_type: &'static str,
    /// The name of the key's state before that event.
    pub state: &'static str,
}
