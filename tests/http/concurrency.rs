//! Many clients at once: the outcome is one that a model allows, and the read table is the fold of
//! the journal.

use std::collections::BTreeMap;

use futures::future::join_all;
use keyledger_domain::key::{Key, KeyEvent, Lifecycle, evolve};
use keyledger_domain::{KeyId, Position};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Service};

const USERS: usize = 8;
const CLIENTS: usize = 64;
const EACH: usize = 40;

/// How often a revocation and a deletion of a key succeeded.
#[derive(Default, Debug)]
struct Told {
    revoked: u32,
    deleted: u32,
    /// Whether a deletion was sent again, because the first answer told no outcome. It may have succeeded then.
    may_be_deleted: bool,
}

/// How often a request is sent while the journal does not answer in time, as on a slow machine.
const SENDS: usize = 20;

/// The answer that tells an outcome, and whether the request may have been carried out before.
async fn outcome(mut send: impl AsyncFnMut() -> Answer) -> (Answer, bool) {
    let mut may_be_done = false;
    for _ in 0..SENDS {
        let answer = send().await;
        if answer.status != 503 {
            return (answer, may_be_done);
        }
        match answer.problem().1.as_str() {
            "outcome_unknown" => may_be_done = true,
            code => assert_eq!(code, "unavailable", "{answer}"),
        }
    }
    panic!("{SENDS} requests in a row were not carried out")
}

/// Creates a key, and tells its id.
async fn create(client: &Client, idempotency_key: &str) -> String {
    let client = client.with("idempotency-key", idempotency_key);
    let (answer, _) =
        outcome(async || client.post("/keys", &json!({ "name": "made" })).await).await;
    let was_created_before = answer.status == 409 && answer.problem().1 == "idempotency_replayed";
    assert!(answer.status == 200 || was_created_before, "{answer}");
    answer.json()["key_id"].as_str().unwrap().to_owned()
}

/// One client works on keys that it shares with others, and on keys of its own.
async fn tries(client: Client, seed: u64, shared: &[String]) -> BTreeMap<String, Told> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut mine: Vec<String> = Vec::new();
    for turn in 0..EACH {
        let known = shared.len() + mine.len();
        let at = random.random_range(0..known);
        let id = shared.get(at).or_else(|| mine.get(at - shared.len())).unwrap().clone();
        match random.random_range(0..10) {
            0..4 => {
                let id = create(&client, &format!("{seed}-{turn}")).await;
                told.insert(id.clone(), Told::default());
                mine.push(id);
            }
            4..8 => {
                let path = format!("/keys/{id}");
                let (answer, _) = outcome(async || client.delete(&path).await).await;
                assert!([200, 404, 409].contains(&answer.status), "{answer}");
                told.entry(id).or_default().revoked += u32::from(answer.status == 200);
            }
            _ => {
                let path = format!("/keys/{id}/permanent");
                let (answer, is_again) = outcome(async || client.delete(&path).await).await;
                assert!([200, 404, 409].contains(&answer.status), "{answer}");
                let told = told.entry(id).or_default();
                told.deleted += u32::from(answer.status == 200);
                told.may_be_deleted |= is_again && answer.status != 200;
            }
        }
    }
    told
}

#[keyledger_bounded::test]
async fn sixty_four_clients_come_to_what_the_model_says() {
    let service = Service::start().ready().await;
    let users: Vec<_> = (0..USERS).map(|number| service.user(&format!("user-{number}"))).collect();
    let mut shared = Vec::new();
    for user in &users {
        let names: Vec<_> = (0..6).map(|number| format!("shared-{number}")).collect();
        shared.push(join_all(names.iter().map(|name| create(user, name))).await);
    }
    let all = join_all((0..).zip(0..CLIENTS).map(|(seed, number)| {
        let user = number % USERS;
        tries(users[user].clone(), seed, &shared[user])
    }))
    .await;

    // The model: a key is gone if a deletion succeeded, which can happen once; it is revoked if a
    // revocation succeeded.
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    for id in shared.into_iter().flatten() {
        told.insert(id, Told::default());
    }
    for (id, one) in all.into_iter().flatten() {
        let sum = told.entry(id).or_default();
        sum.revoked += one.revoked;
        sum.deleted += one.deleted;
        sum.may_be_deleted |= one.may_be_deleted;
    }
    let mut expected: BTreeMap<String, bool> = BTreeMap::new();
    for (id, told) in &told {
        assert!(told.deleted <= 1, "{id} was deleted more than once");
        if told.deleted == 0 && !told.may_be_deleted {
            expected.insert(id.clone(), told.revoked > 0);
        }
    }
    let mut listed: BTreeMap<String, bool> = BTreeMap::new();
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    for user in &users {
        for key in user.keys().await {
            let id = key["key_id"].as_str().unwrap().to_owned();
            if !told[&id].may_be_deleted {
                listed.insert(id.clone(), key["revoked"].as_bool().unwrap());
            }
            rows.insert(id, key);
        }
    }
    assert_eq!(listed, expected);
    assert!(expected.len() < told.len() && expected.values().any(|revoked| *revoked));

    // The journal has one history of each key, and the table is its fold.
    let folded = fold(&service).await;
    assert_eq!(folded.len(), told.len());
    let shown: BTreeMap<String, Value> = folded
        .values()
        .filter(|key| !matches!(key.lifecycle, Lifecycle::Deleted { .. }))
        .map(|key| (key.id.to_string(), view(key)))
        .collect();
    assert_eq!(rows, shown);
}

/// The fold of all events in the journal.
async fn fold(service: &Service) -> BTreeMap<KeyId, Key> {
    let mut keys: BTreeMap<KeyId, Key> = BTreeMap::new();
    let mut last = Position::START;
    for recorded in service.events().await {
        assert!(recorded.position > last);
        last = recorded.position;
        let key_id = recorded.event.key_id();
        let key = evolve(keys.remove(&key_id), &recorded.event).unwrap();
        assert_eq!(recorded.metadata.actor, key.details.owner);
        assert!(
            matches!(recorded.event, KeyEvent::Created(_)) == (recorded.revision.as_u32() == 0)
        );
        keys.insert(key_id, key);
    }
    keys
}

/// The entry of a key in a list.
fn view(key: &Key) -> Value {
    json!({
        "key_id": key.id.to_string(),
        "key_prefix": key.details.prefix.as_str(),
        "name": key.details.name.as_str(),
        "created_at": key.created_at.to_string(),
        "last_used_at": null,
        "revoked": key.lifecycle != Lifecycle::Active,
    })
}
