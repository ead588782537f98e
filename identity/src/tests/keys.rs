//! What verifies a token, and what signs one.

use super::*;

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
