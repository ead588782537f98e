//! The performance bars: what keyledger does, beside what the machine can do, in the same run.
//!
//! Only ratios mean anything on another machine. `make bench` runs all of it; a name runs a part:
//! `cargo bench -- creates`, `lists` or `rebuild`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench fails by panicking"
)]

mod creates;
mod disk;
mod lists;
mod load;
mod rebuild;
mod service;
mod stand;

use std::time::Duration;

/// How often everything is measured, in turns, so that a noisy moment hits all alike.
const ROUNDS: usize = 5;
/// How long each measurement of a rate takes.
const SPAN: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let first = arguments.first().map(String::as_str);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let (Some("bare-server"), Some(file)) = (first, arguments.get(1)) {
        return runtime.block_on(stand::serve(file));
    }
    let wanted = |part: &str| first.is_none_or(|name| name == part || name.starts_with("--"));
    if wanted("creates") {
        creates::run();
    }
    if wanted("lists") {
        runtime.block_on(lists::run());
    }
    if wanted("rebuild") {
        runtime.block_on(rebuild::run());
    }
}

/// The middle value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A folder on the disk that holds the build, not one in memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
