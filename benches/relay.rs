//! Publishing the events of a journal, beside publishing messages of the same size, as many at once,
//! without an expected sequence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Config;
use futures::StreamExt;
use keyledger_node::readiness::{Part, Readiness};
use keyledger_node::{Following, Health, History, Progress, supervise};
use keyledger_projections::{Lease, LeaseName, ReadTables};
use keyledger_relay::nats::EventRelay;
use keyledger_relay::nats::{NatsServers, NatsSettings};
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::wait::until;

use crate::{ROUNDS, median, rebuild};

const EVENTS: usize = 100_000;
const IN_FLIGHT: usize = 256;
const PAYLOAD: usize = 560;

pub(crate) async fn run() {
    let folder = crate::folder();
    rebuild::fill(folder.path(), EVENTS, |_| "user".to_owned(), |_| 0).await;
    let file = |name: &str| format!("sqlite://{}/data/{name}.db", folder.path().display());
    let journal = keyledger_journal::open_reader(&file("journal")).await.unwrap();
    let tables = ReadTables::open(&file("read")).await.unwrap();
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let nats = Nats::start(Version::Current);
        raw.push(EVENTS as f64 / publish_raw(&nats).await);
        let settings = NatsSettings {
            servers: NatsServers::parse(&nats.url()).unwrap(),
            credentials: None,
            stream: "KEYS".to_owned(),
            replicas: 1,
            source: "urn:keyledger".to_owned(),
        };
        let period = Duration::from_secs(600);
        let lease = Lease::new(&tables, LeaseName::Relay, uuid::Uuid::from_u128(1), period);
        let relayed = tokio::sync::watch::Sender::new(None);
        let missing = tokio::sync::watch::Sender::new(None);
        let relay = EventRelay::new(settings, journal.clone(), tables.clone(), relayed, missing);
        let following = Following::new(
            relay,
            journal.clone(),
            Progress::default(),
            History::new(Duration::from_secs(10), Arc::default()),
        );
        let health = Health::new(Part::Relay, &Readiness::default());
        let begun = Instant::now();
        let relaying = tokio::spawn(supervise(following, Some(Arc::new(lease)), health));
        until_stored(&nats, "KEYS").await;
        ours.push(EVENTS as f64 / begun.elapsed().as_secs_f64());
        relaying.abort();
    }
    let ratio = median(ours.iter().zip(&raw).map(|(ours, raw)| ours / raw).collect());
    println!("relay of {EVENTS} events, median of {ROUNDS} rounds");
    println!("{:>16} {:>24} {:>12}", "relay, /s", "raw publishing, /s", "of raw");
    println!("{:>16.0} {:>24.0} {ratio:>12.2}\n", median(ours), median(raw));
}

/// Publishes the messages to compare with; tells how many seconds that took.
async fn publish_raw(nats: &Nats) -> f64 {
    let client = async_nats::connect(nats.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let config =
        Config { name: "RAW".to_owned(), subjects: vec!["raw.>".to_owned()], ..Config::default() };
    context.create_stream(config).await.unwrap();
    let begun = Instant::now();
    futures::stream::iter(0..EVENTS)
        .map(|number| {
            let context = &context;
            async move {
                let message = PublishMessage::build()
                    .payload(vec![b'x'; PAYLOAD].into())
                    .message_id(format!("{number:036}"));
                let sent = context.send_publish(format!("raw.{number}"), message).await.unwrap();
                sent.await.unwrap()
            }
        })
        .buffered(IN_FLIGHT)
        .for_each(async |_| {})
        .await;
    begun.elapsed().as_secs_f64()
}

/// Waits until a stream has all events.
async fn until_stored(nats: &Nats, name: &str) {
    let client = async_nats::connect(nats.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    until(format!("{EVENTS} messages in {name}"), async || match context.get_stream(name).await {
        Ok(stream) if stream.cached_info().state.messages >= EVENTS as u64 => Ok(()),
        Ok(stream) => Err(format!("{} messages", stream.cached_info().state.messages)),
        Err(error) => Err(error.to_string()),
    })
    .await;
}
