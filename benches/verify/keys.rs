//! Makes the keys: in a journal for keyledger, in a file as their owners would present them, and as
//! rows for the others' tables.

use std::fs::File;
use std::io::{BufWriter, Write};

use keyledger_domain::Clock;
use keyledger_node::clock::SystemClock;
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::histories::{append_all, life, new_key};

const KEYS_OF_AN_OWNER: usize = 10;
const FIRST: [&str; 7] = ["ann", "grace", "edsger", "barbara", "alan", "margaret", "ken"];
const LAST: [&str; 5] = ["lovelace", "hopper", "liskov", "hamilton", "dijkstra"];
const USES: [&str; 4] = ["production no.", "staging server", "nightly import", "ci pipeline no."];

pub(crate) async fn write(url: &str, count: usize, keys: &str, csv: Option<&str>) {
    let journal = keyledger_journal::open(url).await.unwrap();
    let now = SystemClock.now();
    let mut random = StdRng::seed_from_u64(1);
    let mut keys = BufWriter::new(File::create(keys).unwrap());
    let mut rows = csv.map(|csv| BufWriter::new(File::create(csv).unwrap()));
    let appends = (0..count).map(|number| {
        let (owner, email, name) = belongings(number);
        let (secret, create) = new_key(&owner, &email, &name, &mut random);
        writeln!(keys, "{}", secret.expose()).unwrap();
        if let Some(rows) = &mut rows {
            let (id, details) = (create.key_id, &create.details);
            let (hash, prefix) = (details.hash.to_hex(), &details.prefix);
            writeln!(rows, "{id},{hash},{},{owner},{email},{name},{now}", prefix.as_str()).unwrap();
        }
        life(create, 0, now, &mut random)
    });
    append_all(&*journal, appends).await;
    keys.flush().unwrap();
    rows.map(|mut rows| rows.flush()).transpose().unwrap();
}

/// The id and the address of a key's owner, and the key's name.
fn belongings(number: usize) -> (String, String, String) {
    let owner = number / KEYS_OF_AN_OWNER;
    let pick = |words: &[&'static str], by: usize| words.get(by % words.len()).copied().unwrap();
    (
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &owner.to_be_bytes()).to_string(),
        format!("{}.{}{owner}@example.com", pick(&FIRST, owner), pick(&LAST, owner)),
        format!("{} {}", pick(&USES, number), number % KEYS_OF_AN_OWNER),
    )
}
