//! The answers for good keys and for others, in each of the three forms.

use serde_json::json;

use super::{create, gateway, introspect, key, verdict, verify};
use crate::support::wait::until;
use crate::support::{Client, Service, Setup, assert_problem, assert_status};

#[keyledger_bounded::test]
async fn a_good_key_is_told_with_whose_it_is() {
    let service = Service::start().ready().await;
    let (ann, gateway) = (service.user("ann"), gateway(&service));
    let key = create(&ann, &json!({"name": "Büro 100%", "expires_in_seconds": 3600})).await;
    let shown = ann.get(&format!("/keys/{}", key.id)).await.json()["key"].clone();

    let answer = verify(&gateway, &key.secret).await;
    answer.expect_status(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = json!({
        "valid": true,
        "code": "VALID",
        "key_id": key.id,
        "user_id": "ann",
        "user_email": "ann@example.com",
        "name": "Büro 100%",
        "created_at": shown["created_at"],
        "expires_at": shown["expires_at"],
    });
    assert_eq!(answer.json(), expected);

    let answer = introspect(&gateway, &key.secret).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let seconds = |name: &str| {
        shown[name].as_str().unwrap().parse::<keyledger_domain::Timestamp>().unwrap().unix_seconds()
    };
    let expected = json!({
        "active": true,
        "token_type": "api_key",
        "sub": "ann",
        "username": "ann@example.com",
        "jti": key.id,
        "iat": seconds("created_at"),
        "exp": seconds("expires_at"),
    });
    assert_eq!(answer.json(), expected);

    for (header, value) in
        [("x-api-key", key.secret.clone()), ("authorization", format!("bearer {}", key.secret))]
    {
        for (method, path) in
            [("GET", "/auth"), ("POST", "/auth/"), ("DELETE", "/auth/v1/things?x")]
        {
            let answer = gateway.with(header, &value).send(method, path, None).await;
            assert_status!(answer, 200, "{method} {path}");
            assert_eq!(answer.text.as_str(), "", "{method} {path}");
            let told = |name: &str| answer.header(name).unwrap().to_owned();
            assert_eq!(told("x-key-id"), key.id);
            assert_eq!(told("x-user-id"), "ann");
            assert_eq!(told("x-user-email"), "ann@example.com");
            assert_eq!(told("x-key-name"), "B%C3%BCro%20100%25");
        }
    }
}

async fn is_refused(gateway: &Client, secret: &str, code: &str) {
    let answer = verify(gateway, secret).await;
    answer.expect_status(200);
    assert_eq!(answer.json(), json!({"valid": false, "code": code}), "{secret:.80}");
    assert_eq!(introspect(gateway, secret).await.json(), json!({"active": false}));
    let answer = gateway.with("x-api-key", secret).get("/auth").await;
    answer.expect_status(401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"api\", error=\"invalid_token\"")
    );
    assert_eq!(answer.json()["error"], "Invalid API key");
    assert!(answer.header("x-key-id").is_none());
}

#[keyledger_bounded::test]
async fn a_key_that_is_not_good_is_refused_with_the_reason() {
    let service = Service::start().ready().await;
    let (ann, gateway) = (service.user("ann"), gateway(&service));
    let (revoked, deleted) = (key(&service).await, key(&service).await);
    let expiring = create(&ann, &json!({"name": "short", "expires_in_seconds": 1})).await;
    ann.delete(&format!("/keys/{}", revoked.id)).await;
    ann.delete(&format!("/keys/{}/permanent", deleted.id)).await;
    is_refused(&gateway, &revoked.secret, "REVOKED").await;
    is_refused(&gateway, &deleted.secret, "NOT_FOUND").await;
    until("the key to expire", async || match verdict(&gateway, &expiring.secret).await {
        code if code == "VALID" => Err(code),
        _ => Ok(()),
    })
    .await;
    is_refused(&gateway, &expiring.secret, "EXPIRED").await;
    ann.delete(&format!("/keys/{}/permanent", revoked.id)).await;
    is_refused(&gateway, &revoked.secret, "NOT_FOUND").await;
}

#[keyledger_bounded::test]
async fn what_is_no_key_is_not_found() {
    let service = Service::start().ready().await;
    let gateway = gateway(&service);
    let good = key(&service).await.secret;
    let unknown = key(&Service::start().ready().await).await.secret;
    let mut mistyped = good.clone().into_bytes();
    mistyped[20] = if mistyped[20] == b'x' { b'y' } else { b'x' };
    for text in [
        unknown.as_str(),
        std::str::from_utf8(&mistyped).unwrap(),
        &good[..good.len() - 1],
        &format!("{good}0"),
        &good.to_uppercase(),
        "orag_",
        "_",
        "x",
        &"x".repeat(10_000),
    ] {
        is_refused(&gateway, text, "NOT_FOUND").await;
    }
    // Texts that no header could hold.
    for text in ["", "\u{0}", "ключ_", &format!("{good}\n"), &format!(" {good}")] {
        assert_eq!(verdict(&gateway, text).await, "NOT_FOUND", "{text:?}");
    }
}

#[keyledger_bounded::test]
async fn a_header_that_holds_no_key_of_ours_does_not_hide_a_good_bearer_key() {
    let service = Service::start().ready().await;
    let (ann, gateway) = (service.user("ann"), gateway(&service));
    let [good, other, revoked, deleted] =
        [key(&service).await, key(&service).await, key(&service).await, key(&service).await];
    ann.delete(&format!("/keys/{}", revoked.id)).await.expect_status(200);
    ann.delete(&format!("/keys/{}/permanent", deleted.id)).await.expect_status(200);
    let bearer = |secret: &str| gateway.with("authorization", &format!("Bearer {secret}"));
    let is_good = async |client: &Client, key: &str, case: &str| {
        let answer = client.get("/auth").await;
        assert_status!(answer, 200, "{case}");
        assert_eq!(answer.header("x-key-id"), Some(key), "{case}");
    };
    let is_bad = async |client: &Client, error: &str, case: &str| {
        let answer = client.get("/auth").await;
        assert_status!(answer, 401, "{case}");
        assert_eq!(answer.json()["error"], error, "{case}");
    };
    let well_formed = good.secret.replacen("orag_", "other_", 1);
    for foreign in
        ["", "sk-proj-123", "orag", "ORAG_1", "oragx_1", "x", "sch\u{fc}ssel", &well_formed]
    {
        is_good(&bearer(&good.secret).with("x-api-key", foreign), &good.id, foreign).await;
        is_bad(&bearer(&revoked.secret).with("x-api-key", foreign), "Invalid API key", foreign)
            .await;
        is_bad(&bearer("sk-1").with("x-api-key", foreign), "Invalid API key", foreign).await;
        let mut two = bearer(&good.secret).with("x-api-key", foreign);
        two.append("authorization", &format!("Bearer {}", good.secret));
        is_bad(&two, "Invalid API key", foreign).await;
    }
    is_bad(&gateway.with("x-api-key", ""), "API key required", "no key at all").await;
    // A key of ours in X-API-Key is the one that counts, good or not.
    is_good(&bearer(&good.secret).with("x-api-key", &other.secret), &other.id, "two good keys")
        .await;
    is_good(&bearer("sk-1").with("x-api-key", &other.secret), &other.id, "a foreign bearer").await;
    for ours in
        [&*revoked.secret, &deleted.secret, &format!("{}x", other.secret), "orag_", "orag_1"]
    {
        is_bad(&bearer(&good.secret).with("x-api-key", ours), "Invalid API key", ours).await;
    }
    let mut several = bearer(&good.secret).with("x-api-key", "sk-1");
    several.append("x-api-key", "");
    is_bad(&several, "Invalid API key", "several").await;
    // Each question is counted once, by its answer.
    let before = service.metric("keyledger_verifications_total{code=\"NOT_FOUND\"}").await;
    is_good(&bearer(&good.secret).with("x-api-key", "sk-1"), &good.id, "counted").await;
    let after = service.metric("keyledger_verifications_total{code=\"NOT_FOUND\"}").await;
    assert_eq!(after, before);
}

#[keyledger_bounded::test]
async fn a_node_that_starts_again_knows_all_keys() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    let (good, revoked, deleted) = (key(&service).await, key(&service).await, key(&service).await);
    ann.delete(&format!("/keys/{}", revoked.id)).await;
    ann.delete(&format!("/keys/{}/permanent", deleted.id)).await;
    let folder = service.stop_well();
    let service = Setup::in_folder(folder).start().ready().await;
    let gateway = gateway(&service);
    assert_eq!(service.metric("keyledger_index_keys").await, Some(2));
    assert_eq!(verdict(&gateway, &good.secret).await, "VALID");
    assert_eq!(verdict(&gateway, &revoked.secret).await, "REVOKED");
    assert_eq!(verdict(&gateway, &deleted.secret).await, "NOT_FOUND");
    // The node follows what happens from now on.
    service.user("ann").delete(&format!("/keys/{}", good.id)).await;
    service.user("ann").delete(&format!("/keys/{}/permanent", revoked.id)).await;
    assert_eq!(verdict(&gateway, &good.secret).await, "REVOKED");
    assert_eq!(verdict(&gateway, &revoked.secret).await, "NOT_FOUND");
}

#[keyledger_bounded::test]
async fn a_node_verifies_only_if_that_is_its_role() {
    let service = Setup::new().set("KEYLEDGER_ROLES", "api,projector").start().ready().await;
    let gateway = gateway(&service);
    let key = key(&service).await;
    for (method, path) in [("POST", "/verify"), ("POST", "/introspect"), ("GET", "/auth")] {
        let answer = gateway.with("x-api-key", &key.secret).send(method, path, None).await;
        assert_problem!(answer, 404, "path_not_found");
    }
    let parts = gateway.get("/readyz").await.json()["parts"].clone();
    assert_eq!(parts.get("verification"), None, "{parts}");
    // No node verifies keys on the public listener.
    let public = service.stranger().with("x-api-key", &key.secret).get("/auth").await;
    assert_problem!(public, 404, "path_not_found");
}

#[keyledger_bounded::test]
async fn answers_are_counted() {
    let service = Service::start().ready().await;
    let (gateway, key) = (gateway(&service), key(&service).await);
    for _ in 0..3 {
        verify(&gateway, &key.secret).await;
    }
    introspect(&gateway, "nonsense").await;
    gateway.get("/auth").await;
    let count = async |code| {
        let name = format!("keyledger_verifications_total{{code=\"{code}\"}}");
        service.metric(&name).await.unwrap()
    };
    assert_eq!(count("VALID").await, 3);
    assert_eq!(count("NOT_FOUND").await, 1);
    assert_eq!(count("REVOKED").await, 0);
    assert_eq!(count("UNKNOWN").await, 0);
}
