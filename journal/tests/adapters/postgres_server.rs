//! PostgreSQL servers, databases and roles that are not as they should be.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use keyledger_domain::Position;
use keyledger_journal::testing::{
    after, create, created, first, new_key, next_event, revoked, until_caught_up,
};
use keyledger_journal::{AppendError, Journal, OpenError};
use keyledger_test_servers::postgres::{Postgres, as_role, sql};
use keyledger_test_servers::proxy::Proxy;
use keyledger_test_servers::wait::{throughout, until};
use sqlx::{Connection, PgConnection};

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn count(url: &str, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&mut connect(url).await).await.unwrap()
}

async fn open(url: &str) -> Arc<dyn Journal> {
    keyledger_journal::open(url).await.unwrap()
}

/// Why a journal is refused, with all causes.
async fn refused(url: &str) -> String {
    let error = keyledger_journal::open(url).await.unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    keyledger_domain::chain(&error)
}

#[keyledger_bounded::test]
async fn a_server_that_was_set_read_only_proves_no_head() {
    let server = Postgres::start();
    let url = server.database().await;
    let journal = open(&url).await;
    let (_, appended) = create(&*journal).await;
    assert_eq!(journal.head().await.unwrap(), appended.position);
    let reload = "SELECT pg_reload_conf()";
    sql(&url, &["ALTER SYSTEM SET default_transaction_read_only = on", reload]).await;
    let error = until("the end of the proofs", async || match journal.head().await {
        Ok(head) => Err(head),
        Err(error) => Ok(error),
    });
    assert!(keyledger_domain::chain(&error.await).contains("read-only"));
    for _ in 0..20 {
        assert!(journal.head().await.is_err(), "no proof comes through");
    }
    let key_id = new_key();
    let append = first(key_id, vec![created(key_id)]);
    let outcome = journal.append(append.clone()).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    // A process that starts waits until the server takes commits.
    let reader = keyledger_journal::open_reader(&url).await;
    assert!(matches!(reader, Err(OpenError::Unreachable { .. })));
    sql(&url, &["ALTER SYSTEM RESET default_transaction_read_only", reload]).await;
    until("an append", async || journal.append(append.clone()).await).await;
    until("a proof", async || journal.head().await).await;
}

#[keyledger_bounded::test]
async fn a_journal_follows_its_address_from_a_read_only_server_to_the_new_primary() {
    let (old, new) = (Postgres::start(), Postgres::start());
    let (old_url, new_url) = (old.database().await, new.url("postgres"));
    let name = old_url.rsplit_once('/').unwrap().1;
    sql(&new_url, &[&format!("CREATE DATABASE {name}")]).await;
    let new_url = new.url(name);
    let proxy = Proxy::start(old.port());
    let through = old_url.replace(&old.port().to_string(), &proxy.port().to_string());
    let journal = open(&through).await;
    let mut subscription = journal.subscribe(Position::START);
    until_caught_up(&mut subscription).await;
    let promoted = open(&new_url).await;
    // No connection is closed by this.
    proxy.redirect(new.port());
    sql(
        &old_url,
        &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
    )
    .await;
    let (_, appended) = create(&*promoted).await;
    until("the head of the new primary", async || match journal.head().await {
        Ok(head) if head == appended.position => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(next_event(&mut subscription).await.position, appended.position);
    create(&*journal).await;
    assert_eq!(promoted.head().await.unwrap().as_u64(), 2);
}

#[keyledger_bounded::test]
async fn no_default_of_a_role_weakens_a_commit() {
    let server = Postgres::start();
    let url = server.database().await;
    sql(
        &url,
        &[
            "CREATE ROLE ann LOGIN SUPERUSER",
            "ALTER ROLE ann SET default_transaction_isolation = 'serializable'",
            "ALTER ROLE ann SET synchronous_commit = off",
        ],
    )
    .await;
    let journals = join_all((0..4).map(async |_| open(&as_role(&url, "ann")).await)).await;
    let seen = "CREATE TABLE seen AS SELECT current_setting('transaction_isolation') AS isolation,
                    current_setting('synchronous_commit') AS durability LIMIT 0;
                CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    INSERT INTO seen VALUES (current_setting('transaction_isolation'),
                                             current_setting('synchronous_commit'));
                    RETURN NEW;
                END $$;
                CREATE TRIGGER see BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION see()";
    sql(&url, &[seen]).await;
    for _ in 0..20 {
        join_all(journals.iter().map(|journal| create(&**journal))).await;
    }
    let all = "SELECT count(*) FROM seen WHERE isolation = 'read committed' AND durability = 'on'";
    assert_eq!(count(&url, all).await, 80);
    assert_eq!(count(&url, "SELECT count(*) FROM seen").await, 80);
}

#[keyledger_bounded::test]
async fn a_collision_with_another_session_is_tried_again() {
    let server = Postgres::start();
    let url = server.database().await;
    let journal = open(&url).await;
    // Each event is refused once, as a serialization failure or as a deadlock.
    let refusing = "CREATE SEQUENCE tries;
                    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        CASE nextval('tries') % 3
                            WHEN 1 THEN RAISE EXCEPTION USING ERRCODE = '40001';
                            WHEN 2 THEN RAISE EXCEPTION USING ERRCODE = '40P01';
                            ELSE RETURN NEW;
                        END CASE;
                    END $$;
                    CREATE TRIGGER refuse BEFORE INSERT ON events
                    FOR EACH ROW EXECUTE FUNCTION refuse()";
    sql(&url, &[refusing]).await;
    for _ in 0..5 {
        create(&*journal).await;
    }
    assert_eq!(count(&url, "SELECT count(*) FROM events").await, 5);
}

#[keyledger_bounded::test]
async fn data_that_cannot_be_stored_fails_alone() {
    let server = Postgres::start();
    let url = server.database().await;
    let (journal, beside) = (open(&url).await, open(&url).await);
    let mut subscription = journal.subscribe(Position::START);
    until_caught_up(&mut subscription).await;
    let bad = new_key();
    let refusing = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.stream = '{}' THEN RAISE EXCEPTION USING ERRCODE = '22P05'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()",
        bad.stream()
    );
    sql(&url, &[&refusing]).await;
    let appends = (0..100).map(|number| {
        let key_id = if number == 50 { bad } else { new_key() };
        journal.append(first(key_id, vec![created(key_id)]))
    });
    let others = async {
        for _ in 0..20 {
            create(&*beside).await;
        }
    };
    let (outcomes, ()) = join(join_all(appends), others).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        let is_bad = matches!(outcome, Err(AppendError::Invalid(_)));
        assert_eq!(is_bad, number == 50, "{number}: {outcome:?}");
        assert!(is_bad || outcome.is_ok(), "{number}: {outcome:?}");
    }
    // No event is passed over, whatever came between those of the group.
    for position in 1..=119 {
        assert_eq!(next_event(&mut subscription).await.position.as_u64(), position);
    }
}

#[keyledger_bounded::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let told = refused(&Postgres::shared().latin1_database().await).await;
    assert!(told.contains("has the encoding LATIN1 and must have UTF8"), "{told}");
}

#[keyledger_bounded::test]
async fn a_lost_standby_leaves_no_sessions_behind() {
    let server = Postgres::start_durable();
    let url = server.database().await;
    let (journal, other) = (open(&url).await, open(&url).await);
    create(&*journal).await;
    let set = async |standbys: &str| {
        let statement = format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'");
        sql(&url, &[&statement, "SELECT pg_reload_conf()"]).await;
    };
    set("elsewhere").await;
    let waiting = until("an append that waits", async || {
        // Another key each time: an append that is sent again writes nothing, and waits for nobody.
        let key_id = new_key();
        let append = first(key_id, vec![created(key_id)]);
        match journal.append(append.clone()).await {
            Err(error) => Ok((key_id, append, error)),
            Ok(_) => Err("the server has not read its settings yet"),
        }
    });
    let (key_id, append, error) = waiting.await;
    assert!(matches!(error, AppendError::Ambiguous(_)));
    let mut most = 0;
    throughout(Duration::from_secs(25), async || {
        for journal in [&journal, &other] {
            let appending = join_all((0..20).map(|_| {
                let key_id = new_key();
                journal.append(first(key_id, vec![created(key_id)]))
            }));
            let (outcomes, head) = join(appending, journal.head()).await;
            assert!(outcomes.iter().all(Result::is_err) && head.is_err());
        }
        let sessions = "SELECT count(*) FROM pg_stat_activity
                        WHERE application_name = 'keyledger-journal'";
        most = most.max(count(&url, sessions).await);
    })
    .await;
    // For each journal: one that appends, one for proofs, one that listens, up to four that read, and
    // two that ask whether the first two still wait.
    assert!(most <= 18, "{most} sessions");
    // Reads do not wait.
    assert_eq!(other.read(new_key()).await.unwrap().len(), 0);
    set("").await;
    until("the outcome", async || journal.append(append.clone()).await).await;
    let revoking = after(0, key_id, vec![revoked(key_id)]);
    until("an append of the other", async || other.append(revoking.clone()).await).await;
    until("a proof", async || journal.head().await).await;
    assert_eq!(journal.read(key_id).await.unwrap().len(), 2, "it was written once");
}

#[keyledger_bounded::test]
async fn a_role_needs_no_right_to_make_tables_that_are_there() {
    let server = Postgres::start();
    let url = server.database().await;
    sql(&url, &["CREATE ROLE bob LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"]).await;
    let role = as_role(&url, "bob");
    let told = refused(&role).await;
    assert!(told.contains("GRANT CREATE, USAGE ON SCHEMA public TO bob"), "{told}");
    open(&url).await;
    let told = refused(&role).await;
    let grants = told.split_once("as it must: ").unwrap().1.to_owned();
    assert!(grants.contains("GRANT SELECT, INSERT ON events TO bob"), "{told}");
    sql(&url, &[&grants]).await;
    let journal = open(&role).await;
    let (_, appended) = create(&*journal).await;
    assert_eq!(journal.head().await.unwrap(), appended.position);
}
