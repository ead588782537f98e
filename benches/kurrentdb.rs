//! Appends to KurrentDB through the adapter, beside the bare client, both against the stand-in.

use std::time::Instant;

use eventstore::{AppendToStreamOptions, Client, ClientSettings, EventData, ExpectedRevision};
use keyledger_projections::ReadTables;
use keyledger_test_servers::kurrentdb::Server;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{ROUNDS, appends, appends_and_rows, median, rebuild};

const APPENDS: usize = 60;

pub(crate) async fn run() {
    let (mut bare, mut adapter) = (Vec::new(), Vec::new());
    let (mut many, mut rows) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let server = Server::start();
        bare.push(bare_appends(&server.url().replace("kurrentdb", "esdb")).await);
        let journal = keyledger_journal::open(&server.url()).await.unwrap();
        let mut random = StdRng::seed_from_u64(round as u64);
        let mut times = Vec::new();
        for _ in 0..APPENDS {
            let append = rebuild::history("user", 0, &mut random);
            let begun = Instant::now();
            journal.append(append).await.unwrap();
            times.push(begun.elapsed().as_secs_f64());
        }
        adapter.push(median(times));
        many.push(appends(&*journal, 64).await.0);
        let folder = crate::folder();
        let url = format!("sqlite://{}/read.db", folder.path().display());
        let tables = ReadTables::open(&url).await.unwrap();
        rows.push(appends_and_rows(journal, &tables, 64).await);
    }
    let ratio = median(adapter.iter().zip(&bare).map(|(adapter, bare)| adapter / bare).collect());
    println!("KurrentDB stand-in, one caller, median append, median of {ROUNDS} rounds");
    println!("{:>16} {:>16} {:>20}", "adapter, ms", "bare client, ms", "of the bare client");
    let (adapter, bare) = (median(adapter) * 1e3, median(bare) * 1e3);
    println!("{adapter:>16.2} {bare:>16.2} {ratio:>20.2}");
    let ratio = median(rows.iter().zip(&many).map(|(rows, many)| rows / many).collect());
    println!("{:>16} {:>16} {:>20}", "64 callers, /s", "and in rows, /s", "of appends alone");
    println!("{:>16.0} {:>16.0} {ratio:>20.2}\n", median(many), median(rows));
}

async fn bare_appends(url: &str) -> f64 {
    let client = Client::new(url.parse::<ClientSettings>().unwrap()).unwrap();
    let options = AppendToStreamOptions::default().expected_revision(ExpectedRevision::Any);
    let mut times = Vec::new();
    for _ in 0..APPENDS {
        let event = EventData::binary("KeyCreated", vec![b'x'; 600].into());
        let begun = Instant::now();
        client.append_to_stream("bare", &options, event).await.unwrap();
        times.push(begun.elapsed().as_secs_f64());
    }
    median(times)
}
