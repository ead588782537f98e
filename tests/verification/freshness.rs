//! A node that cannot prove that it is level with the journal says so, and never that a key is good.

use std::time::{Duration, Instant};

use keyledger_test_servers::kurrentdb::{CallFault, Server, SubscriptionFault};
use keyledger_test_servers::postgres::{Postgres, program};
use keyledger_test_servers::proxy::{Network, Proxy};

use super::{Key, gateway, key, verify};
use crate::support::{Client, Service, Setup, assert_problem};

/// How long a proof holds in these tests.
const BOUND: Duration = Duration::from_millis(1_000);

fn bounded(setup: Setup) -> Setup {
    setup.set("KEYLEDGER_MAX_STALENESS", "1s").set("KEYLEDGER_LEASE_PERIOD", "1s")
}

/// Someone with another program.
fn psql(url: &str, statements: &[&str]) {
    let mut command = std::process::Command::new(program("psql"));
    command.args([url, "-q", "-v", "ON_ERROR_STOP=1"]).stdout(std::process::Stdio::null());
    for statement in statements {
        command.args(["-c", statement]);
    }
    assert!(command.status().unwrap().success());
}

/// The code of a verdict, or of the problem that there is none.
async fn told(gateway: &Client, key: &Key) -> String {
    let answer = verify(gateway, &key.secret).await;
    match answer.status {
        200 => answer.json()["code"].as_str().unwrap().to_owned(),
        503 => {
            assert_eq!(answer.header("retry-after"), Some("1"));
            answer.problem().1
        }
        _ => panic!("{answer:?}"),
    }
}

/// Asks without a pause until this is told; until then, only this other may be.
async fn until(gateway: &Client, key: &Key, told_then: &str, told_before: &str) {
    loop {
        match told(gateway, key).await {
            now if now == told_then => return,
            now => assert_eq!(now, told_before),
        }
    }
}

/// How old the last proof is.
async fn staleness(service: &Service) -> Duration {
    let seconds = service.metric_text("keyledger_index_staleness_seconds").await.unwrap();
    Duration::from_secs_f64(seconds.parse().unwrap())
}

/// From when on the journal is out of reach: the key is good for as long as the proof holds, and then
/// nothing is said of it, in any of the forms, nor that the node is ready.
async fn says_nothing_after_the_bound(service: &Service, key: &Key, since: Instant) {
    let gateway = gateway(service);
    let (asked, age) = (Instant::now(), staleness(service).await);
    until(&gateway, key, "cannot_verify", "VALID").await;
    assert!(asked.elapsed() + age >= BOUND, "the last proof held until then");
    // From the bound on, that is all that is said.
    while since.elapsed() < BOUND * 3 {
        assert_eq!(told(&gateway, key).await, "cannot_verify");
    }
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
        until(&gateway, &key, "VALID", "NOT_FOUND").await;
        let cut = Instant::now();
        proxy.set(network);
        near.user("ann").delete(&format!("/keys/{}", key.id)).await;
        says_nothing_after_the_bound(&far, &key, cut).await;
        proxy.set(Network::Works);
        // Not once is it good again.
        until(&gateway, &key, "REVOKED", "cannot_verify").await;
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
    // Its standby agrees to nothing any more; it still answers whoever only reads.
    let deposed = Instant::now();
    set("elsewhere");
    says_nothing_after_the_bound(&service, &key, deposed).await;
    set("");
    until(&gateway(&service), &key, "VALID", "cannot_verify").await;
}

#[keyledger_bounded::test]
async fn an_event_that_cannot_be_read_ends_verification_at_once() {
    let server = Postgres::shared();
    let (journal, read) = (server.database().await, server.database().await);
    let service = Setup::new()
        .set("KEYLEDGER_JOURNAL_URL", &journal)
        .set("KEYLEDGER_READ_URL", &read)
        .set("KEYLEDGER_MAX_STALENESS", "10m")
        .start()
        .ready()
        .await;
    let (key, gateway) = (key(&service).await, gateway(&service));
    assert_eq!(told(&gateway, &key).await, "VALID");
    // By a later version, perhaps: it may be a revocation.
    let unknown = "BEGIN; UPDATE journal_head SET position = position + 1;
        INSERT INTO events SELECT position, 'apikey-' || gen_random_uuid(), 0, gen_random_uuid(),
        'KeyMelted', '{}', '{}' FROM journal_head; COMMIT";
    psql(&journal, &[unknown]);
    until(&gateway, &key, "cannot_verify", "VALID").await;
    service.part_is("verification", "stopped").await;
    gateway.get("/readyz").await.expect_status(503);
    assert!(service.output().contains("verification stopped"));
}

#[keyledger_bounded::test]
async fn a_kurrentdb_that_takes_no_appends_proves_nothing() {
    let server = Server::start();
    let service =
        bounded(Setup::new()).set("KEYLEDGER_JOURNAL_URL", &server.url()).start().ready().await;
    let key = key(&service).await;
    let gateway = gateway(&service);
    for fault in [CallFault::NotReady, CallFault::Hang] {
        let since = Instant::now();
        server.appends(fault);
        says_nothing_after_the_bound(&service, &key, since).await;
        server.appends(CallFault::None);
        until(&gateway, &key, "VALID", "cannot_verify").await;
    }
}

#[keyledger_bounded::test]
async fn a_subscription_that_falls_silent_does_not_keep_a_revoked_key_alive() {
    let server = Server::start();
    let setup = || bounded(Setup::new()).set("KEYLEDGER_JOURNAL_URL", &server.url());
    let (near, far) = (setup().start().ready().await, setup().start().ready().await);
    let key = key(&near).await;
    let gateway = gateway(&far);
    until(&gateway, &key, "VALID", "NOT_FOUND").await;
    server.subscriptions(SubscriptionFault::Silent);
    let silent = Instant::now();
    let answer = near.user("ann").delete(&format!("/keys/{}", key.id)).await;
    // What is written is written; and neither node lets the key pass for longer than it may.
    answer.expect_status(200);
    assert_eq!(answer.header("keyledger-lagging"), Some("true"));
    assert_eq!(told(&super::gateway(&near), &key).await, "cannot_verify");
    says_nothing_after_the_bound(&far, &key, silent).await;
    server.subscriptions(SubscriptionFault::None);
    until(&gateway, &key, "REVOKED", "cannot_verify").await;
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
    // By its proof it could still answer; but someone was told that the key is revoked.
    assert_eq!(told(&gateway, &key).await, "cannot_verify");
    server.subscriptions(SubscriptionFault::None);
    until(&gateway, &key, "REVOKED", "cannot_verify").await;
}

#[keyledger_bounded::test]
async fn a_journal_in_which_nothing_happens_is_proven_level_all_the_same() {
    let setup = Setup::new().set("KEYLEDGER_MAX_STALENESS", "200ms");
    let service = setup.start().ready().await;
    let (gateway, key) = (gateway(&service), key(&service).await);
    let begun = Instant::now();
    let mut asked = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        // On a busy machine a proof may come late, which is told; but it comes.
        if told(&gateway, &key).await == "VALID" {
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");
    // It is told, and is no negative time.
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
    // A position that comes within the time is waited for.
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
