//! How many keys a user may have.

use serde_json::json;

use crate::support::{Setup, assert_problem};

#[keyledger_bounded::test]
async fn a_user_has_so_many_keys_and_no_more() {
    let service = Setup::new().set("KEYLEDGER_MAX_KEYS_PER_OWNER", "3").start().ready().await;
    let ann = service.user("ann");
    let idempotent = ann.with("idempotency-key", "k1");
    let body = json!({"name": "one"});
    idempotent.post("/keys", &body).await.expect_status(200);
    let revoked = ann.create("two").await;
    ann.create("three").await;
    ann.delete(&format!("/keys/{revoked}")).await.expect_status(200);

    let refused = ann.post("/keys", &json!({"name": "four"})).await;
    assert_problem!(refused, 409, "too_many_keys");
    assert_eq!(refused.problem().2, "You have 3 keys, and may not have more; delete one first");
    let refused = ann.with("idempotency-key", "k2").post("/keys", &body).await;
    assert_problem!(refused, 409, "too_many_keys");
    // What was created before is told, not refused.
    assert_problem!(idempotent.post("/keys", &body).await, 409, "idempotency_replayed");
    assert_eq!(ann.keys().await.len(), 3);
    service.user("bob").create("bob's").await;

    ann.delete(&format!("/keys/{revoked}/permanent")).await.expect_status(200);
    ann.create("four").await;
    assert_problem!(ann.post("/keys", &json!({"name": "five"})).await, 409, "too_many_keys");
}
