//! The records of all keys, by number.

use std::collections::VecDeque;

use keyledger_domain::key::KeyStatus;
use keyledger_domain::{KeyHash, KeyId, Revision, Timestamp};

use crate::atomic::{AT_REST, items_of_page};
use crate::cell::Cell;
use crate::packed::{self, has_more, pack, unpack};
use crate::pages::Pages;
use crate::record::{KeyRecord, LoadedKey};
use crate::status::StatusWord;
use crate::used::Marks;
use crate::words::Words;

/// How many words of a record are stored inline, next to the key's status. The rest is in pieces.
const WORDS: usize = 16;
/// The same in bytes.
pub(super) const INLINE: usize = 8 * WORDS;
/// How many words of a record are in a piece.
const PIECE: usize = 15;
/// The most pieces that a record has.
const MOST_PIECES: usize = packed::LONGEST / (8 * PIECE) + 1;
/// Stands for the number of the next piece in the last piece of a chain.
const NO_PIECE: u32 = u32::MAX;

type Record = Cell<WORDS>;
/// A part of a long record. The last word holds the number of the next piece.
type Piece = Words<{ PIECE + 1 }>;

const _: () = assert!(cfg!(test) || size_of::<Record>() <= 152, "a key takes too much memory");

/// Records by their keys' numbers, from 0. One writer adds, replaces and removes records; readers copy them
/// without locks. The number of a removed record is given to another key later.
///
/// A record of more than [`INLINE`] bytes has its last 4 inline bytes replaced by the number of the
/// first of a chain of pieces. Pieces that a record refers to are never written. Those of a replaced
/// record are written again for another one; a reader that is still copying them sees then that the
/// status word of its key has moved on, and copies again.
#[derive(Debug)]
pub(super) struct Records {
    cells: Pages<Record, { items_of_page(size_of::<Record>()) }>,
    pieces: Pages<Piece, { items_of_page(size_of::<Piece>()) }>,
    /// Holds the new record while a record is being replaced: see [`Cell`].
    aside: Words<WORDS>,
    /// Which keys have a use that is not recorded yet.
    used: Marks,
}

/// The numbers and the pieces that no key uses. It belongs to the writer.
#[derive(Debug, Default)]
pub(super) struct Free {
    numbers: FreeNumbers,
    pieces: FreePieces,
}

/// The numbers that no key has.
///
/// A number rests until [`AT_REST`] others were freed after it, because a reader may have found it just
/// before, and is about to note that its key was used. That would show as a use of the next key.
#[derive(Debug, Default)]
struct FreeNumbers {
    /// Numbers that keys had before, longest ago first.
    again: VecDeque<u32>,
    /// Numbers from this one on were never used.
    made: u32,
}

/// The pieces that no record refers to.
#[derive(Debug, Default)]
struct FreePieces {
    /// Pieces that records used before.
    again: Vec<u32>,
    /// Pieces from this number on were never used.
    made: u32,
}

/// Memory for the copy of a key's record, from which answers borrow. An empty buffer takes about 150
/// bytes and no allocation, so each verification can have its own.
#[derive(Clone, Debug, Default)]
pub struct RecordBuffer {
    inline: [[u8; 8]; WORDS],
    /// The whole record, if it is longer than the inline words.
    long: Vec<u8>,
}

impl RecordBuffer {
    /// A buffer with no record in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { self.inline.as_flattened() } else { &self.long }
    }

    /// Whether the copied record has this hash, with which every record begins.
    pub(super) fn has_hash(&self, hash: &KeyHash) -> bool {
        self.inline.as_flattened().starts_with(hash.as_bytes())
    }

    /// The copied record, with the status that was read beside it.
    pub(super) fn key(&self, status: StatusWord) -> Option<LoadedKey<'_>> {
        let record = unpack(self.bytes())?;
        Some(LoadedKey { record, revision: status.revision(), status: status.status() })
    }
}

impl FreeNumbers {
    fn next(&self) -> u32 {
        let rested = self.again.front().filter(|_| self.again.len() > AT_REST);
        rested.copied().unwrap_or(self.made)
    }

    fn use_next(&mut self) {
        if self.next() == self.made {
            self.made += 1;
        } else {
            self.again.pop_front();
        }
    }
}

impl FreePieces {
    fn take(&mut self) -> u32 {
        self.again.pop().unwrap_or_else(|| {
            let new = self.made;
            self.made = new.saturating_add(1);
            new
        })
    }
}

/// Bytes as words, padded with zeros; `None` if there are too many bytes.
fn words<const N: usize>(bytes: &[u8]) -> Option<[[u8; 8]; N]> {
    let mut words = [[0; 8]; N];
    words.as_flattened_mut().get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(words)
}

/// The number in the last 4 bytes.
fn last_number<const N: usize>(words: &[[u8; 8]; N]) -> u32 {
    words.as_flattened().last_chunk().map_or(NO_PIECE, |bytes| u32::from_le_bytes(*bytes))
}

impl Records {
    pub(super) fn new() -> Self {
        Self {
            cells: Pages::new(),
            pieces: Pages::new(),
            aside: Words::default(),
            used: Marks::new(),
        }
    }

    fn get(&self, number: u32) -> Option<&Record> {
        self.cells.get(number)
    }

    /// Adds the record of a new key, and returns its number. `None` if a text is too long or there is no
    /// number left; then nothing has changed.
    pub(super) fn add(&self, key: &LoadedKey<'_>, free: &mut Free) -> Option<u32> {
        let number = free.numbers.next();
        let record = self.cells.get_or_make(number)?;
        self.used.make_room(number)?;
        let inline = self.inline(&key.record, &mut free.pieces)?;
        free.numbers.use_next();
        // A use that was noted late is of an earlier key.
        self.used.clear(number, &record.used);
        record.fill(&inline, key.revision, key.status);
        Some(number)
    }

    /// Removes the record of a key. Readers that have found its number find no record there, until another
    /// key has the number.
    pub(super) fn remove(&self, number: u32, free: &mut Free) {
        let Some(record) = self.get(number) else { return };
        let inline = record.first::<WORDS>();
        record.take();
        free.pieces.again.extend(self.pieces(&inline).map(|(number, _)| number));
        self.used.clear(number, &record.used);
        if record.has_turns() {
            free.numbers.again.push_back(number);
        }
    }

    /// Replaces the record of a key. `None` if a text is too long; then nothing has changed.
    pub(super) fn replace(
        &self,
        number: u32,
        revision: Revision,
        of: &KeyRecord<'_>,
        free: &mut Free,
    ) -> Option<()> {
        let record = self.get(number)?;
        let old = record.first::<WORDS>();
        record.replace(&self.aside, &self.inline(of, &mut free.pieces)?, revision);
        // Only now, because readers can no longer find these pieces.
        free.pieces.again.extend(self.pieces(&old).map(|(number, _)| number));
        Some(())
    }

    /// The inline words of a record. The rest of a long one is written to free pieces.
    fn inline(&self, of: &KeyRecord<'_>, free: &mut FreePieces) -> Option<[[u8; 8]; WORDS]> {
        let mut packed = pack(of)?;
        if packed.len() <= INLINE {
            return words(&packed);
        }
        let rest = packed.split_off(INLINE - 4);
        let mut next = NO_PIECE;
        for part in rest.chunks(8 * PIECE).rev() {
            let number = free.take();
            let mut piece = words::<{ PIECE + 1 }>(part)?;
            *piece.as_flattened_mut().last_chunk_mut()? = next.to_le_bytes();
            self.pieces.get_or_make(number)?.write(&piece);
            next = number;
        }
        packed::set_has_more(&mut packed);
        packed.extend(next.to_le_bytes());
        words(&packed)
    }

    /// The pieces of a record with these inline words. While the record is being replaced this may be
    /// a mixture of chains, but never an endless one.
    fn pieces(
        &self,
        inline: &[[u8; 8]; WORDS],
    ) -> impl Iterator<Item = (u32, [[u8; 8]; PIECE + 1])> {
        let mut next = NO_PIECE;
        if has_more(inline.as_flattened()) {
            next = last_number(inline);
        }
        let pieces = std::iter::from_fn(move || {
            let number = next;
            let piece = self.pieces.get(number)?.first();
            next = last_number(&piece);
            Some((number, piece))
        });
        pieces.take(MOST_PIECES)
    }

    /// Copies the record of this number, and returns the status that belongs to it; `None` if there is
    /// none.
    pub(super) fn read(&self, number: u32, buffer: &mut RecordBuffer) -> Option<StatusWord> {
        self.get(number)?.read(&self.aside, |words| {
            words.copy_to(&mut buffer.inline);
            buffer.long.clear();
            if has_more(buffer.inline.as_flattened()) {
                self.read_long(buffer);
            }
        })
    }

    #[cold]
    fn read_long(&self, buffer: &mut RecordBuffer) {
        let (inline, _) = buffer.inline.as_flattened().split_at(INLINE - 4);
        buffer.long.extend_from_slice(inline);
        for (_, piece) in self.pieces(&buffer.inline) {
            let (part, _) = piece.as_flattened().split_at(8 * PIECE);
            buffer.long.extend_from_slice(part);
        }
    }

    /// The status of the key with this number; `None` if there is none.
    pub(super) fn status(&self, number: u32) -> Option<StatusWord> {
        self.get(number)?.status()
    }

    /// Sets the status that the event of this revision led to. An older revision changes nothing.
    pub(super) fn advance(&self, number: u32, revision: Revision, status: KeyStatus) {
        if let Some(record) = self.get(number) {
            record.advance(revision, status);
        }
    }

    /// The hash of the key with this number.
    pub(super) fn hash(&self, number: u32) -> Option<[u8; 32]> {
        self.get(number)?.first_of_key::<4>()?.as_flattened().first_chunk().copied()
    }

    /// Whether the key with this number seems to have this hash. The number may be given to another key at
    /// the same time: the record that is copied next shows.
    pub(super) fn has_hash(&self, number: u32, hash: &KeyHash) -> bool {
        let (expected, _) = hash.as_bytes().as_chunks::<8>();
        self.get(number).is_some_and(|record| {
            let words = record.first::<4>();
            words.iter().zip(expected).all(|(word, expected)| word == expected)
        })
    }

    /// The id of the key with this number.
    pub(super) fn key_id(&self, number: u32) -> Option<KeyId> {
        packed::key_id(&self.get(number)?.first_of_key()?)
    }

    /// Stores the time of a use of a key.
    pub(super) fn note_use(&self, number: u32, at: Timestamp) {
        if let Some(record) = self.get(number) {
            self.used.note(number, &record.used, at.unix_micros());
        }
    }

    /// The last use of a key, if it is not recorded yet.
    pub(super) fn last_use(&self, number: u32) -> Option<Timestamp> {
        let micros = self.get(number)?.used.waiting()?;
        Some(Timestamp::saturating_from_unix_micros(micros))
    }

    /// Marks this use of a key as recorded. With `None`: no use was waiting.
    pub(super) fn use_is_recorded(&self, number: u32, at: Option<Timestamp>) {
        if let Some(record) = self.get(number) {
            self.used.is_recorded(number, &record.used, at.map(|at| at.unix_micros()));
        }
    }

    /// How many keys have a use that waits to be recorded.
    pub(super) fn used_count(&self) -> usize {
        self.used.count()
    }

    /// The numbers of the keys with a use that waits to be recorded.
    pub(super) fn used(&self) -> impl Iterator<Item = u32> {
        self.used.numbers()
    }
}

#[cfg(test)]
mod tests {
    use keyledger_domain::{HashFunction, KeyHash, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::record::Owner;

    fn key_record(name: &str) -> KeyRecord<'_> {
        KeyRecord {
            key_id: KeyId::from_uuid(Uuid::from_u128(1)),
            hash: KeyHash::try_from([7; 32].as_slice()).unwrap(),
            hash_function: HashFunction::Sha256,
            owner: Owner::of("ann"),
            owner_email: None,
            name,
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
        }
    }

    #[test]
    fn a_key_that_is_replaced_for_ever_takes_no_more_memory() {
        let mut model = loom::model::Builder::new();
        model.max_branches = 100_000;
        model.check(|| {
            let (records, mut free) = (Records::new(), Free::default());
            let mut record = key_record("name");
            let (revision, status) = (Revision::FIRST, KeyStatus::Active);
            records.add(&LoadedKey { record, revision, status }, &mut free).unwrap();
            let names = [100, 500, 255, 3].map(|length| "x".repeat(length));
            for (revision, name) in (1..200).zip(names.iter().cycle()) {
                record.name = name;
                records.replace(0, Revision::new(revision), &record, &mut free).unwrap();
            }
            // The longest name takes 4 pieces, the one after it 2, and they overlap in time.
            assert!(free.pieces.made <= 6, "{} pieces", free.pieces.made);
            assert!(free.pieces.again.len() <= 6);
        });
    }

    #[test]
    fn keys_that_are_added_and_removed_for_ever_take_no_more_memory() {
        let mut model = loom::model::Builder::new();
        model.max_branches = 100_000;
        model.check(|| {
            let (records, mut free) = (Records::new(), Free::default());
            let name = "x".repeat(500);
            let record = key_record(&name);
            let (revision, status) = (Revision::FIRST, KeyStatus::Active);
            for _ in 0..100 {
                let key = LoadedKey { record, revision, status };
                let number = records.add(&key, &mut free).unwrap();
                records.note_use(number, Timestamp::MAX);
                records.remove(number, &mut free);
                assert_eq!((records.status(number), records.used_count()), (None, 0));
            }
            let most = u32::try_from(AT_REST).unwrap() + 1;
            assert!(free.numbers.made <= most, "{} numbers", free.numbers.made);
            assert!(free.pieces.made <= 4, "{} pieces", free.pieces.made);
        });
    }
}
