//! The key: its state, the commands that it accepts and the events that follow.
//!
//! ```text
//! none ──create──▶ active ──revoke──▶ revoked
//!                     │                  │
//!                     └──delete──▶ deleted ◀──delete──┘
//! ```
//!
//! While a key is active, its owner's address may change.
//!
//! Each command has a file with its rule (`decide`), with what its event changes (`evolve`) and
//! with tests.

mod create;
mod delete;
mod details;
mod event;
mod import;
mod owner_email;
mod refusal;
mod revoke;
mod verdict;

pub use create::CreateKey;
pub use delete::DeleteKey;
pub use details::KeyDetails;
pub use event::{KeyCreated, KeyDeleted, KeyEvent, KeyOwnerEmailChanged, KeyRevoked};
pub use import::ImportKey;
pub use owner_email::ChangeOwnerEmail;
pub use refusal::{Corrupt, Refusal};
pub use revoke::RevokeKey;
pub use verdict::{KeyStatus, Verdict};

use crate::{KeyId, Reason, Timestamp};

/// A command on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Create a key.
    Create(CreateKey),
    /// Make a key unusable, and keep it in its owner's list.
    Revoke(RevokeKey),
    /// Make a key unusable, and remove it from its owner's list.
    Delete(DeleteKey),
    /// Take over a key from a former service.
    Import(ImportKey),
    /// Note the address that the identity provider has of the owner.
    ChangeOwnerEmail(ChangeOwnerEmail),
}

/// The state of a key after its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key's id.
    pub id: KeyId,
    /// What was chosen for the key when it was created, with the owner's address as it is known now.
    pub details: KeyDetails,
    /// The time as of which the owner's address is known: that of the token that named it, or the creation.
    pub owner_email_as_of: Timestamp,
    /// When the key was created.
    pub created_at: Timestamp,
    /// When the key's last event occurred.
    pub changed_at: Timestamp,
    /// Whether the key was revoked or deleted.
    pub lifecycle: Lifecycle,
}

/// Whether a key was revoked or deleted, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// The key was neither revoked nor deleted. It may have expired.
    Active,
    /// The key never verifies again. Its owner still sees it.
    Revoked(Ended),
    /// The key never verifies again. Only auditors see it.
    Deleted {
        /// When and why the key was deleted.
        deleted: Ended,
        /// When and why the key was revoked before, if it was.
        revoked: Option<Ended>,
    },
}

/// When and why a key was revoked or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The time of the event.
    pub at: Timestamp,
    /// The reason that was given, if any.
    pub reason: Option<Reason>,
}

impl Key {
    /// The time to give to the key's next event: now, but never earlier than the last event, so
    /// that a clock that is set back cannot reorder a key's history.
    fn not_before_last_change(&self, now: Timestamp) -> Timestamp {
        now.max(self.changed_at)
    }
}

/// The events that follow from a command, given the key's state. An empty list means that nothing
/// has to change.
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
        Command::ChangeOwnerEmail(change) => owner_email::decide(state, change, now),
    }
}

/// The key's state after an event.
///
/// # Errors
/// [`Corrupt`] if no sequence of decisions could have led to this event in this state.
pub fn evolve(state: Option<Key>, event: &KeyEvent) -> Result<Key, Corrupt> {
    let corrupt = Corrupt {
        key_id: event.key_id(),
        event_type: event.event_type(),
        state: state.as_ref().map_or("none", |key| key.lifecycle.name()),
    };
    if state.as_ref().is_some_and(|key| key.id != event.key_id()) {
        return Err(corrupt);
    }
    let next = match event {
        KeyEvent::Created(created) => create::evolve(state, created),
        KeyEvent::Revoked(revoked) => revoke::evolve(state, revoked),
        KeyEvent::Deleted(deleted) => delete::evolve(state, deleted),
        KeyEvent::OwnerEmailChanged(changed) => owner_email::evolve(state, changed),
    };
    let next = next.ok_or(corrupt)?;
    Ok(Key { changed_at: event.occurred_at(), ..next })
}

/// The key's state after all of these events; `None` if there are none.
///
/// # Errors
/// [`Corrupt`], as [`evolve`].
pub fn fold<'a>(events: impl IntoIterator<Item = &'a KeyEvent>) -> Result<Option<Key>, Corrupt> {
    events.into_iter().try_fold(None, |state, event| evolve(state, event).map(Some))
}

impl Lifecycle {
    /// The name that programs see: `active`, `revoked` or `deleted`.
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
