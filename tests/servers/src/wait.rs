//! Waiting. Every wait in a test goes through this module: it has a limit, and when the limit has
//! passed, it panics with what was waited for and what was seen last.

use std::fmt::Display;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The most that anything is waited for: far more than it takes, also on a machine that is ten times
/// as busy as usual.
pub const LIMIT: Duration = Duration::from_secs(300);
/// Between one look and the next.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until there is what is waited for: `Ok`, which is returned. `Err` is what is
/// there instead.
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

/// The same where nothing is asynchronous.
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

/// Checks something again and again for as long as this.
pub async fn throughout(time: Duration, mut check: impl AsyncFnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        check().await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Measures time on a clock that is as busy as the machine: it counts how often a thread could pause
/// for a short time since it was started. On an idle machine that is the time that has passed; where
/// everything takes ten times as long, each pause does too.
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

    /// How much time has passed on it.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::TICK * self.0.load(Ordering::Relaxed)
    }
}

/// Lets time pass in which something must last, such as an outage. Nothing is waited for by this.
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
