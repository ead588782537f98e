//! When a key set is fetched, and which of its keys are used.

use std::sync::Mutex as StdMutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKeyKind;
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
    async fn fetch(&self) -> Result<Usable, FetchError> {
        *self.fetches.lock().unwrap() += 1;
        if let Some(answers) = &self.answers {
            answers.notified().await;
        }
        let set = self.set.lock().unwrap().clone().ok_or(FetchError::TooLarge)?;
        usable_keys(set.to_string().as_bytes(), RsaAlgorithm::Rs256)
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

fn usable_with(keys: &[Value], rsa: RsaAlgorithm) -> Result<Usable, FetchError> {
    usable_keys(json!({ "keys": keys }).to_string().as_bytes(), rsa)
}

fn usable(keys: &[Value]) -> Result<Vec<VerifyingKey>, FetchError> {
    usable_with(keys, RsaAlgorithm::Rs256).map(|usable| usable.keys)
}

/// The key with this member added.
fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

#[keyledger_bounded::test]
fn keys_that_we_cannot_use_are_passed_over() {
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"});
    let p384 = json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"});
    let odd = [json!(5), json!({"kty": 7}), json!({"kty": "future"}), json!(null)];
    let mut keys = vec![secret, p384];
    keys.extend(odd);
    assert!(matches!(usable(&keys), Err(FetchError::NoUsableKey)));
    keys.push(ed("good"));
    assert_eq!(usable(&keys).unwrap().len(), 1);
    for text in ["", "{}", "[]", "{\"keys\":5}"] {
        let set = usable_keys(text.as_bytes(), RsaAlgorithm::Rs256);
        assert!(matches!(set, Err(FetchError::NotASet(_))), "{text}");
    }
}

/// RFC 7515, appendix A.3.1: a key on P-256.
fn p256() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
}

#[keyledger_bounded::test]
fn a_key_on_a_curve_is_a_point_of_that_curve() {
    assert_eq!(usable(&[p256()]).unwrap()[0].algorithm(), Algorithm::ES256);
    let other_point = p256()["x"].clone();
    for (name, value) in [
        ("crv", json!("P-384")),
        ("crv", json!("P-521")),
        ("crv", json!("secp256k1")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("y", other_point),
        ("y", json!("")),
        ("y", json!("AA")),
    ] {
        let told = format!("{name}: {value}");
        let key = with(p256(), name, value);
        assert!(matches!(usable(&[key]), Err(FetchError::NoUsableKey)), "{told}");
    }
}

#[keyledger_bounded::test]
fn keys_of_unknown_kinds_are_counted_but_not_those_for_other_uses() {
    let unknown = |key: Value| usable_with(&[ed("a"), key], RsaAlgorithm::Rs256).unwrap().unknown;
    assert_eq!(unknown(p256()), 0);
    assert_eq!(unknown(with(p256(), "use", json!("enc"))), 0);
    assert_eq!(unknown(with(p256(), "key_ops", json!(["deriveKey"]))), 0);
    assert_eq!(unknown(with(p256(), "crv", json!("P-521"))), 1);
    assert_eq!(unknown(json!({"kty": "OKP", "crv": "Ed448", "x": "AA"})), 1);
    assert_eq!(unknown(json!({"kty": "oct", "k": "c2VjcmV0"})), 1);
    assert_eq!(unknown(json!("key")), 1);
}

/// RFC 7515, appendix A.2.1: an RSA key of 2048 bits.
const MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

fn rsa(modulus: &str) -> Value {
    json!({"kty": "RSA", "n": modulus, "e": "AQAB"})
}

#[keyledger_bounded::test]
fn what_a_key_says_of_its_use_binds() {
    let key = |name: &str, value: Value| usable(&[with(rsa(MODULUS), name, value)]);
    let algorithm = |name: &str, value| key(name, value).unwrap()[0].algorithm();
    assert_eq!(algorithm("kid", json!("a")), Algorithm::RS256);
    assert_eq!(algorithm("alg", json!("RS256")), Algorithm::RS256);
    assert_eq!(algorithm("alg", json!("PS256")), Algorithm::PS256);
    assert_eq!(algorithm("use", json!("sig")), Algorithm::RS256);
    assert_eq!(algorithm("key_ops", json!(["verify", "sign"])), Algorithm::RS256);
    for (name, value) in [
        ("alg", json!("RS512")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("alg", json!("none")),
        ("alg", json!("")),
        ("use", json!("enc")),
        ("key_ops", json!([])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!(["encrypt", "wrapKey"])),
    ] {
        let told = format!("{name}: {value}");
        assert!(matches!(key(name, value), Err(FetchError::NoUsableKey)), "{told}");
    }
    for (name, value) in [("use", "enc"), ("alg", "RS256"), ("alg", "ES256")] {
        assert!(usable(&[with(ed("a"), name, json!(value))]).is_err(), "{name} {value}");
    }
    let pss = usable_with(&[rsa(MODULUS)], RsaAlgorithm::Ps256).unwrap();
    assert_eq!(pss.keys[0].algorithm(), Algorithm::PS256);
}

#[keyledger_bounded::test]
fn a_zero_before_the_modulus_is_passed_over_and_small_keys_are_refused() {
    let bytes = URL_SAFE_NO_PAD.decode(MODULUS).unwrap();
    let padded = URL_SAFE_NO_PAD.encode([&[0], &*bytes].concat());
    let [plain, padded] = [MODULUS, &padded].map(|modulus| usable(&[rsa(modulus)]).unwrap());
    let modulus = |keys: &[VerifyingKey]| match keys[0].decoding().kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(modulus(&plain), bytes);
    assert_eq!(modulus(&padded), bytes);
    for small in [&bytes[1..], &bytes[..128], &[]] {
        let padded = [&[0; 300], small].concat();
        for modulus in [small, &padded] {
            let key = rsa(&URL_SAFE_NO_PAD.encode(modulus));
            assert!(matches!(usable(&[key]), Err(FetchError::NoUsableKey)), "{}", modulus.len());
        }
    }
}

#[keyledger_bounded::test]
fn a_point_of_small_order_is_no_key() {
    let mut one = [0; 32];
    one[0] = 1;
    let minus_one = [&[0xec][..], &[0xff; 30], &[0x7f]].concat();
    for point in [&[0; 32][..], &one, &minus_one] {
        let key = with(ed("a"), "x", json!(URL_SAFE_NO_PAD.encode(point)));
        assert!(matches!(usable(&[key]), Err(FetchError::NoUsableKey)), "{point:?}");
    }
}
