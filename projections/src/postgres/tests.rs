//! The query plans that PostgreSQL chooses where there are many keys.

use keyledger_test_servers::postgres::{Postgres, sql};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::PostgresStore;
use crate::keys::{COUNT_OF, LIST, StatusFilter};

/// 1,000 owners with 20 keys each. One key in ten was revoked, one in seven has expired, one in a hundred is
/// closed.
const MANY_KEYS: [&str; 4] = [
    "INSERT INTO keys (generation, key_id, user_id, name, key_prefix, key_hash, created_at, expires_at,
                       revoked_at, revision, position)
     SELECT 1, lpad(to_hex(number), 32, '0')::uuid, 'user-' || number % 1000, 'name', 'orag_', '',
            number, CASE WHEN number % 7 = 0 THEN 1 END, CASE WHEN number % 10 = 0 THEN 1 END, 0, number
     FROM generate_series(1, 20000) AS number",
    "INSERT INTO closed_keys (generation, key_id, position, closure)
     SELECT generation, key_id, position, 'removed' FROM keys WHERE position % 100 = 0",
    "INSERT INTO key_usage (key_id, last_used_at) SELECT key_id, 1 FROM keys",
    "ANALYZE",
];

#[keyledger_bounded::test]
async fn the_keys_of_an_owner_are_found_by_the_index_whatever_their_status() {
    let url = Postgres::shared().database().await;
    PostgresStore::open(&url).await.unwrap();
    sql(&url, &MANY_KEYS).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut plans = Vec::new();
    for status in StatusFilter::ALL {
        let list = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {LIST}")))
            .bind("user-7")
            .bind(status.name())
            .bind(10_000_i64)
            .bind(Uuid::max())
            .bind(101_i64)
            .bind(5_i64);
        plans.push(list.fetch_all(&mut connection).await.unwrap());
    }
    let count = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {COUNT_OF}")));
    let count = count.bind("user-7").bind(1_000_i64);
    plans.push(count.fetch_all(&mut connection).await.unwrap());
    for plan in plans {
        let plan: Vec<String> = plan;
        let plan = plan.join("\n");
        assert!(plan.contains("using keys_of_owner on keys"), "{plan}");
        assert!(!plan.contains("Seq Scan on keys"), "{plan}");
    }
}
