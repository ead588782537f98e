//! What proves that the index has caught up, and what is owed to clients of this process.

use std::time::Duration;

use keyledger_domain::key::Verdict;
use keyledger_domain::{Position, Timestamp};
use keyledger_verifier::{Clocks, IndexWriter, Outcome, RecordBuffer, Stale, Verification};

use crate::given::{Keys, at, text};

const NOW: u32 = 5;

fn position(number: u64) -> Position {
    Position::try_from(number).unwrap()
}

fn asked_now() -> Clocks {
    Clocks::now(at(NOW))
}

fn verify(verification: &Verification, now: Timestamp) -> Result<Verdict, Stale> {
    let mut buffer = RecordBuffer::new();
    verification.verify(&text(0), now, &mut buffer).map(|outcome| match outcome {
        Outcome::Valid(_) => Verdict::Valid,
        Outcome::Refused(verdict) => verdict,
    })
}

fn writer() -> IndexWriter {
    Keys::many(1).load()
}

#[test]
fn a_head_that_was_asked_for_before_the_index_was_there_proves_nothing() {
    let (writer, verification) = (writer(), Verification::new(Duration::from_secs(60)));
    let before = asked_now();
    verification.prove(before);
    assert_eq!(verify(&verification, at(NOW)), Err(Stale), "there is no index");
    verification.set_index(writer.index());
    verification.prove(before);
    assert_eq!(verify(&verification, at(NOW)), Err(Stale));
    verification.prove(asked_now());
    assert_eq!(verify(&verification, at(NOW)), Ok(Verdict::Valid));
}

#[test]
fn what_was_answered_while_the_index_was_loading_is_owed_once_it_is_there() {
    let (mut writer, verification) = (writer(), Verification::new(Duration::from_secs(60)));
    verification.owe(position(9));
    verification.set_index(writer.index());
    verification.prove(asked_now());
    writer.apply(&[], position(8), |_| {}).unwrap();
    assert_eq!(verify(&verification, at(NOW)), Err(Stale));
    writer.apply(&[], position(9), |_| {}).unwrap();
    assert_eq!(verify(&verification, at(NOW)), Ok(Verdict::Valid));
}

#[test]
fn a_machine_that_was_suspended_answers_only_after_another_proof() {
    let (writer, verification) = (writer(), Verification::new(Duration::from_secs(60)));
    verification.set_index(writer.index());
    verification.prove(asked_now());
    assert_eq!(verify(&verification, at(NOW + 59)), Ok(Verdict::Valid));
    assert_eq!(verify(&verification, at(NOW + 60)), Err(Stale));
    verification.prove(Clocks::now(at(NOW + 60)));
    assert_eq!(verify(&verification, at(NOW + 60)), Ok(Verdict::Valid));
}

#[test]
fn a_node_that_knows_says_how_old_its_proof_is() {
    let (writer, verification) = (writer(), Verification::new(Duration::from_secs(60)));
    assert_eq!(verification.staleness(asked_now()), None);
    verification.set_index(writer.index());
    assert!(!verification.knows(at(NOW)), "there is no proof");
    let asked = asked_now();
    verification.prove(asked);
    assert!(verification.knows(at(NOW)));
    let later = Clocks { monotonic: asked.monotonic + Duration::from_secs(7), wall: at(NOW + 7) };
    assert_eq!(verification.staleness(later), Some(Duration::from_secs(7)));
    assert!(!verification.knows(at(NOW + 60)), "the proof is too old");
}

#[test]
fn an_index_that_is_given_up_answers_nothing_ever_again() {
    let (mut writer, verification) = (writer(), Verification::new(Duration::from_secs(60)));
    verification.set_index(writer.index());
    verification.prove(asked_now());
    verification.owe(Position::MAX);
    writer.apply(&[], position(100), |_| {}).unwrap();
    verification.prove(asked_now());
    assert_eq!(verify(&verification, at(NOW)), Err(Stale));
}
