//! Signing in: by cookie or bearer token, and from other sites.

use keyledger_identity::{Claims, SharedSecret, SigningKey, mint};
use serde_json::json;

use crate::support::{
    Client, SECRET, Service, Setup, assert_problem, assert_status, claims, from_now, token,
    token_of, token_with,
};

const CHALLENGE: &str = "Bearer realm=\"keyledger\", error=\"invalid_token\"";

fn with_cookie(service: &Service, user: &str) -> Client {
    service.stranger().with("cookie", &format!("a=b; auth_token={}; c=d", token(user, &[])))
}

#[keyledger_bounded::test]
async fn a_cookie_is_as_good_as_a_bearer_token() {
    let service = Service::start();
    let ann = with_cookie(&service, "ann");
    let id = ann.create("ci").await;
    assert_eq!(ann.keys().await.len(), 1);
    ann.delete(&format!("/keys/{id}")).await.expect_status(200);
    assert_eq!(service.user("ann").keys().await[0]["revoked"], true);
}

#[keyledger_bounded::test]
async fn a_bearer_token_comes_before_a_cookie() {
    let service = Service::start();
    service.user("ann").create("ann's").await;
    let both = with_cookie(&service, "bob")
        .with("authorization", &format!("bearer {}", token("ann", &[])));
    assert_eq!(both.keys().await.len(), 1);
}

#[keyledger_bounded::test]
async fn a_cookie_may_have_the_scheme_of_its_token() {
    let service = Service::start();
    service.user("ann").create("ann's").await;
    let [ann, bob, old] = [token("ann", &[]), token("bob", &[]), token_with("ann", &[], -60)];
    for (cookies, status) in [
        (format!("auth_token=Bearer {ann}"), 200),
        (format!("auth_token=\"Bearer {ann}\""), 200),
        (format!("a=b; auth_token=bearer  {ann} ; c=d"), 200),
        (format!("auth_token=Bearer {old}; auth_token=\"Bearer {ann}\"; auth_token={ann}"), 200),
        (format!("auth_token=Bearer {ann}; auth_token={bob}"), 401),
        (format!("auth_token=Bearer {old}"), 401),
        (format!("auth_token=Basic {ann}"), 401),
        (format!("auth_token=Bearer Bearer {ann}"), 401),
        (format!("auth_token=Bearer%20{ann}"), 401),
        (format!("auth_token=Bearer \"{ann}\""), 401),
        (format!("auth_token=Bearer {ann} {ann}"), 401),
        ("auth_token=Bearer".to_owned(), 401),
        ("auth_token=\"Bearer \"".to_owned(), 401),
    ] {
        let client = service.stranger().with("cookie", &cookies);
        let answer = client.get("/keys").await;
        assert_status!(answer, status, "{cookies}");
        if status == 200 {
            assert_eq!(answer.json()["keys"][0]["name"], "ann's", "{cookies}");
            let elsewhere = client.with("sec-fetch-site", "cross-site");
            let refused = elsewhere.post("/keys", &json!({"name": "ci"})).await;
            assert_problem!(refused, 403, "cross_site_request", "{cookies}");
        }
    }
}

/// Tokens that somebody else may have issued, as they are in `Authorization`.
fn foreign() -> [String; 6] {
    let ours = token("bob", &[]);
    let (rest, _) = ours.rsplit_once('.').unwrap();
    [
        "Bearer opaque".to_owned(),
        "Bearer sch\u{fc}ssel".to_owned(),
        format!("Bearer {rest}.c2lnbmVkIGJ5IG90aGVycw"),
        format!("Bearer {ours}x"),
        format!("Bearer {}", "x".repeat(9_000)),
        "Basic YTpi".to_owned(),
    ]
}

#[keyledger_bounded::test]
async fn a_token_that_is_none_of_ours_does_not_hide_a_good_cookie() {
    let service = Service::start();
    let ann = with_cookie(&service, "ann");
    let id = ann.create("ann's").await;
    let old = format!("auth_token={}", token_with("ann", &[], -60));
    for authorization in foreign() {
        let shown = &authorization[..authorization.len().min(60)];
        let both = ann.with("authorization", &authorization);
        assert_eq!(both.keys().await.last().unwrap()["name"], "ann's", "{shown}");
        assert_status!(both.post("/keys", &json!({"name": "ci"})).await, 200, "{shown}");
        // The rule of the cookie holds, since it is the cookie that signs in.
        for elsewhere in [
            both.with("sec-fetch-site", "cross-site"),
            both.with("origin", "https://elsewhere.example.com"),
        ] {
            let created = elsewhere.post("/keys", &json!({"name": "ci"})).await;
            assert_problem!(created, 403, "cross_site_request", "{shown}");
            let revoked = elsewhere.delete(&format!("/keys/{id}")).await;
            assert_problem!(revoked, 403, "cross_site_request", "{shown}");
        }
        let bad_cookie = service.stranger().with("cookie", &old);
        let neither = bad_cookie.with("authorization", &authorization).get("/keys").await;
        assert_problem!(neither, 401, "authentication_required", "{shown}");
        assert_eq!(neither.header("www-authenticate"), Some(CHALLENGE), "{shown}");
    }
    assert_eq!(ann.keys().await.last().unwrap()["revoked"], false);
}

#[keyledger_bounded::test]
async fn a_token_of_ours_that_is_not_good_is_refused_whatever_the_cookie() {
    let service = Setup::new()
        .set("KEYLEDGER_JWT_ISSUER", "https://id.example.com")
        .set("KEYLEDGER_JWT_AUDIENCE", "keys")
        .start();
    let for_us = |user: &str, expires_in: i64, audience: &str| {
        let claims = Claims {
            audience: Some(audience.to_owned()),
            issuer: Some("https://id.example.com".to_owned()),
            ..claims(user, &[], expires_in)
        };
        let key = SigningKey::hs256(&SharedSecret::new(SECRET.to_owned()).unwrap());
        mint(&key, &claims, None).unwrap()
    };
    let cookie = format!("auth_token={}", for_us("ann", 3600, "keys"));
    let ann = service.stranger().with("cookie", &cookie);
    ann.get("/keys").await.expect_status(200);
    for (token, status) in [
        (for_us("bob", -60, "keys"), 401),
        (for_us("", 3600, "keys"), 401),
        // Good, but for another service.
        (for_us("bob", 3600, "other"), 200),
        (token("bob", &[]), 200),
    ] {
        let both = ann.with("authorization", &format!("Bearer {token}"));
        assert_status!(both.get("/keys").await, status, "{token}");
        let created = both.post("/keys", &json!({"name": "ci"})).await;
        assert_status!(created, status, "{token}");
    }
    let owners: Vec<_> =
        service.events().await.iter().map(|it| it.event.owner().as_str().to_owned()).collect();
    assert_eq!(owners, ["ann", "ann"]);
}

#[keyledger_bounded::test]
async fn an_expired_token_is_told_from_none() {
    let service = Service::start();
    let late = Client::new(&service.address, Some(token_with("ann", &[], -60)));
    let answer = late.get("/keys").await;
    let expected =
        (401, "authentication_required".to_owned(), "Authentication required".to_owned());
    assert_eq!(answer.problem(), expected);
    assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
    assert_eq!(service.stranger().get("/keys").await.problem(), expected);
}

#[keyledger_bounded::test]
async fn a_cookie_is_honoured_on_changes_from_ones_own_pages_only() {
    let service = Setup::new()
        .set("KEYLEDGER_ALLOWED_ORIGINS", "https://app.example.com, http://localhost:3000")
        .start();
    let ann = with_cookie(&service, "ann");
    let allowed: &[&[(&str, &str)]] = &[
        &[],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://app.example.com")],
        &[("origin", "http://localhost:3000")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example.com")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://app.example.com")],
    ];
    let refused: &[&[(&str, &str)]] = &[
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example.com")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://elsewhere.example.com")],
        &[("origin", "https://elsewhere.example.com")],
        &[("origin", "https://app.example.com.evil.example")],
        &[("origin", "http://app.example.com")],
        &[("origin", "null")],
    ];
    let with = |headers: &[(&str, &str)]| {
        headers.iter().fold(ann.clone(), |client, (name, value)| client.with(name, value))
    };
    for headers in allowed {
        let answer = with(headers).post("/keys", &json!({"name": "ci"})).await;
        assert_status!(answer, 200, "{headers:?}");
    }
    let keys = ann.keys().await;
    let id = keys[0]["key_id"].as_str().unwrap();
    for headers in refused {
        let expected = (
            403,
            "cross_site_request".to_owned(),
            "Cross-site requests must not use the sign-in cookie".to_owned(),
        );
        let client = with(headers);
        let created = client.post("/keys", &json!({"name": "ci"})).await;
        assert_eq!(created.problem(), expected, "{headers:?}");
        assert_eq!(client.delete(&format!("/keys/{id}")).await.problem(), expected);
        assert_eq!(client.delete(&format!("/keys/{id}/permanent")).await.problem(), expected);
        assert_status!(client.get("/keys").await, 200, "reading is harmless: {headers:?}");
        // No page can send a bearer token that it does not have.
        let bearer = client.with("authorization", &format!("Bearer {}", token("bob", &[])));
        bearer.post("/keys", &json!({"name": "ci"})).await.expect_status(200);
    }
    assert_eq!(ann.keys().await, keys, "nothing was written");
    let log = service.printed("KEYLEDGER_ALLOWED_ORIGINS does not list its origin").await;
    assert!(log.contains("https://elsewhere.example.com"), "the origin is told");
}

#[keyledger_bounded::test]
async fn of_several_cookies_those_that_are_good_name_one_user() {
    let service = Service::start();
    let [ann, again, bob] = ["ann", "ann", "bob"].map(|user| token(user, &[]));
    let old = token_with("ann", &[], -60);
    service.user("ann").create("ann's").await;
    for (cookies, status) in [
        (format!("auth_token={ann}"), 200),
        (format!("other=\u{e9}\u{e9}; auth_token={ann}"), 200),
        (format!("auth_token=\"{ann}\""), 200),
        (format!("auth_token={old}; auth_token={ann}"), 200),
        (format!("auth_token=x; auth_token={ann}; auth_token={again}"), 200),
        (format!("auth_token={ann}; auth_token={bob}"), 401),
        (format!("auth_token={bob}; auth_token={old}; auth_token={ann}"), 401),
        (format!("auth_token={old}; auth_token={old}"), 401),
        (format!("auth%5Ftoken={ann}"), 401),
        (vec![format!("auth_token={ann}"); 5].join("; "), 401),
    ] {
        let answer = service.stranger().with("cookie", &cookies).get("/keys").await;
        assert_status!(answer, status, "{cookies}");
        if status == 200 {
            assert_eq!(answer.json()["keys"][0]["name"], "ann's", "{cookies}");
        }
    }
}

#[keyledger_bounded::test]
async fn of_several_good_cookies_the_newest_tells_the_roles() {
    let service = Setup::new().set("KEYLEDGER_CREATE_ROLE", "creator").start();
    let issued = |roles: &[&str], ago: i64| {
        token_of(&Claims { issued_at: from_now(-ago), ..claims("ann", roles, 3600) })
    };
    let (with, without) = (["creator"].as_slice(), [].as_slice());
    for (new, old, status) in [(with, without, 200), (without, with, 403)] {
        let (new, old) = (issued(new, 0), issued(old, 600));
        for cookies in [
            format!("auth_token={old}; auth_token={new}"),
            format!("auth_token={new}; auth_token={old}"),
        ] {
            let client = service.stranger().with("cookie", &cookies);
            let answer = client.post("/keys", &json!({"name": "ci"})).await;
            assert_status!(answer, status, "{cookies}");
        }
    }
}

#[keyledger_bounded::test]
async fn two_authorizations_are_none() {
    let service = Service::start();
    let mut two = service.user("ann");
    two.append("authorization", &format!("Bearer {}", token("ann", &[])));
    two.get("/keys").await.expect_status(401);
    let mut basic = with_cookie(&service, "ann").with("authorization", "Basic YTpi");
    basic.get("/keys").await.expect_status(200);
    basic.append("authorization", &format!("Bearer {}", token("ann", &[])));
    basic.get("/keys").await.expect_status(401);
}

#[keyledger_bounded::test]
async fn pages_of_the_configured_origins_may_use_the_api() {
    let service = Setup::new().set("KEYLEDGER_ALLOWED_ORIGINS", "https://app.example.com").start();
    let preflight = |origin: &str| {
        service
            .stranger()
            .with("origin", origin)
            .with("access-control-request-method", "DELETE")
            .with("access-control-request-headers", "content-type,idempotency-key")
    };
    let ours = preflight("https://app.example.com").send("OPTIONS", "/keys/x", None).await;
    ours.expect_status(200);
    assert_eq!(ours.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(ours.header("access-control-allow-credentials"), Some("true"));
    assert!(ours.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert!(ours.header("access-control-allow-headers").unwrap().contains("idempotency-key"));
    let answer = service.user("ann").with("origin", "https://app.example.com").get("/keys").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("keyledger-position"));

    let theirs = preflight("https://evil.example").send("OPTIONS", "/keys/x", None).await;
    assert_eq!(theirs.header("access-control-allow-origin"), None);
    let closed = Service::start();
    let answer = closed.user("ann").with("origin", "https://app.example.com").get("/keys").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[keyledger_bounded::test]
async fn every_answer_is_marked_as_private_and_named() {
    let service = Service::start();
    let ann = service.user("ann");
    for path in ["/keys", "/nowhere", "/healthz", "/openapi.json", "/docs/"] {
        let answer = ann.get(path).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("content-security-policy").is_some(), "{path}");
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{path}");
    }
    let named = ann.with("x-request-id", "my-request.1").get("/keys").await;
    assert_eq!(named.header("x-request-id"), Some("my-request.1"));
    for odd in ["", "a b", "x\"y", &"x".repeat(65), "é"] {
        let answer = ann.with("x-request-id", odd).get("/keys").await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{odd}");
    }
}
