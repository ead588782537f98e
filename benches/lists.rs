//! Whether a list takes longer when others have many keys.

use std::path::Path;

use crate::load::{Client, latency};
use crate::rebuild::fill;
use crate::{ROUNDS, median, service};

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const REQUESTS: usize = 2_000;

async fn lister(folder: &Path, keys: usize) -> (service::Server, Client) {
    // Ten keys a user: the listed owner is one among many.
    fill(folder, keys, |number| format!("user-{}", number % (keys / 10)), |_| 0).await;
    let server = service::keyledger(folder);
    let mut client = Client::new(&server.address, "GET /readyz", "x", "");
    while !client.is_ready() {}
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
