//! The index shows the state after all facts, for any split of the facts into those that were loaded
//! and those that were applied afterwards.

use std::collections::BTreeMap;

use keyledger_domain::key::KeyStatus;
use keyledger_domain::testing::recorded;
use keyledger_domain::{Position, RecordedEvent, Revision};
use keyledger_verifier::{Index, IndexWriter, OutOfStep, RecordBuffer};
use proptest::prelude::*;

use crate::given::{Keys, Known, at, hash, key_id};

const NUMBERS: usize = 8;

/// Something that happens to the key with this number, if the key's state allows it.
#[derive(Clone, Debug)]
enum Step {
    Create(usize),
    Rename(usize, String),
    Expire(usize, Option<u32>),
    ChangeEmail(usize, String),
    Revoke(usize),
    Delete(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || 0..NUMBERS;
    // Short ones, and ones that need one piece or several.
    let text =
        || (0..3_usize, "[a-z]").prop_map(|(size, letter)| letter.repeat([3, 100, 400][size]));
    let step = prop_oneof![
        3 => number().prop_map(Step::Create),
        4 => (number(), text()).prop_map(|(number, name)| Step::Rename(number, name)),
        4 => (number(), text()).prop_map(|(number, email)| Step::ChangeEmail(number, email)),
        2 => (number(), proptest::option::of(1..100_u32))
            .prop_map(|(number, at)| Step::Expire(number, at)),
        1 => number().prop_map(Step::Revoke),
        1 => number().prop_map(Step::Delete),
    ];
    proptest::collection::vec(step, 0..80)
}

/// A fact of the journal. No event changes a name or an expiry, so such replacements are passed to the
/// writer directly.
#[derive(Clone, Debug)]
enum Fact {
    Event(Box<RecordedEvent>),
    Replaced(u64, Known),
}

type Fold = BTreeMap<usize, Known>;

/// The facts that result from steps, and the state of all keys after each fact.
fn facts(steps: &[Step]) -> (Vec<Fact>, Vec<Fold>) {
    let (mut facts, mut folds) = (Vec::new(), vec![Fold::new()]);
    for step in steps {
        let mut fold = folds.last().unwrap().clone();
        let position = u64::try_from(facts.len()).unwrap() + 1;
        let (Step::Create(number)
        | Step::Rename(number, _)
        | Step::Expire(number, _)
        | Step::ChangeEmail(number, _)
        | Step::Revoke(number)
        | Step::Delete(number)) = step;
        let event =
            |known: &Known, event| Fact::Event(Box::new(recorded(position, known.revision, event)));
        let fact = match (step, fold.get_mut(number)) {
            (Step::Create(_), None) => {
                let known = fold.entry(*number).or_insert(Known::new(*number, "name"));
                event(known, known.created())
            }
            (Step::Create(_), Some(_)) | (_, None) => continue,
            (_, Some(known)) if known.status == KeyStatus::Deleted => continue,
            (Step::Revoke(_), Some(known)) if known.status == KeyStatus::Revoked => continue,
            (step, Some(known)) => {
                known.revision = known.revision.next().unwrap();
                match step {
                    Step::Rename(_, name) => known.name.clone_from(name),
                    Step::Expire(_, expiry) => known.expires_at = expiry.map(at),
                    Step::ChangeEmail(_, email) => known.email = Some(email.clone()),
                    Step::Revoke(_) => known.status = KeyStatus::Revoked,
                    Step::Create(_) | Step::Delete(_) => known.status = KeyStatus::Deleted,
                }
                match step {
                    Step::Rename(..) | Step::Expire(..) => Fact::Replaced(position, known.clone()),
                    Step::ChangeEmail(..) => event(known, known.email_changed()),
                    Step::Create(_) | Step::Revoke(_) | Step::Delete(_) => {
                        event(known, known.ended())
                    }
                }
            }
        };
        facts.push(fact);
        folds.push(fold);
    }
    (facts, folds)
}

fn apply(writer: &mut IndexWriter, fact: &Fact) -> Result<(), OutOfStep> {
    match fact {
        Fact::Event(event) => writer.apply(std::slice::from_ref(&**event), event.position, |_| {}),
        Fact::Replaced(position, known) => {
            let position = Position::try_from(*position).unwrap();
            if position > writer.reached().position {
                writer.replace(known.revision, &known.record())?;
            }
            writer.apply(&[], position, |_| {})
        }
    }
}

fn assert_shows(writer: &IndexWriter, index: &Index, fold: &Fold) {
    let mut buffer = RecordBuffer::new();
    for number in 0..NUMBERS {
        let known = fold.get(&number).filter(|known| known.status != KeyStatus::Deleted);
        let expected = known.map(Known::loaded);
        assert_eq!(index.find(&hash(number), &mut buffer), expected);
        assert_eq!(writer.get(key_id(number), &mut buffer), expected);
    }
    let is_there = |known: &&Known| known.status != KeyStatus::Deleted;
    assert_eq!(usize::try_from(index.len()).unwrap(), fold.values().filter(is_there).count());
}

proptest! {
    #[test]
    fn the_index_shows_the_fold_of_everything_that_happened(
        steps in steps(),
        loaded in any::<prop::sample::Index>(),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 80),
    ) {
        let (facts, folds) = facts(&steps);
        let loaded = loaded.index(folds.len());
        let position = u64::try_from(loaded).unwrap();
        let source = Keys { keys: folds[loaded].clone(), position };
        let mut writer = source.load();
        let index = writer.index();
        assert_shows(&writer, &index, &folds[loaded]);
        for (applied, again) in (loaded..facts.len()).zip(again) {
            apply(&mut writer, &facts[applied]).unwrap();
            assert_shows(&writer, &index, &folds[applied + 1]);
            // One of the earlier facts is applied again.
            let late = &facts[loaded..=applied];
            apply(&mut writer, &late[again.index(late.len())]).unwrap();
            assert_shows(&writer, &index, &folds[applied + 1]);
            prop_assert_eq!(index.reached().as_u64(), u64::try_from(applied).unwrap() + 1);
        }
    }
}

proptest! {
    #[test]
    fn a_closed_key_is_refused_whatever_follows_and_no_other_key_is(
        steps in steps(),
        closed in 0..NUMBERS,
        when in any::<prop::sample::Index>(),
    ) {
        let (facts, folds) = facts(&steps);
        let when = when.index(folds.len());
        let mut writer = Keys::default().load();
        let index = writer.index();
        for (applied, fact) in facts.iter().enumerate() {
            if applied == when {
                prop_assert!(writer.close(key_id(closed)));
                prop_assert!(!writer.close(key_id(closed)), "it is closed already");
            }
            apply(&mut writer, fact).unwrap();
            let is_closed = applied >= when;
            let mut buffer = RecordBuffer::new();
            for number in 0..NUMBERS {
                let found = index.find(&hash(number), &mut buffer).map(|found| found.status);
                let expected = folds[applied + 1].get(&number).map(|known| known.status);
                if number == closed && is_closed {
                    prop_assert_ne!(found, Some(KeyStatus::Active));
                } else {
                    prop_assert_eq!(found, expected.filter(|it| *it != KeyStatus::Deleted));
                }
            }
        }
        prop_assert_eq!(writer.closed(), usize::from(when < facts.len()));
    }
}

#[test]
fn an_event_that_does_not_follow_is_refused_and_changes_nothing() {
    let mut writer = Keys::many(1).load();
    let [gap, next] = [2, 1].map(Revision::new);
    let ended = Known { status: KeyStatus::Revoked, ..Known::new(0, "name") }.ended();
    let unknown = Known { status: KeyStatus::Revoked, ..Known::new(7, "name") }.ended();
    for (revision, event, number) in [(gap, ended, 0), (next, unknown, 7)] {
        let event = recorded(9, revision, event);
        let refused = writer.apply(&[event], Position::MAX, |_| {});
        assert_eq!(refused, Err(OutOfStep { key_id: key_id(number) }));
    }
    assert_eq!(writer.reached().position.as_u64(), 1);
    let known = Known::new(0, "name");
    assert_eq!(writer.get(key_id(0), &mut RecordBuffer::new()), Some(known.loaded()));
}
