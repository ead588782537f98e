//! When a key set is fetched, and which of its keys are used.

use std::sync::Mutex as StdMutex;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;

/// A provider whose key set and clock are controlled by the test.
struct Provider {
    set: StdMutex<Option<Value>>,
    fetches: StdMutex<usize>,
    now: StdMutex<Instant>,
    /// A fetch ends only after it is notified; `None` if it ends at once.
    answers: Option<Notify>,
}

impl Source for Arc<Provider> {
    async fn fetch(&self) -> Result<Vec<VerifyingKey>, FetchError> {
        *self.fetches.lock().unwrap() += 1;
        if let Some(answers) = &self.answers {
            answers.notified().await;
        }
        let set = self.set.lock().unwrap().clone().ok_or(FetchError::TooLarge)?;
        usable_keys(set.to_string().as_bytes())
    }

    fn now(&self) -> Instant {
        *self.now.lock().unwrap()
    }
}

impl Provider {
    fn new(kids: &[&str], answers: Option<Notify>) -> Arc<Self> {
        let (set, fetches) = (StdMutex::default(), StdMutex::default());
        let provider = Self { set, fetches, now: StdMutex::new(Instant::now()), answers };
        provider.publish(kids);
        Arc::new(provider)
    }

    fn fetches(&self) -> usize {
        *self.fetches.lock().unwrap()
    }

    fn publish(&self, kids: &[&str]) {
        let keys: Vec<_> = kids.iter().map(|kid| ed(kid)).collect();
        *self.set.lock().unwrap() = Some(json!({ "keys": keys }));
    }

    fn go_away(&self) {
        *self.set.lock().unwrap() = None;
    }

    fn advance(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }
}

/// RFC 8037, appendix A.2.
fn ed(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid,
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn provider(kids: &[&str]) -> (Arc<Provider>, KeySet<Arc<Provider>>) {
    let provider = Provider::new(kids, None);
    (provider.clone(), KeySet::new(provider))
}

async fn find(set: &KeySet<Arc<Provider>>, kid: Option<&str>) -> Result<usize, String> {
    match set.candidates(kid, Algorithm::EdDSA).await {
        Ok(keys) => Ok(keys.len()),
        Err(TokenError::Rejected(_)) => Err("rejected".to_owned()),
        Err(TokenError::KeysUnavailable(_)) => Err("unavailable".to_owned()),
    }
}

#[keyledger_bounded::test]
async fn a_set_is_fetched_once_for_many_tokens() {
    let (provider, set) = provider(&["a", "b"]);
    for _ in 0..100 {
        assert_eq!(find(&set, Some("a")).await, Ok(1));
    }
    assert_eq!(find(&set, None).await, Ok(2), "without a name, any key may fit");
    assert_eq!(provider.fetches(), 1);
}

#[keyledger_bounded::test]
async fn a_new_key_is_found() {
    let (provider, set) = provider(&["a"]);
    find(&set, Some("a")).await.unwrap();
    provider.publish(&["a", "b"]);
    provider.advance(Duration::from_secs(11));
    assert_eq!(find(&set, Some("b")).await, Ok(1));
    assert_eq!(provider.fetches(), 2);
}

#[keyledger_bounded::test]
async fn unknown_names_do_not_flood_the_provider() {
    let (provider, set) = provider(&["a"]);
    for number in 0..1_000 {
        assert_eq!(find(&set, Some(&number.to_string())).await, Err("rejected".to_owned()));
        provider.advance(Duration::from_millis(100));
    }
    assert!(provider.fetches() <= 10, "{} fetches in 100 s", provider.fetches());
}

#[keyledger_bounded::test]
async fn a_key_that_was_withdrawn_is_refused_within_minutes() {
    let (provider, set) = provider(&["a", "b"]);
    find(&set, Some("a")).await.unwrap();
    provider.publish(&["b"]);
    provider.advance(FRESH);
    assert_eq!(find(&set, Some("a")).await, Ok(0));
    assert_eq!(find(&set, Some("b")).await, Ok(1));
}

#[keyledger_bounded::test]
async fn keys_are_used_for_a_day_when_the_provider_is_away() {
    let (provider, set) = provider(&["a"]);
    find(&set, Some("a")).await.unwrap();
    provider.go_away();
    provider.advance(Duration::from_secs(23 * 60 * 60));
    assert_eq!(find(&set, Some("a")).await, Ok(1));
    assert_eq!(find(&set, Some("b")).await, Err("unavailable".to_owned()));
    provider.advance(Duration::from_secs(60 * 60));
    assert_eq!(find(&set, Some("a")).await, Err("unavailable".to_owned()));
    provider.publish(&["a"]);
    provider.advance(PAUSE_AFTER_FAILURE);
    assert_eq!(find(&set, Some("a")).await, Ok(1));
}

#[keyledger_bounded::test]
async fn one_fetch_runs_at_a_time_and_nobody_waits_for_one_to_replace_an_old_set() {
    let provider = Provider::new(&["a"], Some(Notify::new()));
    let answer = || provider.answers.as_ref().unwrap().notify_one();
    let set = KeySet::new(provider.clone());
    let finds = futures::future::join_all((0..50).map(|_| find(&set, Some("a"))));
    let (found, ()) = tokio::join!(finds, async { answer() });
    assert!(found.iter().all(|found| *found == Ok(1)));
    assert_eq!(provider.fetches(), 1);

    provider.advance(FRESH);
    let (found, ()) = tokio::join!(find(&set, Some("a")), async {
        find(&set, Some("a")).await.unwrap();
        assert_eq!(provider.fetches(), 2, "the fetch has begun");
        answer();
    });
    assert_eq!(found, Ok(1));
    assert_eq!(provider.fetches(), 2);
}

#[keyledger_bounded::test]
fn keys_that_we_cannot_use_are_passed_over() {
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"});
    let mut for_encryption = ed("e");
    for_encryption["use"] = json!("enc");
    let p384 = json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"});
    let odd = [json!(5), json!({"kty": 7}), json!({"kty": "future"}), json!(null)];
    let mut keys = vec![secret, for_encryption, p384];
    keys.extend(odd);
    let none = usable_keys(json!({ "keys": keys }).to_string().as_bytes());
    assert!(matches!(none, Err(FetchError::NoUsableKey)));
    keys.push(ed("good"));
    let one = usable_keys(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(one.len(), 1);
    for text in ["", "{}", "[]", "{\"keys\":5}"] {
        assert!(matches!(usable_keys(text.as_bytes()), Err(FetchError::NotASet(_))), "{text}");
    }
}

#[keyledger_bounded::test]
fn a_set_is_fetched_over_tls_or_on_this_machine() {
    for url in ["https://id.example.com/keys", "http://localhost:1/", "http://127.0.0.1/k"] {
        assert!(JwksUrl::parse(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "keys",
        "http://id.example.com/keys",
        "http://localhost.example.com/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
    ] {
        assert_eq!(JwksUrl::parse(url), Err(JwksUrlError), "{url}");
    }
}
