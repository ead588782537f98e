//! A key's record is replaced while the index is in use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use keyledger_domain::Revision;
use keyledger_domain::key::{KeyStatus, Verdict};
use keyledger_domain::testing::recorded;
use keyledger_verifier::{
    Clocks, IndexWriter, KeyRecord, OutOfStep, Outcome, RecordBuffer, Verification,
};

use crate::given::{Keys, Known, Uses, at, hash, key_id, text};

fn verification(count: usize) -> (IndexWriter, Verification) {
    let writer = Keys::many(count).load();
    let verification = Verification::new(Duration::from_secs(600));
    verification.set_index(writer.index());
    verification.prove(Clocks::now(at(5)));
    (writer, verification)
}

/// The key's name, if the key is valid.
fn verify(verification: &Verification, number: usize, second: u32) -> Result<String, Verdict> {
    let mut buffer = RecordBuffer::new();
    match verification.verify(&text(number), at(second), &mut buffer).unwrap() {
        Outcome::Valid(record) => {
            assert_eq!(record.key_id, key_id(number));
            Ok(record.name.to_owned())
        }
        Outcome::Refused(verdict) => Err(verdict),
    }
}

#[test]
fn an_answer_follows_the_new_record_at_once() {
    let (mut writer, verification) = verification(2);
    assert_eq!(verify(&verification, 0, 5), Ok("name".to_owned()));
    let mut buffer = RecordBuffer::new();
    let known = writer.get(key_id(0), &mut buffer).unwrap().record;
    let longest = "ü".repeat(255);
    for (revision, name) in (1..).zip(["other", &longest, "", &longest, "short again"]) {
        let renamed = KeyRecord { name, ..known };
        writer.replace(Revision::new(revision), &renamed).unwrap();
        assert_eq!(verify(&verification, 0, 5), Ok(name.to_owned()));
    }
    let expiring = KeyRecord { expires_at: Some(at(9)), ..known };
    writer.replace(Revision::new(6), &expiring).unwrap();
    assert_eq!(verify(&verification, 0, 8), Ok("name".to_owned()));
    assert_eq!(verify(&verification, 0, 9), Err(Verdict::Expired));
    assert_eq!(verify(&verification, 1, 9), Ok("name".to_owned()), "another key stays as it is");
}

#[test]
fn a_record_that_comes_late_or_again_changes_nothing() {
    let (mut writer, verification) = verification(1);
    let [first, second, late] = ["first", "second", "late"].map(|name| Known::new(0, name));
    writer.replace(Revision::new(1), &first.record()).unwrap();
    writer.replace(Revision::new(2), &second.record()).unwrap();
    for revision in [0, 1, 2] {
        writer.replace(Revision::new(revision), &late.record()).unwrap();
        assert_eq!(verify(&verification, 0, 5), Ok("second".to_owned()));
    }
}

#[test]
fn a_record_that_does_not_follow_is_refused_and_changes_nothing() {
    let (mut writer, verification) = verification(1);
    let (next, gap) = (Revision::new(1), Revision::new(2));
    let renamed = Known::new(0, "other");
    let unknown = Known::new(7, "other");
    let too_long = Known::new(0, &"x".repeat(1 << 16));
    let other_hash = KeyRecord { hash: hash(1), ..renamed.record() };
    for (revision, record) in [
        (gap, renamed.record()),
        (next, unknown.record()),
        (next, too_long.record()),
        (next, other_hash),
    ] {
        let refused = writer.replace(revision, &record);
        assert_eq!(refused, Err(OutOfStep { key_id: record.key_id }));
        let mut buffer = RecordBuffer::new();
        let known = Known::new(0, "name");
        assert_eq!(writer.get(key_id(0), &mut buffer), Some(known.loaded()));
    }
    assert_eq!(verify(&verification, 0, 5), Ok("name".to_owned()));
    writer.replace(next, &renamed.record()).unwrap();
    assert_eq!(verify(&verification, 0, 5), Ok("other".to_owned()));
}

#[test]
fn a_replacement_keeps_the_status() {
    let (mut writer, verification) = verification(1);
    let revoked = Known { status: KeyStatus::Revoked, ..Known::new(0, "name") };
    let event = recorded(2, Revision::new(1), revoked.ended());
    writer.apply(std::slice::from_ref(&event), event.position, |_| {}).unwrap();
    writer.replace(Revision::new(2), &Known::new(0, "other").record()).unwrap();
    assert_eq!(verify(&verification, 0, 5), Err(Verdict::Revoked));
    let shown = Known { name: "other".to_owned(), revision: Revision::new(2), ..revoked };
    let mut buffer = RecordBuffer::new();
    assert_eq!(verification.index().unwrap().find(&hash(0), &mut buffer), Some(shown.loaded()));
}

#[test]
fn a_use_that_waits_survives_a_replacement() {
    let (mut writer, verification) = verification(3);
    for number in [0, 1] {
        assert!(verify(&verification, number, 10).is_ok());
    }
    writer.replace(Revision::new(1), &Known::new(0, "other").record()).unwrap();
    assert!(verify(&verification, 1, 20).is_ok());
    let index = verification.index().unwrap();
    assert_eq!(index.uses_waiting(), 2);
    let sink = Uses::default();
    let waiting = index.waiting_uses();
    // Replaced between the collecting and the recording.
    writer.replace(Revision::new(1), &Known::new(1, "other").record()).unwrap();
    let Ok(()) = block_on(index.record_uses(&waiting, &sink));
    assert_eq!(index.uses_waiting(), 0);
    let recorded: Vec<_> = sink.0.lock().unwrap().clone().into_iter().collect();
    assert_eq!(recorded, [(key_id(0), at(10)), (key_id(1), at(20))]);
}

/// The models explore all orders of few steps; this runs many steps on the real atomics.
#[test]
fn readers_see_whole_records_while_one_is_replaced_all_the_time() {
    const REPLACEMENTS: u32 = 30_000;
    let (mut writer, verification) = verification(2);
    let name = |revision: u32| {
        let size = [1, 20, 130][usize::try_from(revision % 3).unwrap()];
        revision.to_string().repeat(size)
    };
    writer.replace(Revision::new(1), &Known::new(0, &name(1)).record()).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut buffer, mut last) = (RecordBuffer::new(), 1);
                while !is_done.load(Ordering::Relaxed) {
                    let found = verification.index().unwrap().find(&hash(0), &mut buffer).unwrap();
                    let revision = found.revision.as_u32();
                    assert_eq!(found.record.name, name(revision));
                    assert!(revision >= last, "a reader never sees a key go back");
                    last = revision;
                    assert_eq!(verify(&verification, 1, 5), Ok("name".to_owned()));
                }
            });
        }
        for revision in 2..=REPLACEMENTS {
            let renamed = Known::new(0, &name(revision));
            writer.replace(Revision::new(revision), &renamed.record()).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
