//! An export of a million events and its check, beside reading and hashing the same file; and creates
//! with the transparency log, beside creates without it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt;
use keyledger_domain::Clock;
use keyledger_domain::Delivery;
use keyledger_domain::Position;
use keyledger_node::clock::SystemClock;
use keyledger_projections::log::{LOG_BATCH, LogWriter};
use keyledger_projections::{Lease, LeaseName, ReadTables};
use keyledger_tlog::NoteSigningKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::creates::clients;
use crate::load::rate;
use crate::rebuild::fill_million;
use crate::{SPAN, median, service};

const NAME: &str = "keys.example.com/bench";
/// Fewer rounds than elsewhere, since each takes long.
const EXPORTS: usize = 3;
/// More rounds than elsewhere, since the two rates are close.
const PAIRS: usize = 9;
/// Time for the log to take in the events of one round before the next one begins.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) async fn exports() {
    let folder = crate::folder();
    fill_million(folder.path()).await;
    let key = NoteSigningKey::from_seed(NAME, Zeroizing::new([1; 32])).unwrap();
    let (events, growing) = grow(folder.path(), &key).await;
    let public = key.verifying_key().to_string();
    let file = folder.path().join("export");
    let (mut exports, mut hashes, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..EXPORTS {
        let _ = std::fs::remove_file(&file);
        let arguments = ["audit", "export", "--out", "export", "--public-key", &public];
        exports.push(measure(folder.path(), &arguments));
        hashes.push(hash(&file));
        checks.push(measure(folder.path(), &["audit", "verify", "export", "--key", &public]));
    }
    let megabytes = std::fs::metadata(&file).unwrap().len() as f64 / 1e6;
    println!(
        "an export of {events} events in SQLite, {megabytes:.0} MB, medians of {EXPORTS} rounds"
    );
    println!(
        "{:>8} {:>12} {:>10} {:>24} {:>10}",
        "", "events/s", "MB/s", "of reading and hashing", "peak MiB"
    );
    let hashing = median(hashes.clone());
    println!("{:>8} {:>12.0} {:>10.0}", "hashing", events / hashing, megabytes / hashing);
    for (name, rounds) in [("export", exports), ("verify", checks)] {
        let seconds = median(rounds.iter().map(|(seconds, _)| *seconds).collect());
        let ratios = rounds.iter().zip(&hashes).map(|((seconds, _), hash)| hash / seconds);
        let (ratio, peak) = (median(ratios.collect()), rounds.iter().map(|(_, peak)| *peak));
        let peak = peak.fold(0.0, f64::max);
        let (of_events, of_bytes) = (events / seconds, megabytes / seconds);
        println!("{name:>8} {of_events:>12.0} {of_bytes:>10.0} {ratio:>24.2} {peak:>10.0}");
    }
    println!("(the tree took {:.0} events a second when it was built)\n", events / growing);
}

/// Builds the log of the journal in a folder, and signs it; tells how many events it has, and how many
/// seconds the building took.
async fn grow(folder: &Path, key: &NoteSigningKey) -> (f64, f64) {
    let url = |name: &str| format!("sqlite://{}/data/{name}.db", folder.display());
    let journal = keyledger_journal::open_reader(&url("journal")).await.unwrap();
    let tables = ReadTables::open(&url("read")).await.unwrap();
    let holder = uuid::Uuid::from_u128(1);
    let lease = Lease::new(&tables, LeaseName::Tree, holder, Duration::from_secs(600));
    let term = lease.claim().await.unwrap().unwrap();
    let mut writer = LogWriter::load(&tables, term).await.unwrap();
    let begun = Instant::now();
    let mut batches = journal.subscribe(Position::START).ready_chunks(LOG_BATCH);
    let mut is_level = false;
    while !is_level {
        let mut events = Vec::new();
        for delivery in batches.next().await.unwrap() {
            match delivery.unwrap() {
                Delivery::Event(event) => events.push(event),
                Delivery::CaughtUp(_) => is_level = true,
            }
        }
        if let Some(last) = events.last() {
            writer.append(&events, last.position).await.unwrap();
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let checkpoint = writer.checkpoint(NAME, SystemClock.now()).await.unwrap().unwrap();
    let note = checkpoint.sign([key]).unwrap().to_string();
    writer.keep(&checkpoint, &note).await.unwrap();
    (checkpoint.size as f64, seconds)
}

/// Runs keyledger to its end; tells how many seconds that took, and its peak memory in MiB.
fn measure(folder: &Path, arguments: &[&str]) -> (f64, f64) {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyledger"))
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    loop {
        // The peak so far; the last one that is read counts.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kilobytes) = line.and_then(|line| line.trim().strip_suffix(" kB")) {
            peak = kilobytes.parse::<f64>().unwrap() / 1024.0;
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{arguments:?}");
            return (begun.elapsed().as_secs_f64(), peak);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many seconds it takes only to read and hash a file.
fn hash(path: &Path) -> f64 {
    let begun = Instant::now();
    let (mut file, mut digest) = (File::open(path).unwrap(), Sha256::new());
    let mut piece = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut piece).unwrap();
        if read == 0 {
            std::hint::black_box(digest.finalize());
            return begun.elapsed().as_secs_f64();
        }
        digest.update(&piece[..read]);
    }
}

pub(crate) fn creates() {
    let (on_folder, off_folder) = (crate::folder(), crate::folder());
    let key = NoteSigningKey::from_seed(NAME, Zeroizing::new([1; 32])).unwrap();
    std::fs::write(on_folder.path().join("audit.key"), &*key.private_text()).unwrap();
    let settings = [("KEYLEDGER_AUDIT_KEY", "audit.key"), ("KEYLEDGER_AUDIT_INTERVAL", "1s")];
    let on = service::keyledger_with(on_folder.path(), &settings);
    let off = service::keyledger(off_folder.path());
    println!("durable creates per second with the tree, {PAIRS} rounds of {SPAN:?} each, medians");
    println!("{:>8} {:>10} {:>10} {:>12}", "clients", "with", "without", "of without");
    for count in [1, 8, 64] {
        let (mut on_clients, mut off_clients) = (clients(&on, count), clients(&off, count));
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for round in 0..PAIRS {
            let mut turn = |with_tree: bool| {
                std::thread::sleep(SETTLE);
                if with_tree {
                    with.push(rate(&mut on_clients, SPAN));
                } else {
                    without.push(rate(&mut off_clients, SPAN));
                }
            };
            // In turns, so that the order has no influence.
            turn(round % 2 == 0);
            turn(round % 2 == 1);
        }
        let ratio =
            median(with.iter().zip(&without).map(|(with, without)| with / without).collect());
        println!("{count:>8} {:>10.0} {:>10.0} {ratio:>12.2}", median(with), median(without));
    }
    println!();
}
