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

/// A clock that goes slower on a busy machine: it counts the short pauses that a thread has made since
/// the start. On an idle machine it shows the time that has passed. Where a thread has to wait for a
/// processor, each pause takes longer.
#[derive(Debug)]
pub struct BusyClock(Arc<AtomicU32>);

impl BusyClock {
    const TICK: Duration = Duration::from_millis(5);

    /// Starts a clock.
    #[must_use]
    pub fn start() -> Self {
        let ticks = Arc::new(AtomicU32::new(0));
        let ticking = Arc::downgrade(&ticks);
        std::thread::spawn(move || {
            while let Some(ticks) = ticking.upgrade() {
                ticks.fetch_add(1, Ordering::Relaxed);
                drop(ticks);
                std::thread::sleep(Self::TICK);
            }
        });
        Self(ticks)
    }

    /// The time that has passed on this clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::TICK * self.0.load(Ordering::Relaxed)
    }
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
