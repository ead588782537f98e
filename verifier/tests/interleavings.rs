//! Every order in which reads and writes of the index can meet (loom explores all of them), on the
//! very code that the index is made of.

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicI64, AtomicU64, Ordering};
}
#[path = "../src/slots.rs"]
#[expect(dead_code, reason = "growth is by another table, which takes the place of this one")]
mod slots;
#[path = "../src/status.rs"]
mod status;
#[path = "../src/used.rs"]
#[expect(dead_code, reason = "how many wait is only told")]
mod used;

use keyledger_domain::Revision;
use keyledger_domain::key::KeyStatus;
use loom::sync::Arc;
use loom::thread;

use slots::{Place, Slots};
use status::StatusCell;
use used::{LastUse, Marks};

fn revision(number: u32) -> Revision {
    Revision::new(number)
}

/// What the row of a key says, which is loaded while the key's later events come.
#[test]
fn what_is_loaded_late_never_takes_the_place_of_what_is_newer() {
    loom::model(|| {
        let cell = Arc::new(StatusCell::new(revision(0), KeyStatus::Active));
        let (loads, updates, reads) = (cell.clone(), cell.clone(), cell.clone());
        let loading = thread::spawn(move || {
            loads.advance(revision(0), KeyStatus::Active);
            loads.advance(revision(1), KeyStatus::Revoked);
        });
        let updating = thread::spawn(move || {
            updates.advance(revision(1), KeyStatus::Revoked);
            // Whoever is told of the revocation now is told the truth for good.
            assert_ne!(updates.get().1, KeyStatus::Active);
            updates.advance(revision(2), KeyStatus::Deleted);
        });
        let first = reads.get();
        let second = reads.get();
        assert!(second.0 >= first.0, "a reader never sees a key go back");
        loading.join().unwrap();
        updating.join().unwrap();
        assert_eq!(cell.get(), (revision(2), KeyStatus::Deleted));
    });
}

#[test]
fn whoever_finds_a_key_finds_all_of_it() {
    loom::model(|| {
        let place = Place::of(&[7; 32]);
        let slots = Arc::new(Slots::with_room(1));
        // Stands for the record that the number leads to.
        let record = Arc::new(StatusCell::new(revision(0), KeyStatus::Active));
        let (filling, written) = (slots.clone(), record.clone());
        let writing = thread::spawn(move || {
            written.advance(revision(3), KeyStatus::Revoked);
            filling.insert(place, 5);
        });
        if slots.find(place, Some) == Some(5) {
            assert_eq!(record.get(), (revision(3), KeyStatus::Revoked));
        }
        writing.join().unwrap();
        assert_eq!(slots.find(place, Some), Some(5));
    });
}

#[test]
fn a_key_that_was_found_is_found_again_while_others_are_added() {
    loom::model(|| {
        let (first, second) = (Place::of(&[7; 32]), Place::of(&[8; 32]));
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

/// Two who record at once, since one may have given up waiting, and whoever uses the key meanwhile.
#[test]
fn a_use_is_recorded_or_waits_whatever_is_recorded_meanwhile() {
    // Of three threads there are too many orders; defects show with few changes from one to another.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let key = Arc::new((Marks::new(1), LastUse::new()));
        key.0.note(0, &key.1, 5_000);
        let record = |key: &(Marks, LastUse)| {
            let at = key.0.places().next().and_then(|_| key.1.waiting());
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
        assert_eq!((key.0.places().next(), key.1.waiting()), (None, None));
    });
}
