//! The keys that sign-in tokens are verified with: of an identity provider's key set, or one public key.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::wait::until;
use crate::support::{Client, Setup, assert_problem, assert_status, keyledger, preloadable, run};

const KINDS: &str = "RSA of 2048 to 8192 bits (RS256, PS256), EC P-256 (ES256) and P-384 (ES384), and \
    Ed25519 (EdDSA)";

/// An identity provider whose answer the test decides.
async fn provider(answer: Arc<Mutex<(StatusCode, String)>>) -> String {
    let router = Router::new().route("/keys", get(async move || answer.lock().unwrap().clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/keys")
}

/// A new Ed25519 key: its PEM form for signing, and its public half for a set.
pub(crate) fn ed25519(kid: &str) -> (String, Value) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let pair = Ed25519KeyPair::generate().unwrap();
    let private = STANDARD.encode(pair.to_pkcs8().unwrap().as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    (pem, json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": x}))
}

/// The same for a new key on an elliptic curve.
fn ec(curve: &str, kid: &str) -> (String, Value) {
    use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair};
    let algorithm = match curve {
        "P-256" => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        "P-384" => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    };
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let private = STANDARD.encode(pair.to_pkcs8v1().unwrap().as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let [x, y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
    (pem, json!({"kty": "EC", "crv": curve, "kid": kid, "x": x, "y": y}))
}

/// A service that trusts the key set at this URL.
fn trusting(url: &str) -> Setup {
    let setup = Setup::new().unset("KEYLEDGER_JWT_HS256_SECRET");
    setup.set("KEYLEDGER_JWT_JWKS_URL", url)
}

pub(crate) fn minted(pem: &str, kid: &str) -> String {
    let claims = crate::support::claims("ann", &[], 3600);
    let key = keyledger_identity::SigningKey::from_pem(pem).unwrap();
    keyledger_identity::mint(&key, &claims, Some(kid.to_owned())).unwrap()
}

#[keyledger_bounded::test]
async fn a_service_is_not_ready_before_it_can_check_a_sign_in() {
    // It takes connections, and never answers.
    let provider = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", provider.local_addr().unwrap());
    let service = trusting(&url).start();
    for part in ["journal", "read_tables", "verification"] {
        service.part_is(part, "ready").await;
    }
    service.stranger().get("/readyz").await.expect_status(503);
    // Keys can be verified, which is all that gateways need.
    let answer = service.gateway().get("/readyz").await;
    assert_eq!(answer.expect_status(200).json()["parts"]["sign_in"], "starting");
    let verified = service.gateway().post("/verify", &json!({"key": "no key"})).await;
    verified.expect_status(200);
}

#[keyledger_bounded::test]
async fn a_provider_that_redirects_gives_no_keys() {
    let (pem, public) = ed25519("k1");
    let set = json!({ "keys": [public] }).to_string();
    let elsewhere = provider(Arc::new(Mutex::new((StatusCode::OK, set)))).await;
    let redirect = async move || (StatusCode::FOUND, [("location", elsewhere)]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let router = Router::new().route("/keys", get(redirect));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = trusting(&url).start();
    service.part_is("sign_in", "failing").await;
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    assert_problem!(ann.get("/keys").await, 503, "identity_unavailable");
    service.printed("answers with a redirect, which is not followed").await;
}

#[keyledger_bounded::test]
async fn an_outage_of_the_provider_is_logged_once_and_not_for_each_request() {
    let answer = Arc::new(Mutex::new((StatusCode::BAD_GATEWAY, String::new())));
    let url = provider(answer).await;
    let service = trusting(&url).start();
    service.part_is("sign_in", "failing").await;
    let (pem, _) = ed25519("k1");
    for number in 0..50 {
        let ann = Client::new(&service.address, Some(minted(&pem, &number.to_string())));
        assert_problem!(ann.get("/keys").await, 503, "identity_unavailable");
    }
    let (_, output) = service.stop();
    let lines = output.lines().filter(|line| line.contains("the key set cannot be fetched"));
    assert_eq!(lines.count(), 1, "{output}");
    assert!(!output.contains("request failed"), "{output}");
}

#[keyledger_bounded::test]
async fn a_token_of_another_party_does_not_hide_a_good_cookie_during_an_outage() {
    let (pem, public) = ed25519("k1");
    let set = json!({ "keys": [public] }).to_string();
    let answer = Arc::new(Mutex::new((StatusCode::OK, set)));
    let service = trusting(&provider(answer.clone()).await).start().ready().await;
    *answer.lock().unwrap() = (StatusCode::BAD_GATEWAY, String::new());
    let (other, _) = ed25519("other");
    let ann = service.stranger().with("cookie", &format!("auth_token={}", minted(&pem, "k1")));
    let foreign = format!("Bearer {}", minted(&other, "other"));
    // Without a cookie, nobody knows whether the token is good, once the set that is known has some age.
    let alone = service.stranger().with("authorization", &foreign);
    until("the outage to be noticed", async || {
        let answer = alone.get("/keys").await;
        if answer.status == 503 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    assert_problem!(alone.get("/keys").await, 503, "identity_unavailable");
    let both = ann.with("authorization", &foreign);
    both.get("/keys").await.expect_status(200);
    both.post("/keys", &json!({"name": "ci"})).await.expect_status(200);
    let elsewhere = both.with("sec-fetch-site", "cross-site");
    let created = elsewhere.post("/keys", &json!({"name": "ci"})).await;
    assert_problem!(created, 403, "cross_site_request");
}

#[keyledger_bounded::test]
async fn a_provider_that_is_away_at_the_start_is_waited_for() {
    let (pem, public) = ed25519("k1");
    let answer = Arc::new(Mutex::new((StatusCode::BAD_GATEWAY, String::new())));
    let url = provider(answer.clone()).await;
    let service = trusting(&url).start();
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    service.part_is("sign_in", "failing").await;
    let refused = ann.get("/keys").await;
    assert_problem!(refused, 503, "identity_unavailable");
    assert_eq!(refused.problem().2, "The sign-in cannot be checked at the moment");

    *answer.lock().unwrap() = (StatusCode::OK, json!({ "keys": [public] }).to_string());
    let service = service.ready().await;
    ann.get("/keys").await.expect_status(200);
    let stranger = Client::new(&service.address, Some(minted(&ed25519("k1").0, "k1")));
    stranger.get("/keys").await.expect_status(401);
    let unknown = Client::new(&service.address, Some(minted(&pem, "k2")));
    unknown.get("/keys").await.expect_status(401);
    // This service has no shared secret.
    service.user("ann").get("/keys").await.expect_status(401);
    service.printed("the key set cannot be fetched").await;
    service.printed("the key set is fetched again").await;
}

fn answering(keys: &[Value]) -> Arc<Mutex<(StatusCode, String)>> {
    Arc::new(Mutex::new((StatusCode::OK, json!({ "keys": keys }).to_string())))
}

#[keyledger_bounded::test]
async fn keys_of_each_known_kind_sign_users_in_by_their_own_algorithm() {
    let pairs = [ed25519("ed"), ec("P-256", "p256"), ec("P-384", "p384")];
    let url = provider(answering(&pairs.each_ref().map(|(_, public)| public.clone()))).await;
    let service = trusting(&url).start().ready().await;
    for (pem, public) in &pairs {
        for (_, other) in &pairs {
            let kid = other["kid"].as_str().unwrap();
            let ann = Client::new(&service.address, Some(minted(pem, kid)));
            let status = if public == other { 200 } else { 401 };
            assert_status!(ann.get("/keys").await, status, "{} as {kid}", public["kid"]);
        }
    }
    assert!(!service.output().contains("are not used"), "all keys are used");
}

#[keyledger_bounded::test]
async fn keys_of_unknown_kinds_are_passed_over_and_the_log_says_which_are_known() {
    let (pem, public) = ed25519("k1");
    let p521 = ec("P-521", "p521").1;
    let ed448 = json!({"kty": "OKP", "crv": "Ed448", "kid": "ed448", "x": "A".repeat(76)});
    let (_, mut not_for_signatures) = ec("P-256", "enc");
    not_for_signatures["use"] = json!("enc");
    let answer = answering(&[p521.clone(), public, ed448, not_for_signatures]);
    let service = trusting(&provider(answer).await).start().ready().await;
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    ann.get("/keys").await.expect_status(200);
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for (algorithm, kid) in [("ES512", "p521"), ("EdDSA", "ed448"), ("ES256", "enc")] {
        let head = part(json!({"alg": algorithm, "kid": kid}));
        let token = format!("{head}.{}.{}", part(json!({"sub": "ann"})), "A".repeat(176));
        let stranger = Client::new(&service.address, Some(token));
        assert_status!(stranger.get("/keys").await, 401, "{kid}");
    }
    let (_, output) = service.stop();
    let told: Vec<_> = output.lines().filter(|line| line.contains("are not used")).collect();
    assert_eq!(told.len(), 1, "{output}");
    assert!(told[0].contains(KINDS) && told[0].contains("\"keys\":2"), "{told:?}");

    let service = trusting(&provider(answering(&[p521])).await).start();
    service.part_is("sign_in", "failing").await;
    let none = format!("the key set has no signing key of a kind that is known: {KINDS}");
    service.printed(&none).await;
}

/// Makes a private key in a folder; tells the path of it and of its public half.
fn made(folder: &Path, name: &str, kind: &[&str]) -> [String; 2] {
    let [private, public] = ["private", "public"]
        .map(|half| folder.join(format!("{name}.{half}.pem")).display().to_string());
    let openssl = |arguments: &[&str]| {
        let made = run(Command::new("openssl").args(arguments));
        assert!(made.status.success(), "{made:?}");
    };
    openssl(&[&["genpkey", "-out", &private, "-algorithm"], kind].concat());
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    [private, public]
}

#[keyledger_bounded::test]
async fn a_public_key_is_of_a_known_kind_or_the_service_does_not_start() {
    let folder = tempfile::TempDir::new().unwrap();
    let curve = |name: &'static str| ["EC", "-pkeyopt", name];
    let with = |public: &str| {
        let setup = Setup::new().unset("KEYLEDGER_JWT_HS256_SECRET");
        setup.set("KEYLEDGER_JWT_PUBLIC_KEY", public)
    };
    for (name, kind) in [
        ("p256", &curve("ec_paramgen_curve:P-256")[..]),
        ("p384", &curve("ec_paramgen_curve:P-384")),
        ("ed25519", &["ed25519"]),
    ] {
        let [private, public] = made(folder.path(), name, kind);
        let service = with(&public).start();
        let minted =
            run(keyledger(folder.path()).args(["token", "--user", "ann", "--key", &private]));
        assert!(minted.status.success(), "{name}: {minted:?}");
        let token = String::from_utf8(minted.stdout).unwrap().trim().to_owned();
        let ann = Client::new(&service.address, Some(token));
        assert_status!(ann.get("/keys").await, 200, "{name}");
    }
    for (name, kind) in [
        ("p521", &curve("ec_paramgen_curve:P-521")[..]),
        ("secp256k1", &curve("ec_paramgen_curve:secp256k1")),
        ("ed448", &["ed448"]),
        ("x25519", &["x25519"]),
    ] {
        let [private, public] = made(folder.path(), name, kind);
        let refused = with(&public).run();
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{name}");
        let sentence = format!(
            "KEYLEDGER_JWT_PUBLIC_KEY: not one public key in PEM form of a kind that is known: {KINDS}"
        );
        assert!(told.contains(&sentence), "{name}: {told}");
        let refused =
            run(keyledger(folder.path()).args(["token", "--user", "ann", "--key", &private]));
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{name}");
        assert!(told.contains("RSA, EC P-256 or P-384, or Ed25519"), "{name}: {told}");
    }
}

#[keyledger_bounded::test]
async fn a_key_set_comes_over_plain_http_from_a_private_network_only_by_choice() {
    let tools = tempfile::TempDir::new().unwrap();
    let names = preloadable("http/names.c", tools.path());
    let (pem, public) = ed25519("k1");
    let url = provider(answering(&[public])).await;
    let port = url.rsplit_once(':').unwrap().1;
    let at = |host: &str| trusting(&format!("http://{host}:{port}")).set("LD_PRELOAD", &names);

    for (host, choice) in [
        ("id.internal", "loopback"),
        ("10.0.0.1", "loopback"),
        ("203.0.113.7", "loopback"),
        ("203.0.113.7", "private"),
        ("169.254.169.254", "private"),
        ("127.0.0.1", "everywhere"),
    ] {
        let refused = at(host).set("KEYLEDGER_JWT_JWKS_HTTP", choice).run();
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{host} {choice}: {told}");
        assert!(told.contains("KEYLEDGER_JWT_JWKS_"), "{host} {choice}: {told}");
        assert!(!told.contains(host) && !told.contains("everywhere"), "no value is told: {told}");
    }

    // The name leads to this machine, as it could lead to another one of a private network.
    let private = |host: &str| at(host).set("KEYLEDGER_JWT_JWKS_HTTP", "private");
    let service = private("id.internal").start().ready().await;
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    ann.get("/keys").await.expect_status(200);
    service.printed("the key set is fetched over plain http://").await;
    // A proxy would fetch it from anywhere.
    let service = private("id.internal").set("http_proxy", "http://127.0.0.1:9").start();
    service.ready().await;

    let service = private("id.example.com").start();
    service.part_is("sign_in", "failing").await;
    service.printed("the host has no address on the loopback interface").await;
    let ann = Client::new(&service.address, Some(minted(&pem, "k1")));
    assert_problem!(ann.get("/keys").await, 503, "identity_unavailable");
}
