//! The time that a test may take. `#[keyledger_bounded::test]` runs tests through this module.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use tokio::runtime::Builder as Runtime;

/// The limit of a test that names no other: several times what any of them takes on a machine that is
/// ten times as busy as usual.
pub const USUAL: Duration = Duration::from_secs(20 * 60);

/// Runs a test on a thread of its own, and panics with the test's name if it has not ended within
/// this many minutes, or 20 minutes if none are given. The thread of such a test is left to itself: it
/// ends with the process.
pub fn run(name: &str, minutes: Option<u64>, test: impl FnOnce() + Send + 'static) {
    let limit = minutes.map_or(USUAL, |minutes| Duration::from_secs(minutes * 60));
    let (ends, ended) = sync_channel::<()>(0);
    let test = move || {
        // Dropped when the test returns or panics.
        let _ends = ends;
        test();
    };
    let running = Builder::new().name(name.to_owned()).spawn(test).unwrap();
    match ended.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => panic!("{name} has not ended after {limit:?}"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
    }
    if let Err(panic) = running.join() {
        resume_unwind(panic);
    }
}

/// Runs an asynchronous test, likewise, on a runtime of its own with two worker threads.
pub fn run_async(name: &str, minutes: Option<u64>, test: impl AsyncFnOnce() + Send + 'static) {
    run(name, minutes, || {
        let runtime = Runtime::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test());
        // Tasks that the test has left on its runtime are not waited for.
        runtime.shutdown_background();
    });
}

/// Runs an asynchronous test, likewise, on one thread and with Tokio's time paused: it jumps to the
/// next timer when nothing else can happen. The limit is of real time.
pub fn run_paused(name: &str, minutes: Option<u64>, test: impl AsyncFnOnce() + Send + 'static) {
    run(name, minutes, || {
        let mut builder = Runtime::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap().block_on(test());
    });
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    #[should_panic(expected = "a test that hangs has not ended after 0ns")]
    fn a_test_that_hangs_is_named() {
        run("a test that hangs", Some(0), || {
            loop {
                std::thread::park();
            }
        });
    }

    #[test]
    #[should_panic(expected = "its own words")]
    fn a_test_that_fails_fails_in_its_own_words() {
        run("a test that fails", None, || panic!("its own words"));
    }
}
