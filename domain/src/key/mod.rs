//! The key: its state, the commands that it accepts and the events that follow.
//!
//! ```text
//! none ──create──▶ active ──revoke──▶ revoked
//!                     │                  │
//!                     └──delete──▶ deleted ◀──delete──┘
//! ```

mod create;
mod delete;
mod event;
mod import;
mod refusal;
mod revoke;
mod verdict;

pub use create::CreateKey;
pub use delete::DeleteKey;
pub use event::{KeyCreated, KeyDeleted, KeyEvent, KeyRevoked};
pub use import::ImportKey;
pub use refusal::{Corrupt, Refusal};
pub use revoke::RevokeKey;
pub use verdict::{KeyStatus, Verdict};

use crate::{DisplayPrefix, Email, KeyHash, KeyId, KeyName, Reason, Timestamp, UserId};

/// What someone wants done with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make a key.
    Create(CreateKey),
    /// Make a key useless, and keep showing it.
    Revoke(RevokeKey),
    /// Make a key useless, and show it no more.
    Delete(DeleteKey),
    /// Take over a key of a former service.
    Import(ImportKey),
}

/// A key, as its events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Who it belongs to.
    pub owner: UserId,
    /// The owner's address, as known when the key was created.
    pub owner_email: Option<Email>,
    /// What the owner calls it.
    pub name: KeyName,
    /// What people recognise it by.
    pub prefix: DisplayPrefix,
    /// What stands in the secret's place.
    pub hash: KeyHash,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it no longer verifies, if ever.
    pub expires_at: Option<Timestamp>,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
}

/// Where a key is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// In use, unless it has expired.
    Active,
    /// Refused for good, and still shown to its owner.
    Revoked(Ended),
    /// Refused for good, and known to auditors only.
    Deleted {
        /// When and why it was deleted.
        deleted: Ended,
        /// When and why it was revoked, if it was.
        revoked: Option<Ended>,
    },
}

/// When and why a key was revoked or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The moment.
    pub at: Timestamp,
    /// The reason, where one was given.
    pub reason: Option<Reason>,
}

impl Key {
    /// When the last thing happened to the key.
    fn last_change(&self) -> Timestamp {
        match &self.lifecycle {
            Lifecycle::Active => self.created_at,
            Lifecycle::Revoked(ended) | Lifecycle::Deleted { deleted: ended, .. } => ended.at,
        }
    }

    /// The moment to date the next event with: now, but never before what came before it, so
    /// that a clock that was set back cannot reorder a key's history.
    fn not_before_last_change(&self, now: Timestamp) -> Timestamp {
        now.max(self.last_change())
    }
}

/// What follows from a command, given what is known of the key. No events: nothing to do.
///
/// # Errors
/// The [`Refusal`] of a command that the rules forbid.
pub fn decide(
    state: Option<&Key>,
    command: &Command,
    now: Timestamp,
) -> Result<Vec<KeyEvent>, Refusal> {
    match command {
        Command::Create(create) => create::decide(state, create, now),
        Command::Revoke(revoke) => revoke::decide(state, revoke, now),
        Command::Delete(delete) => delete::decide(state, delete, now),
        Command::Import(import) => import::decide(state, import, now),
    }
}

/// The key after an event.
///
/// # Errors
/// [`Corrupt`] when no sequence of decisions could have led to this event here.
pub fn evolve(state: Option<Key>, event: &KeyEvent) -> Result<Key, Corrupt> {
    let out_of_order = |state: &Option<Key>| Corrupt {
        key_id: event.key_id(),
        event_type: event.event_type(),
        state: state.as_ref().map_or("none", |key| key.lifecycle.name()),
    };
    match (event, state) {
        (KeyEvent::Created(created), None) => Ok(Key {
            id: created.key_id,
            owner: created.user_id.clone(),
            owner_email: created.user_email.clone(),
            name: created.name.clone(),
            prefix: created.key_prefix.clone(),
            hash: created.key_hash,
            created_at: created.occurred_at,
            expires_at: created.expires_at,
            lifecycle: Lifecycle::Active,
        }),
        (KeyEvent::Revoked(revoked), Some(key))
            if key.id == revoked.key_id && key.lifecycle == Lifecycle::Active =>
        {
            let ended = Ended { at: revoked.occurred_at, reason: revoked.reason.clone() };
            Ok(Key { lifecycle: Lifecycle::Revoked(ended), ..key })
        }
        (KeyEvent::Deleted(deleted), Some(key)) if key.id == deleted.key_id => {
            let revoked = match key.lifecycle {
                Lifecycle::Active => None,
                Lifecycle::Revoked(ended) => Some(ended),
                Lifecycle::Deleted { .. } => return Err(out_of_order(&Some(key))),
            };
            let deleted = Ended { at: deleted.occurred_at, reason: deleted.reason.clone() };
            Ok(Key { lifecycle: Lifecycle::Deleted { deleted, revoked }, ..key })
        }
        (KeyEvent::Created(_) | KeyEvent::Revoked(_) | KeyEvent::Deleted(_), state) => {
            Err(out_of_order(&state))
        }
    }
}

/// The key after all of these events.
///
/// # Errors
/// [`Corrupt`], as [`evolve`].
pub fn fold<'a>(events: impl IntoIterator<Item = &'a KeyEvent>) -> Result<Option<Key>, Corrupt> {
    events.into_iter().try_fold(None, |state, event| evolve(state, event).map(Some))
}

impl Lifecycle {
    /// Its name, such as `active`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked(_) => "revoked",
            Self::Deleted { .. } => "deleted",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
