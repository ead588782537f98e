//! When keys were last used. No event tells it: it is kept apart from the key table, and a rebuild
//! does not touch it.
//!
//! Uses are noted in memory and recorded now and then, so a crash loses those since the last time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use keyledger_domain::{KeyId, Timestamp};

use crate::ReadTables;

/// The most keys whose uses are recorded at once, so that whoever else writes gets a turn.
const AT_ONCE: usize = 10_000;
/// Parts that do not wait for each other.
const PARTS: usize = 64;

/// When a key was last used.
pub type Use = (KeyId, Timestamp);

/// Records when keys were last used, all or none; a time that is earlier than the one recorded
/// changes nothing, so several nodes may record in any order. No key may be there twice.
///
/// # Errors
/// The database's error; nothing was recorded then.
pub async fn record(tables: &ReadTables, uses: &[Use]) -> Result<(), sqlx::Error> {
    tables.store.record(uses).await
}

/// Uses that are not recorded yet: the last one of each key.
#[derive(Debug)]
pub struct Uses {
    parts: Box<[Mutex<HashTable<Use>>]>,
    /// How many keys a part may hold.
    most: usize,
}

impl Uses {
    /// The most keys whose uses wait to be recorded, unless told otherwise: some 50 MiB.
    pub const MOST: usize = 1 << 20;

    /// Keeps the uses of `most` keys at most, about: of more, those that were used last.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, most: (most / PARTS).max(1) }
    }

    /// Notes that a key was used.
    pub fn note(&self, key_id: KeyId, at: Timestamp) {
        let part = usize::try_from(key_id.hash_bits() >> 32).unwrap_or(0) % PARTS;
        if let Some(part) = self.parts.get(part) {
            let mut part = lock(part);
            match part.find_mut(key_id.hash_bits(), |(known, _)| *known == key_id) {
                Some((_, last)) => *last = at.max(*last),
                None => {
                    part.insert_unique(key_id.hash_bits(), (key_id, at), hash);
                    if part.len() > self.most {
                        keep_newest(&mut part, self.most.div_ceil(2));
                    }
                }
            }
        }
    }

    /// Records what was noted; whatever cannot be recorded stays noted. Tells of how many keys uses
    /// were recorded.
    ///
    /// # Errors
    /// The database's error.
    pub async fn flush(&self, tables: &ReadTables) -> Result<usize, sqlx::Error> {
        let mut waiting: Vec<Use> = Vec::with_capacity(self.waiting());
        for part in &self.parts {
            // The room stays, for as many again.
            waiting.extend(lock(part).drain());
        }
        // In the order of the keys, so that two nodes never wait for each other, and the database
        // finds each one near the one before.
        waiting.sort_unstable_by_key(|(key_id, _)| *key_id);
        let mut rest = waiting.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(AT_ONCE));
            if let Err(error) = record(tables, now).await {
                for (key_id, at) in rest {
                    self.note(*key_id, *at);
                }
                return Err(error);
            }
            rest = later;
        }
        Ok(waiting.len())
    }

    /// How many keys' uses wait to be recorded.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

fn hash((key_id, _): &Use) -> u64 {
    key_id.hash_bits()
}

fn lock(part: &Mutex<HashTable<Use>>) -> MutexGuard<'_, HashTable<Use>> {
    // A table is never left half-way by a panic elsewhere.
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets all uses but this many, the newest.
fn keep_newest(uses: &mut HashTable<Use>, count: usize) {
    let mut all: Vec<Use> = uses.drain().collect();
    if count < all.len() {
        all.select_nth_unstable_by(count, |(_, one), (_, other)| other.cmp(one));
        all.truncate(count);
    }
    for one in all {
        uses.insert_unique(hash(&one), one, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> KeyId {
        KeyId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn at(second: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH.plus_seconds(second).unwrap()
    }

    fn noted(uses: &Uses) -> Vec<Timestamp> {
        let mut all: Vec<_> =
            uses.parts.iter().flat_map(|part| lock(part).drain().collect::<Vec<_>>()).collect();
        all.sort();
        all.into_iter().map(|(_, at)| at).collect()
    }

    #[test]
    fn the_last_use_of_a_key_is_kept() {
        let uses = Uses::new(Uses::MOST);
        for second in [5, 9, 7] {
            uses.note(key(1), at(second));
        }
        assert_eq!(uses.waiting(), 1);
        assert_eq!(noted(&uses), [at(9)]);
    }

    #[test]
    fn of_too_many_keys_those_that_were_used_last_are_kept() {
        const MOST: usize = 640;
        let uses = Uses::new(MOST);
        for number in 0..10_000 {
            uses.note(key(u128::from(number)), at(number));
            assert!(uses.waiting() <= MOST);
        }
        let kept = noted(&uses);
        assert!(kept.len() >= MOST / 4, "{}", kept.len());
        // Parts fill at their own pace: what is kept is among the newest of each.
        assert!(kept.iter().all(|time| *time > at(10_000 - 4 * 640)), "{:?}", kept.first());
        assert!(kept.contains(&at(9_999)));
    }
}
