//! Every order in which reads and writes of the index can meet. Loom explores them on the very code
//! that the index is made of: see [`atomic`](crate::atomic).

use keyledger_domain::key::KeyStatus;
use keyledger_domain::{KeyHash, KeyId, Position, Revision, Timestamp};
use loom::sync::Arc;
use loom::thread;
use uuid::Uuid;

use crate::cell::Cell;
use crate::index::Index;
use crate::record::{KeyRecord, LoadedKey, Owner};
use crate::records::{FreePieces, RecordBuffer, Records};
use crate::slots::{SlotKey, Slots};
use crate::status::{StatusCell, StatusWord};
use crate::used::{LastUse, Marks};
use crate::words::Words;

fn revision(number: u32) -> Revision {
    Revision::new(number)
}

/// Explores all orders with at most this many switches away from a thread that could go on. With more
/// threads or steps there are too many orders; defects show with few switches.
fn explore(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

fn words<const N: usize>(number: u64) -> [[u8; 8]; N] {
    [number.to_le_bytes(); N]
}

/// Reads a cell all of whose words are the same: that word, and the revision.
fn read(cell: &Cell<2>, aside: &Words<2>) -> Option<(u64, u64)> {
    let mut copy = words(u64::MAX);
    let status = cell.read(aside, |words| words.copy_to(&mut copy))?;
    let [first, second] = copy.map(u64::from_le_bytes);
    assert_eq!(first, second, "a mixture of two records");
    Some((first, status.revision().as_u32().into()))
}

/// A key's row is loaded while the key's later events are applied.
#[test]
fn what_is_loaded_late_never_takes_the_place_of_what_is_newer() {
    loom::model(|| {
        let word = |number, status| StatusWord::new(revision(number), status);
        let cell = Arc::new(StatusCell::new());
        cell.advance(word(0, KeyStatus::Active));
        let (loads, updates, reads) = (cell.clone(), cell.clone(), cell.clone());
        let loading = thread::spawn(move || {
            loads.advance(word(0, KeyStatus::Active));
            loads.advance(word(1, KeyStatus::Revoked));
        });
        let updating = thread::spawn(move || {
            updates.advance(word(1, KeyStatus::Revoked));
            // From now on nobody may be told that the key is active.
            assert_ne!(updates.get().unwrap().status(), KeyStatus::Active);
            updates.advance(word(2, KeyStatus::Deleted));
        });
        let first = reads.get().unwrap();
        let second = reads.get().unwrap();
        assert!(second.revision() >= first.revision(), "a reader never sees a key go back");
        loading.join().unwrap();
        updating.join().unwrap();
        assert_eq!(cell.get(), Some(word(2, KeyStatus::Deleted)));
    });
}

#[test]
fn whoever_finds_a_key_finds_all_of_it() {
    loom::model(|| {
        let key = SlotKey::of(&[7; 32]);
        let slots = Arc::new(Slots::with_room(1));
        // Stands for the record that the number leads to.
        let record = Arc::new((Cell::<2>::default(), Words::default()));
        let (filling, written) = (slots.clone(), record.clone());
        let writing = thread::spawn(move || {
            written.0.fill(&words(3), revision(3), KeyStatus::Revoked);
            filling.insert(key, 5);
        });
        if slots.find(key, Some) == Some(5) {
            assert_eq!(read(&record.0, &record.1), Some((3, 3)));
        }
        writing.join().unwrap();
        assert_eq!(slots.find(key, Some), Some(5));
    });
}

#[test]
fn a_key_that_was_found_is_found_again_while_others_are_added() {
    loom::model(|| {
        let (first, second) = (SlotKey::of(&[7; 32]), SlotKey::of(&[8; 32]));
        let slots = Arc::new(Slots::with_room(2));
        slots.insert(first, 0);
        let filling = slots.clone();
        let writing = thread::spawn(move || {
            filling.insert(first, 1);
            filling.insert(second, 2);
        });
        assert_eq!(slots.find(first, Some), Some(0));
        let seen = slots.find(second, Some);
        assert!(seen.is_none() || seen == Some(2));
        writing.join().unwrap();
        assert_eq!(slots.find(second, Some), Some(2));
    });
}

/// Two tasks record at once, since one may have been given up, and the key is used meanwhile.
#[test]
fn a_use_is_recorded_or_waits_whatever_is_recorded_meanwhile() {
    explore(3, || {
        let key = Arc::new((Marks::new(), LastUse::new()));
        key.0.make_room(0).unwrap();
        key.0.note(0, &key.1, 5_000);
        let record = |key: &(Marks, LastUse)| {
            let at = key.0.numbers().next().and_then(|_| key.1.waiting());
            key.0.is_recorded(0, &key.1, at);
            at
        };
        let (uses, records) = (key.clone(), key.clone());
        let using = thread::spawn(move || uses.0.note(0, &uses.1, 9_000));
        let recording = thread::spawn(move || record(&records));
        let recorded = record(&key);
        using.join().unwrap();
        let recorded = recorded.max(recording.join().unwrap());
        assert_eq!(recorded.max(record(&key)), Some(9_000));
        assert_eq!((key.0.numbers().next(), key.1.waiting()), (None, None));
    });
}

#[test]
fn a_reader_sees_the_whole_old_record_or_the_whole_new_one() {
    explore(3, || {
        let shared = Arc::new((Cell::<2>::default(), Words::default()));
        shared.0.fill(&words(0), revision(0), KeyStatus::Active);
        let written = shared.clone();
        let writing = thread::spawn(move || {
            for number in [1, 2] {
                written.0.replace(&written.1, &words(number.into()), revision(number));
            }
        });
        let (first, first_revision) = read(&shared.0, &shared.1).unwrap();
        assert_eq!(first, first_revision, "a record of another revision");
        let (second, second_revision) = read(&shared.0, &shared.1).unwrap();
        assert_eq!(second, second_revision, "a record of another revision");
        assert!(second >= first, "a reader never sees a key go back");
        writing.join().unwrap();
        assert_eq!(read(&shared.0, &shared.1), Some((2, 2)));
    });
}

/// All cells share one place aside.
#[test]
fn a_reader_never_sees_the_record_of_another_key_that_is_replaced_next() {
    explore(3, || {
        let shared = Arc::new((Cell::<2>::default(), Cell::<2>::default(), Words::default()));
        shared.0.fill(&words(0), revision(0), KeyStatus::Active);
        shared.1.fill(&words(10), revision(0), KeyStatus::Active);
        let written = shared.clone();
        let writing = thread::spawn(move || {
            written.0.replace(&written.2, &words(1), revision(1));
            written.1.replace(&written.2, &words(11), revision(1));
        });
        let (first, revision) = read(&shared.0, &shared.2).unwrap();
        assert_eq!(first, revision);
        let (second, revision) = read(&shared.1, &shared.2).unwrap();
        assert_eq!(second, 10 + revision);
        writing.join().unwrap();
        assert_eq!(read(&shared.0, &shared.2), Some((1, 1)));
        assert_eq!(read(&shared.1, &shared.2), Some((11, 1)));
    });
}

#[test]
fn a_key_that_is_replaced_and_then_revoked_is_never_seen_active_again() {
    explore(3, || {
        let shared = Arc::new((Cell::<2>::default(), Words::default()));
        shared.0.fill(&words(0), revision(0), KeyStatus::Active);
        let written = shared.clone();
        let writing = thread::spawn(move || {
            written.0.replace(&written.1, &words(1), revision(1));
            written.0.advance(revision(2), KeyStatus::Revoked);
            written.0.replace(&written.1, &words(3), revision(3));
        });
        let mut copy = words::<2>(u64::MAX);
        let status = shared.0.read(&shared.1, |words| words.copy_to(&mut copy)).unwrap();
        let seen = (copy.map(u64::from_le_bytes), status.status());
        let [active, revoked] = [KeyStatus::Active, KeyStatus::Revoked];
        assert_eq!(
            seen,
            match status.revision().as_u32() {
                0 => ([0; 2], active),
                1 => ([1; 2], active),
                2 => ([1; 2], revoked),
                _ => ([3; 2], revoked),
            }
        );
        writing.join().unwrap();
        assert_eq!(shared.0.status(), Some(StatusWord::new(revision(3), revoked)));
    });
}

fn hash(number: u8) -> KeyHash {
    KeyHash::try_from([number; 32].as_slice()).unwrap()
}

fn key(number: u8, name: &str) -> LoadedKey<'_> {
    let record = KeyRecord {
        key_id: KeyId::from_uuid(Uuid::from_u128(number.into())),
        hash: hash(number),
        owner: Owner::Text("ann"),
        owner_email: None,
        name,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    LoadedKey { record, revision: Revision::FIRST, status: KeyStatus::Active }
}

/// A record of two pieces; names that differ in the first letter differ in its second piece.
fn long(letter: char) -> String {
    format!("{}{letter}", "x".repeat(200))
}

/// The pieces of a replaced record are used again for the next one, of another key too.
#[test]
fn a_reader_of_a_long_record_sees_all_of_it_though_its_pieces_are_used_again() {
    explore(2, || {
        let mut free = FreePieces::default();
        let records = std::sync::Arc::new(Records::new());
        records.add(0, &key(0, &long('a')), &mut free).unwrap();
        records.add(1, &key(1, "short"), &mut free).unwrap();
        let written = records.clone();
        let writing = thread::spawn(move || {
            written.replace(0, revision(1), &key(0, "short").record, &mut free).unwrap();
            written.replace(1, revision(1), &key(1, &long('b')).record, &mut free).unwrap();
        });
        let mut buffer = RecordBuffer::new();
        let status = records.read(0, &mut buffer).unwrap();
        let name = if status.revision() == revision(0) { &long('a') } else { "short" };
        assert_eq!(buffer.key(status).unwrap().record, key(0, name).record);
        writing.join().unwrap();
        let status = records.read(1, &mut buffer).unwrap();
        assert_eq!(buffer.key(status).unwrap().record, key(1, &long('b')).record);
    });
}

/// An index whose table takes no further key, and what its writer needs.
fn full_index() -> (Index, FreePieces) {
    let (index, mut free) = (Index::with_room(0), FreePieces::default());
    for number in 0..4 {
        index.add(&key(number, "name"), &mut free).unwrap();
    }
    (index, free)
}

#[test]
fn a_key_is_found_throughout_while_the_table_grows() {
    explore(2, || {
        let (index, mut free) = full_index();
        let written = index.clone();
        let writing = thread::spawn(move || {
            assert_eq!(written.add(&key(4, "name"), &mut free), Some(4));
            written.advance(Position::try_from(5_u64).unwrap());
        });
        let mut buffer = RecordBuffer::new();
        let reached = index.reached();
        assert_eq!(index.find(&hash(0), &mut buffer), Some(key(0, "name")));
        let added = index.find(&hash(4), &mut buffer);
        if reached == Position::START {
            assert!(added.is_none_or(|added| added == key(4, "name")));
        } else {
            assert_eq!(added, Some(key(4, "name")), "a read includes what it should");
        }
        writing.join().unwrap();
        for number in 0..5 {
            assert_eq!(index.find(&hash(number), &mut buffer), Some(key(number, "name")));
        }
    });
}

#[test]
fn a_replaced_key_is_found_and_its_use_is_kept_while_the_table_grows() {
    explore(2, || {
        let (index, mut free) = full_index();
        let written = index.clone();
        let writing = thread::spawn(move || {
            let renamed = key(0, "other").record;
            written.records().replace(0, revision(1), &renamed, &mut free).unwrap();
            written.advance(Position::try_from(5_u64).unwrap());
            assert_eq!(written.add(&key(4, "name"), &mut free), Some(4));
        });
        let mut buffer = RecordBuffer::new();
        let reached = index.reached();
        let (number, found) = index.find_numbered(&hash(0), &mut buffer).unwrap();
        let is_old = found == key(0, "name");
        let is_new = found == LoadedKey { revision: revision(1), ..key(0, "other") };
        assert!(is_new || is_old && reached == Position::START, "{found:?}");
        index.records().note_use(number, Timestamp::UNIX_EPOCH);
        writing.join().unwrap();
        assert_eq!(index.records().last_use(number), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(index.find(&hash(0), &mut buffer).unwrap().record.name, "other");
    });
}
