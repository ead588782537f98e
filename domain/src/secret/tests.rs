//! Generated secrets, and the recognition of presented ones.

use std::collections::HashSet;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn secret(seed: u64) -> Secret {
    Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut StdRng::seed_from_u64(seed))
}

#[test]
fn a_secret_has_its_prefix_43_random_characters_and_a_checksum() {
    let secret = secret(7);
    let text = secret.expose();
    assert_eq!(text.len(), "orag_".len() + 43 + 6);
    assert!(text.starts_with("orag_"));
    assert_eq!(secret.display_prefix().as_str(), &text[..13]);
    assert_eq!(hash_presented(text), Ok(secret.hash()));
}

#[test]
fn the_checksum_is_the_crc_32_in_base62() {
    // CRC-32 of "123456789" is 0xCBF43926 (the check value of the CRC catalogue).
    assert_eq!(&checksum("123456789"), b"3jZRME");
    assert_eq!(&checksum(""), b"000000");
}

#[test]
fn a_key_of_the_older_kind_is_recognised_without_a_checksum() {
    let text = "orag_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
    assert_eq!(text.len(), 48);
    assert_eq!(hash_presented(text), Ok(KeyHash::of(text)));
}

#[test]
fn what_has_not_the_form_of_a_key_is_refused() {
    let good = secret(1).expose().to_owned();
    let wrong = [
        String::new(),
        "orag_".into(),
        "_".into(),
        good.replace("orag", "ORAG"),
        good.replace("orag", "o"),
        good.replace('_', "-"),
        format!("{good}x"),
        good[..good.len() - 1].to_owned(),
        format!("orag_{}", "é".repeat(43)),
        format!("orag_{}", "+".repeat(43)),
        "x".repeat(1_000_000),
    ];
    for text in wrong {
        assert_eq!(hash_presented(&text), Err(UnrecognisedSecret), "{text:.80}");
    }
}

#[test]
fn neither_the_secret_nor_its_hash_can_be_debug_printed() {
    let secret = secret(1);
    assert_eq!(format!("{secret:?} {:?}", secret.hash()), "Secret(..) KeyHash(..)");
}

#[test]
fn every_symbol_occurs_about_equally_often() {
    let mut counts = std::collections::HashMap::new();
    let mut text = String::new();
    push_random_base62(&mut text, 62_000, &mut StdRng::seed_from_u64(42));
    for symbol in text.chars() {
        *counts.entry(symbol).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.len(), 62);
    // 1,000 expected each, standard deviation 31.4: six of them to either side.
    assert!(counts.values().all(|count| (811..=1_189).contains(count)), "{counts:?}");
}

proptest! {
    #[test]
    fn secrets_verify_and_differ(seed in any::<u64>()) {
        let (one, other) = (secret(seed), secret(seed.wrapping_add(1)));
        prop_assert!(hash_presented(one.expose()).is_ok());
        prop_assert_ne!(one.expose(), other.expose());
    }

    #[test]
    fn one_wrong_character_never_verifies(
        seed in any::<u64>(), at in 5_usize..54, symbol in 0_usize..62
    ) {
        let good = secret(seed);
        let mut bytes = good.expose().as_bytes().to_vec();
        prop_assume!(bytes[at] != BASE62[symbol]);
        bytes[at] = BASE62[symbol];
        let typo = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(hash_presented(&typo), Err(UnrecognisedSecret));
    }

    #[test]
    fn no_text_makes_recognition_panic(text in ".*") {
        let _ = hash_presented(&text);
    }
}

#[test]
fn a_thousand_secrets_are_a_thousand_texts() {
    let mut random = StdRng::seed_from_u64(3);
    let prefix = KeyPrefix::parse("orag").unwrap();
    let texts: HashSet<String> =
        (0..1_000).map(|_| Secret::generate(&prefix, &mut random).expose().to_owned()).collect();
    assert_eq!(texts.len(), 1_000);
}
