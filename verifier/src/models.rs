//! Models of the index: loom runs its code in every order in which reads and writes can interleave. See
//! [`atomic`](crate::atomic).

use keyledger_domain::key::KeyStatus;
use keyledger_domain::{HashFunction, KeyHash, KeyId, Position, Revision, Timestamp};
use loom::sync::Arc;
use loom::thread;
use uuid::Uuid;

use crate::cell::Cell;
use crate::index::Index;
use crate::record::{KeyRecord, LoadedKey, Owner};
use crate::records::{Free, RecordBuffer, Records};
use crate::slots::{SlotKey, Slots};
use crate::status::{StatusCell, StatusWord};
use crate::used::{LastUse, Marks};
use crate::words::Words;

fn revision(number: u32) -> Revision {
    Revision::new(number)
}

/// Explores all orders with at most this many switches away from a thread that could continue. Without
/// this bound there are too many orders; most defects need only a few switches.
fn explore(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

/// Runs a writer and a reader in two threads. The writer runs on this thread, so that it goes first in
/// loom's first order. Otherwise, where a thread loads a value and then stores it, loom would treat only
/// this load and the store as dependent, and would leave out orders in which the reader comes between.
fn meet(write: impl FnOnce(), read: impl FnOnce() + 'static) {
    let reading = thread::spawn(read);
    write();
    reading.join().unwrap();
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
            // From now on no reader may see the key as active.
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
        let (finding, found) = (slots.clone(), record.clone());
        let write = || {
            record.0.fill(&words(3), revision(3), KeyStatus::Revoked);
            slots.insert(key, 5);
        };
        meet(write, move || {
            if finding.find(key, Some) == Some(5) {
                assert_eq!(read(&found.0, &found.1), Some((3, 3)));
            }
        });
        assert_eq!(slots.find(key, Some), Some(5));
    });
}

#[test]
fn a_key_that_was_found_is_found_again_while_others_are_added() {
    loom::model(|| {
        let (first, second) = (SlotKey::of(&[7; 32]), SlotKey::of(&[8; 32]));
        let slots = Arc::new(Slots::with_room(2));
        slots.insert(first, 0);
        let finding = slots.clone();
        let write = || {
            slots.insert(first, 1);
            slots.insert(second, 2);
        };
        meet(write, move || {
            assert_eq!(finding.find(first, Some), Some(0));
            let seen = finding.find(second, Some);
            assert!(seen.is_none() || seen == Some(2));
        });
        assert_eq!(slots.find(second, Some), Some(2));
    });
}

/// Two tasks record at the same time, because one may have been dropped, while the key is used.
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
        let seen = shared.clone();
        let write = || shared.0.replace(&shared.1, &words(1), revision(1));
        meet(write, move || {
            let (first, first_revision) = read(&seen.0, &seen.1).unwrap();
            assert_eq!(first, first_revision, "a record of another revision");
            let (second, second_revision) = read(&seen.0, &seen.1).unwrap();
            assert_eq!(second, second_revision, "a record of another revision");
            assert!(second >= first, "a reader never sees a key go back");
        });
        assert_eq!(read(&shared.0, &shared.1), Some((1, 1)));
    });
}

/// While a reader copies the first replacement from aside, the next one is written there.
#[test]
fn a_reader_sees_a_whole_record_though_the_key_is_replaced_again() {
    explore(2, || {
        let shared = Arc::new((Cell::<2>::default(), Words::default()));
        shared.0.fill(&words(0), revision(0), KeyStatus::Active);
        let seen = shared.clone();
        let write = || {
            for number in [1, 2] {
                shared.0.replace(&shared.1, &words(number.into()), revision(number));
            }
        };
        meet(write, move || {
            let (found, revision) = read(&seen.0, &seen.1).unwrap();
            assert_eq!(found, revision, "a record of another revision");
        });
        assert_eq!(read(&shared.0, &shared.1), Some((2, 2)));
    });
}

/// All cells share one `aside`.
#[test]
fn a_reader_never_sees_the_record_of_another_key_that_is_replaced_next() {
    explore(3, || {
        let shared = Arc::new((Cell::<2>::default(), Cell::<2>::default(), Words::default()));
        shared.0.fill(&words(0), revision(0), KeyStatus::Active);
        shared.1.fill(&words(10), revision(0), KeyStatus::Active);
        let seen = shared.clone();
        let write = || {
            shared.0.replace(&shared.2, &words(1), revision(1));
            shared.1.replace(&shared.2, &words(11), revision(1));
        };
        meet(write, move || {
            let (first, revision) = read(&seen.0, &seen.2).unwrap();
            assert_eq!(first, revision);
            let (second, revision) = read(&seen.1, &seen.2).unwrap();
            assert_eq!(second, 10 + revision);
        });
        assert_eq!(read(&shared.0, &shared.2), Some((1, 1)));
        assert_eq!(read(&shared.1, &shared.2), Some((11, 1)));
    });
}

#[test]
fn a_key_that_is_replaced_and_then_revoked_is_never_seen_active_again() {
    explore(3, || {
        let [active, revoked] = [KeyStatus::Active, KeyStatus::Revoked];
        let shared = Arc::new((Cell::<2>::default(), Words::default()));
        shared.0.fill(&words(0), revision(0), active);
        let seen = shared.clone();
        let write = || {
            shared.0.replace(&shared.1, &words(1), revision(1));
            shared.0.advance(revision(2), revoked);
        };
        meet(write, move || {
            let mut copy = words::<2>(u64::MAX);
            let status = seen.0.read(&seen.1, |words| words.copy_to(&mut copy)).unwrap();
            let expected = match status.revision().as_u32() {
                0 => ([0; 2], active),
                1 => ([1; 2], active),
                _ => ([1; 2], revoked),
            };
            assert_eq!((copy.map(u64::from_le_bytes), status.status()), expected);
        });
        assert_eq!(shared.0.status(), Some(StatusWord::new(revision(2), revoked)));
    });
}

#[test]
fn a_reader_never_mixes_a_deleted_key_with_the_one_that_has_its_cell_next() {
    explore(3, || {
        let shared = Arc::new((Cell::<2>::default(), Words::default()));
        shared.0.fill(&words(0), revision(0), KeyStatus::Active);
        let seen = shared.clone();
        let write = || {
            shared.0.take();
            // The revision and the status are those of the first key.
            shared.0.fill(&words(1), revision(0), KeyStatus::Active);
        };
        meet(write, move || {
            let first = read(&seen.0, &seen.1).map(|(word, _)| word);
            let second = read(&seen.0, &seen.1).map(|(word, _)| word);
            assert!(second != Some(0) || first == Some(0), "a deleted key came back");
            if let Some([first, second]) = seen.0.first_of_key::<2>() {
                assert_eq!(first, second, "a mixture of two records");
            }
        });
        assert_eq!(read(&shared.0, &shared.1), Some((1, 0)));
    });
}

#[test]
fn a_key_is_found_while_another_is_removed_and_a_third_takes_its_slot() {
    loom::model(|| {
        let [stays, goes, comes] = [[7; 32], [8; 32], [9; 32]].map(|hash| SlotKey::of(&hash));
        let slots = Arc::new(Slots::with_room(2));
        slots.insert(goes, 0);
        slots.insert(stays, 1);
        let finding = slots.clone();
        let write = || {
            slots.remove(goes, 0);
            slots.insert(comes, 2);
        };
        meet(write, move || {
            assert_eq!(finding.find(stays, Some), Some(1));
            let seen = finding.find(comes, Some);
            assert!(seen.is_none() || seen == Some(2));
        });
        assert_eq!(slots.find(goes, Some), None);
        assert_eq!(slots.find(comes, Some), Some(2));
        assert_eq!(slots.len(), 2);
    });
}

fn hash(number: u8) -> KeyHash {
    KeyHash::try_from([number; 32].as_slice()).unwrap()
}

fn key(number: u8, name: &str) -> LoadedKey<'_> {
    let record = KeyRecord {
        key_id: KeyId::from_uuid(Uuid::from_u128(number.into())),
        hash: hash(number),
        hash_function: HashFunction::Sha256,
        owner: Owner::Text("ann"),
        owner_email: None,
        name,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    LoadedKey { record, revision: Revision::FIRST, status: KeyStatus::Active }
}

/// A name that makes a record just too long to be inline. The letter is in the only piece, whose other
/// words are zero but for the last, so that there are not too many mixtures for loom to try.
fn long(letter: char) -> String {
    format!("{}{letter}", "x".repeat(61))
}

#[test]
fn a_reader_of_a_long_record_sees_all_of_it_while_it_is_replaced() {
    explore(2, || {
        let mut free = Free::default();
        let records = std::sync::Arc::new(Records::new());
        records.add(&key(0, &long('a')), &mut free).unwrap();
        let seen = records.clone();
        let name = long('b');
        let renamed = key(0, &name).record;
        let write = || records.replace(0, revision(1), &renamed, &mut free).unwrap();
        meet(write, move || {
            let mut buffer = RecordBuffer::new();
            let status = seen.read(0, &mut buffer).unwrap();
            let name = long(if status.revision() == revision(0) { 'a' } else { 'b' });
            assert_eq!(buffer.key(status).unwrap().record, key(0, &name).record);
        });
        let mut buffer = RecordBuffer::new();
        let status = records.read(0, &mut buffer).unwrap();
        assert_eq!(buffer.key(status).unwrap().record, renamed);
    });
}

/// A record of one word, which is the number of the piece that holds its content. The first piece is
/// free after the first replacement, and used again for the second one.
#[test]
fn a_reader_of_a_long_record_sees_all_of_it_though_its_pieces_are_used_again() {
    explore(2, || {
        let cell = (Cell::<1>::default(), Words::<1>::default());
        let pieces = [Words::<1>::default(), Words::default()];
        pieces[0].write(&words(10));
        cell.0.fill(&words(0), revision(0), KeyStatus::Active);
        let shared = Arc::new((cell, pieces));
        let seen = shared.clone();
        let write = || {
            let ((cell, aside), pieces) = &*shared;
            pieces[1].write(&words(11));
            cell.replace(aside, &words(1), revision(1));
            pieces[0].write(&words(12));
            cell.replace(aside, &words(0), revision(2));
        };
        meet(write, move || {
            let ((cell, aside), pieces) = &*seen;
            let mut copy = words::<1>(u64::MAX);
            let status = cell.read(aside, |number| {
                number.copy_to(&mut copy);
                let piece = if copy == words(0) { &pieces[0] } else { &pieces[1] };
                piece.copy_to(&mut copy);
            });
            assert_eq!(copy, words(10 + u64::from(status.unwrap().revision().as_u32())));
        });
    });
}

/// The number and the slot of the deleted key go to the new one.
#[test]
fn a_key_that_is_deleted_is_never_found_as_the_one_that_has_its_number_next() {
    explore(2, || {
        let (index, mut free) = (Index::with_room(4), Free::default());
        let first = index.add(&key(0, "name"), &mut free).unwrap();
        let seen = index.clone();
        let write = || {
            index.remove(first, &mut free);
            assert_eq!(index.add(&key(1, "other"), &mut free), Some(first));
        };
        meet(write, move || {
            let mut buffer = RecordBuffer::new();
            let deleted = seen.find(&hash(0), &mut buffer);
            assert!(deleted.is_none_or(|found| found == key(0, "name")));
            let created = seen.find(&hash(1), &mut buffer);
            assert!(created.is_none_or(|found| found == key(1, "other")));
        });
        let mut buffer = RecordBuffer::new();
        assert_eq!(index.find(&hash(0), &mut buffer), None);
        assert_eq!(index.find(&hash(1), &mut buffer), Some(key(1, "other")));
        assert_eq!(index.len(), 1);
    });
}

/// An index whose table takes no further key, and what its writer needs.
fn full_index() -> (Index, Free) {
    let (index, mut free) = (Index::with_room(0), Free::default());
    for number in 0..4 {
        index.add(&key(number, "name"), &mut free).unwrap();
    }
    (index, free)
}

#[test]
fn a_key_is_found_throughout_while_the_table_grows() {
    explore(2, || {
        let (index, mut free) = full_index();
        let seen = index.clone();
        let write = || {
            assert_eq!(index.add(&key(4, "name"), &mut free), Some(4));
            index.advance(Position::try_from(5_u64).unwrap());
        };
        meet(write, move || {
            let mut buffer = RecordBuffer::new();
            let reached = seen.reached();
            assert_eq!(seen.find(&hash(0), &mut buffer), Some(key(0, "name")));
            let added = seen.find(&hash(4), &mut buffer);
            if reached == Position::START {
                assert!(added.is_none_or(|added| added == key(4, "name")));
            } else {
                assert_eq!(added, Some(key(4, "name")), "a read includes what it should");
            }
        });
        let mut buffer = RecordBuffer::new();
        for number in 0..5 {
            assert_eq!(index.find(&hash(number), &mut buffer), Some(key(number, "name")));
        }
    });
}

#[test]
fn a_replaced_key_is_found_and_its_use_is_kept_while_the_table_grows() {
    explore(2, || {
        let (index, mut free) = full_index();
        let seen = index.clone();
        let write = || {
            let renamed = key(0, "other").record;
            index.records().replace(0, revision(1), &renamed, &mut free).unwrap();
            index.advance(Position::try_from(5_u64).unwrap());
            assert_eq!(index.add(&key(4, "name"), &mut free), Some(4));
        };
        meet(write, move || {
            let mut buffer = RecordBuffer::new();
            let reached = seen.reached();
            let (number, status) = seen.copy(&hash(0), &mut buffer).unwrap();
            let found = buffer.key(status).unwrap();
            let is_old = found == key(0, "name");
            let is_new = found == LoadedKey { revision: revision(1), ..key(0, "other") };
            assert!(is_new || is_old && reached == Position::START, "{found:?}");
            seen.records().note_use(number, Timestamp::UNIX_EPOCH);
        });
        assert_eq!(index.records().last_use(0), Some(Timestamp::UNIX_EPOCH));
        let mut buffer = RecordBuffer::new();
        assert_eq!(index.find(&hash(0), &mut buffer).unwrap().record.name, "other");
    });
}
