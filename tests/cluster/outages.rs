//! Servers that are stopped for longer than every time limit of the service, and networks that
//! misbehave: each command succeeds or says that it did not, and the service recovers by itself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use keyledger_domain::RecordedEvent;
use keyledger_test_servers::kurrentdb::{Database, Server};
use keyledger_test_servers::nats::{Nats, Version};
use keyledger_test_servers::postgres::Postgres;
use keyledger_test_servers::proxy::{Network, Proxy};

use crate::support::load::{Load, Told};
use crate::support::nats::{assert_chained, assert_once_in_order, messages};
use crate::support::wait::lasts;
use crate::support::{Client, Service, Setup, assert_problem, events_of, token};

/// Longer than any time limit of the service.
const LONG: Duration = Duration::from_secs(9);
const PEOPLE: usize = 4;
const RELAY_READY: &str = r#"keyledger_part_ready{part="relay"}"#;

fn people(service: &Service) -> impl Iterator<Item = Client> {
    (0..PEOPLE)
        .map(|person| Client::new(&service.address, Some(token(&format!("user-{person}"), &[]))))
}

/// People work while something breaks, stays broken for [`LONG`], and heals; tells what they were told.
async fn through(
    service: &Service,
    round: usize,
    breaks: impl FnOnce() + Send + 'static,
    heals: impl FnOnce() + Send + 'static,
    meanwhile: impl AsyncFnOnce(),
) -> Told {
    let mut load = Load::start(people(service), round);
    load.created(20).await;
    tokio::task::spawn_blocking(breaks).await.unwrap();
    meanwhile().await;
    lasts(LONG).await;
    tokio::task::spawn_blocking(heals).await.unwrap();
    load.created(20).await;
    load.stop().await
}

/// Checks that the lists show what the journal says.
async fn assert_shown(service: &Service, events: &[RecordedEvent]) {
    let last = events.last().unwrap().position.as_u64();
    let mut shown = 0;
    for person in 0..PEOPLE {
        shown += service.user(&format!("user-{person}")).keys_at(last).await.len();
    }
    let created = events.iter().filter(|event| event.revision.as_u32() == 0).count();
    assert_eq!(shown, created);
}

#[keyledger_bounded::test]
async fn an_outage_of_postgres_is_survived() {
    let server = Arc::new(Postgres::start_durable());
    let (journal, read) = (server.database().await, server.database().await);
    let service = Setup::new()
        .set("KEYLEDGER_JOURNAL_URL", &journal)
        .set("KEYLEDGER_READ_URL", &read)
        .start()
        .ready()
        .await;
    let (stopped, started) = (server.clone(), server.clone());
    let told = through(
        &service,
        0,
        move || stopped.kill(),
        move || started.start_again(),
        async || {
            service.readiness_is(503).await;
            assert_eq!(service.metric("keyledger_ready").await, Some(0));
        },
    )
    .await;
    assert!(!told.refused.is_empty(), "there was an outage");
    let service = service.ready().await;
    assert_eq!(service.metric("keyledger_ready").await, Some(1));
    assert_eq!(service.metric(r#"keyledger_part_ready{part="journal"}"#).await, Some(1));
    let events = events_of(&journal).await;
    told.assert_is(&events);
    assert_shown(&service, &events).await;
}

#[keyledger_bounded::test]
async fn an_outage_of_kurrentdb_is_survived() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let (url, port) = (server.url(), server.address().port());
    let service = Setup::new().set("KEYLEDGER_JOURNAL_URL", &url).start().ready().await;
    let revived = Arc::new(OnceLock::new());
    let again = revived.clone();
    let told = through(
        &service,
        0,
        move || server.kill(),
        move || again.set(Server::serve(&database, port)).unwrap(),
        async || service.readiness_is(503).await,
    )
    .await;
    let service = service.ready().await;
    let events = events_of(&url).await;
    told.assert_is(&events);
    assert_shown(&service, &events).await;
}

#[keyledger_bounded::test]
async fn an_outage_of_nats_is_survived() {
    let nats = Arc::new(Nats::start(Version::Old));
    let service = Setup::new().set("KEYLEDGER_NATS_URL", &nats.url()).start().ready().await;
    let (stopped, started) = (nats.clone(), nats.clone());
    let told = through(
        &service,
        0,
        move || stopped.kill(),
        move || started.start_again(),
        async || {
            service.part_is("relay", "failing").await;
            assert_eq!(service.metric(RELAY_READY).await, Some(0));
            assert_eq!(service.metric("keyledger_ready").await, Some(1));
        },
    )
    .await;
    assert!(told.refused.is_empty() && told.unknown.is_empty(), "requests do not need it");
    let events = service.events().await;
    told.assert_is(&events);
    let messages = messages(&nats, events.len()).await;
    assert_once_in_order(&messages);
    assert_chained(&messages);
    service.part_is("relay", "ready").await;
    assert_eq!(service.metric(RELAY_READY).await, Some(1));
    let last = events.last().unwrap().position.as_i64();
    service.metric_is("keyledger_relay_position", last).await;
    assert_eq!(service.metric("keyledger_read_position").await, Some(last));
}

/// Checks that a service that cannot reach its stores says so, does not end, and serves once it can
/// reach them.
async fn until_it_can(service: Service, heals: impl FnOnce() + Send + 'static) -> Service {
    let user = service.user("ann");
    let refused = user.get("/keys").await;
    assert_problem!(refused, 503, "starting");
    refused.expect_status(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    service.part_is("journal", "failing").await;
    service.readiness_is(503).await;
    // Parts that have not begun yet are told too.
    let parts = &service.stranger().get("/readyz").await.json()["parts"];
    assert_eq!(
        (&parts["verification"], &parts["sign_in"]),
        (&"starting".into(), &"starting".into())
    );
    assert_eq!(service.metric("keyledger_ready").await, Some(0));
    service.stranger().get("/healthz").await.expect_status(200);
    tokio::task::spawn_blocking(heals).await.unwrap();
    let service = service.ready().await;
    let id = user.create("late").await;
    assert_eq!(user.keys().await[0]["key_id"], id);
    service
}

#[keyledger_bounded::test]
async fn a_service_starts_before_its_postgres_does() {
    let server = Arc::new(Postgres::start());
    let (journal, read) = (server.database().await, server.database().await);
    server.kill();
    let setup =
        Setup::new().set("KEYLEDGER_JOURNAL_URL", &journal).set("KEYLEDGER_READ_URL", &read);
    let started = server.clone();
    let service = until_it_can(setup.spawn(), move || started.start_again()).await;
    let told = service.printed("cannot be opened yet, trying again").await;
    assert!(told.contains("cannot be reached"), "{told}");
}

#[keyledger_bounded::test]
async fn a_service_starts_before_its_kurrentdb_and_nats_do() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let (url, port) = (server.url(), server.address().port());
    server.kill();
    let nats = Nats::start(Version::Current);
    nats.kill();
    let setup =
        Setup::new().set("KEYLEDGER_JOURNAL_URL", &url).set("KEYLEDGER_NATS_URL", &nats.url());
    let revived = Arc::new(OnceLock::new());
    let again = revived.clone();
    let heals = move || again.set(Server::serve(&database, port)).unwrap();
    let service = until_it_can(setup.spawn(), heals).await;
    nats.start_again();
    assert_once_in_order(&messages(&nats, 1).await);
    service.part_is("relay", "ready").await;
}

#[keyledger_bounded::test]
async fn a_service_that_waits_for_its_stores_stops_when_it_is_asked() {
    let server = Postgres::start();
    let journal = server.database().await;
    server.kill();
    let service = Setup::new().set("KEYLEDGER_JOURNAL_URL", &journal).spawn();
    service.part_is("journal", "failing").await;
    service.stop_well();
}

/// How the network misbehaves; it works in between.
const MISBEHAVIOURS: [Network; 4] = [
    Network::Slow(Duration::from_millis(40)),
    Network::Truncates(20_000),
    Network::Silent,
    Network::Cut,
];

#[keyledger_bounded::test]
async fn a_bad_network_to_postgres_loses_and_doubles_nothing() {
    let server = Postgres::shared();
    let (journal, read) = (server.database().await, server.database().await);
    let proxy = Arc::new(Proxy::start(server.port()));
    let through_proxy =
        |url: &str| url.replace(&server.port().to_string(), &proxy.port().to_string());
    let service = Setup::new()
        .set("KEYLEDGER_JOURNAL_URL", &through_proxy(&journal))
        .set("KEYLEDGER_READ_URL", &through_proxy(&read))
        .set("KEYLEDGER_LEASE_PERIOD", "1s")
        .start()
        .ready()
        .await;
    let mut told = Told::default();
    for (round, network) in MISBEHAVIOURS.into_iter().enumerate() {
        let mut load = Load::start(people(&service), round);
        load.created(20).await;
        proxy.set(network);
        lasts(Duration::from_secs(6)).await;
        proxy.set(Network::Works);
        load.created(20).await;
        told.add(load.stop().await);
    }
    let service = service.ready().await;
    let events = events_of(&journal).await;
    told.assert_is(&events);
    assert_shown(&service, &events).await;
}

#[keyledger_bounded::test]
async fn a_bad_network_to_nats_loses_and_doubles_nothing() {
    let nats = Nats::start(Version::Current);
    let proxy = Proxy::start(nats.port());
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let service = Setup::new().set("KEYLEDGER_NATS_URL", &url).start().ready().await;
    let mut told = Told::default();
    for (round, network) in MISBEHAVIOURS.into_iter().enumerate() {
        let mut load = Load::start(people(&service), round);
        load.created(100).await;
        proxy.set(network);
        load.created(400).await;
        lasts(Duration::from_secs(4)).await;
        proxy.set(Network::Works);
        load.created(100).await;
        told.add(load.stop().await);
    }
    let events = service.events().await;
    told.assert_is(&events);
    let messages = messages(&nats, events.len()).await;
    assert_once_in_order(&messages);
    assert_chained(&messages);
    let published: Vec<_> = messages.iter().map(|message| message.position()).collect();
    let written: Vec<_> = events.iter().map(|event| event.position.as_u64()).collect();
    assert_eq!(published, written);
}
