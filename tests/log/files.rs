//! A byte of each kind in what is handed out: the exported file, a checkpoint, a proof.

use keyledger_tlog::merkle::{verify_consistency, verify_inclusion};
use keyledger_tlog::{Checkpoint, NoteVerifyingKey, TreeHash};
use serde_json::Value;

use super::{Log, signed, work};

/// Behind which text a byte is altered, the last time that it stands there, and what is found.
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

/// The same text with another letter or digit behind the last place where this stands.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_of_each_kind_in_an_export_is_found_and_named() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 10).await;
    assert!(service.stop().0.success());
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

/// The same hash but for one bit of one byte.
fn other(hash: TreeHash, byte: usize) -> TreeHash {
    let mut bytes = *hash.as_bytes();
    bytes[byte] ^= 1;
    TreeHash::from(bytes)
}

/// All that these hashes become when one bit of one of them is another.
fn others(hashes: &[TreeHash]) -> impl Iterator<Item = Vec<TreeHash>> {
    (0..hashes.len() * 32).map(|at| {
        let mut altered = hashes.to_vec();
        altered[at / 32] = other(altered[at / 32], at % 32);
        altered
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
        // Bytes that are no text are found before anything is asked of them.
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
