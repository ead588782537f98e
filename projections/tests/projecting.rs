//! The tables equal the fold of the events, in whatever batches these were applied.

use keyledger_domain::testing::{Attempt, at, creations, history, key_id};
use keyledger_domain::{Position, Reached, RecordedEvent, Revision};
use keyledger_projections::WriteError;
use proptest::prelude::*;

use crate::given::{
    Kind, apply, attempts, block_on, folded, kinds, on_both_databases, project, projector, shown,
    tables,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[keyledger_bounded::test]
    fn the_tables_equal_the_fold_however_the_events_are_cut(
        kind in kinds(),
        attempts in attempts(60),
        cuts in prop::collection::vec(0_usize..60, 0..6),
    ) {
        block_on(async {
            let events = history(&attempts);
            let (_database, tables) = tables(kind).await;
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(events.len())).collect();
            cuts.extend([0, events.len()]);
            cuts.sort_unstable();
            for part in cuts.windows(2) {
                // A new projector applies each part, as after a restart.
                project(&tables, &events[part[0]..part[1]]).await;
                assert_eq!(shown(&tables).await, folded(&events[..part[1]]));
            }
        });
    }
}

async fn more_events_than_a_batch_holds_are_all_applied(kind: Kind) {
    let events = creations(1_700);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events).await;
    assert_eq!(shown(&tables).await, folded(&events));
    let last = events.last().unwrap().place();
    let reached = Reached { position: last.position, last: Some(last) };
    assert_eq!(tables.reached().await.unwrap(), reached);
}

async fn what_the_tables_include_is_not_applied_again(kind: Kind) {
    let events = creations(20);
    let (_database, tables) = tables(kind).await;
    let mut projector = projector(&tables).await;
    apply(&mut projector, &events).await.unwrap();
    let reached = tables.reached().await.unwrap();
    for count in [20, 3, 0] {
        let some = &events[..count];
        let to = some.last().map_or(Position::START, |last| last.position);
        projector.apply(some, &[], to).await.unwrap();
        assert_eq!((tables.reached().await.unwrap(), projector.reached()), (reached, reached));
    }
    assert_eq!(shown(&tables).await, folded(&events));
}

async fn one_key_is_found_until_it_is_deleted(kind: Kind) {
    let events = history(&[Attempt::Create(0), Attempt::Revoke(0), Attempt::Delete(0)]);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events[..2]).await;
    let view = tables.get(key_id(0)).await.unwrap().unwrap();
    assert_eq!((view.created_at, view.revoked_at), (at(0), Some(at(1))));
    assert_eq!(tables.get(key_id(1)).await.unwrap(), None);
    project(&tables, &events[2..]).await;
    assert_eq!(tables.get(key_id(0)).await.unwrap(), None);
}

async fn a_batch_that_cannot_be_applied_leaves_nothing(kind: Kind) {
    let events =
        history(&[Attempt::Create(0), Attempt::Create(1), Attempt::Revoke(0), Attempt::Create(2)]);
    for wrong in [
        // The key's creation is missing.
        vec![events[1].clone(), events[2].clone()],
        // An event is missing in between.
        vec![events[0].clone(), {
            let mut later = events[2].clone();
            later.revision = Revision::new(2);
            later
        }],
        // An event comes twice.
        vec![events[0].clone(), events[0].clone()],
        // The first event of the key is not a creation.
        vec![{
            let mut first = events[2].clone();
            first.revision = Revision::FIRST;
            first
        }],
    ] {
        let (_database, tables) = tables(kind).await;
        let mut projector = projector(&tables).await;
        let outcome = apply(&mut projector, &wrong).await;
        assert!(
            matches!(outcome, Err(WriteError::EventOutOfStep { .. } | WriteError::RowsOutOfStep)),
            "{outcome:?}"
        );
        assert_eq!(shown(&tables).await, []);
        assert_eq!(tables.reached().await.unwrap().position, Position::START);
        assert_eq!(projector.reached().position, Position::START);
    }
}

async fn a_creation_that_the_table_has_already_is_out_of_step(kind: Kind) {
    let events = creations(2);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events).await;
    let mut again = events[0].clone();
    again.position = Position::START.plus(3).unwrap();
    let outcome = apply(&mut projector(&tables).await, &[again]).await;
    assert!(matches!(outcome, Err(WriteError::RowsOutOfStep)), "{outcome:?}");
}

async fn the_tables_keep_the_place_of_the_last_event_of_a_batch(kind: Kind) {
    let events = history(&[Attempt::Create(0), Attempt::Create(1), Attempt::Revoke(0)]);
    let (_database, tables) = tables(kind).await;
    project(&tables, &events).await;
    assert_eq!(tables.reached().await.unwrap().last, events.last().map(RecordedEvent::place));
}

async fn of_two_projectors_one_finds_that_it_was_superseded(kind: Kind) {
    let events = creations(4);
    let (_database, tables) = tables(kind).await;
    let mut slow = projector(&tables).await;
    project(&tables, &events[..2]).await;
    let outcome = apply(&mut slow, &events).await;
    assert!(matches!(outcome, Err(WriteError::Superseded)), "{outcome:?}");
    assert_eq!(shown(&tables).await, folded(&events[..2]));
    project(&tables, &events[2..]).await;
    assert_eq!(shown(&tables).await, folded(&events));
}

async fn an_event_that_contradicts_its_revision_is_out_of_step(kind: Kind) {
    let events = history(&[Attempt::Create(0), Attempt::Revoke(0)]);
    let (_database, tables) = tables(kind).await;
    let mut projector = projector(&tables).await;
    let revoked_first = RecordedEvent { revision: Revision::FIRST, ..events[1].clone() };
    let RecordedEvent { position, revision, .. } = events[1];
    let created_again = RecordedEvent { position, revision, ..events[0].clone() };
    for wrong in [vec![revoked_first], vec![events[0].clone(), created_again]] {
        let outcome = projector.apply(&wrong, &[], position).await;
        assert!(matches!(outcome, Err(WriteError::EventOutOfStep { .. })), "{outcome:?}");
    }
    assert_eq!(shown(&tables).await, []);
}

on_both_databases!(
    an_event_that_contradicts_its_revision_is_out_of_step,
    more_events_than_a_batch_holds_are_all_applied,
    what_the_tables_include_is_not_applied_again,
    one_key_is_found_until_it_is_deleted,
    a_batch_that_cannot_be_applied_leaves_nothing,
    a_creation_that_the_table_has_already_is_out_of_step,
    the_tables_keep_the_place_of_the_last_event_of_a_batch,
    of_two_projectors_one_finds_that_it_was_superseded,
);
