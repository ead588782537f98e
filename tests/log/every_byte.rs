//! An altered byte in what auditors are given is found: in each part of an export, in every place of
//! a checkpoint and of proofs.

use keyledger_tlog::merkle::{verify_consistency, verify_inclusion};
use keyledger_tlog::{Checkpoint, NoteVerifyingKey, TreeHash};
use serde_json::Value;

use crate::support::log::{Log, signed, work};

/// Texts after whose last occurrence in an export a byte is altered, and the finding that is expected.
const BYTES: &[(&str, &str)] = &[
    ("{\"keyledger_export\":", "not-an-export"),
    ("\"origin\":\"", "altered-header: the origin"),
    ("\"public_key\":\"", "altered-header: the public key"),
    ("\"checkpoint\":\"", "bad-signature"),
    ("\"checkpoint\":\"keys.example.com/tests\\n", "bad-signature"),
    ("\"checkpoint\":\"keys.example.com/tests\\n11\\n", "bad-signature"),
    ("\\ntime ", "bad-signature"),
    ("\\n\u{2014} keys.example.com/tests ", "unknown-key"),
    ("{\"index\":", "added-event"),
    ("\"stream\":\"apikey-", "altered-event: event 10 "),
    ("\"revision\":", "altered-event: event 10 "),
    ("\"event_id\":\"", "altered-event: event 10 "),
    ("\"type\":\"", "altered-event: event 10 "),
    ("\"user_id\":\"", "altered-event: event 10 "),
    ("\"occurred_at\":\"", "altered-event: event 10 "),
    ("\"actor\":\"", "altered-event: event 10 "),
    ("\"leaf\":\"", "altered-leaf: the leaf hash of event 10 "),
    ("{\"range\":", "altered-range-line"),
    ("\"hash\":\"", "altered-range-line"),
    ("{\"events\":", "altered-trailer"),
    ("\"crc32\":\"", "checksum-differs"),
];

/// The text with another letter or digit after the last occurrence of `behind`.
fn altered(text: &str, behind: &str) -> String {
    let at = text.rfind(behind).unwrap_or_else(|| panic!("{behind}")) + behind.len();
    let other = match &text[at..=at] {
        "1" => "2",
        "a" => "b",
        "A" => "B",
        letter if letter.chars().all(|letter| letter.is_ascii_digit()) => "1",
        letter if letter.chars().all(|letter| letter.is_ascii_lowercase()) => "a",
        _ => "A",
    };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[keyledger_bounded::test]
async fn a_byte_of_each_kind_in_an_export_is_found_and_named() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 10).await;
    service.stop_well();
    assert!(log.export("all", &[]).status.success());
    let whole = std::fs::read_to_string(log.path("all")).unwrap();
    let mut wrong = Vec::new();
    for (behind, expected) in BYTES {
        std::fs::write(log.path("x"), altered(&whole, behind)).unwrap();
        let (code, told) = log.verify("x", &[]);
        let not_so = if *expected == "not-an-export" { 2 } else { 1 };
        if code != not_so || !told.lines().any(|line| line.starts_with(expected)) {
            wrong.push((behind, code, told));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn hash(text: &Value) -> TreeHash {
    text.as_str().unwrap().parse().unwrap()
}

fn hashes(text: &Value) -> Vec<TreeHash> {
    text.as_array().unwrap().iter().map(hash).collect()
}

/// The hash with one bit of one byte inverted.
fn other(hash: TreeHash, byte: usize) -> TreeHash {
    let mut bytes = *hash.as_bytes();
    bytes[byte] ^= 1;
    TreeHash::from(bytes)
}

/// These hashes with one bit inverted, once for each byte of each of them.
fn others(hashes: &[TreeHash]) -> impl Iterator<Item = Vec<TreeHash>> {
    (0..hashes.len() * 32).map(|at| {
        let mut altered = hashes.to_vec();
        altered[at / 32] = other(altered[at / 32], at % 32);
        altered
    })
}

#[keyledger_bounded::test]
async fn a_byte_of_a_checkpoint_or_a_proof_is_found() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 20).await;
    signed(&service, 21).await;
    let trusted: [NoteVerifyingKey; 1] = [log.key.parse().unwrap()];
    let note = service.stranger().get("/audit/checkpoint").await.text;
    let Checkpoint { size, root, .. } = Checkpoint::open(&note, &trusted).unwrap();
    assert_eq!(size, 21);
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        // Bytes that are not UTF-8 never become a note.
        let believed = String::from_utf8(bytes).ok();
        let believed = believed.and_then(|note| Checkpoint::open(&note, &trusted).ok());
        assert_eq!(believed, None, "byte {at} of {note}");
    }

    let eve = service.auditor("eve");
    let body = eve.get("/audit/proofs/inclusion?index=13").await.json();
    let (leaf, proof) = (hash(&body["leaf"]), hashes(&body["proof"]));
    let proves = |leaf, index, size, proof: &[TreeHash], root| {
        verify_inclusion(leaf, index, size, proof, root).is_ok()
    };
    assert!(proves(leaf, 13, size, &proof, root));
    assert!(!proves(leaf, 12, size, &proof, root) && !proves(leaf, 13, size + 16, &proof, root));
    for byte in 0..32 {
        assert!(!proves(other(leaf, byte), 13, size, &proof, root));
        assert!(!proves(leaf, 13, size, &proof, other(root, byte)));
    }
    assert!(others(&proof).all(|proof| !proves(leaf, 13, size, &proof, root)));

    let body = eve.get("/audit/proofs/consistency?from=7&to=21").await.json();
    let (from, proof) = (hash(&body["from_root"]), hashes(&body["proof"]));
    let continues = |from, to, proof: &[TreeHash]| verify_consistency(from, to, proof).is_ok();
    assert!(continues((7, from), (size, root), &proof));
    for byte in 0..32 {
        assert!(!continues((7, other(from, byte)), (size, root), &proof));
        assert!(!continues((7, from), (size, other(root, byte)), &proof));
    }
    assert!(others(&proof).all(|proof| !continues((7, from), (size, root), &proof)));
}
