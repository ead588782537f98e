//! How long the list of an owner takes, by how many keys other owners have.

use std::path::Path;

use keyledger_test_servers::wait::until_blocking;

use crate::load::{Client, latency};
use crate::rebuild::fill;
use crate::{ROUNDS, median, service};

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const REQUESTS: usize = 2_000;

async fn lister(folder: &Path, keys: usize) -> (service::Server, Client) {
    // Each user has ten keys, so the owner whose keys are listed is one of many.
    fill(folder, keys, |number| format!("user-{}", number % (keys / 10)), |_| 0).await;
    let server = service::keyledger(folder);
    let mut client = Client::new(&server.address, "GET /readyz", "x", "");
    until_blocking("the service to be ready", || {
        if client.is_ready() { Ok(()) } else { Err("not yet") }
    });
    let token = service::token("user-0");
    let client = Client::new(&server.address, "GET /keys", &token, "");
    (server, client)
}

pub(crate) async fn run() {
    let folders = SIZES.map(|_| crate::folder());
    let mut listers = Vec::new();
    for (folder, size) in folders.iter().zip(SIZES) {
        listers.push(lister(folder.path(), size).await);
    }
    let mut micros = SIZES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, client), micros) in listers.iter_mut().zip(&mut micros) {
            micros.push(latency(client, REQUESTS));
        }
    }
    println!("listing an owner's 10 keys over HTTP, median latency of {ROUNDS} rounds");
    println!("{:>15} {:>10} {:>18}", "keys in table", "µs", "times the first");
    for (size, row) in SIZES.iter().zip(&micros) {
        let pairs = row.iter().zip(&micros[0]);
        let ratio = median(pairs.map(|(this, first)| this / first).collect());
        println!("{size:>15} {:>10.0} {ratio:>18.2}", median(row.clone()));
    }
    println!();
}
