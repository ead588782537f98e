//! Why the rules forbid a command, and what history cannot be.

use crate::KeyId;

/// Why the rules forbid a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is a key with this id.
    #[error("the key exists already")]
    AlreadyExists,
    /// There is no key with this id, or it was deleted.
    #[error("there is no such key")]
    NotFound,
    /// The key is another user's.
    #[error("the key is another user's, and cannot be revoked by this one")]
    NotYoursToRevoke,
    /// The key is another user's.
    #[error("the key is another user's, and cannot be deleted by this one")]
    NotYoursToDelete,
    /// The key would have expired before it was created.
    #[error("the key would expire before it exists")]
    ExpiryNotInFuture,
    /// The key would have been created later than now.
    #[error("the key was created in the future")]
    CreatedInFuture,
}

/// A stream that no sequence of decisions could have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream of key {key_id} holds {event_type} where the key is {state}")]
pub struct Corrupt {
    /// The key whose stream it is.
    pub key_id: KeyId,
    /// The type of the event that cannot stand where it stands.
    pub event_type: &'static str,
    /// What the key was before it.
    pub state: &'static str,
}
