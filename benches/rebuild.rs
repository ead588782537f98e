//! A rebuild of the read tables, beside only parsing and folding the same events.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use futures::StreamExt;
use keyledger_domain::Clock;
use keyledger_domain::Delivery;
use keyledger_domain::key::{Key, evolve};
use keyledger_domain::{KeyId, Position, StoredForm, decode, encode};
use keyledger_journal::{self, Append, JournalReader};
use keyledger_node::clock::SystemClock;
use keyledger_projections::{ReadTables, Rebuild, rebuild};
use keyledger_test_servers::postgres::Postgres;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::histories::{append_all, life, new_key};
use crate::median;

/// As many keys as have a million events.
const KEYS: usize = 625_000;
/// Fewer rounds than elsewhere, since each takes long.
const ROUNDS: usize = 3;

/// Writes keys into the journal in a folder; `owner` and `age` tell the owner and the age of each, as
/// [`life`] takes it.
pub(crate) async fn fill(
    folder: &Path,
    keys: usize,
    owner: impl Fn(usize) -> String,
    age: impl Fn(usize) -> usize,
) {
    let url = format!("sqlite://{}/data/journal.db", folder.display());
    let journal = keyledger_journal::open(&url).await.unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let appends = (0..keys).map(|number| history(&owner(number), age(number), &mut random));
    append_all(&*journal, appends).await;
}

pub(crate) fn history(owner: &str, age: usize, random: &mut StdRng) -> Append {
    let (_, create) = new_key(owner, &format!("{owner}@example.com"), "bench", random);
    life(create, age, SystemClock.now(), random)
}

/// Writes a million events: of ten keys, four are revoked, two of them deleted.
pub(crate) async fn fill_million(folder: &Path) {
    let owner = |number| format!("user-{}", number % 20_000);
    let age = |number| match number % 10 {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 0,
    };
    fill(folder, KEYS, owner, age).await;
}

pub(crate) async fn run() {
    let folder = crate::folder();
    fill_million(folder.path()).await;
    let url = |name: &str| format!("sqlite://{}/data/{name}.db", folder.path().display());
    let journal = keyledger_journal::open_reader(&url("journal")).await.unwrap();
    let mut stored: Vec<StoredForm> = Vec::new();
    let mut subscription = journal.subscribe(Position::START);
    while let Some(Ok(Delivery::Event(event))) = subscription.next().await {
        stored.push(encode(&event.event, &event.metadata).unwrap());
    }
    drop(subscription);
    let server = Postgres::start_durable();
    println!("rebuild of {KEYS} keys, {} events, median of {ROUNDS} rounds", stored.len());
    println!(
        "{:>12} {:>16} {:>16} {:>24}",
        "tables in", "rebuild, /s", "parse, fold, /s", "of parsing and folding"
    );
    for (name, url) in [("SQLite", url("read")), ("PostgreSQL", server.database().await)] {
        let tables = ReadTables::open(&url).await.unwrap();
        measure(name, &*journal, &tables, &stored).await;
    }
    println!();
}

async fn measure(
    name: &str,
    journal: &dyn JournalReader,
    tables: &ReadTables,
    stored: &[StoredForm],
) {
    let events = stored.len() as f64;
    let (mut folds, mut rebuilds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        assert_eq!(parse_and_fold(stored), KEYS);
        folds.push(events / begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let build = Rebuild::begin(tables).await.unwrap();
        let built =
            build.run(journal.subscribe(Position::START), journal.head(), |_| {}).await.unwrap();
        rebuilds.push(events / begun.elapsed().as_secs_f64());
        rebuild::clear(tables).await.unwrap();
        assert_eq!(built.events as f64, events);
    }
    let ratio = median(rebuilds.iter().zip(&folds).map(|(built, fold)| built / fold).collect());
    println!("{name:>12} {:>16.0} {:>16.0} {ratio:>24.2}", median(rebuilds), median(folds));
}

/// Only parses and folds all events; tells how many keys there are.
fn parse_and_fold(stored: &[StoredForm]) -> usize {
    let mut keys: HashMap<KeyId, Key> = HashMap::new();
    for form in stored {
        let (event, _) =
            decode(form.event_type, form.data.as_bytes(), form.metadata.as_bytes()).unwrap();
        let before = keys.remove(&event.key_id());
        keys.insert(event.key_id(), evolve(before, &event).unwrap());
    }
    keys.len()
}
