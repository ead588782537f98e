//! A revoked key is refused: on the node that answered, from its answer on; on others, as soon as the
//! journal delivers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keyledger_test_servers::postgres::Postgres;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Key, create, gateway, verdict, verify};
use crate::support::wait::{until, within};
use crate::support::{Client, Service, Setup};

const REVOCATIONS: usize = 1_000;
const PEOPLE: usize = 8;

/// The secrets of the keys whose revocation was answered.
type Revoked = Arc<Mutex<HashSet<String>>>;

/// Verifies one key after another until all are revoked. A key whose revocation was answered before
/// the question must be refused.
async fn watch(gateway: Client, keys: Arc<Vec<Key>>, revoked: Revoked, first: usize) -> usize {
    let mut asked = 0;
    for key in keys.iter().cycle().skip(first) {
        let before = {
            let revoked = revoked.lock().unwrap();
            if revoked.len() == keys.len() {
                return asked;
            }
            revoked.contains(&key.secret)
        };
        let verdict = verdict(&gateway, &key.secret).await;
        assert!(!before || verdict == "REVOKED", "{verdict} after the answer");
        asked += 1;
    }
    asked
}

/// Waits until another node has come to the position of a revocation, and checks that it refuses the
/// key then.
async fn refused_at(gateway: &Client, key: &Key, position: u64) {
    let waiting = gateway.with("keyledger-min-position", &position.to_string());
    let answer = until("a verdict that includes the revocation", async || {
        let answer = verify(&waiting, &key.secret).await;
        if answer.status == 503 { Err(answer) } else { Ok(answer) }
    });
    assert_eq!(answer.await.expect_status(200).json()["code"], "REVOKED");
    assert_eq!(verdict(gateway, &key.secret).await, "REVOKED");
}

#[keyledger_bounded::test]
async fn no_key_is_good_after_its_revocation_was_answered() {
    let server = Postgres::shared();
    let (journal, read) = (server.database().await, server.database().await);
    let setup =
        || Setup::new().set("KEYLEDGER_JOURNAL_URL", &journal).set("KEYLEDGER_READ_URL", &read);
    let (node, other) = (setup().start().ready().await, setup().start().ready().await);
    let ann = node.user("ann");
    let mut keys = Vec::new();
    for number in 0..REVOCATIONS {
        keys.push(create(&ann, &json!({"name": format!("key {number}")})).await);
    }
    let last = keys.last().unwrap().position;
    let elsewhere = gateway(&other);
    let waiting = elsewhere.with("keyledger-min-position", &last.to_string());
    let answer = until("a verdict that includes the last key", async || {
        let answer = verify(&waiting, &keys[0].secret).await;
        if answer.status == 503 { Err(answer) } else { Ok(answer) }
    });
    assert_eq!(answer.await.expect_status(200).json()["code"], "VALID");

    let (keys, revoked) = (Arc::new(keys), Revoked::default());
    let mut watching = JoinSet::new();
    for number in 0..PEOPLE {
        let first = number * REVOCATIONS / PEOPLE;
        watching.spawn(watch(gateway(&node), keys.clone(), revoked.clone(), first));
    }
    let mut lags = Vec::new();
    for key in keys.iter() {
        let answer = ann.delete(&format!("/keys/{}", key.id)).await;
        answer.expect_status(200);
        assert_eq!(answer.header("keyledger-lagging"), None);
        let answered = Instant::now();
        revoked.lock().unwrap().insert(key.secret.clone());
        refused_at(&elsewhere, key, answer.position()).await;
        lags.push(answered.elapsed());
    }
    let mut asked = 0;
    while let Some(watched) = within("someone's last question", watching.join_next()).await {
        asked += watched.unwrap();
    }
    assert!(asked >= REVOCATIONS, "they were asked about all the while: {asked}");
    let count = "keyledger_revocation_lag_seconds_count";
    for node in [&node, &other] {
        assert_eq!(node.metric(count).await, Some(i64::try_from(REVOCATIONS).unwrap()));
    }
    print_distribution(&mut lags, &other).await;
}

/// Prints how long after the answer another node refused the keys.
async fn print_distribution(lags: &mut [Duration], other: &Service) {
    lags.sort();
    println!("{REVOCATIONS} revocations, how long after the answer another node refused the key:");
    for (name, per_mille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999)] {
        println!(
            "{name:>6} {:>10.3} ms",
            lags[REVOCATIONS * per_mille / 1_000].as_secs_f64() * 1e3
        );
    }
    println!("{:>6} {:>10.3} ms", "most", lags[REVOCATIONS - 1].as_secs_f64() * 1e3);
    let metrics = Client::new(&other.internal, None).get("/metrics").await.text;
    for line in metrics.lines().filter(|line| line.contains("revocation_lag_seconds_bucket")) {
        println!("{line}");
    }
}

#[keyledger_bounded::test]
async fn deletions_and_revocations_by_many_at_once_end_every_key() {
    let service = Service::start().ready().await;
    let mut people = JoinSet::new();
    for person in 0..PEOPLE {
        let user = service.user(&format!("user-{person}"));
        let gateway = gateway(&service);
        people.spawn(async move {
            for number in 0..40 {
                let key = create(&user, &json!({"name": format!("key {number}")})).await;
                assert_eq!(verdict(&gateway, &key.secret).await, "VALID");
                let (path, code) = match number % 2 {
                    0 => (format!("/keys/{}", key.id), "REVOKED"),
                    _ => (format!("/keys/{}/permanent", key.id), "NOT_FOUND"),
                };
                user.delete(&path).await.expect_status(200);
                assert_eq!(verdict(&gateway, &key.secret).await, code);
            }
        });
    }
    while let Some(person) = within("the end of someone's keys", people.join_next()).await {
        person.unwrap();
    }
}
