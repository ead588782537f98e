//! When keys were last used. No event tells it: it is kept apart from the key table, and a rebuild
//! does not touch it.
//!
//! Uses are noted in memory and recorded now and then, so a crash loses those since the last time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keyledger_domain::{KeyId, Timestamp};

use crate::ReadTables;

/// The most keys whose uses are recorded at once, so that whoever else writes gets a turn.
const AT_ONCE: usize = 10_000;
/// Parts that do not wait for each other.
const PARTS: usize = 64;

/// Records when keys were last used, all or none; a time that is earlier than the one recorded
/// changes nothing, so several nodes may record in any order.
///
/// # Errors
/// The database's error; nothing was recorded then.
pub async fn record(
    tables: &ReadTables,
    uses: &BTreeMap<KeyId, Timestamp>,
) -> Result<(), sqlx::Error> {
    tables.store.record(uses).await
}

/// Uses that are not recorded yet: the last one of each key.
#[derive(Debug)]
pub struct Uses {
    parts: Box<[Mutex<HashMap<KeyId, Timestamp>>]>,
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
        let (_, random) = key_id.as_uuid().as_u64_pair();
        let part = usize::try_from(random).unwrap_or(0) % PARTS;
        if let Some(part) = self.parts.get(part) {
            let mut part = lock(part);
            let last = part.entry(key_id).or_insert(at);
            *last = at.max(*last);
            if part.len() > self.most {
                keep_newest(&mut part, self.most.div_ceil(2));
            }
        }
    }

    /// Records what was noted; whatever cannot be recorded stays noted. Tells of how many keys uses
    /// were recorded.
    ///
    /// # Errors
    /// The database's error.
    pub async fn flush(&self, tables: &ReadTables) -> Result<usize, sqlx::Error> {
        let mut waiting: BTreeMap<KeyId, Timestamp> = BTreeMap::new();
        for part in &self.parts {
            waiting.extend(std::mem::take(&mut *lock(part)));
        }
        let count = waiting.len();
        while !waiting.is_empty() {
            let rest = match waiting.keys().nth(AT_ONCE).copied() {
                Some(next) => waiting.split_off(&next),
                None => BTreeMap::new(),
            };
            if let Err(error) = record(tables, &waiting).await {
                for (key_id, at) in waiting.into_iter().chain(rest) {
                    self.note(key_id, at);
                }
                return Err(error);
            }
            waiting = rest;
        }
        Ok(count)
    }

    /// How many keys' uses wait to be recorded.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

fn lock(part: &Mutex<HashMap<KeyId, Timestamp>>) -> MutexGuard<'_, HashMap<KeyId, Timestamp>> {
    // A map is never left half-way by a panic elsewhere.
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets all uses but this many, the newest.
fn keep_newest(uses: &mut HashMap<KeyId, Timestamp>, count: usize) {
    let mut all: Vec<_> = uses.drain().collect();
    if count < all.len() {
        all.select_nth_unstable_by(count, |(_, one), (_, other)| other.cmp(one));
        all.truncate(count);
    }
    uses.extend(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> KeyId {
        // All in one part.
        KeyId::from_uuid(uuid::Uuid::from_u128(number << 64))
    }

    fn at(second: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH.plus_seconds(second).unwrap()
    }

    #[test]
    fn the_last_use_of_a_key_is_kept() {
        let uses = Uses::new(Uses::MOST);
        for second in [5, 9, 7] {
            uses.note(key(1), at(second));
        }
        assert_eq!(uses.waiting(), 1);
        assert_eq!(lock(&uses.parts[0]).get(&key(1)), Some(&at(9)));
    }

    #[test]
    fn of_too_many_keys_those_that_were_used_last_are_kept() {
        let uses = Uses::new(PARTS * 10);
        for number in 0..11 {
            uses.note(key(u128::from(number)), at(number));
        }
        let mut kept: Vec<_> = lock(&uses.parts[0]).values().copied().collect();
        kept.sort();
        assert_eq!(kept, [at(6), at(7), at(8), at(9), at(10)]);
    }
}
