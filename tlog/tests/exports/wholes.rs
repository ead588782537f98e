//! A good export is found to be good as a whole; alterations of its first and last lines, of what was
//! signed, and of the file itself are found and named.

use keyledger_tlog::export::{ExportVerifier, Finding};
use keyledger_tlog::{Checkpoint, Mangling, NoteError, NoteSigningKey};

use crate::history::{History, ORIGIN, public_key, signing_key};
use crate::tampering::{File, check, codes, findings, history, long};

#[test]
fn a_good_export_of_any_length_is_found_to_be_good() {
    for length in [0, 1, 2, 255, 256, 257, 511, 512, 513, 700] {
        let history = History::generate(3, length);
        let report = check(&history.whole());
        assert!(report.is_good(), "{length}: {:?}", report.findings);
        assert_eq!(report.events, long(length));
        assert_eq!(report.checkpoint, Some(history.checkpoint(length)));
        let report = check(&history.of_user("user-3"));
        assert!(report.is_good(), "{length}: {:?}", report.findings);
    }
}

#[test]
fn it_does_not_matter_in_which_pieces_a_file_is_handed_over() {
    let export = History::generate(3, 300).whole();
    for length in [1, 7, 1_000, 65_536] {
        let mut verifier = ExportVerifier::new(vec![public_key()]);
        export.chunks(length).for_each(|piece| verifier.feed(piece));
        assert!(verifier.finish().is_good(), "{length}");
    }
    let mut read = 0;
    let report =
        ExportVerifier::new(vec![public_key()]).check(&*export, |more| read += more).unwrap();
    assert!(report.is_good());
    assert_eq!(read, export.len());
}

#[test]
fn whoever_signs_a_false_history_is_found_by_an_earlier_checkpoint() {
    let history = history();
    let earlier = [0, 1, 256, 300, 512, 699, 700].map(|size| history.checkpoint(size));
    let against = |export: &[u8], earlier: &[Checkpoint]| {
        let mut verifier = ExportVerifier::new(vec![public_key()]).continues(earlier.to_vec());
        verifier.feed(export);
        verifier.finish().findings
    };
    assert_eq!(against(&history.whole(), &earlier), []);
    let mut events = history.events.clone();
    events[400].metadata.correlation_id = "forged".to_owned();
    let forged = History::of(events);
    assert!(check(&forged.whole()).is_good());
    let rewritten = [512, 699, 700].map(|size| Finding::RewrittenHistory { size });
    assert_eq!(against(&forged.whole(), &earlier), rewritten);
    let shorter = History::of(history.events[..600].to_vec());
    let shortened = [699, 700].map(|size| Finding::ShortenedHistory { size });
    assert_eq!(against(&shorter.whole(), &earlier), shortened);
    let uncompared = Finding::UncomparedCheckpoint { size: 699 };
    assert_eq!(against(&history.of_user("user-3"), &earlier[5..]), [uncompared]);
}

#[test]
fn what_signed_the_checkpoint_is_told() {
    let history = history();
    let good = File::of(&history.whole());
    let mut file = good.clone();
    file.replace(0, "\\n700\\n", "\\n701\\n");
    let found = findings(&file.sealed());
    let id = public_key().id();
    let bad = Finding::BadSignature { key: id.clone() };
    let announced = Finding::AlteredHeader { part: "the number of events" };
    assert_eq!(found, [bad, announced, Finding::MissingEvents { from: 700, to: 700 }]);
    let other = NoteSigningKey::from_seed(ORIGIN, [9; 32].into()).unwrap();
    let mut verifier = ExportVerifier::new(vec![other.verifying_key().clone()]);
    verifier.feed(&good.bytes());
    assert_eq!(verifier.finish().findings, [Finding::UnknownKey { keys: id }]);
    let mut file = good.clone();
    file.replace(0, &public_key().to_string(), &other.verifying_key().to_string());
    assert_eq!(findings(&file.sealed()), [Finding::AlteredHeader { part: "the public key" }]);
    // Without a trusted key, a file is accepted if its own key has signed it.
    let mut verifier = ExportVerifier::new(Vec::new());
    verifier.feed(&good.bytes());
    assert!(verifier.finish().is_good());
}

#[test]
fn a_checkpoint_that_two_keys_signed_is_believed_by_who_trusts_either() {
    let history = history();
    let (old, new) = (signing_key(1), signing_key(2));
    let note = history.checkpoint(700).sign([&old, &new]).unwrap().to_string();
    let mut header = history.header(None, 700);
    header.checkpoint = note;
    header.public_key = new.verifying_key().to_string();
    let mut file = File::of(&history.whole());
    file.0[0] = serde_json::to_string(&header).unwrap() + "\n";
    for trusted in [&old, &new] {
        let mut verifier = ExportVerifier::new(vec![trusted.verifying_key().clone()]);
        verifier.feed(&file.clone().sealed().bytes());
        assert_eq!(verifier.finish().findings, []);
    }
    let unknown = signing_key(3);
    let refused = Checkpoint::open(&header.checkpoint, &[unknown.verifying_key().clone()]);
    assert!(matches!(
        refused,
        Err(keyledger_tlog::CheckpointError::Note(NoteError::UnknownKey(_)))
    ));
}

#[test]
fn a_file_that_ends_early_or_late_is_found() {
    let history = history();
    let good = File::of(&history.whole());
    for cut in [2, 100, 1_000, 100_000] {
        let bytes = good.bytes();
        let found = check(&bytes[..bytes.len() - cut]).findings;
        assert!(found.contains(&Finding::TruncatedFile), "{cut} {found:?}");
    }
    let mut file = good.clone();
    file.0.push("\n".to_owned());
    let line = long(file.0.len());
    assert_eq!(findings(&file), [Finding::AfterTrailer { line }]);
    assert_eq!(codes(&File(vec!["{}\n".to_owned()])), ["not-an-export", "truncated-file"]);
    let mut file = good;
    file.0.insert(2, format!("{}\n", "x".repeat(3_000_000)));
    assert_eq!(findings(&file.sealed()), [Finding::UnreadableLine { line: 3 }]);
}

#[test]
fn an_altered_first_or_last_line_is_found() {
    let history = history();
    let good = File::of(&history.whole());
    let last = good.0.len() - 1;
    for (line, from, to, code) in [
        (0, "\"origin\":\"k", "\"origin\":\"K", "altered-header"),
        (0, "\"events\":700", "\"events\":701", "altered-header"),
        (0, "\"subset\":null", "\"subset\":nul", "altered-header"),
        (0, "export\":1", "export\":2", "not-an-export"),
        (0, "\\n\\n", "\\n", "altered-checkpoint"),
        (last, "\"events\":700", "\"events\":701", "altered-trailer"),
        (last, "\"events\":700", "\"events\": 700", "altered-trailer"),
        (last, "crc32\":\"", "crc32\":\"0", "altered-trailer"),
    ] {
        let mut file = good.clone();
        file.replace(line, from, to);
        assert!(codes(&file).contains(&code), "{to} {:?}", findings(&file));
    }
}

#[test]
fn a_file_full_of_lies_takes_no_memory() {
    let mut file = File::of(&history().whole());
    let huge = u64::MAX;
    file.replace(0, "\\n700\\n", &format!("\\n{huge}\\n"));
    for index in (1..10_000).rev() {
        let line = file.0[1].replace("\"index\":0", &format!("\"index\":{}", huge / index));
        file.0.insert(2, line);
    }
    let report = check(&file.bytes());
    assert_eq!(report.findings.len(), 1_000);
    assert!(report.more > 0);
}

/// Files that were changed on their way, and how.
pub(crate) fn mangled(good: &[u8]) -> Vec<(Vec<u8>, Mangling)> {
    let text = std::str::from_utf8(good).unwrap();
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes);
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 3_000_000]].concat();
    vec![
        (Vec::new(), Mangling::Empty),
        (gzip.clone(), Mangling::Gzip),
        ([&gzip[..10], b"\n"].concat(), Mangling::Gzip),
        ([b"\xef\xbb\xbf", good].concat(), Mangling::ByteOrderMark),
        ([0xff, 0xfe].into_iter().chain(utf16).collect(), Mangling::Utf16),
        (b"\n<html>\n<body>Sign in</body>\n</html>\n".to_vec(), Mangling::Page),
        (b"<html>".to_vec(), Mangling::Page),
        (text.replace('\n', "\r\n").into_bytes(), Mangling::LineEnds),
        (good[..good.len() - 1].to_vec(), Mangling::LastLineFeed),
    ]
}

#[test]
fn a_file_that_was_changed_on_its_way_is_told_from_a_forged_one() {
    let history = history();
    for good in [history.whole(), history.of_user("user-3")] {
        for (bytes, how) in mangled(&good) {
            let report = check(&bytes);
            assert_eq!(report.findings, [Finding::MangledFile { place: None, how }]);
            assert!(report.is_mangled(), "{how:?}");
        }
        // In pieces of any length.
        let crlf = String::from_utf8(good.clone()).unwrap().replace('\n', "\r\n");
        let mut verifier = ExportVerifier::new(vec![public_key()]);
        crlf.as_bytes().chunks(7).for_each(|piece| verifier.feed(piece));
        assert!(verifier.finish().is_mangled());
        // A forged file is not excused by one line, nor by a missing line feed.
        let mut forged = File::of(&good);
        forged.0[2] = forged.0[2].replacen("\"revision\":", "\"revision\":9", 1);
        let bytes = forged.bytes();
        assert!(!check(&bytes[..bytes.len() - 1]).is_mangled());
        for line in [0, forged.0.len() - 1] {
            let mut one_line = forged.clone();
            one_line.0[line] = one_line.0[line].replace('\n', "\r\n");
            assert!(!check(&one_line.bytes()).is_mangled(), "{line}");
        }
    }
}
