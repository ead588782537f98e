//! Leases: one holder at a time, and no write succeeds outside its epoch.

use std::time::Duration;

use keyledger_domain::testing::creations;
use keyledger_projections::{Epoch, Lease, LeaseName, Projector, ReadTables, Rebuild, WriteError};
use uuid::Uuid;

use crate::given::{Kind, apply, delivered, folded, head, open, shown, tables};

const LONG: Duration = Duration::from_secs(600);

fn node(tables: &ReadTables, number: u128, period: Duration) -> Lease {
    Lease::new(tables, LeaseName::Project, Uuid::from_u128(number), period)
}

async fn claimed(lease: &Lease) -> Option<Epoch> {
    lease.claim().await.unwrap()
}

#[keyledger_bounded::test]
async fn a_lease_has_one_holder_who_may_renew_it() {
    let (_database, tables) = tables(Kind::Postgres).await;
    let (one, other) = (node(&tables, 1, LONG), node(&tables, 2, LONG));
    let epoch = claimed(&one).await;
    assert!(epoch.is_some());
    assert_eq!(claimed(&other).await, None);
    assert_eq!(claimed(&one).await, epoch, "it is renewed, not begun anew");
    let relay = Lease::new(&tables, LeaseName::Relay, Uuid::from_u128(2), LONG);
    assert!(claimed(&relay).await.is_some(), "another name is another lease");
}

#[keyledger_bounded::test]
async fn of_many_nodes_one_gets_the_lease() {
    let (database, first) = tables(Kind::Postgres).await;
    let mut all = vec![first];
    for _ in 0..3 {
        all.push(open(&database).await);
    }
    let leases = (1..).zip(&all).map(|(number, tables)| node(tables, number, LONG));
    let leases: Vec<_> = leases.collect();
    let epochs = futures::future::join_all(leases.iter().map(claimed)).await;
    assert_eq!(epochs.into_iter().flatten().count(), 1);
}

#[keyledger_bounded::test]
async fn a_lease_that_is_given_back_is_free_at_once() {
    let (_database, tables) = tables(Kind::Postgres).await;
    let (one, other) = (node(&tables, 1, LONG), node(&tables, 2, LONG));
    let epoch = claimed(&one).await.unwrap();
    other.release().await.unwrap();
    assert_eq!(claimed(&other).await, None, "one cannot give back what another holds");
    one.release().await.unwrap();
    let next = claimed(&other).await.unwrap();
    assert_ne!(next, epoch);
    assert_eq!(claimed(&one).await, None);
}

#[keyledger_bounded::test]
async fn a_projector_whose_epoch_is_over_writes_nothing() {
    let events = creations(4);
    let (_database, tables) = tables(Kind::Postgres).await;
    let paused = node(&tables, 1, Duration::from_millis(1));
    let epoch = claimed(&paused).await.unwrap();
    let mut old = Projector::load(&tables, epoch).await.unwrap();
    // The lease expires, and another node takes it. That node has written nothing yet, so the
    // tables are still at the position that the old node expects.
    let successor = node(&tables, 2, LONG);
    let next = loop {
        if let Some(next) = claimed(&successor).await {
            break next;
        }
    };
    let outcome = apply(&mut old, &events).await;
    assert!(matches!(outcome, Err(WriteError::Superseded)), "{outcome:?}");
    assert_eq!(shown(&tables).await, []);
    let mut new = Projector::load(&tables, next).await.unwrap();
    apply(&mut new, &events).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
}

#[keyledger_bounded::test]
async fn a_rebuild_needs_no_lease_and_leaves_it_as_it_is() {
    let events = creations(40);
    let (_database, tables) = tables(Kind::Postgres).await;
    let holder = node(&tables, 1, LONG);
    let epoch = claimed(&holder).await.unwrap();
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
    assert_eq!(claimed(&holder).await, Some(epoch));
}

#[keyledger_bounded::test]
async fn where_one_machine_writes_the_lease_is_always_ours() {
    let (_database, tables) = tables(Kind::Sqlite).await;
    let one = claimed(&node(&tables, 1, LONG)).await;
    assert!(one.is_some());
    assert_eq!(claimed(&node(&tables, 2, LONG)).await, one);
}
