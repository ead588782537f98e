//! A key's secret is in the answer to its creation only, and its hash in no answer and no log.

use keyledger_domain::hash_presented;
use serde_json::json;

use crate::support::{Answer, Client, SECRET, Setup, keyledger, run, token};

/// Texts that must not be found, with their names.
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn of(api_key: &str) -> Self {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
        let hash = hash_presented(api_key).unwrap();
        // The characters after the displayed part are secret, all of them and each half.
        let random = &api_key[13..api_key.len() - 6];
        let (first, second) = random.split_at(random.len() / 2);
        Self(vec![
            ("the key".to_owned(), api_key.to_owned()),
            ("half of the key".to_owned(), first.to_owned()),
            ("the other half of the key".to_owned(), second.to_owned()),
            ("the hash in hex".to_owned(), hash.to_hex()),
            ("the hash in upper-case hex".to_owned(), hash.to_hex().to_uppercase()),
            ("the hash in base64".to_owned(), STANDARD_NO_PAD.encode(hash.as_bytes())),
            ("the hash in base64url".to_owned(), URL_SAFE_NO_PAD.encode(hash.as_bytes())),
            ("the hash as bytes".to_owned(), format!("{:?}", hash.as_bytes())),
        ])
    }

    fn assert_not_in(&self, place: &str, text: &str) {
        for (name, secret) in &self.0 {
            assert!(!text.contains(secret), "{name} is in {place}:\n{text}");
        }
    }
}

fn whole(answer: &Answer) -> String {
    format!("{:?}\n{}", answer.headers, answer.text)
}

#[keyledger_bounded::test]
async fn a_secret_is_in_one_answer_and_nowhere_else() {
    let service = Setup::new().set("KEYLEDGER_LOG", "trace").start().ready().await;
    let (ann, bob, eve) = (service.user("ann"), service.user("bob"), service.auditor("eve"));
    let named = ann.with("idempotency-key", "order-1");
    let created = named.post("/keys", &json!({"name": "ci", "expires_in_seconds": 60})).await;
    let api_key = created.json()["api_key"].as_str().unwrap().to_owned();
    let secrets = Secrets::of(&api_key);
    assert_eq!(created.text.matches(&api_key).count(), 1);
    let hash = hash_presented(&api_key).unwrap().to_hex();
    assert!(!created.text.contains(&hash));
    let id = created.json()["key_id"].as_str().unwrap().to_owned();

    let mut answers = vec![
        named.post("/keys", &json!({"name": "ci", "expires_in_seconds": 60})).await,
        named.post("/keys", &json!({"name": "other"})).await,
        // The key where something else belongs.
        ann.get(&format!("/{api_key}")).await,
        ann.get(&format!("/keys/{api_key}")).await,
        ann.get(&format!("/keys/{api_key}/history")).await,
        ann.delete(&format!("/keys/{api_key}")).await,
        ann.with("authorization", &format!("Bearer {api_key}")).get("/keys").await,
        ann.with("idempotency-key", &format!("{api_key} ")).post("/keys", &json!({})).await,
        ann.get(&format!("/keys?status={api_key}")).await,
        ann.post("/keys", &json!({"name": 5, "expires_at": api_key})).await,
        ann.post("/keys", &json!({"name": "x".repeat(200) + &api_key})).await,
    ];
    for client in [&ann, &bob, &eve] {
        answers.push(client.get("/keys").await);
        answers.push(client.get(&format!("/keys/{id}")).await);
        answers.push(client.get(&format!("/keys/{id}/history")).await);
    }
    let gateway = Client::new(&service.internal, None);
    let form = gateway.with("content-type", "application/x-www-form-urlencoded");
    for presented in [api_key.clone(), format!("{api_key}x")] {
        answers.push(gateway.post("/verify", &json!({"key": presented})).await);
        answers.push(gateway.post("/verify", &json!({"key": presented, "more": presented})).await);
        let body = format!("token={presented}").into_bytes();
        answers.push(form.send("POST", "/introspect", Some(body)).await);
        answers.push(gateway.with("x-api-key", &presented).get("/auth").await);
        answers.push(gateway.get(&format!("/auth/{presented}")).await);
    }
    answers.push(gateway.get("/metrics").await);
    answers.push(bob.delete(&format!("/keys/{id}")).await);
    answers.push(ann.delete(&format!("/keys/{id}")).await);
    answers.push(ann.delete(&format!("/keys/{id}/permanent")).await);
    answers.push(eve.get(&format!("/keys/{id}/history")).await);
    answers.push(ann.get("/openapi.json").await);
    for answer in &answers {
        secrets.assert_not_in("an answer", &whole(answer));
    }

    let (folder, stores) = (service.folder(), service.stores());
    let (_, output) = service.stop();
    assert!(output.contains("request done"), "the log is there");
    secrets.assert_not_in("the log", &output);
    for (name, text) in [
        ("a sign-in token", token("ann", &[])),
        ("the shared secret", SECRET.to_owned()),
        ("an address", "ann@example.com".to_owned()),
    ] {
        // Of a token, its signature is looked for.
        let text = text.rsplit('.').next().unwrap();
        assert!(!output.contains(text), "{name} is in the log:\n{output}");
    }

    // The stores hold the hash, and of the key only the part that is displayed.
    let [journal, read] = stores.at_rest();
    drop(folder);
    assert!(journal.contains(&hash));
    for (place, text) in [("the journal", journal), ("the read tables", read)] {
        for (name, secret) in secrets.0.iter().take(3) {
            assert!(!text.contains(secret), "{name} is in {place}");
        }
    }
}

#[keyledger_bounded::test]
async fn a_command_that_fails_shows_no_secret_of_the_environment() {
    let folder = tempfile::TempDir::new().unwrap();
    for arguments in [vec!["serve", "--listen=x"], vec!["serve", "--nonsense"], vec!["token"]] {
        let output =
            run(keyledger(folder.path()).args(arguments).env("KEYLEDGER_JWT_HS256_SECRET", SECRET));
        assert!(!output.status.success());
        let told = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&told).contains(SECRET));
    }
}
