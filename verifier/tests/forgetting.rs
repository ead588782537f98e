//! A deleted key leaves nothing behind, and the keys that get its memory are not taken for it.

use std::collections::BTreeMap;

use keyledger_domain::Revision;
use keyledger_domain::key::KeyStatus;
use keyledger_domain::testing::recorded;
use keyledger_verifier::{IndexWriter, RecordBuffer};

use crate::given::{Keys, Known, at, hash, key_id};

/// How many keys there are at the start.
const LOADED: usize = 50;
/// How many keys are created and deleted again: several times as many as numbers rest.
const PASSING: usize = 5_000;

struct Given {
    writer: IndexWriter,
    position: u64,
}

impl Given {
    fn apply(&mut self, known: &Known, event: keyledger_domain::key::KeyEvent) {
        self.position += 1;
        let event = recorded(self.position, known.revision, event);
        let position = event.position;
        self.writer.apply(&[event], position, |_| {}).unwrap();
    }

    fn create(&mut self, known: &Known) {
        self.apply(known, known.created());
    }

    fn delete(&mut self, known: &Known) {
        let ended =
            Known { status: KeyStatus::Deleted, revision: Revision::new(1), ..known.clone() };
        self.apply(&ended, ended.ended());
    }
}

#[test]
fn keys_come_and_go_and_each_is_found_as_itself() {
    let mut given = Given { writer: Keys::many(LOADED).load(), position: 1 };
    let index = given.writer.index();
    let mut there: BTreeMap<usize, Known> =
        (0..LOADED).map(|number| (number, Known::new(number, "name"))).collect();
    for number in LOADED..LOADED + PASSING {
        let name = if number % 3 == 0 { "a long name ".repeat(20) } else { number.to_string() };
        let created = Known::new(number, &name);
        given.create(&created);
        there.insert(number, created);
        // Every second time it is one of the first keys that goes, while there are any.
        let goes = if number % 2 == 0 { there.pop_first() } else { there.pop_last() };
        let (gone, known) = goes.unwrap();
        given.delete(&known);
        let mut buffer = RecordBuffer::new();
        assert_eq!(index.find(&hash(gone), &mut buffer), None);
        assert_eq!(given.writer.get(key_id(gone), &mut buffer), None);
        if number % 500 == 0 {
            for (number, known) in &there {
                assert_eq!(index.find(&hash(*number), &mut buffer), Some(known.loaded()));
                assert_eq!(given.writer.get(key_id(*number), &mut buffer), Some(known.loaded()));
            }
        }
    }
    assert_eq!(usize::try_from(index.len()).unwrap(), there.len());
}

#[test]
fn a_use_of_a_deleted_key_is_not_recorded_for_the_key_that_has_its_memory_next() {
    let mut given = Given { writer: Keys::many(0).load(), position: 1 };
    let index = given.writer.index();
    let verification = keyledger_verifier::Verification::new(std::time::Duration::from_secs(60));
    verification.set_index(index.clone());
    verification.prove(keyledger_verifier::Clocks::now(at(1)));
    for number in 0..PASSING {
        let known = Known::new(number, "name");
        given.create(&known);
        let mut buffer = RecordBuffer::new();
        let used = verification.verify(&crate::given::text(number), at(1), &mut buffer);
        assert!(matches!(used, Ok(keyledger_verifier::Outcome::Valid(_))), "{used:?}");
        assert_eq!(index.uses_waiting(), 1);
        given.delete(&known);
        assert_eq!(index.uses_waiting(), 0);
    }
}

/// The memory that this process takes up, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "measures the memory of the process, so it runs alone: `make soak`"]
fn a_million_keys_that_come_and_go_take_no_memory() {
    let mut given = Given { writer: Keys::many(10_000).load(), position: 1 };
    let mut memory_at = Vec::new();
    for number in 10_000..1_010_000 {
        let known = Known::new(number, "name");
        given.create(&known);
        given.delete(&known);
        if number % 100_000 == 0 {
            memory_at.push(memory());
        }
    }
    println!("{memory_at:?} KiB");
    let (first, last) = (memory_at[0], *memory_at.last().unwrap());
    assert!(last <= first + first / 10, "{first} KiB after the first, {last} KiB after the last");
}
