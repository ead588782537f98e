//! Which tokens are accepted, and what they say about the caller.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a secret of the tests, 32 bytes or more";

fn now() -> i64 {
    i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap()
}

fn good() -> Value {
    json!({"sub": "ann", "email": "ann@example.com", "exp": now() + 60})
}

/// The good claims, with some of them replaced.
fn with(other: &Value) -> Value {
    let mut claims = good();
    for (name, value) in other.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn rules(source: TokenKeys) -> TokenRules {
    TokenRules {
        source,
        audiences: Vec::new(),
        issuer: None,
        rsa_algorithm: RsaAlgorithm::Rs256,
        roles: roles_in(&["roles", "scope"]),
    }
}

fn roles_in(claims: &[&str]) -> RoleRules {
    let claims = claims.iter().map(|path| path.parse().unwrap()).collect();
    RoleRules { claims, audit: "keyledger:audit".to_owned(), create: None }
}

/// The clock of this machine, or one that stands still.
#[derive(Debug)]
enum TestClock {
    System,
    Still(Timestamp),
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::from_unix_micros(now() * 1_000_000).unwrap(),
            Self::Still(at) => *at,
        }
    }
}

fn verifier(rules: TokenRules) -> TokenVerifier {
    TokenVerifier::new(rules, Arc::new(TestClock::System))
}

fn public_key(pem: &str) -> Result<VerifyingKey, BadKey> {
    VerifyingKey::from_pem(pem, RsaAlgorithm::Rs256)
}

fn shared_secret() -> TokenKeys {
    TokenKeys::Hs256(SharedSecret::new(SECRET.to_owned()).unwrap())
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

fn hs256(claims: &Value) -> String {
    sign(Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()), claims)
}

async fn judge(rules: TokenRules, token: &str) -> Result<Caller, String> {
    verifier(rules).verify(token).await.map_err(|error| match error {
        TokenError::Rejected(rejection) => rejection.to_string(),
        TokenError::KeysUnavailable(_) => "keys unavailable".to_owned(),
    })
}

async fn accepts(claims: &Value) -> Caller {
    judge(rules(shared_secret()), &hs256(claims)).await.unwrap()
}

async fn refuses(claims: &Value) -> String {
    judge(rules(shared_secret()), &hs256(claims)).await.unwrap_err()
}

/// A key pair in PEM form.
struct Pem {
    public: String,
    private: String,
    public_der: Vec<u8>,
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn pair(public_der: Vec<u8>, private_der: &[u8]) -> Pem {
    let (public, private) = (pem("PUBLIC KEY", &public_der), pem("PRIVATE KEY", private_der));
    Pem { public, private, public_der }
}

fn ed25519() -> Pem {
    use aws_lc_rs::encoding::AsDer;
    let pair_ = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair_.public_key().as_der().unwrap();
    pair(public.as_ref().to_vec(), pair_.to_pkcs8().unwrap().as_ref())
}

fn p256() -> Pem {
    ec(&ECDSA_P256_SHA256_FIXED_SIGNING)
}

fn p384() -> Pem {
    ec(&ECDSA_P384_SHA384_FIXED_SIGNING)
}

fn ec(curve: &'static EcdsaSigningAlgorithm) -> Pem {
    use aws_lc_rs::encoding::AsDer;
    let pair_ = EcdsaKeyPair::generate(curve).unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair_.public_key().as_der().unwrap();
    let private = pair_.to_pkcs8v1().unwrap();
    pair(public.as_ref().to_vec(), private.as_ref())
}

fn rsa() -> Pem {
    use aws_lc_rs::encoding::AsDer;
    let pair_ = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair_.public_key().as_der().unwrap();
    let private: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair_.as_der().unwrap();
    // A signature shows that the key is complete.
    let mut signature = vec![0; pair_.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair_.sign(&RSA_PKCS1_SHA256, &random, b"x", &mut signature).unwrap();
    pair(public.as_ref().to_vec(), private.as_ref())
}

#[keyledger_bounded::test]
async fn a_good_token_tells_who_asks() {
    let caller = accepts(&good()).await;
    assert_eq!(caller.user_id.as_str(), "ann");
    assert_eq!(caller.email, Email::parse("ann@example.com"));
    assert!(!caller.is_auditor);
}

#[keyledger_bounded::test]
async fn the_user_is_the_claim_user_id_or_else_sub() {
    assert_eq!(accepts(&with(&json!({"user_id": "u1"}))).await.user_id.as_str(), "u1");
    assert_eq!(accepts(&with(&json!({"user_id": 17}))).await.user_id.as_str(), "17");
    assert_eq!(accepts(&with(&json!({"user_id": null}))).await.user_id.as_str(), "ann");
    assert_eq!(refuses(&with(&json!({"sub": null}))).await, "the token names no user");
    for odd in [json!(""), json!("a\u{0}"), json!("x".repeat(256)), json!(["ann"]), json!(-1)] {
        refuses(&with(&json!({"user_id": odd}))).await;
        refuses(&with(&json!({"sub": odd}))).await;
    }
}

#[keyledger_bounded::test]
async fn an_odd_address_is_none() {
    for odd in [json!(null), json!(""), json!(5), json!(["a@b"]), json!("x".repeat(321))] {
        assert_eq!(accepts(&with(&json!({"email": odd}))).await.email, None, "{odd}");
    }
}

#[keyledger_bounded::test]
async fn an_odd_time_of_issue_is_none_and_one_of_the_future_too() {
    for (claim, issued) in [
        (json!(1_000_000_000), Some("2001-09-09T01:46:40Z")),
        (json!(1_000_000_000.5), Some("2001-09-09T01:46:40.5Z")),
        (json!(-1), Some("1970-01-01T00:00:00Z")),
        (json!(null), None),
        (json!("1000000000"), None),
        (json!([1]), None),
        (json!(now() + 35), None),
        (json!(1e300), None),
    ] {
        let issued = issued.map(|text| Timestamp::parse(text).unwrap());
        assert_eq!(accepts(&with(&json!({"iat": claim}))).await.issued_at, issued, "{claim}");
    }
    assert!(accepts(&with(&json!({"iat": now() + 25}))).await.issued_at.is_some());
}

#[keyledger_bounded::test]
async fn a_role_or_a_scope_makes_an_auditor() {
    for claims in [
        json!({"roles": ["user", "keyledger:audit"]}),
        json!({"roles": "keyledger:audit"}),
        json!({"scope": "openid keyledger:audit"}),
        json!({"scope": ["keyledger:audit"]}),
    ] {
        assert!(accepts(&with(&claims)).await.is_auditor, "{claims}");
    }
    for claims in [
        json!({"roles": ["keyledger:audito"]}),
        json!({"roles": {"keyledger:audit": true}}),
        json!({"scope": "keyledger:auditor"}),
        json!({"role": "keyledger:audit"}),
    ] {
        assert!(!accepts(&with(&claims)).await.is_auditor, "{claims}");
    }
}

#[keyledger_bounded::test]
async fn a_token_is_good_for_its_time_and_half_a_minute() {
    accepts(&with(&json!({"exp": now() - 25}))).await;
    refuses(&with(&json!({"exp": now() - 35}))).await;
    accepts(&with(&json!({"nbf": now() + 25}))).await;
    refuses(&with(&json!({"nbf": now() + 35}))).await;
    for odd in [json!(null), json!("9999999999"), json!(-1), json!([1])] {
        refuses(&with(&json!({"exp": odd}))).await;
    }
}

#[keyledger_bounded::test]
async fn the_audience_and_the_issuer_are_checked_when_they_are_set() {
    let strict = || TokenRules {
        audiences: vec!["keys".to_owned(), "old-keys".to_owned()],
        issuer: Some("https://id.example.com".to_owned()),
        ..rules(shared_secret())
    };
    let right = json!({"aud": ["other", "old-keys"], "iss": "https://id.example.com"});
    assert!(judge(strict(), &hs256(&with(&right))).await.is_ok());
    for (name, wrong) in [
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("aud", json!(5)),
        ("iss", json!("https://id.example.com/")),
        ("iss", json!(null)),
        ("iss", json!(5)),
    ] {
        let mut claims = with(&right);
        claims[name] = wrong;
        assert!(judge(strict(), &hs256(&claims)).await.is_err(), "{claims}");
    }
    for several in [json!(["https://id.example.com"]), json!([]), json!({})] {
        let mut claims = with(&right);
        claims["iss"] = several;
        assert!(judge(strict(), &hs256(&claims)).await.is_err(), "{claims}");
        refuses(&claims).await;
    }
    accepts(&with(&json!({"aud": "anyone", "iss": "anyone"}))).await;
}

#[keyledger_bounded::test]
async fn roles_are_where_the_settings_say() {
    let at = |path: &str| TokenRules { roles: roles_in(&[path]), ..rules(shared_secret()) };
    for (path, claims) in [
        ("realm_access.roles", json!({"realm_access": {"roles": ["keyledger:audit"]}})),
        ("scp", json!({"scp": "openid keyledger:audit"})),
        ("groups", json!({"groups": ["keyledger:audit"]})),
        (
            "https://keys.example.com/roles",
            json!({"https://keys.example.com/roles": ["keyledger:audit"]}),
        ),
    ] {
        let token = hs256(&with(&claims));
        assert!(judge(at(path), &token).await.unwrap().is_auditor, "{path}");
        assert!(!judge(at("other"), &token).await.unwrap().is_auditor, "{path}");
        assert!(!judge(rules(shared_secret()), &token).await.unwrap().is_auditor, "{path}");
    }
    for claims in [
        json!({"realm_access": ["roles"]}),
        json!({"realm_access": {"roles": {"keyledger:audit": true}}}),
        json!({"realm_access": "roles"}),
    ] {
        let token = hs256(&with(&claims));
        assert!(!judge(at("realm_access.roles"), &token).await.unwrap().is_auditor, "{claims}");
    }
    assert!("".parse::<ClaimPath>().is_err());
}

#[keyledger_bounded::test]
async fn creating_keys_needs_a_role_only_if_one_is_named() {
    let creating = |role: Option<&str>| {
        let create = role.map(ToOwned::to_owned);
        let roles = RoleRules { create, ..roles_in(&["roles", "scope"]) };
        TokenRules { roles, ..rules(shared_secret()) }
    };
    for (claims, may_create) in [
        (json!({}), false),
        (json!({"roles": ["keyledger:audit"]}), false),
        (json!({"roles": ["keys:create:self"]}), false),
        (json!({"roles": {"keys:create": true}}), false),
        (json!({"role": "keys:create"}), false),
        (json!({"roles": ["user", "keys:create"]}), true),
        (json!({"scope": "openid keys:create"}), true),
    ] {
        let token = hs256(&with(&claims));
        let caller = judge(creating(Some("keys:create")), &token).await.unwrap();
        assert_eq!(caller.may_create, may_create, "{claims}");
        assert!(judge(creating(None), &token).await.unwrap().may_create, "{claims}");
    }
}

#[keyledger_bounded::test]
async fn a_token_is_foreign_if_it_is_not_signed_with_our_keys_or_not_for_us() {
    let strict = || TokenRules {
        audiences: vec!["keys".to_owned()],
        issuer: Some("https://id.example.com".to_owned()),
        ..rules(shared_secret())
    };
    let ours = with(&json!({"aud": "keys", "iss": "https://id.example.com"}));
    let changed = |name: &str, value: Value| {
        let mut claims = ours.clone();
        claims[name] = value;
        hs256(&claims)
    };
    let secret = EncodingKey::from_secret(b"another secret, of 32 bytes or more");
    let other = sign(Algorithm::HS256, &secret, &ours);
    let hs512 = sign(Algorithm::HS512, &EncodingKey::from_secret(SECRET.as_bytes()), &ours);
    for (token, is_foreign) in [
        (String::new(), true),
        ("x".repeat(9_000), true),
        (other, true),
        (hs512, true),
        (changed("aud", json!("other")), true),
        (changed("iss", json!("https://other.example.com")), true),
        (changed("exp", json!(now() - 60)), false),
        (changed("exp", json!(null)), false),
        (changed("nbf", json!(now() + 60)), false),
        (changed("sub", json!(null)), false),
        (changed("sub", json!("")), false),
    ] {
        match verifier(strict()).verify(&token).await {
            Err(TokenError::Rejected(reason)) => {
                assert_eq!(reason.is_of_foreign_token(), is_foreign, "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(judge(strict(), &hs256(&ours)).await.is_ok());
}

#[keyledger_bounded::test]
async fn a_clock_that_is_out_of_range_signs_nobody_in() {
    for claims in [json!({}), json!({"exp": 1e18}), json!({"exp": 253_402_300_799_u64})] {
        let clock = Arc::new(TestClock::Still(Timestamp::MAX));
        let verifier = TokenVerifier::new(rules(shared_secret()), clock);
        let outcome = verifier.verify(&hs256(&with(&claims))).await;
        assert!(matches!(outcome, Err(TokenError::Rejected(Rejection::Expired))), "{outcome:?}");
    }
}

#[keyledger_bounded::test]
async fn what_is_wrong_with_a_token_is_told_without_a_part_of_it() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part("{\"alg\":\"HS256\"}");
    for secret in ["\"s3cr3t\"", "{\"exp\":\"s3cr3t\"}", "{\"alg\":\"s3cr3t\"}", "s3cr3t"] {
        let claims = with(&json!({"exp": "s3cr3t", "sub": ["s3cr3t"], "iss": ["s3cr3t"]}));
        for token in [
            format!("{header}.{}.", part(secret)),
            format!("{}.{header}.", part(secret)),
            format!("{secret}.{secret}.{secret}"),
            hs256(&claims),
        ] {
            let told = judge(rules(shared_secret()), &token).await.unwrap_err();
            assert!(!told.contains("s3cr3t"), "{told}");
        }
    }
}

#[keyledger_bounded::test]
async fn each_key_verifies_its_algorithm_and_no_other() {
    let (ed, ec, ec384, rsa) = (ed25519(), p256(), p384(), rsa());
    let signers = [
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(ed.private.as_bytes()).unwrap()),
        (Algorithm::ES256, EncodingKey::from_ec_pem(ec.private.as_bytes()).unwrap()),
        (Algorithm::ES384, EncodingKey::from_ec_pem(ec384.private.as_bytes()).unwrap()),
        (Algorithm::RS256, EncodingKey::from_rsa_pem(rsa.private.as_bytes()).unwrap()),
        (Algorithm::PS256, EncodingKey::from_rsa_pem(rsa.private.as_bytes()).unwrap()),
        (Algorithm::RS384, EncodingKey::from_rsa_pem(rsa.private.as_bytes()).unwrap()),
        (Algorithm::HS256, EncodingKey::from_secret(SECRET.as_bytes())),
        (Algorithm::HS512, EncodingKey::from_secret(SECRET.as_bytes())),
    ];
    let public = |pem: &Pem| TokenKeys::PublicKey(public_key(&pem.public).unwrap());
    let pss = VerifyingKey::from_pem(&rsa.public, RsaAlgorithm::Ps256).unwrap();
    let sources = [
        (vec![Algorithm::EdDSA], public(&ed)),
        (vec![Algorithm::ES256], public(&ec)),
        (vec![Algorithm::ES384], public(&ec384)),
        (vec![Algorithm::RS256], public(&rsa)),
        (vec![Algorithm::PS256], TokenKeys::PublicKey(pss)),
        (vec![Algorithm::HS256], shared_secret()),
    ];
    for (accepted, source) in sources {
        let verifier = verifier(rules(source));
        for (algorithm, key) in &signers {
            let outcome = verifier.verify(&sign(*algorithm, key, &good())).await;
            assert_eq!(outcome.is_ok(), accepted.contains(algorithm), "{algorithm:?} {outcome:?}");
        }
    }
}

#[keyledger_bounded::test]
async fn a_public_key_is_no_shared_secret() {
    let rsa = rsa();
    let source = || TokenKeys::PublicKey(public_key(&rsa.public).unwrap());
    for guess in [rsa.public.as_bytes(), rsa.public.trim().as_bytes(), &rsa.public_der] {
        let token = sign(Algorithm::HS256, &EncodingKey::from_secret(guess), &good());
        assert!(judge(rules(source()), &token).await.is_err());
    }
}

#[keyledger_bounded::test]
async fn what_is_not_signed_is_refused() {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", "nOnE", "", "HS256"] {
        let unsigned = format!("{}.{}.", part(&json!({"alg": alg})), part(&good()));
        assert!(judge(rules(shared_secret()), &unsigned).await.is_err(), "{alg}");
    }
    let signed = hs256(&good());
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let forged = format!("{header}.{}.{signature}", part(&with(&json!({"sub": "eve"}))));
    for bad in [
        "",
        ".",
        "..",
        "a.b.c",
        message,
        &format!("{message}."),
        &format!("{signed}.x"),
        &forged,
        &format!("{signed}="),
        &signed.replace('.', " "),
        "\u{0}",
        &"a".repeat(9_000),
    ] {
        assert!(judge(rules(shared_secret()), bad).await.is_err(), "{bad:.80}");
    }
    assert!(judge(rules(shared_secret()), &signed).await.is_ok());
}

#[keyledger_bounded::test]
async fn a_key_inside_the_token_is_passed_over() {
    let key = URL_SAFE_NO_PAD.encode("another secret, of 32 bytes or more");
    let mut header = Header::new(Algorithm::HS256);
    header.jwk = serde_json::from_value(json!({"kty": "oct", "k": key})).unwrap();
    header.jku = Some("https://eve.example.com/keys".to_owned());
    let encoding = EncodingKey::from_secret(b"another secret, of 32 bytes or more");
    let token = encode(&header, &good(), &encoding).unwrap();
    assert!(judge(rules(shared_secret()), &token).await.is_err());
}

#[keyledger_bounded::test]
async fn an_extension_that_must_be_understood_is_refused() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let token = encode(&header, &good(), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    let outcome = judge(rules(shared_secret()), &token).await;
    assert_eq!(outcome.unwrap_err(), "the token's header has critical extensions");
}

#[keyledger_bounded::test]
fn what_is_no_public_key_is_refused_as_one() {
    let (ed, rsa, p521) = (ed25519(), rsa(), ec(&ECDSA_P521_SHA512_FIXED_SIGNING));
    let certificate = pem("CERTIFICATE", &ed.public_der);
    let cut = pem("PUBLIC KEY", &rsa.public_der[..rsa.public_der.len() - 40]);
    let two = format!("{}{}", ed.public, rsa.public);
    let mut one = vec![0; 32];
    one[0] = 1;
    // The header of an Ed25519 key (RFC 8410), and a point of small order.
    let small_order = pem("PUBLIC KEY", &[&ed.public_der[..12], &one].concat());
    for text in [
        "",
        "key",
        &ed.private,
        &rsa.private,
        &certificate,
        &cut,
        &two,
        &small_order,
        &p521.public,
        "-----BEGIN PUBLIC KEY-----",
    ] {
        assert_eq!(public_key(text).err(), Some(BadKey), "{text}");
    }
}

#[keyledger_bounded::test]
fn line_breaks_of_a_key_may_be_written_as_two_characters() {
    for pem in [ed25519(), p256(), p384(), rsa()] {
        assert!(public_key(&pem.public.replace('\n', "\\n")).is_ok());
    }
}

#[keyledger_bounded::test]
fn a_minted_token_is_signed_by_the_kind_of_its_key() {
    for (pem, algorithm) in [
        (ed25519(), Algorithm::EdDSA),
        (p256(), Algorithm::ES256),
        (p384(), Algorithm::ES384),
        (rsa(), Algorithm::RS256),
    ] {
        let key = SigningKey::from_pem(&pem.private).unwrap();
        let claims = Claims {
            user_id: "ann".to_owned(),
            email: None,
            roles: Vec::new(),
            audience: None,
            issuer: None,
            issued_at: now(),
            expires_at: now() + 60,
        };
        let token = mint(&key, &claims, Some("k1".to_owned())).unwrap();
        let header = decode_header(&token).unwrap();
        assert_eq!((header.alg, header.kid.as_deref()), (algorithm, Some("k1")));
        let verifying = public_key(&pem.public).unwrap();
        let validation = Validation::new(algorithm);
        decode::<Value>(&token, verifying.decoding(), &validation).unwrap();
    }
    assert!(SigningKey::from_pem(&ed25519().public).is_err());
    assert!(SigningKey::from_pem(&ec(&ECDSA_P521_SHA512_FIXED_SIGNING).private).is_err());
}

#[keyledger_bounded::test]
fn secrets_and_keys_are_hidden_from_debug() {
    let secret = SharedSecret::new(SECRET.to_owned()).unwrap();
    let verifier = verifier(rules(shared_secret()));
    let shown = format!("{secret:?} {verifier:?} {:?}", SigningKey::hs256(&secret));
    assert!(!shown.contains("secret of the tests"), "{shown}");
    assert_eq!(SharedSecret::new("x".repeat(31)).err(), Some(WeakSecret));
}
