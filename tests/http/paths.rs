//! Paths that end with a slash are the same without it.

use serde_json::json;

use crate::support::{Service, Setup, assert_problem, assert_status, token};

#[keyledger_bounded::test]
async fn a_slash_at_the_end_of_a_path_changes_nothing() {
    let service = Service::start();
    let ann = service.user("ann");
    let created = ann.post("/keys/", &json!({"name": "ci"})).await;
    let id = created.expect_status(200).json()["key_id"].as_str().unwrap().to_owned();
    ann.create("another").await;
    let key = format!("/keys/{id}");
    for path in ["/keys", "/keys?limit=1", &key, &format!("{key}/history"), "/healthz"] {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let [without, with] = ["", "/"].map(|slash| format!("{path}{slash}?{query}"));
        let [without, with] = [ann.get(&without).await, ann.get(&with).await];
        assert_eq!(with.expect_status(200).text, without.expect_status(200).text, "{path}");
        assert_eq!(with.header("etag"), without.header("etag"), "{path}");
    }
    ann.delete(&format!("{key}/")).await.expect_status(200);
    assert_eq!(ann.get(&key).await.json()["key"]["revoked"], true);
    ann.delete(&format!("{key}/permanent/")).await.expect_status(200);
    assert_problem!(ann.get(&key).await, 404, "key_not_found");

    let auditor = service.auditor("eve");
    let [with, without] = ["/audit/events/?limit=3", "/audit/events?limit=3"];
    let [with, without] = [auditor.get(with).await, auditor.get(without).await];
    assert_eq!(with.expect_status(200).text, without.text);
    // The path that was asked for is one that has a rule, and the log names it.
    service.printed("\"path\":\"/keys/{key_id}/permanent\"").await;
}

#[keyledger_bounded::test]
async fn with_a_slash_at_the_end_the_same_rules_hold() {
    let service = Setup::new().set("KEYLEDGER_ALLOWED_ORIGINS", "https://app.example.com").start();
    let ann = service.user("ann");
    let id = ann.create("ci").await;
    for path in ["/keys/", &format!("/keys/{id}/"), "/audit/events/"] {
        assert_status!(service.stranger().get(path).await, 401, "{path}");
    }
    let other = service.user("bob").delete(&format!("/keys/{id}/")).await;
    assert_problem!(other, 403, "not_authorized");
    assert_problem!(ann.get("/audit/events/").await, 403, "auditors_only");
    let cookie = format!("auth_token={}", token("ann", &[]));
    let elsewhere = service.stranger().with("cookie", &cookie).with("sec-fetch-site", "cross-site");
    let created = elsewhere.post("/keys/", &json!({"name": "ci"})).await;
    assert_problem!(created, 403, "cross_site_request");
    // A client that forgot the id does not change anything.
    for method in ["DELETE", "PUT"] {
        let answer = ann.send(method, "/keys/", None).await;
        assert_problem!(answer, 405, "method_not_allowed", "{method}");
    }
    let preflight = service
        .stranger()
        .with("origin", "https://app.example.com")
        .with("access-control-request-method", "POST");
    let allowed = preflight.send("OPTIONS", "/keys/", None).await;
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example.com"));
    for path in ["//", "/keys//", "/nowhere/", "/keys/%2F", &format!("/keys/{id}//"), "/Keys/"] {
        let answer = ann.get(path).await;
        assert_status!(answer, 404, "{path}");
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
    assert_eq!(ann.keys().await.len(), 1);
}
