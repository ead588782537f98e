//! The supervisor: claim, stand-by, backoff, restart, stop.

use super::*;
use crate::{Work, supervise};

/// Work that records when it runs, and then plays a script.
#[derive(Clone, Debug)]
struct Scripted {
    script: Script,
    begun: Instant,
    runs: Arc<Mutex<Vec<Run>>>,
    /// Whether each run reports progress.
    progresses: bool,
    stops: Arc<Mutex<usize>>,
}

/// When a run began, and in which epoch.
type Run = (Duration, Option<Epoch>);

impl Scripted {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            script: Script::of(steps),
            begun: Instant::now(),
            runs: Arc::default(),
            progresses: false,
            stops: Arc::default(),
        }
    }

    fn times(&self) -> Vec<Duration> {
        self.runs.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    fn epochs(&self) -> Vec<Option<Epoch>> {
        self.runs.lock().unwrap().iter().map(|(_, epoch)| *epoch).collect()
    }

    /// Supervises a clone of this work in the background.
    fn start(
        &self,
        lease: Option<Arc<dyn LeaseClaims>>,
        health: &Health,
    ) -> tokio::task::JoinHandle<()> {
        tokio::spawn(supervise(self.clone(), lease, health.clone()))
    }
}

#[async_trait]
impl Work for Scripted {
    async fn run(&mut self, epoch: Option<Epoch>, health: &Health) -> Interruption {
        self.runs.lock().unwrap().push((self.begun.elapsed(), epoch));
        if self.progresses {
            health.progressed();
        }
        loop {
            if let Err(interruption) = self.script.next().await {
                return interruption;
            }
            health.set(State::Ready);
        }
    }

    fn stopped(&mut self) {
        *self.stops.lock().unwrap() += 1;
    }
}

#[keyledger_bounded::test(paused)]
async fn work_that_needs_no_lease_runs_at_once() {
    let (work, health) = (Scripted::new([Step::Succeed]), health());
    work.start(None, &health);
    until(&health, State::Ready).await;
    assert_eq!(work.epochs(), [None]);
}

#[keyledger_bounded::test(paused)]
async fn work_that_needs_a_lease_runs_in_its_epoch() {
    let (work, health, lease) = (Scripted::new([]), health(), SharedLease::free());
    work.start(Some(lease.as_node(1)), &health);
    sleep(PERIOD * 10).await;
    assert_eq!(work.epochs(), [Some(Epoch::new(1))]);
    assert_eq!(lease.holder().epoch, 1, "it is renewed, and not begun anew");
}

#[keyledger_bounded::test(paused)]
async fn a_node_without_the_lease_is_ready_and_claims_it_three_times_a_period() {
    let (work, health, lease) = (Scripted::new([]), health(), SharedLease::free());
    lease.holder().until = Instant::now() + LIMIT;
    lease.holder().node = Some(2);
    work.start(Some(lease.as_node(1)), &health);
    sleep(PERIOD * 2 + millis(1)).await;
    assert!(health.is(State::Ready));
    assert!(work.times().is_empty());
    assert_eq!(lease.claims(), 7);
}

#[keyledger_bounded::test(paused)]
async fn failures_are_waited_out_longer_each_time_and_two_seconds_at_most() {
    let (work, health) = (Scripted::new([Step::Retry; 7]), health());
    work.start(None, &health);
    sleep(seconds(20)).await;
    let starts = [0, 100, 300, 700, 1_500, 3_100, 5_100, 7_100];
    assert_eq!(work.times(), starts.map(millis));
    assert!(health.is(State::Failing));
}

#[keyledger_bounded::test(paused)]
async fn a_failure_after_progress_is_waited_out_briefly() {
    let (mut work, health) = (Scripted::new([Step::Retry; 4]), health());
    work.progresses = true;
    work.start(None, &health);
    sleep(seconds(20)).await;
    assert_eq!(work.times(), [0, 100, 200, 300, 400].map(millis));
}

#[keyledger_bounded::test(paused)]
async fn work_that_fails_for_ever_is_tried_once_in_two_seconds_and_never_given_up() {
    let (work, health) = (Scripted::new([Step::Retry; 2_000]), health());
    work.start(None, &health);
    sleep(seconds(3_000)).await;
    let runs = work.times().len();
    assert!((1_500..1_510).contains(&runs), "{runs}");
    assert!(health.is(State::Failing));
}

#[keyledger_bounded::test(paused)]
async fn a_restart_is_at_once_and_no_failure() {
    let (work, health) = (Scripted::new([Step::Succeed, Step::Restart]), health());
    work.start(None, &health);
    sleep(seconds(1)).await;
    assert_eq!(work.times(), [Duration::ZERO; 2]);
    assert!(health.is(State::Ready));
}

#[keyledger_bounded::test(paused)]
async fn what_stops_work_for_good_ends_it_and_says_so() {
    let (work, health) = (Scripted::new([Step::Retry, Step::Stop]), health());
    work.start(None, &health).await.unwrap();
    assert!(health.is(State::Stopped));
    assert_eq!((work.times().len(), *work.stops.lock().unwrap()), (2, 1));
}

#[keyledger_bounded::test(paused)]
async fn a_lease_that_another_node_gets_ends_the_work_until_it_is_free_again() {
    let (work, health, lease) = (Scripted::new([]), health(), SharedLease::free());
    work.start(Some(lease.as_node(1)), &health);
    sleep(PERIOD).await;
    lease.give(2);
    sleep(PERIOD * 3).await;
    assert_eq!(work.epochs(), [Some(Epoch::new(1)), Some(Epoch::new(3))]);
    let again = work.times()[1];
    assert!((PERIOD * 2..PERIOD * 3).contains(&again), "{again:?}");
}

#[keyledger_bounded::test(paused)]
async fn a_lease_that_cannot_be_renewed_ends_the_work_before_another_node_may_begin() {
    let (work, health, lease) = (Scripted::new([]), health(), SharedLease::free());
    work.start(Some(lease.as_node(1)), &health);
    sleep(millis(1)).await;
    lease.holder().is_away = true;
    // The lease was last renewed by the claim itself.
    let failing = until(&health, State::Failing).await;
    assert!(failing <= PERIOD, "{failing:?}");
    lease.holder().is_away = false;
    sleep(seconds(3)).await;
    assert_eq!(work.epochs().len(), 2);
}

#[keyledger_bounded::test(paused)]
async fn a_lease_that_cannot_be_claimed_is_a_failure_that_passes() {
    let (work, health, lease) = (Scripted::new([Step::Succeed]), health(), SharedLease::free());
    lease.holder().is_away = true;
    work.start(Some(lease.as_node(1)), &health);
    sleep(seconds(5)).await;
    assert!(health.is(State::Failing) && work.times().is_empty());
    lease.holder().is_away = false;
    assert!(until(&health, State::Ready).await <= seconds(2));
}

#[keyledger_bounded::test(paused)]
async fn when_a_node_dies_another_takes_over_within_a_period_and_a_third() {
    let lease = SharedLease::free();
    let (first, second) = (Scripted::new([]), Scripted::new([]));
    let one = first.start(Some(lease.as_node(1)), &health());
    sleep(millis(1)).await;
    let _other = second.start(Some(lease.as_node(2)), &health());
    sleep(PERIOD * 5).await;
    assert!(second.times().is_empty());
    one.abort();
    let died = Instant::now();
    sleep(PERIOD + PERIOD / 3 + millis(2)).await;
    assert_eq!(second.epochs(), [Some(Epoch::new(2))]);
    assert!(died.elapsed() >= PERIOD, "never two at a time");
}

#[keyledger_bounded::test(paused)]
async fn work_that_hangs_is_ended_by_the_loss_of_its_lease() {
    let (work, health, lease) = (Scripted::new([Step::Hang]), health(), SharedLease::free());
    work.start(Some(lease.as_node(1)), &health);
    sleep(seconds(100)).await;
    assert_eq!(work.times().len(), 1);
    lease.give(2);
    until(&health, State::Ready).await;
    sleep(PERIOD * 2).await;
    assert_eq!(work.times().len(), 2, "it runs anew once the lease is free");
}
