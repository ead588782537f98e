//! The same answer from PostgreSQL, read for each request by its primary key. The last use of a key is
//! not written at all, as if it were gathered and written later.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use keyledger_domain::{Timestamp, hash_presented};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

/// How the service uses its connections to PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// As sqlx does by default: ten connections, each tested before each use.
    Default,
    /// As fast as it gets: half as many connections as clients, which keeps two cores busy, without
    /// tests.
    Tuned,
}

#[derive(Deserialize)]
struct Presented {
    key: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    key_id: Uuid,
    user_id: String,
    user_email: Option<String>,
    name: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Verdict {
    Valid {
        valid: bool,
        code: &'static str,
        key_id: Uuid,
        user_id: String,
        user_email: Option<String>,
        name: String,
        created_at: Timestamp,
        expires_at: Option<Timestamp>,
    },
    Invalid {
        valid: bool,
        code: &'static str,
    },
}

pub(crate) async fn router(url: &str, pool: Pool) -> Router {
    let options = match pool {
        Pool::Default => PgPoolOptions::new(),
        Pool::Tuned => {
            PgPoolOptions::new().min_connections(16).max_connections(16).test_before_acquire(false)
        }
    };
    let pool = options.connect(url).await.unwrap();
    Router::new().route("/verify", post(verify)).with_state(pool)
}

async fn verify(State(pool): State<PgPool>, Json(presented): Json<Presented>) -> Json<Verdict> {
    let invalid = |code| Json(Verdict::Invalid { valid: false, code });
    let Ok(hash) = hash_presented(&presented.key) else {
        return invalid("NOT_FOUND");
    };
    let row: Option<Row> = sqlx::query_as(
        "SELECT key_id, user_id, user_email, name, created_at, expires_at, revoked_at
         FROM keys WHERE key_hash = $1",
    )
    .bind(hash.as_bytes().as_slice())
    .fetch_optional(&pool)
    .await
    .unwrap();
    let Some(row) = row else {
        return invalid("NOT_FOUND");
    };
    if row.revoked_at.is_some() {
        return invalid("REVOKED");
    }
    let time = |micros| Timestamp::from_unix_micros(micros).unwrap();
    Json(Verdict::Valid {
        valid: true,
        code: "VALID",
        key_id: row.key_id,
        user_id: row.user_id,
        user_email: row.user_email,
        name: row.name,
        created_at: time(row.created_at),
        expires_at: row.expires_at.map(time),
    })
}
