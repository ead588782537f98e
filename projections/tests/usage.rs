//! The recorded times at which keys were last used.

use keyledger_domain::Timestamp;
use keyledger_domain::testing::{at, creations, key_id};
use keyledger_projections::ReadTables;
use keyledger_verifier::UseSink;

use crate::given::{Kind, on_both_databases, project, tables};

async fn used(tables: &ReadTables, number: u64) -> Option<Timestamp> {
    tables.get(key_id(number)).await.unwrap().unwrap().last_used_at
}

async fn a_last_use_only_moves_forward(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(3)).await;
    assert_eq!(used(&tables, 0).await, None);
    for (uses, expected) in [
        ([(0, 10), (1, 20)], [Some(at(10)), Some(at(20))]),
        ([(0, 5), (1, 25)], [Some(at(10)), Some(at(25))]),
        ([(0, 10), (1, 24)], [Some(at(10)), Some(at(25))]),
    ] {
        let uses = uses.map(|(number, second)| (key_id(number), at(second)));
        tables.record(&uses).await.unwrap();
        assert_eq!([used(&tables, 0).await, used(&tables, 1).await], expected);
    }
    assert_eq!(used(&tables, 2).await, None);
}

async fn a_use_of_a_clock_that_was_far_ahead_is_corrected(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(1)).await;
    let far = Timestamp::parse("2999-01-01T00:00:00Z").unwrap();
    for at in [far, at(10), at(20)] {
        tables.record(&[(key_id(0), at)]).await.unwrap();
        assert_eq!(used(&tables, 0).await, Some(at));
    }
    tables.record(&[(key_id(0), at(15))]).await.unwrap();
    assert_eq!(used(&tables, 0).await, Some(at(20)));
}

async fn many_uses_are_recorded_at_once(kind: Kind) {
    let (_database, tables) = tables(kind).await;
    project(&tables, &creations(500)).await;
    let uses: Vec<_> =
        (0..500).zip(0..500).map(|(number, second)| (key_id(number), at(second))).collect();
    tables.record(&uses).await.unwrap();
    for number in [0_u32, 127, 128, 255, 383, 399, 400, 499] {
        assert_eq!(used(&tables, number.into()).await, Some(at(number.into())));
    }
    tables.record(&[]).await.unwrap();
}

on_both_databases!(
    a_last_use_only_moves_forward,
    a_use_of_a_clock_that_was_far_ahead_is_corrected,
    many_uses_are_recorded_at_once,
);
