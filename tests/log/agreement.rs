//! The example checker, which shares no code with keyledger, finds in files of a real service what
//! `keyledger audit verify` finds.

use crate::support::log::{Log, example_says, work};

/// Replaces the character that stands `behind` bytes after the first occurrence of a text by another
/// of its kind, such as a digit by a digit.
fn alter(whole: &str, text: &str, behind: usize) -> String {
    let at = whole.find(text).unwrap() + text.len() + behind;
    let byte = whole.as_bytes()[at];
    let other = match byte {
        b'9' | b'f' | b'z' | b'Z' => byte - 1,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => byte + 1,
        _ => b'x',
    };
    format!("{}{}{}", &whole[..at], char::from(other), &whole[at + 1..])
}

/// What both say of a file, given these arguments too: they must agree.
fn both(log: &Log, file: &str, more: &[&str]) -> (i32, String) {
    let (code, told) = log.verify(file, more);
    let (example_code, example) = example_says(log, file, more);
    assert_eq!(code, example_code, "{told}\n{example}");
    if code == 1 || code == 3 {
        let prefix = format!("{file}: ");
        let mut ours: Vec<_> = told.lines().collect();
        let mut theirs: Vec<_> = example.lines().map(|line| &line[prefix.len()..]).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs);
    }
    (code, told)
}

/// Where a character of a whole export is altered (a text, and how many bytes after it), and the
/// finding that is expected.
const ALTERATIONS: &[(&str, usize, &str)] = &[
    ("{\"keyledger_", 0, "not-an-export"),
    ("\"origin\":\"", 0, "altered-header"),
    ("\"public_key\":\"", 0, "altered-header"),
    ("\"checkpoint\":\"", 0, "bad-signature"),
    ("\\n", 0, "bad-signature"),
    ("\"events\":", 0, "altered-header"),
    ("{\"index\":", 0, "missing-events"),
    ("\"stream\":\"apikey-", 3, "altered-event"),
    ("\"revision\":", 0, "altered-event"),
    ("\"event_id\":\"", 2, "altered-event"),
    ("\"type\":\"", 2, "altered-event"),
    ("\"name\":\"", 0, "altered-event"),
    ("\"occurred_at\":\"", 25, "altered-event"),
    ("\"key_hash_sha256\":\"", 30, "altered-event"),
    ("\"actor\":\"", 0, "altered-event"),
    ("\"correlation_id\":\"", 0, "altered-event"),
    ("\"leaf\":\"", 7, "altered-leaf"),
    ("{\"range\":", 0, "altered-range-line"),
    ("\"hash\":\"", 9, "altered-range-line"),
    ("\n{\"events\":", 0, "altered-trailer"),
    ("\"crc32\":\"", 3, "checksum-differs"),
];

/// The same for the export of one key.
const ALTERATIONS_OF_A_SUBSET: &[(&str, usize, &str)] = &[
    ("\"key_id\":\"", 35, "not-in-subset"),
    ("\"events\":", 0, "count-differs"),
    ("{\"index\":", 1, "wrong-proof"),
    ("\"reason\":\"", 0, "altered-event"),
    ("\"leaf\":\"", 7, "altered-leaf"),
    ("\"proof\":[\"", 2, "wrong-proof"),
    ("\"crc32\":\"", 3, "checksum-differs"),
];

#[keyledger_bounded::test]
async fn both_checkers_accept_exports_of_the_service_and_name_the_same_in_altered_ones() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 20).await;
    let cyd = service.user("cyd");
    let key = cyd.create("cyd's").await;
    let reason = br#"{"reason":"the laptop was stolen"}"#.to_vec();
    let json = cyd.with("content-type", "application/json");
    let revoked = json.send("DELETE", &format!("/keys/{key}"), Some(reason)).await;
    revoked.expect_status(200);
    service.stop_well();
    std::fs::write(log.path("kept"), log.checkpoints().last().unwrap()).unwrap();
    assert!(log.export("all", &[]).status.success());
    assert!(log.export("key", &["--key", &key]).status.success());
    let (all, of_key) = (["--checkpoint", "data/checkpoints"], ["--checkpoint", "kept"]);
    for (file, more, alterations) in
        [("all", &all, ALTERATIONS), ("key", &of_key, ALTERATIONS_OF_A_SUBSET)]
    {
        let (code, told) = both(&log, file, more);
        assert_eq!(code, 0, "{told}");
        let good = std::fs::read_to_string(log.path(file)).unwrap();
        for (text, behind, name) in alterations {
            std::fs::write(log.path("altered"), alter(&good, text, *behind)).unwrap();
            let (code, told) = both(&log, "altered", more);
            let is_named = told.lines().any(|line| line.starts_with(name));
            assert!(code > 0 && is_named, "{text} in {file}: {told}");
        }
    }
}

#[keyledger_bounded::test]
async fn both_checkers_name_an_altered_checkpoint_that_was_kept() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 3).await;
    service.stop_well();
    assert!(log.export("all", &[]).status.success());
    let note = log.checkpoints().pop().unwrap();
    for (altered, why) in [
        (
            note.replace("time 2", "time 1"),
            "bad-signature: the signature of keys.example.com/tests+",
        ),
        (note.replace("\n4\n", "\n5\n"), "bad-signature: "),
        (note.replacen("keys", "kays", 1), "bad-signature: "),
        (note.replace("\u{2014} keys", "\u{2014} kays"), "unknown-key: signed by kays"),
        (note.replace('\u{2014}', "-"), "altered-checkpoint: the checkpoint is not a signed note"),
    ] {
        std::fs::write(log.path("kept"), altered).unwrap();
        let (code, told) = both(&log, "all", &["--checkpoint", "kept"]);
        let finding = format!("unbelieved-checkpoint: kept, note 1: {why}");
        assert!(code == 1 && told.contains(&finding), "{told}");
    }
    // The second of two notes is altered, with bytes that are not UTF-8.
    let two = [note.as_bytes(), b"\n", note.as_bytes(), &[0xff]].concat();
    std::fs::write(log.path("kept"), two).unwrap();
    let (code, told) = both(&log, "all", &["--checkpoint", "kept"]);
    assert!(code == 1 && told.contains("unbelieved-checkpoint: kept, note 2: "), "{told}");
    assert_eq!(both(&log, "all", &["--checkpoint", "no-such-file"]).0, 2);
    let (code, told) = log.diff("kept", "data/checkpoints");
    assert!(code == 1 && told.contains("unbelieved-checkpoint: kept, note 2: "), "{told}");
    assert_eq!(log.diff("no-such-file", "data/checkpoints").0, 2);
}

#[keyledger_bounded::test]
async fn a_file_that_was_changed_on_its_way_is_told_from_a_forged_one() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 3).await;
    service.stop_well();
    assert!(log.export("all", &[]).status.success());
    let (export, notes) = ("all", "data/checkpoints");
    for (file, more) in [(export, &[][..]), (notes, &["--checkpoint", "changed"])] {
        let good = std::fs::read_to_string(log.path(file)).unwrap();
        let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        for (bytes, how) in [
            (Vec::new(), "the file is empty"),
            (gzip.to_vec(), "the file is compressed with gzip"),
            (format!("\u{feff}{good}").into_bytes(), "the file begins with a byte order mark"),
            (b"<!DOCTYPE html>\n<p>Sign in\n".to_vec(), "the file is an HTML or XML page"),
            (good.replace('\n', "\r\n").into_bytes(), "the line ends were changed to CR LF"),
            (good.trim_end().as_bytes().to_vec(), "the line feed at the end is missing"),
        ] {
            std::fs::write(log.path("changed"), bytes).unwrap();
            let checked = if file == export { "changed" } else { export };
            let (code, told) = both(&log, checked, more);
            let place = if file == export { "" } else { "changed: " };
            let finding = format!("mangled-file: {place}{how}; get the file again, byte for byte");
            assert_eq!((code, told.trim_end()), (3, &*finding));
            if file == notes {
                for (one, other) in [("changed", notes), (notes, "changed")] {
                    let (code, told) = log.diff(one, other);
                    assert_eq!((code, told.trim_end()), (3, &*finding));
                }
                let (code, told) = log.rebuild(&["--checkpoint", "changed"]);
                assert_eq!((code, told.trim_end()), (3, &*finding));
            }
        }
    }
    // A forged file is not excused by a checkpoint that was changed on its way.
    alter_file(&log, "all", "forged", "\"actor\":\"ann\"", "\"actor\":\"bob\"");
    let (code, told) = both(&log, "forged", &["--checkpoint", "changed"]);
    assert!(code == 1 && told.contains("mangled-file: changed: "), "{told}");
    assert!(told.contains("altered-event: "), "{told}");
}

fn alter_file(log: &Log, from: &str, to: &str, text: &str, by: &str) {
    let whole = std::fs::read_to_string(log.path(from)).unwrap();
    std::fs::write(log.path(to), whole.replacen(text, by, 1)).unwrap();
}
