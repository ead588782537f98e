//! Which key is found by a hash.

use keyledger_domain::key::KeyStatus;
use keyledger_domain::testing::recorded;
use keyledger_domain::{Position, Revision};
use keyledger_verifier::{Index, IndexWriter, RecordBuffer};

use crate::given::{Keys, Known, hash, key_id};

/// Enough for each of the index's tables to grow several times.
const MANY: usize = 4_000;

/// Adds a key as its creation does.
fn create(writer: &mut IndexWriter, known: &Known) {
    let number = u64::try_from(known.number).unwrap();
    // The index was loaded as of position 1.
    let event = recorded(number + 2, Revision::FIRST, known.created());
    writer.apply(&[event], Position::try_from(number + 2).unwrap(), |_| {}).unwrap();
}

#[track_caller]
fn finds_all(index: &Index, count: usize) {
    let mut buffer = RecordBuffer::new();
    for number in 0..count {
        let known = Known::new(number, "name");
        let found = index.find(&hash(number), &mut buffer);
        assert_eq!(found.unwrap().record, known.record(), "{number} of {count}");
    }
    assert!(index.find(&hash(count), &mut buffer).is_none());
    assert_eq!(index.len(), u32::try_from(count).unwrap());
    assert_eq!(index.is_empty(), count == 0);
}

#[test]
fn an_index_that_grows_from_nothing_finds_every_key() {
    let mut writer = Keys::many(0).load();
    finds_all(&writer.index(), 0);
    for number in 0..MANY {
        create(&mut writer, &Known::new(number, "name"));
        if [1, 100, 1_000].contains(&(number + 1)) {
            finds_all(&writer.index(), number + 1);
        }
    }
    finds_all(&writer.index(), MANY);
}

#[test]
fn an_index_that_was_loaded_finds_every_key() {
    finds_all(&Keys::many(MANY).load().index(), MANY);
}

#[test]
fn of_keys_with_the_same_secret_the_active_one_is_found() {
    for active in 0..3 {
        let mut writer = Keys::many(0).load();
        for number in 0..3 {
            let known = Known { secret: 9, ..Known::new(number, "name") };
            create(&mut writer, &known);
        }
        for number in (0..3).filter(|number| *number != active) {
            let ended = Known { status: KeyStatus::Revoked, ..Known::new(number, "name") }.ended();
            let position = u64::try_from(10 + number).unwrap();
            let event = recorded(position, Revision::new(1), ended);
            writer.apply(&[event], Position::try_from(position).unwrap(), |_| {}).unwrap();
        }
        let (index, mut buffer) = (writer.index(), RecordBuffer::new());
        let found = index.find(&hash(9), &mut buffer).unwrap();
        assert_eq!((found.record.key_id, found.status), (key_id(active), KeyStatus::Active));
    }
}
