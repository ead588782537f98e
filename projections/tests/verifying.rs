//! The index answers what the fold of the events says, wherever it was loaded and followed on.

use std::task::Poll;
use std::time::{Duration, Instant};

use keyledger_domain::key::{KeyEvent, KeyStatus, Verdict, fold};
use keyledger_domain::{KeyHash, KeyPrefix, Position, RecordedEvent, Secret};
use keyledger_verifier::{Freshness, Index, IndexWriter, OutOfStep, Outcome, Stale, Verification};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::given::{
    Kind, Try, at, creations, history, key_id, on_both_databases, project, tables, tries,
};

/// The hash of the key of a number.
fn hash(number: usize) -> KeyHash {
    secret(number).hash()
}

fn secret(number: usize) -> Secret {
    let mut random = StdRng::seed_from_u64(number as u64);
    Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut random)
}

/// Hands events to an index, as its supervisor does.
fn follow(
    writer: &mut IndexWriter,
    events: &[RecordedEvent],
    ended: impl FnMut(&RecordedEvent),
) -> Result<(), OutOfStep> {
    let to = events.last().map_or(writer.position(), |last| last.position);
    writer.apply(events, to, ended)
}

/// The index shows of each key what the events say.
fn assert_shows(index: &Index, events: &[RecordedEvent], numbers: usize) {
    for number in 0..numbers {
        let of_key = |event: &&RecordedEvent| event.event.key_id() == key_id(number);
        let of_key: Vec<&KeyEvent> =
            events.iter().filter(of_key).map(|event| &event.event).collect();
        let found = index.find(&hash(number));
        let Some(key) = fold(of_key.iter().copied()).unwrap() else {
            assert!(found.is_none(), "key {number} is not there");
            continue;
        };
        // A deleted key may be kept or left out.
        let status = found.map_or(KeyStatus::Deleted, |found| found.status().1);
        assert_eq!(status, key.lifecycle.status(), "key {number}");
        if let Some(told) = found {
            let told = told.key_record().unwrap();
            assert_eq!(told.owner.text(&mut [0; 36]), key.owner.as_str());
            assert_eq!(told.owner_email, key.owner_email.as_ref().map(|email| email.as_str()));
            assert_eq!((told.key_id, told.hash), (key.id, key.hash));
            assert_eq!((told.name, told.created_at), (key.name.as_str(), key.created_at));
            assert_eq!(told.expires_at, key.expires_at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_index_says_what_the_events_say(
        on_postgres in any::<bool>(), tries in tries(60), loaded in 0_usize..60, cut in 0_usize..60,
    ) {
        let kind = if on_postgres { Kind::Postgres } else { Kind::Sqlite };
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let events = history(&tries);
            let (loaded, cut) = (loaded.min(events.len()), cut.min(events.len()));
            let (_database, tables) = tables(kind).await;
            project(&tables, &events[..loaded]).await;
            let mut writer = IndexWriter::load(&tables).await.unwrap();
            let index = writer.index();
            assert_shows(&index, &events[..loaded], 21);
            // In two goes, as across a subscription that was lost.
            for upto in [cut.max(loaded), events.len()] {
                let from = usize::try_from(writer.position().as_u64()).unwrap();
                follow(&mut writer, &events[from..upto], |_| {}).unwrap();
                assert_shows(&index, &events[..upto], 21);
                assert_eq!(index.reached(), writer.position());
            }
        });
    }
}

async fn many_keys_are_found_and_followed(kind: Kind) {
    const KEYS: usize = 3_000;
    let mut tries: Vec<_> = (0..KEYS).map(Try::Create).collect();
    let loaded = KEYS / 2;
    tries.extend((0..KEYS).step_by(3).map(Try::Revoke));
    let events = history(&tries);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events[..loaded]).await;
    let mut writer = IndexWriter::load(&tables).await.unwrap();
    let index = writer.index();
    assert_eq!(usize::try_from(index.len()).unwrap(), loaded);
    let mut ended = 0;
    follow(&mut writer, &events[loaded..], |_| ended += 1).unwrap();
    assert_eq!((usize::try_from(index.len()).unwrap(), ended), (KEYS, KEYS / 3));
    for number in 0..KEYS {
        let expected = if number % 3 == 0 { KeyStatus::Revoked } else { KeyStatus::Active };
        assert_eq!(index.find(&hash(number)).unwrap().status().1, expected);
    }
    for number in KEYS..2 * KEYS {
        assert!(index.find(&hash(number)).is_none());
    }
}

async fn an_event_that_does_not_follow_stops_the_index(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    let events = history(&[Try::Create(0), Try::Revoke(0), Try::Create(1), Try::Delete(1)]);
    for missing in [0, 1, 2] {
        let mut writer = IndexWriter::load(&tables).await.unwrap();
        let mut gappy = events.clone();
        gappy.remove(missing);
        let followed = follow(&mut writer, &gappy, |_| {});
        let is_stopped = matches!(followed, Err(OutOfStep { .. }));
        // What a key has last is not missed.
        assert_eq!((is_stopped, followed.is_ok()), (missing != 1, missing == 1), "{followed:?}");
    }
    // What comes again changes nothing.
    let mut writer = IndexWriter::load(&tables).await.unwrap();
    let twice = [events.clone(), events.clone()].concat();
    follow(&mut writer, &twice, |_| {}).unwrap();
    assert_shows(&writer.index(), &events, 3);
}

async fn uses_wait_until_they_are_recorded(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(3)).await;
    let writer = IndexWriter::load(&tables).await.unwrap();
    let freshness = Freshness::new(Duration::from_secs(60));
    let verification = Verification { index: writer.index(), freshness };
    let verify = |number, now| verification.verify(secret(number).expose(), at(now));
    assert_eq!(verify(0, 9), Err(Stale), "nothing is proven yet");
    verification.freshness.prove(Instant::now());
    for (number, now) in [(0, 9), (1, 10), (0, 12), (0, 11)] {
        assert!(matches!(verify(number, now), Ok(Outcome::Valid(_))));
    }
    assert_eq!(verify(7, 20), Ok(Outcome::Refused(Verdict::NotFound)));
    assert_eq!(verification.index.uses_waiting(), 2);
    let waiting = verification.index.waiting_uses();
    verification.index.record_uses(&waiting, &tables).await.unwrap();
    assert_eq!(verification.index.uses_waiting(), 0);
    for (number, used) in [(0, Some(at(12))), (1, Some(at(10))), (2, None)] {
        let shown = tables.get(key_id(number)).await.unwrap().unwrap();
        assert_eq!(shown.last_used_at, used);
    }
    // Someone was told of what this index does not include yet.
    verification.freshness.owe(Position::try_from(4_u64).unwrap());
    assert_eq!(verify(0, 30), Err(Stale));
}

async fn uses_that_nobody_waits_to_see_recorded_wait_on(kind: Kind) {
    const COUNT: usize = 2_500;
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(COUNT)).await;
    let writer = IndexWriter::load(&tables).await.unwrap();
    let freshness = Freshness::new(Duration::from_secs(60));
    freshness.prove(Instant::now());
    let verification = Verification { index: writer.index(), freshness };
    let index = &verification.index;
    let secrets: Vec<Secret> = (0..COUNT).map(secret).collect();
    // Given up at a later moment each time, until it is done before that.
    let mut polls = 0;
    loop {
        polls += 1;
        for secret in &secrets {
            assert!(verification.verify(secret.expose(), at(COUNT + polls)).is_ok());
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
            break;
        }
    }
    assert!(polls > 1, "it was given up at least once");
    for number in (0..COUNT).step_by(97) {
        let shown = tables.get(key_id(number)).await.unwrap().unwrap();
        assert_eq!(shown.last_used_at, Some(at(COUNT + polls)));
    }
    assert_eq!(index.uses_waiting(), 0);
}

on_both_databases!(
    uses_that_nobody_waits_to_see_recorded_wait_on,
    many_keys_are_found_and_followed,
    an_event_that_does_not_follow_stops_the_index,
    uses_wait_until_they_are_recorded,
);
