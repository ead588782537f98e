//! The performance bars: what keyledger does, beside what the machine can do, in the same run.
//!
//! Only ratios can be compared between machines. `make bench` runs everything. A name runs a part:
//! `cargo bench --bench bars -- creates`, `lists`, `rebuild`, `audit`, `tree` (a part of `audit`),
//! `kurrentdb`, `postgres` or `relay`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench fails by panicking"
)]

mod answer;
mod audit;
mod creates;
mod disk;
mod histories;
mod kurrentdb;
mod lists;
mod load;
mod postgres;
mod rebuild;
mod relay;
mod service;
mod stand;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyledger_domain::Position;
use keyledger_journal::{Journal, JournalReader};
use keyledger_node::readiness::{Part, Readiness};
use keyledger_node::tasks::TablesFollower;
use keyledger_node::{Following, Health, History, supervise};
use keyledger_projections::{Lease, LeaseName, ReadTables};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// How often everything is measured, in turns, so that a noisy moment affects all alike.
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
    if wanted("audit") {
        runtime.block_on(audit::exports());
    }
    if wanted("audit") || wanted("tree") {
        audit::creates();
    }
    if wanted("kurrentdb") {
        runtime.block_on(kurrentdb::run());
    }
    if wanted("postgres") {
        runtime.block_on(postgres::run());
    }
    if wanted("relay") {
        runtime.block_on(relay::run());
    }
}

/// Appends by this many callers for [`SPAN`]; tells how many a second, and the last position.
async fn appends(journal: &dyn Journal, callers: usize) -> (f64, Position) {
    let (count, begun) = (AtomicUsize::new(0), Instant::now());
    let calling = (0..callers).map(async |caller| {
        let mut random = StdRng::seed_from_u64(begun.elapsed().as_nanos() as u64 + caller as u64);
        let mut last = Position::START;
        while begun.elapsed() < SPAN {
            let append = rebuild::history("user", 0, &mut random);
            last = journal.append(append).await.unwrap().position;
            count.fetch_add(1, Ordering::Relaxed);
        }
        last
    });
    let last = futures::future::join_all(calling).await.into_iter().max().unwrap();
    (count.into_inner() as f64 / begun.elapsed().as_secs_f64(), last)
}

/// The same, but the time ends when the events are in the read tables too.
async fn appends_and_rows(journal: Arc<dyn Journal>, tables: &ReadTables, callers: usize) -> f64 {
    let holder = uuid::Uuid::from_u128(1);
    let lease = Lease::new(tables, LeaseName::Project, holder, Duration::from_secs(600));
    let readiness = Readiness::default();
    let (_head, heads) = tokio::sync::watch::channel(None);
    let history = History::new(Duration::from_secs(10), Arc::default());
    let progress = history.tables().clone();
    let reader: Arc<dyn JournalReader> = journal.clone();
    let follower = TablesFollower::new(tables.clone(), heads, reader.clone(), history.clone());
    let following = Following::new(follower, reader, progress.clone(), history);
    let health = Health::new(Part::ReadTables, &readiness);
    let projecting = tokio::spawn(supervise(following, Some(Arc::new(lease)), health));
    let (_, first) = appends(&*journal, 1).await;
    progress.wait_for(first, Duration::from_secs(600)).await.unwrap();
    let begun = Instant::now();
    let (rate, last) = appends(&*journal, callers).await;
    let appended = rate * begun.elapsed().as_secs_f64();
    progress.wait_for(last, Duration::from_secs(600)).await.unwrap();
    let whole = appended / begun.elapsed().as_secs_f64();
    projecting.abort();
    whole
}

/// The median.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A folder on the disk of the build, since the system's folder for temporary files may be in memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
