//! PostgreSQL databases and roles that are not as they should be, and rebuilds at the same time.

use std::time::Duration;

use futures::future::join_all;
use keyledger_domain::testing::creations;
use keyledger_projections::{
    Lease, LeaseName, OpenTablesError, ReadTables, Rebuild, WriteError, rebuild,
};
use keyledger_test_servers::postgres::{Postgres, as_role, sql};
use uuid::Uuid;

use crate::given::{
    Database, Kind, delivered, folded, head, open, project, projector, shown, tables,
};

/// A database on a server of its own, and its URL for a role that has no rights.
async fn for_role(server: &Postgres) -> (String, String) {
    let url = server.database().await;
    sql(&url, &["CREATE ROLE ann LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"]).await;
    let role = as_role(&url, "ann");
    (url, role)
}

/// Why the tables are refused, with all causes.
async fn refused(url: &str) -> String {
    let error = ReadTables::open(url).await.unwrap_err();
    assert!(matches!(error, OpenTablesError::Refused { .. }), "{error:?}");
    keyledger_domain::chain(&error)
}

#[keyledger_bounded::test]
async fn no_default_isolation_of_a_role_makes_writers_collide() {
    for isolation in ["repeatable read", "serializable"] {
        let server = Postgres::start();
        let (url, role) = for_role(&server).await;
        let set = format!("ALTER ROLE ann SET default_transaction_isolation = '{isolation}'");
        sql(&url, &["GRANT CREATE ON SCHEMA public TO ann", &set]).await;
        let nodes = join_all((0..4).map(async |_| ReadTables::open(&role).await.unwrap())).await;
        for _ in 0..30 {
            // Each claims at the same time; one of them has the lease.
            let claims = nodes.iter().zip(1..).map(|(tables, node)| {
                let holder = Uuid::from_u128(node);
                let lease = Lease::new(tables, LeaseName::Relay, holder, Duration::from_secs(60));
                async move { lease.claim().await }
            });
            let claimed = join_all(claims).await;
            let held = claimed.into_iter().filter_map(Result::unwrap).count();
            assert_eq!(held, 1);
        }
    }
}

#[keyledger_bounded::test]
async fn a_role_needs_no_right_to_make_tables_that_are_there() {
    let server = Postgres::start();
    let (url, role) = for_role(&server).await;
    let told = refused(&role).await;
    assert!(told.contains("GRANT CREATE, USAGE ON SCHEMA public TO ann"), "{told}");
    ReadTables::open(&url).await.unwrap();
    let told = refused(&role).await;
    let grants = told.split_once("as it must: ").unwrap().1.to_owned();
    assert!(grants.contains("GRANT SELECT, INSERT, UPDATE, DELETE ON keys TO ann"), "{told}");
    sql(&url, &[&grants]).await;
    // Everything that the role does succeeds with the rights that it was told.
    let tables = ReadTables::open(&role).await.unwrap();
    let events = creations(20);
    project(&tables, &events).await;
    let build = Rebuild::begin(&tables).await.unwrap();
    build.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    rebuild::clear(&tables).await.unwrap();
    tables.set_relayed("KEYS", events[3].position).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
    // On a server that is read-only, the tables are opened too, and nothing is made.
    sql(&url, &["ALTER ROLE ann SET default_transaction_read_only = on"]).await;
    let tables = ReadTables::open(&role).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
    assert!(tables.set_relayed("KEYS", events[4].position).await.is_err());
}

#[keyledger_bounded::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let told = refused(&Postgres::shared().latin1_database().await).await;
    assert!(told.contains("has the encoding LATIN1 and must have UTF8"), "{told}");
}

/// A database with tables that include these events.
async fn with_events(count: u64) -> (Database, ReadTables, Vec<keyledger_domain::RecordedEvent>) {
    let (database, tables) = tables(Kind::Postgres).await;
    let events = creations(count);
    project(&tables, &events).await;
    (database, tables, events)
}

#[keyledger_bounded::test]
async fn queries_never_see_a_build_whose_rows_another_rebuild_has_deleted() {
    let (database, tables, events) = with_events(40).await;
    let other = open(&database).await;
    let first = Rebuild::begin(&tables).await.unwrap();
    // The second begins after the first has written all rows, and before it swaps.
    let begins = async {
        let begun = Rebuild::begin(&other).await;
        assert!(matches!(begun, Err(WriteError::Database(_))), "the swap comes first: {begun:?}");
        head(&events).await
    };
    first.run(delivered(&events), begins, |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
    let second = Rebuild::begin(&other).await.unwrap();
    second.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
}

#[keyledger_bounded::test]
async fn a_rebuild_goes_on_while_the_rows_of_the_one_before_it_are_deleted() {
    let (database, tables, events) = with_events(40).await;
    let first = Rebuild::begin(&tables).await.unwrap();
    first.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    let second = Rebuild::begin(&tables).await.unwrap();
    rebuild::clear(&open(&database).await).await.unwrap();
    second.run(delivered(&events), head(&events), |_| {}).await.unwrap();
    assert_eq!(shown(&tables).await, folded(&events));
    rebuild::clear(&tables).await.unwrap();
    assert_eq!(database.tamper("SELECT count(*) FROM keys").await, 40);
    assert_eq!(database.tamper("SELECT count(*) FROM build").await, 1);
    projector(&tables).await;
}
