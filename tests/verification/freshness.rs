//! A node that cannot prove that its index is caught up with the journal says so, and never that a key
//! is good.

use std::process::Command;
use std::time::{Duration, Instant};

use keyledger_test_servers::kurrentdb::{CallFault, Server, SubscriptionFault};
use keyledger_test_servers::postgres::{Postgres, program};
use keyledger_test_servers::proxy::{Network, Proxy};

use super::{Key, gateway, key, verify};
use crate::support::{Client, Service, Setup, assert_problem, run, wait};

/// How long a proof holds in these tests: a busy machine takes far less time for the next one.
const BOUND: Duration = Duration::from_secs(6);
/// How long after a proof's end it is checked that nothing is said of a key.
const AFTER: Duration = Duration::from_secs(2);

fn bounded(setup: Setup) -> Setup {
    setup.set("KEYLEDGER_MAX_STALENESS", "6s").set("KEYLEDGER_LEASE_PERIOD", "1s")
}

/// Changes a database as its administrator can.
fn psql(url: &str, statements: &[&str]) {
    let mut command = Command::new(program("psql"));
    command.args([url, "-q", "-v", "ON_ERROR_STOP=1"]);
    for statement in statements {
        command.args(["-c", statement]);
    }
    let output = run(&mut command);
    assert!(output.status.success(), "{output:?}");
}

/// The code of the verdict on a key, or of the problem that is answered in its place.
async fn told(gateway: &Client, key: &Key) -> String {
    let answer = verify(gateway, &key.secret).await;
    match answer.status {
        200 => answer.json()["code"].as_str().unwrap().to_owned(),
        503 => {
            assert_eq!(answer.header("retry-after"), Some("1"));
            answer.problem().1
        }
        _ => panic!("{answer}"),
    }
}

/// Asks until the answer is `then`; every answer before must be `before`.
async fn until_told(gateway: &Client, key: &Key, then: &str, before: &str) {
    wait::until(format!("{then:?} in the place of {before:?}"), async || {
        match told(gateway, key).await {
            now if now == then => Ok(()),
            now => {
                assert_eq!(now, before, "{before:?} until {then:?}");
                Err(now)
            }
        }
    })
    .await;
}

/// How old the last proof is.
async fn staleness(service: &Service) -> Duration {
    let seconds = service.metric_text("keyledger_index_staleness_seconds").await.unwrap();
    Duration::from_secs_f64(seconds.parse().unwrap())
}

/// Checks, once the journal is out of reach, that the key is good for as long as the last proof holds,
/// and that then no answer of any form says anything of it, nor that the node is ready.
async fn says_nothing_after_the_bound(service: &Service, key: &Key) {
    let gateway = gateway(service);
    let (asked, age) = (Instant::now(), staleness(service).await);
    wait::until("the end of the last proof", async || {
        let age = staleness(service).await;
        match told(&gateway, key).await.as_str() {
            "cannot_verify" => Ok(()),
            "VALID" if age < BOUND => Err(format!("valid, {age:?} after the last proof")),
            other => panic!("{other}, {age:?} after the last proof"),
        }
    })
    .await;
    assert!(asked.elapsed() + age >= BOUND, "the last proof held until then");
    wait::throughout(AFTER, async || {
        assert_eq!(told(&gateway, key).await, "cannot_verify");
    })
    .await;
    let auth = gateway.with("x-api-key", &key.secret).get("/auth").await;
    assert_problem!(auth, 503, "cannot_verify");
    super::introspect(&gateway, &key.secret).await.expect_status(503);
    gateway.get("/readyz").await.expect_status(503);
    service.part_is("verification", "failing").await;
    assert!(service.metric("keyledger_verifications_total{code=\"UNKNOWN\"}").await.unwrap() > 0);
}

#[keyledger_bounded::test]
async fn a_node_that_is_cut_off_from_postgres_says_nothing_and_misses_nothing() {
    let server = Postgres::shared();
    let (journal, read) = (server.database().await, server.database().await);
    let near = bounded(Setup::new())
        .set("KEYLEDGER_JOURNAL_URL", &journal)
        .set("KEYLEDGER_READ_URL", &read)
        .start()
        .ready()
        .await;
    for network in [Network::Silent, Network::Cut] {
        let proxy = Proxy::start(server.port());
        let through = journal.replace(&server.port().to_string(), &proxy.port().to_string());
        let far = bounded(Setup::new())
            .set("KEYLEDGER_JOURNAL_URL", &through)
            .set("KEYLEDGER_READ_URL", &read)
            .start()
            .ready()
            .await;
        let key = key(&near).await;
        let gateway = gateway(&far);
        until_told(&gateway, &key, "VALID", "NOT_FOUND").await;
        proxy.set(network);
        near.user("ann").delete(&format!("/keys/{}", key.id)).await;
        says_nothing_after_the_bound(&far, &key).await;
        proxy.set(Network::Works);
        // The key is never good again.
        until_told(&gateway, &key, "REVOKED", "cannot_verify").await;
        far.ready().await;
    }
}

#[keyledger_bounded::test]
async fn a_primary_that_was_deposed_proves_nothing() {
    let server = Postgres::start();
    let (journal, read) = (server.database().await, Postgres::shared().database().await);
    let service = bounded(Setup::new())
        .set("KEYLEDGER_JOURNAL_URL", &journal)
        .set("KEYLEDGER_READ_URL", &read)
        .start()
        .ready()
        .await;
    let key = key(&service).await;
    let set = |standbys: &str| {
        let statement = format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'");
        psql(&journal, &[&statement, "SELECT pg_reload_conf()"]);
    };
    // No standby confirms its commits any more, and it still answers reads.
    set("elsewhere");
    says_nothing_after_the_bound(&service, &key).await;
    set("");
    until_told(&gateway(&service), &key, "VALID", "cannot_verify").await;
}

#[keyledger_bounded::test]
async fn an_event_that_cannot_be_read_refuses_its_own_key_at_once() {
    let server = Postgres::shared();
    let (journal, read) = (server.database().await, server.database().await);
    let service = Setup::new()
        .set("KEYLEDGER_JOURNAL_URL", &journal)
        .set("KEYLEDGER_READ_URL", &read)
        .set("KEYLEDGER_MAX_STALENESS", "10m")
        .start()
        .ready()
        .await;
    let gateway = gateway(&service);
    let (struck, good) = (key(&service).await, key(&service).await);
    assert_eq!(told(&gateway, &struck).await, "VALID");
    // An event of a later version, perhaps: it may be a revocation.
    let unknown = format!(
        "BEGIN; UPDATE journal_head SET position = position + 1;
         INSERT INTO events SELECT position, 'apikey-{}', 1, gen_random_uuid(), 'KeyMelted', '{{}}', '{{}}'
         FROM journal_head; COMMIT",
        struck.id
    );
    psql(&journal, &[&unknown]);
    until_told(&gateway, &struck, "REVOKED", "VALID").await;
    assert_eq!(told(&gateway, &good).await, "VALID");
    service.printed("key closed, and refused from now on").await;
    gateway.get("/readyz").await.expect_status(200);
}

#[keyledger_bounded::test]
async fn a_kurrentdb_that_takes_no_appends_proves_nothing() {
    let server = Server::start();
    let service =
        bounded(Setup::new()).set("KEYLEDGER_JOURNAL_URL", &server.url()).start().ready().await;
    let key = key(&service).await;
    let gateway = gateway(&service);
    for fault in [CallFault::NotReady, CallFault::Hang] {
        server.appends(fault);
        says_nothing_after_the_bound(&service, &key).await;
        server.appends(CallFault::None);
        until_told(&gateway, &key, "VALID", "cannot_verify").await;
    }
}

#[keyledger_bounded::test]
async fn a_subscription_that_falls_silent_does_not_keep_a_revoked_key_alive() {
    let server = Server::start();
    let setup = || bounded(Setup::new()).set("KEYLEDGER_JOURNAL_URL", &server.url());
    let (near, far) = (setup().start().ready().await, setup().start().ready().await);
    let key = key(&near).await;
    let gateway = gateway(&far);
    until_told(&gateway, &key, "VALID", "NOT_FOUND").await;
    server.subscriptions(SubscriptionFault::Silent);
    let answer = near.user("ann").delete(&format!("/keys/{}", key.id)).await;
    // The revocation is written, and no node takes the key for good for longer than its proof holds.
    answer.expect_status(200);
    assert_eq!(answer.header("keyledger-lagging"), Some("true"));
    assert_eq!(told(&super::gateway(&near), &key).await, "cannot_verify");
    says_nothing_after_the_bound(&far, &key).await;
    server.subscriptions(SubscriptionFault::None);
    until_told(&gateway, &key, "REVOKED", "cannot_verify").await;
    far.ready().await;
}

#[keyledger_bounded::test]
async fn a_node_whose_index_lags_behind_its_own_answer_says_nothing() {
    let server = Server::start();
    let setup = Setup::new().set("KEYLEDGER_JOURNAL_URL", &server.url());
    let service = setup.set("KEYLEDGER_MAX_STALENESS", "10m").start().ready().await;
    let (key, gateway) = (key(&service).await, gateway(&service));
    assert_eq!(told(&gateway, &key).await, "VALID");
    server.subscriptions(SubscriptionFault::Silent);
    let answer = service.user("ann").delete(&format!("/keys/{}", key.id)).await;
    answer.expect_status(200);
    assert_eq!(answer.header("keyledger-lagging"), Some("true"));
    // Its proof still holds, but its own answer said that the key is revoked.
    assert_eq!(told(&gateway, &key).await, "cannot_verify");
    server.subscriptions(SubscriptionFault::None);
    until_told(&gateway, &key, "REVOKED", "cannot_verify").await;
}

#[keyledger_bounded::test]
async fn a_journal_in_which_nothing_happens_is_proven_level_all_the_same() {
    const HOLDS: Duration = Duration::from_millis(200);
    let setup = Setup::new().set("KEYLEDGER_MAX_STALENESS", "200ms");
    let service = setup.start().ready().await;
    let (gateway, key) = (gateway(&service), key(&service).await);
    let (begun, mut valid) = (Instant::now(), 0);
    wait::until("a hundred good answers in ten times as long as a proof holds", async || {
        // On a busy machine a proof may come late, and the node says so; but it comes.
        valid += usize::from(told(&gateway, &key).await == "VALID");
        let time = begun.elapsed();
        if valid > 100 && time > HOLDS * 10 { Ok(()) } else { Err(format!("{valid}, {time:?}")) }
    })
    .await;
    // The metric is there, and is not negative.
    staleness(&service).await;
}

#[keyledger_bounded::test]
async fn an_answer_can_be_had_that_includes_a_position() {
    let service = Service::start().ready().await;
    let (gateway, key) = (gateway(&service), key(&service).await);
    let at = |position: u64| gateway.with("keyledger-min-position", &position.to_string());
    assert_eq!(super::verdict(&at(key.position), &key.secret).await, "VALID");
    let body = serde_json::json!({"key": key.secret, "min_position": key.position});
    assert_eq!(gateway.post("/verify", &body).await.json()["code"], "VALID");
    // The node waits for a position that comes within two seconds.
    let ann = service.user("ann");
    let (later, waiting) = (ann.clone(), at(key.position + 1));
    let (answer, _) = tokio::join!(verify(&waiting, &key.secret), async move {
        later.create("later").await;
    });
    answer.expect_status(200);
    for path in ["/verify", "/auth"] {
        let client = at(key.position + 1_000).with("x-api-key", &key.secret);
        let answer = if path == "/auth" {
            client.get(path).await
        } else {
            verify(&client, &key.secret).await
        };
        answer.expect_status(503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_problem!(answer, 503, "verification_behind");
    }
    let wrong = gateway.with("keyledger-min-position", "soon");
    assert_problem!(verify(&wrong, &key.secret).await, 400, "invalid_header");
}
