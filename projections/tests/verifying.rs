//! The index answers as the fold of the events does, for any split between events loaded from the
//! tables and events applied afterwards.

use std::task::Poll;
use std::time::Duration;

use keyledger_domain::key::{KeyDetails, KeyEvent, KeyStatus, Verdict, fold};
use keyledger_domain::testing::{Attempt, at, creations, history, key_id, secret};
use keyledger_domain::{KeyHash, Position, RecordedEvent};
use keyledger_verifier::{
    Clocks, Index, IndexWriter, OutOfStep, Outcome, RecordBuffer, Stale, Verification,
};
use proptest::prelude::*;

use crate::given::{Kind, attempts, on_both_databases, project, tables};

/// The hash of the key with this number.
fn hash(number: u64) -> KeyHash {
    secret(number).hash()
}

/// Hands events to an index, as the node's follower does.
fn follow(
    writer: &mut IndexWriter,
    events: &[RecordedEvent],
    ended: impl FnMut(&RecordedEvent),
) -> Result<(), OutOfStep> {
    let to = events.last().map_or(writer.reached().position, |last| last.position);
    writer.apply(events, to, ended)
}

/// Checks that the index answers for each key as the fold of the events does.
fn assert_shows(index: &Index, events: &[RecordedEvent], numbers: u64) {
    for number in 0..numbers {
        let of_key = |event: &&RecordedEvent| event.event.key_id() == key_id(number);
        let of_key: Vec<&KeyEvent> =
            events.iter().filter(of_key).map(|event| &event.event).collect();
        let mut buffer = RecordBuffer::new();
        let found = index.find(&hash(number), &mut buffer);
        let Some(key) = fold(of_key.iter().copied()).unwrap() else {
            assert!(found.is_none(), "key {number} is not there");
            continue;
        };
        // A deleted key may be kept or left out.
        let status = found.map_or(KeyStatus::Deleted, |found| found.status);
        assert_eq!(status, key.lifecycle.status(), "key {number}");
        if let Some(told) = found.map(|found| found.record) {
            let KeyDetails {
                owner,
                owner_email,
                name,
                prefix: _,
                hash,
                expires_at,
                hash_function,
                source_id: _,
            } = &key.details;
            assert_eq!(told.owner.text(&mut [0; 36]), owner.as_str());
            assert_eq!(told.owner_email, owner_email.as_ref().map(|email| email.as_str()));
            assert_eq!((told.key_id, told.hash), (key.id, *hash));
            assert_eq!(told.hash_function, *hash_function);
            assert_eq!((told.name, told.created_at), (name.as_str(), key.created_at));
            assert_eq!(told.expires_at, *expires_at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[keyledger_bounded::test]
    fn the_index_says_what_the_events_say(
        on_postgres in any::<bool>(), attempts in attempts(60), loaded in 0_usize..60, cut in 0_usize..60,
    ) {
        let kind = if on_postgres { Kind::Postgres } else { Kind::Sqlite };
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let events = history(&attempts);
            let (loaded, cut) = (loaded.min(events.len()), cut.min(events.len()));
            let (_database, tables) = tables(kind).await;
            project(&tables, &events[..loaded]).await;
            let mut writer = IndexWriter::load(&tables).await.unwrap();
            let index = writer.index();
            assert_shows(&index, &events[..loaded], 21);
            // In two steps, as when a subscription is lost between them.
            for upto in [cut.max(loaded), events.len()] {
                let from = usize::try_from(writer.reached().position.as_u64()).unwrap();
                follow(&mut writer, &events[from..upto], |_| {}).unwrap();
                assert_shows(&index, &events[..upto], 21);
                assert_eq!(index.reached(), writer.reached().position);
            }
        });
    }
}

async fn many_keys_are_found_and_followed(kind: Kind) {
    const KEYS: u64 = 3_000;
    let mut attempts: Vec<_> = (0..KEYS).map(Attempt::Create).collect();
    let loaded = 1_500;
    attempts.extend((0..KEYS).step_by(3).map(Attempt::Revoke));
    let events = history(&attempts);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events[..loaded]).await;
    let mut writer = IndexWriter::load(&tables).await.unwrap();
    let index = writer.index();
    assert_eq!(usize::try_from(index.len()).unwrap(), loaded);
    let mut ended = 0;
    follow(&mut writer, &events[loaded..], |_| ended += 1).unwrap();
    assert_eq!((u64::from(index.len()), ended), (KEYS, KEYS / 3));
    let mut buffer = RecordBuffer::new();
    for number in 0..KEYS {
        let expected = if number % 3 == 0 { KeyStatus::Revoked } else { KeyStatus::Active };
        assert_eq!(index.find(&hash(number), &mut buffer).unwrap().status, expected);
    }
    for number in KEYS..2 * KEYS {
        assert!(index.find(&hash(number), &mut buffer).is_none());
    }
}

async fn an_event_that_does_not_follow_stops_the_index(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    let events =
        history(&[Attempt::Create(0), Attempt::Revoke(0), Attempt::Create(1), Attempt::Delete(1)]);
    for missing in [0, 1, 2] {
        let mut writer = IndexWriter::load(&tables).await.unwrap();
        let mut gappy = events.clone();
        gappy.remove(missing);
        let followed = follow(&mut writer, &gappy, |_| {});
        let is_stopped = matches!(followed, Err(OutOfStep { .. }));
        // No later event shows that the last event of a key is missing.
        assert_eq!((is_stopped, followed.is_ok()), (missing != 1, missing == 1), "{followed:?}");
    }
    // Events that come again change nothing.
    let mut writer = IndexWriter::load(&tables).await.unwrap();
    let twice = [events.clone(), events.clone()].concat();
    follow(&mut writer, &twice, |_| {}).unwrap();
    assert_shows(&writer.index(), &events, 3);
}

async fn uses_wait_until_they_are_recorded(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(3)).await;
    let writer = IndexWriter::load(&tables).await.unwrap();
    let verification = Verification::new(Duration::from_secs(60));
    verification.set_index(writer.index());
    let verify = |number, now| {
        let mut buffer = RecordBuffer::new();
        let outcome = verification.verify(secret(number).expose(), at(now), &mut buffer);
        outcome.map(|outcome| match outcome {
            Outcome::Valid(_) => Verdict::Valid,
            Outcome::Refused(verdict) => verdict,
        })
    };
    assert_eq!(verify(0, 9), Err(Stale), "nothing is proven yet");
    verification.prove(Clocks::now(at(9)));
    for (number, now) in [(0, 9), (1, 10), (0, 12), (0, 11)] {
        assert_eq!(verify(number, now), Ok(Verdict::Valid));
    }
    assert_eq!(verify(7, 20), Ok(Verdict::NotFound));
    let index = writer.index();
    assert_eq!(index.uses_waiting(), 2);
    let waiting = index.waiting_uses();
    index.record_uses(&waiting, &tables).await.unwrap();
    assert_eq!(index.uses_waiting(), 0);
    for (number, used) in [(0, Some(at(12))), (1, Some(at(10))), (2, None)] {
        let shown = tables.get(key_id(number)).await.unwrap().unwrap();
        assert_eq!(shown.last_used_at, used);
    }
    // A client knows an event that this index does not include yet.
    verification.owe(Position::try_from(4_u64).unwrap());
    assert_eq!(verify(0, 30), Err(Stale));
}

async fn uses_that_nobody_waits_to_see_recorded_wait_on(kind: Kind) {
    const COUNT: u64 = 2_500;
    let time = |polls: i64| at(2_500 + polls);
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(COUNT)).await;
    let writer = IndexWriter::load(&tables).await.unwrap();
    let verification = Verification::new(Duration::from_secs(86_400));
    verification.set_index(writer.index());
    verification.prove(Clocks::now(time(0)));
    let index = writer.index();
    let secrets: Vec<_> = (0..COUNT).map(secret).collect();
    // Each time, the recording is dropped one poll later, until it completes. If the database is so fast
    // that the first one completes at once, everything is recorded again.
    let (mut polls, mut times) = (0, 0);
    loop {
        polls += 1;
        times += 1;
        for secret in &secrets {
            let now = time(times);
            assert!(verification.verify(secret.expose(), now, &mut RecordBuffer::new()).is_ok());
        }
        let waiting = index.waiting_uses();
        let mut recording = std::pin::pin!(index.record_uses(&waiting, &tables));
        let mut left = polls;
        let recorded = std::future::poll_fn(|context| {
            left -= 1;
            match recording.as_mut().poll(context) {
                Poll::Ready(recorded) => Poll::Ready(Some(recorded)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        if let Some(recorded) = recorded.await {
            recorded.unwrap();
            if polls > 1 {
                break;
            }
            assert!(times < 1_000, "no recording is ever interrupted");
            polls = 0;
        }
    }
    for number in (0..COUNT).step_by(97) {
        let shown = tables.get(key_id(number)).await.unwrap().unwrap();
        assert_eq!(shown.last_used_at, Some(time(times)));
    }
    assert_eq!(index.uses_waiting(), 0);
}

on_both_databases!(
    uses_that_nobody_waits_to_see_recorded_wait_on,
    many_keys_are_found_and_followed,
    an_event_that_does_not_follow_stops_the_index,
    uses_wait_until_they_are_recorded,
);
