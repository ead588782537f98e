//! What the vault knows of an owner.

use keyledger_domain::{Email, Erasure, OwnerId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::DataKey;

/// An owner who is not erased.
#[derive(Clone, Debug)]
pub struct KnownOwner {
    /// The handle.
    pub id: OwnerId,
    /// The key that opens what is stored of the owner.
    pub data_key: DataKey,
    /// Who it is.
    pub person: Person,
    /// Whether the owner's first event, with the commitment to the data key, is known to be in the journal.
    pub is_registered: bool,
}

/// Whom a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The id that the identity provider gives the user.
    pub user_id: UserId,
    /// The user's address; `None` if none is known.
    pub email: Option<Email>,
    /// When the token was issued that named the address, or that named none at first.
    pub email_as_of: Timestamp,
}

/// An address, and when the token was issued that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAsOf {
    /// The address; `None` if the token names none.
    pub email: Option<Email>,
    /// When the token was issued, by the identity provider's clock.
    pub as_of: Timestamp,
}

/// What the vault knows of a handle.
#[derive(Clone, Debug)]
pub enum OwnerState {
    /// The owner, and the data key.
    Living(KnownOwner),
    /// The owner was erased: nothing can be opened any more.
    Erased(Erasure),
}
