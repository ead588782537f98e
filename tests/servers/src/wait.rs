//! Waiting. Every wait in a test goes through this module. It has a limit; after that it panics, and
//! says what it waited for and what it saw last.

use std::fmt::Display;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The limit of every wait: far more than it needs on a machine that is ten times as busy as usual.
pub const LIMIT: Duration = Duration::from_secs(300);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks every 10 ms until the look returns `Ok`, and returns its value. `Err` says what there is
/// instead.
#[track_caller]
pub fn until<T, S: Display>(
    what: impl Into<String>,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> impl Future<Output = T> {
    let (what, caller) = (what.into(), Location::caller());
    async move {
        let mut seen = None;
        let looking = async {
            loop {
                match look().await {
                    Ok(found) => return found,
                    Err(instead) => seen = Some(instead),
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        match tokio::time::timeout(LIMIT, looking).await {
            Ok(found) => found,
            Err(_) => panic!("{}", too_late(&what, caller, seen.as_ref())),
        }
    }
}

/// The same for a look that is not asynchronous; it blocks the thread.
#[track_caller]
pub fn until_blocking<T, S: Display>(what: &str, look: impl FnMut() -> Result<T, S>) -> T {
    until_within(LIMIT, what, look)
}

/// The same with another limit.
#[track_caller]
pub(crate) fn until_within<T, S: Display>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, S>,
) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) if begun.elapsed() > limit => {
                panic!("{}", too_late(what, Location::caller(), Some(&instead)))
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Waits until a future ends.
#[track_caller]
pub fn within<T>(
    what: impl Into<String>,
    future: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let (what, caller) = (what.into(), Location::caller());
    async move {
        match tokio::time::timeout(LIMIT, future).await {
            Ok(ended) => ended,
            Err(_) => panic!("{}", too_late(&what, caller, None::<&String>)),
        }
    }
}

/// Checks something every 10 ms for as long as this.
pub async fn throughout(time: Duration, mut check: impl AsyncFnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        check().await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// A clock that goes slower on a busy machine, as what is measured with it does. It counts turns of a
/// thread that rests a while and then works a while. On an idle machine it shows the time that has
/// passed. Where the thread has to wait for a processor, its work takes longer.
#[derive(Debug)]
pub struct BusyClock(Arc<AtomicU32>);

impl BusyClock {
    /// The rest and the work of a turn: about the share of a processor that a test needs.
    const REST: Duration = Duration::from_millis(4);
    const WORK: Duration = Duration::from_millis(1);
    const TURN: Duration = Self::REST.saturating_add(Self::WORK);

    /// Starts a clock.
    #[must_use]
    pub fn start() -> Self {
        let turns = Arc::new(AtomicU32::new(0));
        let turning = Arc::downgrade(&turns);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Self::REST);
                let worked = processor_time() + Self::WORK;
                while processor_time() < worked {}
                let Some(turns) = turning.upgrade() else { return };
                turns.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self(turns)
    }

    /// The time that has passed on this clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::TURN * self.0.load(Ordering::Relaxed)
    }
}

/// How long this thread has had a processor.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

/// Lets time pass, for something that must last a while, such as an outage. It is not for waiting.
pub async fn lasts(time: Duration) {
    tokio::time::sleep(time).await;
}

fn too_late(what: &str, caller: &Location, seen: Option<&impl Display>) -> String {
    let waited = format!("{caller}: waited too long for {what}");
    match seen {
        Some(seen) => format!("{waited}; last seen: {seen}"),
        None => waited,
    }
}
