//! The journal in KurrentDB: tested on a stand-in, and its contract also on the real server that
//! `TEST_KURRENTDB_URL` names, if it is set.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eventstore::Client;
use futures::StreamExt;
use keyledger_domain::{Closure, Delivery, KeyDelivery, Position, RecordedEvent, chain};
use keyledger_journal::testing::{
    JournalUnderTest, after, create, created, deleted, first, new_key, next_delivery, next_event,
    recurring, revoked, settle, until_caught_up,
};
use keyledger_journal::{AppendError, Journal, JournalReader, OpenError, Subscription};
use keyledger_test_servers::certificate::Certificate;
use keyledger_test_servers::kurrentdb::{CallFault, Database, Denied, Server, SubscriptionFault};
use keyledger_test_servers::process::Process;
use keyledger_test_servers::wait::{self, BusyClock, until_blocking, within};

/// How long an append or a subscription may take after a fault, on a machine that is not busy.
const BACK: Duration = Duration::from_secs(5);
/// How long they may take after another leader was elected, where the former one hangs.
const SOON: Duration = Duration::from_secs(2);

/// A server of its own, or the one that the environment names.
struct Kurrent {
    url: String,
    _server: Option<Server>,
}

impl Kurrent {
    #[expect(clippy::disallowed_methods, reason = "the tests have a setting of their own")]
    fn new() -> Self {
        match std::env::var("TEST_KURRENTDB_URL") {
            Ok(url) => Self { url, _server: None },
            Err(_) => {
                let server = Server::start();
                Self { url: server.url(), _server: Some(server) }
            }
        }
    }
}

#[async_trait]
impl JournalUnderTest for Kurrent {
    async fn open(&self) -> Arc<dyn Journal> {
        keyledger_journal::open(&self.url).await.unwrap()
    }

    async fn open_reader(&self) -> Arc<dyn JournalReader> {
        keyledger_journal::open_reader(&self.url).await.unwrap()
    }
}

/// The contract: on a real server by
/// `TEST_KURRENTDB_URL=… cargo test -p keyledger-journal --test adapters kurrentdb::on_any_server`.
mod on_any_server {
    keyledger_journal::contract_suite!(Kurrent::new());

    use super::*;
    use crate::closed_keys::is_removed;

    #[keyledger_bounded::test]
    async fn a_key_whose_stream_is_deleted_is_closed_at_once() {
        let server = Kurrent::new();
        let journal = server.open().await;
        let client = Client::new(server.url.replace("kurrentdb://", "esdb://").parse().unwrap());
        let client = client.unwrap();
        for is_for_ever in [false, true] {
            let request = format!("{}", new_key());
            let key_id = recurring(&request);
            let created = first(key_id, vec![created(key_id)]);
            journal.append(created.clone()).await.unwrap();
            let position = journal.head().await.unwrap();
            let mut keys = journal.subscribe_to_keys(position);
            if is_for_ever {
                client.tombstone_stream(key_id.stream(), &Default::default()).await.unwrap();
            } else {
                client.delete_stream(key_id.stream(), &Default::default()).await.unwrap();
            }
            let closed = loop {
                match within("a closed key", keys.next()).await.unwrap().unwrap() {
                    KeyDelivery::Closed(key) if key.key_id == key_id => break key,
                    KeyDelivery::Closed(_) | KeyDelivery::Event(_) | KeyDelivery::CaughtUp(_) => {}
                }
            };
            assert_eq!(closed.closure, Closure::Removed);
            assert!(closed.position > position);
            assert!(is_removed(journal.read(key_id).await));
            for _ in 0..2 {
                let again = journal.append(created.clone()).await;
                assert!(matches!(again, Err(AppendError::Closed)), "{again:?}");
            }
        }
    }
}

#[keyledger_bounded::test]
fn the_suite_runs_alone_on_a_server_that_others_use_too() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let nowhere = tempfile::TempDir::new().unwrap();
    let mut suite = Process::start(
        Command::new(std::env::current_exe().unwrap())
            .arg("kurrentdb::on_any_server")
            .env_clear()
            .env("TEST_KURRENTDB_URL", server.url())
            .current_dir(nowhere.path()),
    );
    until_blocking("the end of the suite", || {
        database.append_foreign(30);
        if suite.is_running() { Err(suite.output()) } else { Ok(()) }
    });
    let (status, text) = suite.ended_with_output();
    assert!(status.success(), "{text}");
    assert!(text.contains("24 passed; 0 failed"), "{text}");
}

/// Waits until the subscription has delivered this position, and returns how long that took on a
/// [`BusyClock`]. The head is read once a second meanwhile, as the service does.
pub(crate) async fn until(
    journal: &dyn Journal,
    subscription: &mut Subscription,
    to: Position,
) -> Duration {
    let begun = BusyClock::start();
    let pulses = async {
        loop {
            let _ = journal.head().await;
            wait::lasts(Duration::from_secs(1)).await;
        }
    };
    let reached = async {
        loop {
            let (Delivery::CaughtUp(position) | Delivery::Event(RecordedEvent { position, .. })) =
                next_delivery(subscription).await;
            if position >= to {
                return;
            }
        }
    };
    tokio::select! {
        () = pulses => {}
        () = within("a position of a subscription", reached) => {}
    }
    begun.elapsed()
}

#[keyledger_bounded::test]
async fn a_leader_that_dies_is_left_for_the_next() {
    let database = Database::default();
    let mut leader = Server::serve(&database, 0);
    let mut other = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&other.cluster_url()).await.unwrap();
    let mut subscription = journal.subscribe(Position::START);
    let mut written = Vec::new();
    for _ in 0..3 {
        let (_, appended) = create(&*journal).await;
        until(&*journal, &mut subscription, appended.position).await;
        written.push(appended);
        let address = leader.address();
        leader.kill();
        other.lead();
        let begun = BusyClock::start();
        let (_, appended) = create(&*journal).await;
        assert!(begun.elapsed() < BACK, "{:?}", begun.elapsed());
        let took = until(&*journal, &mut subscription, appended.position).await;
        assert!(took < BACK, "{took:?}");
        written.push(appended);
        // It comes back as a follower, and becomes the next leader.
        leader = std::mem::replace(&mut other, Server::serve(&database, address.port()));
    }
    assert_eq!(database.key_events(), (written.len(), written.len()));
}

#[keyledger_bounded::test]
async fn a_leader_that_hangs_is_left_soon_after_another_leads() {
    let database = Database::default();
    let hung = Server::serve(&database, 0);
    let other = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&other.cluster_url()).await.unwrap();
    let mut subscription = journal.subscribe(Position::START);
    let (_, appended) = create(&*journal).await;
    until(&*journal, &mut subscription, appended.position).await;
    hung.appends(CallFault::Hang);
    hung.reads(CallFault::Hang);
    hung.subscriptions(SubscriptionFault::Silent);
    let elected = async {
        wait::lasts(Duration::from_secs(4)).await;
        other.lead();
        BusyClock::start()
    };
    let (begun, (_, appended)) = tokio::join!(elected, create(&*journal));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    until(&*journal, &mut subscription, appended.position).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(database.key_events(), (2, 2));
}

#[keyledger_bounded::test]
async fn a_server_that_is_slow_is_not_given_up() {
    let server = Server::start();
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    server.appends(CallFault::DoneThenLate(Duration::from_millis(2_000)));
    let key_id = new_key();
    let outcome = journal.append(first(key_id, vec![created(key_id)])).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[keyledger_bounded::test]
async fn a_server_that_has_restarted_is_found_again() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let port = server.address().port();
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    let mut subscription = journal.subscribe(Position::START);
    create(&*journal).await;
    server.kill();
    let outcome = journal.append(first(new_key(), vec![created(new_key())])).await;
    assert!(
        matches!(outcome, Err(AppendError::Ambiguous(_) | AppendError::Unavailable(_))),
        "{outcome:?}"
    );
    assert!(journal.read(new_key()).await.is_err());
    assert!(journal.head().await.is_err());
    let server = Server::serve(&database, port);
    server.appends(CallFault::NotReady);
    let settling = create(&*journal);
    let readying = async {
        wait::lasts(Duration::from_millis(500)).await;
        server.appends(CallFault::None);
    };
    let begun = BusyClock::start();
    let ((_, appended), ()) = tokio::join!(settling, readying);
    assert!(begun.elapsed() < BACK, "{:?}", begun.elapsed());
    let took = until(&*journal, &mut subscription, appended.position).await;
    assert!(took < BACK, "{took:?}");
    assert_eq!(database.key_events(), (2, 2));
}

#[keyledger_bounded::test]
async fn a_subscription_that_fails_is_begun_anew_and_misses_nothing() {
    for fault in [SubscriptionFault::Error, SubscriptionFault::End, SubscriptionFault::Silent] {
        let server = Server::start();
        let journal = keyledger_journal::open(&server.url()).await.unwrap();
        let mut subscription = journal.subscribe(Position::START);
        until_caught_up(&mut subscription).await;
        let (key_id, _) = create(&*journal).await;
        assert_eq!(next_event(&mut subscription).await.event.key_id(), key_id);
        server.subscriptions(fault);
        let (one, _) = create(&*journal).await;
        if fault == SubscriptionFault::Silent {
            within("the fault to strike", server.struck()).await;
            // Subscriptions that start from now on deliver again.
            server.subscriptions(SubscriptionFault::None);
        }
        let (two, appended) = create(&*journal).await;
        let begun = BusyClock::start();
        for expected in [one, two] {
            let event = next_event(&mut subscription).await;
            assert_eq!(event.event.key_id(), expected, "{fault:?}");
        }
        assert!(begun.elapsed() < BACK, "{fault:?}: {:?}", begun.elapsed());
        until(&*journal, &mut subscription, appended.position).await;
    }
}

#[keyledger_bounded::test]
async fn a_subscription_that_the_server_ends_again_and_again_costs_nothing() {
    let server = Server::start();
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    let mut subscription = journal.subscribe(Position::START);
    until_caught_up(&mut subscription).await;
    for _ in 0..5 {
        server.subscriptions(SubscriptionFault::End);
        let (_, appended) = create(&*journal).await;
        let took = until(&*journal, &mut subscription, appended.position).await;
        assert!(took < BACK, "{took:?}");
    }
}

#[keyledger_bounded::test]
async fn an_append_whose_outcome_is_unknown_is_written_once() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    let late = CallFault::DoneThenLate(Duration::from_secs(600));
    for fault in [CallFault::DoneThenError, CallFault::Hang, late] {
        let (key_id, _) = create(&*journal).await;
        let append = after(0, key_id, vec![revoked(key_id), deleted(key_id)]);
        server.appends(fault);
        let begun = BusyClock::start();
        let outcome = journal.append(append.clone()).await;
        assert!(matches!(outcome, Err(AppendError::Ambiguous(_))), "{fault:?}: {outcome:?}");
        assert!(begun.elapsed() < BACK, "{fault:?}");
        server.appends(CallFault::None);
        let appended = settle(&*journal, append.clone()).await.unwrap();
        let read = journal.read(key_id).await.unwrap();
        assert_eq!(read.len(), 3, "{fault:?}");
        assert_eq!(read[2].position, appended.position);
        assert_eq!(journal.append(append).await.unwrap(), appended);
    }
    assert_eq!(database.key_events(), (9, 9));
}

#[keyledger_bounded::test]
async fn the_head_is_reached_on_a_database_that_others_use_too() {
    let database = Database::default();
    let server = Server::serve(&database, 0);
    let journal = keyledger_journal::open(&server.url()).await.unwrap();
    create(&*journal).await;
    let mut subscription = journal.subscribe(Position::START);
    until_caught_up(&mut subscription).await;
    for _ in 0..3 {
        database.append_foreign(777);
        let head = journal.head().await.unwrap();
        let took = until(&*journal, &mut subscription, head).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[keyledger_bounded::test]
async fn it_is_reached_over_tls_with_a_certificate_that_is_trusted() {
    // The first client chooses the cryptography provider of the process, so it comes before the
    // stand-in with TLS, which needs one.
    let plain = Server::start();
    keyledger_journal::open(&plain.url()).await.unwrap();
    let certificate = Certificate::make();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let server = Server::start_with_tls(&read(certificate.path()), &read(certificate.key()));
    let url = format!("kurrentdb://{}", server.address());
    let trusting = format!("{url}?tlsCaFile={}", certificate.path().display());
    let journal = keyledger_journal::open(&trusting).await.unwrap();
    let mut subscription = journal.subscribe(Position::START);
    let (key_id, _) = create(&*journal).await;
    assert_eq!(next_event(&mut subscription).await.event.key_id(), key_id);
    let opened = keyledger_journal::open(&url).await;
    assert!(matches!(opened, Err(OpenError::Unreachable { .. })), "its certificate is not trusted");
}

/// All that is told of a journal that cannot be opened.
async fn told(url: &str) -> String {
    let error = keyledger_journal::open(url).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    chain(&error)
}

#[keyledger_bounded::test]
async fn mistakes_are_told_in_words() {
    let plain = Server::start();
    keyledger_journal::open(&plain.url()).await.unwrap();
    let certificate = Certificate::make();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let secure = Server::start_with_tls(&read(certificate.path()), &read(certificate.key()));
    let (with_tls, without) = (secure.address(), plain.address());
    let trusting = format!("tlsCaFile={}", certificate.path().display());
    for (url, expected) in [
        (
            format!("kurrentdb://{with_tls}"),
            "is not trusted: name the certificate of its authority",
        ),
        (format!("kurrentdb://{with_tls}?tlsCaFile=/nowhere.pem"), "\"/nowhere.pem\" (tlsCaFile)"),
        (format!("kurrentdb://{with_tls}?tls=false"), "remove tls=false from the URL"),
        (format!("kurrentdb://{without}?{trusting}"), "does not speak TLS: add tls=false"),
        (format!("kurrentdb://localhost:{}?{trusting}", with_tls.port()), "is for another name"),
    ] {
        let told = told(&url).await;
        assert!(told.contains(expected), "{url}: {told}");
    }
    plain.deny(&[Denied::ReadAll]);
    let told_of = told(&plain.url()).await;
    assert!(
        told_of.contains("add it to $r in the $acl of the metadata of the stream $all"),
        "{told_of}"
    );
    plain.deny(&[Denied::Append]);
    let told_of = told(&plain.url()).await;
    assert!(told_of.contains("the user may not append to the streams"), "{told_of}");
    plain.deny(&[]);
    keyledger_journal::open(&plain.url()).await.unwrap();
}

#[keyledger_bounded::test]
async fn credentials_may_have_any_characters() {
    let server = Server::start();
    let address = server.address();
    let url = format!("kurrentdb://us%40er:p%40ss%3A%2F%25w%C3%BCrd@{address}?tls=false");
    let journal = keyledger_journal::open(&url).await.unwrap();
    create(&*journal).await;
    let expected = format!("Basic {}", STANDARD.encode("us@er:p@ss:/%würd"));
    assert_eq!(server.authorization(), Some(expected));
}

#[keyledger_bounded::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    for url in ["esdb://ann:hidden@127.0.0.1:1?tls=false", "kurrentdb://ann:hidden@:x?tls=maybe"] {
        let error = keyledger_journal::open(url).await.unwrap_err();
        assert!(
            matches!(error, OpenError::Unreachable { .. } | OpenError::BadUrl { .. }),
            "{error:?}"
        );
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hidden"), "{text}");
    }
}
