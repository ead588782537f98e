//! Several nodes on one PostgreSQL and one NATS.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use keyledger_domain::Delivery;
use keyledger_domain::{Position, RecordedEvent};
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::postgres::Postgres;
use serde_json::json;

use crate::support::load::{Load, Told};
use crate::support::nats::{assert_chained, assert_once_in_order, messages};
use crate::support::stores::new_database;
use crate::support::wait::{until, within};
use crate::support::{
    Answer, Client, Service, Setup, events_of, from_now, latest, token, took_lease,
};

/// What the nodes share.
struct Cluster {
    journal: String,
    read: String,
    nats: Option<Nats>,
    lease_period: &'static str,
}

impl Cluster {
    fn new(lease_period: &'static str) -> Self {
        let database = || new_database(Postgres::shared());
        Self { journal: database(), read: database(), nats: None, lease_period }
    }

    fn setup(&self) -> Setup {
        let setup = Setup::new()
            .set("KEYLEDGER_JOURNAL_URL", &self.journal)
            .set("KEYLEDGER_READ_URL", &self.read)
            .set("KEYLEDGER_LEASE_PERIOD", self.lease_period);
        match &self.nats {
            Some(nats) => setup.set("KEYLEDGER_NATS_URL", &nats.url()),
            None => setup,
        }
    }

    async fn events(&self) -> Vec<RecordedEvent> {
        events_of(&self.journal).await
    }
}

/// Checks that the lists of all nodes show what the journal says.
async fn assert_shown(nodes: &[&Service], people: usize, events: &[RecordedEvent], told: &Told) {
    let last = events.last().unwrap().position.as_u64();
    for node in nodes {
        let lists = (0..people).map(async |person| {
            let user = node.user(&format!("user-{person}"));
            user.keys_at(last).await
        });
        let shown: Vec<_> = join_all(lists).await.into_iter().flatten().collect();
        let created = events.iter().filter(|event| event.revision.as_u32() == 0).count();
        assert_eq!(shown.len(), created);
        for key in &shown {
            let id = key["key_id"].as_str().unwrap();
            if let Some(true) = told.created.get(id) {
                assert_eq!(key["revoked"], true, "{key}");
            }
        }
    }
}

#[keyledger_bounded::test]
async fn what_one_node_creates_the_others_list() {
    for count in [2, 3] {
        let cluster = Cluster::new("5s");
        let nodes: Vec<_> = (0..count).map(|_| cluster.setup().start()).collect();
        for round in 0..20 {
            for (number, node) in nodes.iter().enumerate() {
                let name = format!("{round}-{number}");
                let created = node.user("ann").post("/keys", &json!({ "name": name })).await;
                assert_eq!(created.header("keyledger-lagging"), None);
                for other in &nodes {
                    let keys = other.user("ann").keys_at(created.position()).await;
                    assert_eq!(keys[0]["name"], name);
                }
            }
        }
        for node in nodes {
            node.ready().await;
        }
    }
}

#[keyledger_bounded::test]
async fn no_reader_skips_or_reorders_what_several_processes_write() {
    let cluster = Cluster::new("5s");
    let nodes: Vec<_> = (0..3).map(|_| cluster.setup().start()).collect();
    let mut readers = Vec::new();
    let (done, finished) = tokio::sync::watch::channel(None);
    for _ in 0..4 {
        let reader = keyledger_journal::open_reader(&cluster.journal).await.unwrap();
        let mut finished = finished.clone();
        readers.push(tokio::spawn(async move {
            let mut subscription = reader.subscribe(Position::START);
            let mut seen = Vec::new();
            loop {
                let last = *finished.borrow_and_update();
                if last.is_some_and(|last| seen.last() == Some(&last)) {
                    return seen;
                }
                tokio::select! {
                    delivery = subscription.next() => {
                        if let Delivery::Event(event) = delivery.unwrap().unwrap() {
                            seen.push(event.position.as_u64());
                        }
                    }
                    _ = finished.changed(), if last.is_none() => {}
                }
            }
        }));
    }
    let people = (0..24).map(|person| {
        Client::new(&nodes[person % 3].address, Some(token(&format!("user-{person}"), &[])))
    });
    let mut load = Load::start(people, 0);
    load.created(3_000).await;
    let told = load.stop().await;
    let events = cluster.events().await;
    told.assert_is(&events);
    let last = u64::try_from(events.len()).unwrap();
    done.send_replace(Some(last));
    let all: Vec<_> = (1..=last).collect();
    for reader in readers {
        assert_eq!(within("a reader to see the last event", reader).await.unwrap(), all);
    }
}

#[keyledger_bounded::test]
async fn a_changed_address_is_taken_once_for_each_key_however_many_nodes_see_the_token() {
    // More than a node compares at a time.
    const KEYS: usize = 120;
    let mut cluster = Cluster::new("5s");
    cluster.nats = Some(Nats::start(Version::Current));
    let nodes = [cluster.setup().start().ready().await, cluster.setup().start().ready().await];
    let ann = nodes[0].user("ann");
    let creations = (0..KEYS).map(async |number| {
        let answer = ann.post("/keys", &json!({ "name": number.to_string() })).await;
        answer.expect_status(200);
        answer
    });
    let created = join_all(creations).await;
    let secret = |answer: &Answer| answer.json()["api_key"].as_str().unwrap().to_owned();
    let last = created.iter().map(Answer::position).max().unwrap();
    for node in &nodes {
        assert_eq!(node.user("ann").keys_at(last).await.len(), KEYS);
    }
    let issued_at = from_now(20);
    let clients =
        nodes.iter().map(|node| node.user_with_email("ann", "ann@example.net", issued_at));
    join_all(clients.map(async |client| client.keys().await)).await;
    for node in &nodes {
        for answer in &created {
            node.verifies_with_email(&secret(answer), "ann@example.net").await;
        }
    }
    // A node compares one sign-in after the other, so that of ann is compared before this one.
    for (node, user) in nodes.iter().zip(["bob", "carl"]) {
        let key = node.user(user).post("/keys", &json!({"name": "another"})).await;
        node.user_with_email(user, "new@example.net", from_now(20)).keys().await;
        node.verifies_with_email(&secret(&key), "new@example.net").await;
    }
    let messages = messages(cluster.nats.as_ref().unwrap(), 2 * KEYS + 4).await;
    assert_once_in_order(&messages);
    assert_chained(&messages);
    assert_eq!(cluster.events().await.len(), messages.len());
    let changes = messages.iter().filter(|message| message.body["data"]["user_id"] == "ann");
    let mut changed: Vec<_> = changes
        .filter(|message| message.body["type"] == "io.keyledger.key.owner-email-changed")
        .map(|message| {
            assert_eq!(message.body["data"]["user_email"], "ann@example.net");
            message.subject.strip_prefix("keys.v1.owner-email-changed.").unwrap().to_owned()
        })
        .collect();
    let id = |answer: &Answer| answer.json()["key_id"].as_str().unwrap().to_owned();
    let mut ids: Vec<_> = created.iter().map(id).collect();
    changed.sort_unstable();
    ids.sort_unstable();
    assert_eq!(changed, ids, "one event for each key");
}

#[keyledger_bounded::test]
async fn another_node_takes_over_within_two_lease_periods() {
    // Long, so that the delays of a busy machine are short beside it.
    const PERIOD: Duration = Duration::from_secs(15);
    let cluster = Cluster::new("15s");
    let first = cluster.setup().start().ready().await;
    let second = cluster.setup().start().ready().await;
    let client = second.user("ann");
    client.create("before").await;
    let killed = Instant::now();
    first.kill();
    // The key is listed once another node keeps the read tables.
    let position = client.post("/keys", &json!({"name": "after"})).await.position();
    let waiting = client.with("keyledger-min-position", &position.to_string());
    until("the list to include the key", async || {
        let answer = waiting.get("/keys").await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    assert!(killed.elapsed() < 2 * PERIOD, "{:?}", killed.elapsed());
    assert_eq!(client.keys().await.len(), 2);
}

#[keyledger_bounded::test]
async fn a_node_that_stops_in_good_order_hands_over_at_once() {
    let cluster = Cluster::new("600s");
    let first = cluster.setup().start().ready().await;
    first.stop_well();
    let second = cluster.setup().start().ready().await;
    second.user("ann").create("k").await;
    assert_eq!(second.user("ann").keys().await.len(), 1);
}

#[keyledger_bounded::test]
async fn a_node_that_was_paused_does_no_harm() {
    let cluster = Cluster::new("300ms");
    let paused = cluster.setup().start().ready().await;
    let other = cluster.setup().start().ready().await;
    let mut told = Told::default();
    for round in 0..5 {
        let mut load = Load::start([other.user("user-0"), other.user("user-1")], round);
        load.created(20).await;
        paused.signal("STOP");
        load.created(60).await;
        paused.signal("CONT");
        load.created(20).await;
        told.add(load.stop().await);
    }
    let events = cluster.events().await;
    told.assert_is(&events);
    assert_shown(&[&paused, &other], 2, &events, &told).await;
}

#[keyledger_bounded::test]
async fn a_killed_projector_or_relay_is_replaced_and_nothing_is_lost_or_doubled() {
    const PEOPLE: usize = 6;
    let mut cluster = Cluster::new("300ms");
    cluster.nats = Some(Nats::start(Version::Current));
    let mut nodes: Vec<_> = (0..3).map(|_| cluster.setup().start()).collect();
    let mut told = Told::default();
    let (mut projecting, mut relaying) = (0, 0);
    for round in 0..24 {
        let people = (0..PEOPLE).map(|person| {
            let address = &nodes[person % 3].address;
            Client::new(address, Some(token(&format!("user-{person}"), &[])))
        });
        let mut load = Load::start(people, round);
        load.created(15).await;
        // The node that keeps the read tables and the one that publishes, in turns.
        let (part, count) = match round % 2 {
            0 => ("read_tables", &mut projecting),
            _ => ("relay", &mut relaying),
        };
        let at = latest(&nodes, part);
        *count += usize::from(took_lease(&nodes[at], part).is_some());
        nodes.remove(at).kill();
        load.created(15).await;
        told.add(load.stop().await);
        nodes.insert(at, cluster.setup().start());
    }
    assert!(projecting >= 10 && relaying >= 10, "{projecting} {relaying}");
    let events = cluster.events().await;
    told.assert_is(&events);
    assert_shown(&nodes.iter().collect::<Vec<_>>(), PEOPLE, &events, &told).await;
    let messages = messages(cluster.nats.as_ref().unwrap(), events.len()).await;
    assert_once_in_order(&messages);
    assert_chained(&messages);
    let published: Vec<_> = messages.iter().map(|message| message.position()).collect();
    let written: Vec<_> = events.iter().map(|event| event.position.as_u64()).collect();
    assert_eq!(published, written, "every event, once, in the order of the journal");
}
