//! Renewal and loss of a held lease.

use super::*;
use crate::lease::hold;

#[keyledger_bounded::test(paused)]
async fn a_lease_is_renewed_three_times_a_period() {
    let lease = SharedLease::free();
    let node = lease.as_node(1);
    let epoch = node.claim().await.unwrap().unwrap();
    let held = timeout(PERIOD * 10 + millis(1), hold(&*node, epoch)).await;
    assert!(held.is_err(), "it is held all the time");
    assert_eq!(lease.claims(), 31);
}

#[keyledger_bounded::test(paused)]
async fn a_short_failure_of_the_database_does_not_lose_the_lease() {
    let lease = SharedLease::free();
    let node = lease.as_node(1);
    let epoch = node.claim().await.unwrap().unwrap();
    let holding = tokio::spawn(async move { hold(&*node, epoch).await });
    for _ in 0..5 {
        lease.holder().is_away = true;
        sleep(PERIOD / 3 + millis(1)).await;
        lease.holder().is_away = false;
        sleep(PERIOD / 3).await;
    }
    assert!(!holding.is_finished());
    assert_eq!(lease.holder().epoch, 1);
}

#[keyledger_bounded::test(paused)]
async fn a_lease_of_another_epoch_is_lost() {
    let lease = SharedLease::free();
    let node = lease.as_node(1);
    let epoch = node.claim().await.unwrap().unwrap();
    lease.give(2);
    lease.give(1);
    let begun = Instant::now();
    hold(&*node, epoch).await;
    assert_eq!(begun.elapsed(), PERIOD / 3);
}
