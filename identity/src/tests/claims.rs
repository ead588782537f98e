//! What a token says, and whether it is good.

use super::*;

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
