//! What was read from the vault, for a short time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyledger_domain::{OwnerId, UserId};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::OwnerState;

/// The most owners that are remembered.
const MOST: usize = 100_000;
/// For how long the vault is not asked again.
const FRESH: Duration = Duration::from_secs(60);

/// Owners by their handles, and handles by user ids. Data keys in it are overwritten when they are dropped.
#[derive(Debug)]
pub(crate) struct OwnerCache {
    known: Cache<OwnerId, Entry>,
    ids: Cache<UserId, OwnerId>,
    /// For how long what was read may be used while the vault cannot be reached.
    longest: Duration,
    /// Held while an owner is added.
    adding: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Entry {
    known: Arc<OwnerState>,
    read_at: Instant,
}

impl OwnerCache {
    pub(crate) fn new(longest: Duration) -> Self {
        let (known, ids) = (Cache::new(MOST), Cache::new(MOST));
        Self { known, ids, longest, adding: Mutex::default() }
    }

    /// Remembers what was read, and returns it. Who is erased stays so, whatever a query that was on its way has read.
    pub(crate) fn add(&self, id: OwnerId, known: OwnerState) -> Arc<OwnerState> {
        // Nothing panics while the lock is held.
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Entry { known, .. }) = self.known.get(&id)
            && matches!(*known, OwnerState::Erased(_))
        {
            return known;
        }
        let known = Arc::new(known);
        if let OwnerState::Living(owner) = &*known {
            self.ids.insert(owner.person.user_id.clone(), id);
        }
        self.known.insert(id, Entry { known: known.clone(), read_at: Instant::now() });
        known
    }

    /// What was read of an owner a short time ago.
    pub(crate) fn fresh(&self, id: OwnerId) -> Option<Arc<OwnerState>> {
        self.within(id, FRESH)
    }

    /// The same for as long as it may be used while the vault cannot be reached.
    pub(crate) fn usable(&self, id: OwnerId) -> Option<Arc<OwnerState>> {
        self.within(id, self.longest)
    }

    fn within(&self, id: OwnerId, age: Duration) -> Option<Arc<OwnerState>> {
        let entry = self.known.get(&id)?;
        // Who is erased stays so.
        let is_erased = matches!(*entry.known, OwnerState::Erased(_));
        (is_erased || entry.read_at.elapsed() < age).then_some(entry.known)
    }

    /// The handle of a user, as it was read last.
    pub(crate) fn id_of(&self, user: &UserId) -> Option<OwnerId> {
        self.ids.get(user)
    }

    /// Forgets an owner.
    pub(crate) fn forget(&self, id: OwnerId) {
        if let Some((_, entry)) = self.known.remove(&id)
            && let OwnerState::Living(owner) = &*entry.known
        {
            self.ids.remove(&owner.person.user_id);
        }
    }
}
