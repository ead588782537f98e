//! Which tokens are accepted, and what they say about the caller.

mod claims;
mod keys;

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
