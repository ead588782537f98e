//! Every kind of alteration is found and named.

use keyledger_tlog::export::{ExportVerifier, Finding, Report, Subset};
use keyledger_tlog::{Checkpoint, Mangling, NoteError, NoteSigningKey, TreeHash};
use proptest::prelude::*;

use crate::history::{History, ORIGIN, public_key, signing_key};

/// The lines of an export, to be altered.
#[derive(Clone)]
pub(crate) struct File(pub(crate) Vec<String>);

impl File {
    pub(crate) fn of(export: &[u8]) -> Self {
        let text = String::from_utf8(export.to_vec()).unwrap();
        Self(text.split_inclusive('\n').map(str::to_owned).collect())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.concat().into_bytes()
    }

    /// Corrects the counts and the checksum, as an attacker who knows the format would.
    pub(crate) fn sealed(mut self) -> Self {
        self.0.pop();
        let events = self.0.iter().filter(|line| line.starts_with("{\"index\":")).count();
        let crc32 = crc32fast::hash(self.0.concat().as_bytes());
        self.0.push(format!("{{\"events\":{events},\"crc32\":\"{crc32:08x}\"}}\n"));
        self
    }

    /// The line of the event with this index.
    pub(crate) fn line_of(&self, index: usize) -> usize {
        let start = format!("{{\"index\":{index},");
        self.0.iter().position(|line| line.starts_with(&start)).unwrap()
    }

    pub(crate) fn replace(&mut self, line: usize, from: &str, to: &str) {
        assert!(self.0[line].contains(from), "{from} is in {}", self.0[line]);
        self.0[line] = self.0[line].replacen(from, to, 1);
    }
}

pub(crate) fn check(export: &[u8]) -> Report {
    let mut verifier = ExportVerifier::new(vec![public_key()]);
    verifier.feed(export);
    let report = verifier.finish();
    let at_once = ExportVerifier::new(vec![public_key()]).check(export, |_| ()).unwrap();
    assert_eq!(at_once.findings, report.findings);
    report
}

fn long(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}

fn findings(file: &File) -> Vec<Finding> {
    check(&file.bytes()).findings
}

fn codes(file: &File) -> Vec<&'static str> {
    findings(file).iter().map(Finding::code).collect()
}

fn altered(history: &History, index: usize) -> Finding {
    let entry = &history.entries[index];
    let (stream, revision) = (entry.stream.clone(), entry.revision);
    Finding::AlteredEvent { index: long(index), stream, revision }
}

fn history() -> History {
    History::generate(7, 700)
}

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
fn an_altered_event_is_named_although_the_file_was_sealed_again() {
    let history = history();
    let mut file = File::of(&history.whole());
    let line = file.line_of(300);
    file.replace(line, "request-300", "request-301");
    assert_eq!(findings(&file.clone().sealed()), [altered(&history, 300)]);
    assert_eq!(findings(&file), [altered(&history, 300), Finding::ChecksumDiffers]);
}

#[test]
fn an_event_that_was_altered_in_the_journal_is_named_by_an_export_made_later() {
    let history = history();
    let mut forged = History::generate(7, 700);
    forged.events[300].metadata.correlation_id = "forged".to_owned();
    let forged = History::of(forged.events);
    let mut file = File::of(&history.whole());
    let line = file.line_of(300);
    file.replace(line, "request-300", "forged");
    // The tree, from which the leaf hashes are taken, was not altered.
    assert_eq!(findings(&file.clone().sealed()), [altered(&history, 300)]);
    // If its leaves were altered too, the range would differ; if its ranges were altered too, the
    // root would.
    let (true_leaf, false_leaf) = (history.leaves[300], forged.leaves[300]);
    file.replace(line, &true_leaf.to_string(), &false_leaf.to_string());
    assert_eq!(findings(&file.sealed()), [Finding::AlteredRange { from: 256, to: 511 }]);
    let mut file = File::of(&forged.whole());
    file.0[0] = File::of(&history.whole()).0[0].clone();
    assert_eq!(findings(&file.sealed()), [Finding::RootDiffers]);
}

#[test]
fn an_altered_hash_is_told_from_an_altered_event() {
    let history = history();
    let good = File::of(&history.whole());
    let other = TreeHash::leaf(b"other").to_string();
    let mut file = good.clone();
    let line = file.line_of(300);
    file.replace(line, &history.leaves[300].to_string(), &other);
    assert_eq!(findings(&file.sealed()), [Finding::AlteredLeaf { index: 300 }]);
    let mut file = good;
    let line = file.0.iter().position(|line| line.starts_with("{\"range\":1,")).unwrap();
    file.0[line] = format!("{{\"range\":1,\"hash\":\"{other}\"}}\n");
    assert_eq!(findings(&file.clone().sealed()), [Finding::AlteredRangeLine { range: 1 }]);
    file.0.remove(line);
    assert_eq!(findings(&file.sealed()), [Finding::MissingRangeLines { from: 1, to: 1 }]);
}

#[test]
fn missing_events_are_named() {
    let good = File::of(&history().whole());
    for (from, to) in [(0, 0), (3, 3), (255, 256), (300, 340), (699, 699)] {
        let mut file = good.clone();
        for index in from..=to {
            let line = file.line_of(index);
            file.0.remove(line);
        }
        let found = findings(&file.sealed());
        let missing = Finding::MissingEvents { from: long(from), to: long(to) };
        assert!(found.contains(&missing), "{found:?}");
        let count = Finding::CountDiffers { announced: 700, found: long(699 - (to - from)) };
        assert!(found.contains(&count), "{found:?}");
        // The other findings are consequences: streams that lost an event.
        assert!(found.iter().all(|finding| {
            *finding == missing || *finding == count || finding.code() == "revision-gap"
        }));
    }
    let mut file = good.clone();
    let (from, to) = (good.line_of(200), good.line_of(600));
    file.0.drain(from..=to);
    let found = findings(&file.sealed());
    assert!(found.contains(&Finding::MissingEvents { from: 200, to: 600 }), "{found:?}");
    assert!(found.contains(&Finding::MissingRangeLines { from: 0, to: 0 }), "{found:?}");
}

#[test]
fn reordered_events_are_named() {
    let good = File::of(&history().whole());
    let mut file = good.clone();
    let line = file.line_of(300);
    file.0.swap(line, line + 1);
    let found = Finding::ReorderedEvent { index: 301, line: long(line) + 1 };
    assert_eq!(findings(&file.sealed()), [found]);
    for (from, to) in [(650, 3), (3, 650), (700 - 1, 0), (0, 699)] {
        let mut file = good.clone();
        let (line, place) = (file.line_of(from), file.line_of(to));
        let moved = file.0.remove(line);
        file.0.insert(place, moved);
        let found = findings(&file.sealed());
        let line = long(place) + 1;
        let expected = Finding::ReorderedEvent { index: long(from), line };
        assert!(found.contains(&expected), "{from} {to} {found:?}");
        assert!(
            found.iter().all(|other| *other == expected || other.code() == "revision-gap"),
            "{from} {to} {found:?}"
        );
    }
}

#[test]
fn added_and_duplicated_events_are_named() {
    let history = history();
    let good = File::of(&history.whole());
    let count = Finding::CountDiffers { announced: 700, found: 701 };
    let mut file = good.clone();
    let line = file.line_of(300);
    file.0.insert(line + 1, file.0[line].clone());
    let twice = Finding::DuplicatedEvent { index: 300, line: long(line) + 2 };
    assert_eq!(findings(&file.sealed()), [twice, count.clone()]);
    for before in [0, 1] {
        let mut file = good.clone();
        let forged = file.0[line].replace("request-300", "forged");
        let leaf = {
            let mut other = History::generate(7, 700);
            other.events[300].metadata.correlation_id = "forged".to_owned();
            History::of(other.events).leaves[300]
        };
        let forged = forged.replace(&history.leaves[300].to_string(), &leaf.to_string());
        file.0.insert(line + before, forged);
        let added = Finding::AddedEvent { index: 300, line: long(line) + 2 };
        assert_eq!(findings(&file.sealed()), [added, count.clone()]);
    }
    let mut file = good.clone();
    let last = file.line_of(699);
    let beyond = file.0[last].replace("\"index\":699", "\"index\":700");
    file.0.insert(last + 1, beyond);
    let added = Finding::AddedEvent { index: 700, line: long(last) + 2 };
    assert_eq!(findings(&file.sealed()), [added, count]);
}

#[test]
fn a_redated_event_is_named() {
    let history = history();
    let good = File::of(&history.whole());
    let index = history.entries.iter().position(|entry| entry.revision == 1).unwrap();
    let mut file = good;
    let line = file.line_of(index);
    let at = history.events[index].event.occurred_at().to_string();
    file.replace(line, &at, "2001-01-01T00:00:00.000000Z");
    let stream = history.entries[index].stream.clone();
    let redated = Finding::RedatedEvent { index: long(index), stream, revision: 1 };
    assert_eq!(findings(&file.sealed()), [redated, altered(&history, index)]);
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
fn a_subset_is_checked_event_by_event() {
    let history = history();
    let good = File::of(&history.of_user("user-3"));
    let index: usize = good.0[2]["{\"index\":".len()..].split(',').next().unwrap().parse().unwrap();
    let mut file = good.clone();
    file.replace(2, &format!("request-{index}"), "forged");
    assert_eq!(findings(&file.sealed()), [altered(&history, index)]);
    let mut file = good.clone();
    file.replace(
        2,
        "\"proof\":[\"",
        "\"proof\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"",
    );
    assert_eq!(codes(&file.sealed()), ["wrong-proof"]);
    let mut file = good.clone();
    file.replace(0, "user-3", "user-4");
    assert!(codes(&file.sealed()).iter().all(|code| *code == "not-in-subset"));
    let mut file = good.clone();
    file.0.insert(2, file.0[2].clone());
    assert_eq!(codes(&file.sealed()), ["duplicated-event", "count-differs"]);
    let mut file = good.clone();
    file.0.swap(1, 2);
    assert!(codes(&file.sealed()).contains(&"reordered-event"));
    let mut file = good.clone();
    let first = history.events.iter().position(|event| event.revision.as_u32() == 1).unwrap();
    let key = history.events[first].event.key_id();
    let subset = Subset { key_id: Some(key), ..Subset::default() };
    let of_key = history.subset(subset, |event| event.event.key_id() == key);
    assert!(check(&of_key).is_good());
    let mut file_of_key = File::of(&of_key);
    file_of_key.0.remove(1);
    assert_eq!(codes(&file_of_key.sealed()), ["revision-gap", "count-differs"]);
    // A whole export has no events with proofs, and a subset none without.
    file.0[0] = File::of(&history.whole()).0[0].clone();
    assert!(codes(&file.sealed()).contains(&"unreadable-line"));
}

#[test]
fn a_subset_by_time_may_begin_within_a_stream() {
    let history = history();
    let (from, to) = (&history.events[300].event, &history.events[400].event);
    let (from, to) = (from.occurred_at(), to.occurred_at());
    let subset = Subset { from: Some(from), to: Some(to), ..Subset::default() };
    let fits = |at| from <= at && at < to;
    let export = history.subset(subset, |event| fits(event.event.occurred_at()));
    let report = check(&export);
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!(report.events, 100);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_byte_that_was_changed_anywhere_is_found(
        whole in any::<bool>(), at in any::<prop::sample::Index>(), change in 1..=255_u8,
    ) {
        use std::sync::LazyLock;
        static EXPORTS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
            let history = History::generate(5, 40);
            [history.whole(), history.of_user("user-3")]
        });
        let mut export = EXPORTS[usize::from(whole)].clone();
        let at = at.index(export.len());
        export[at] ^= change;
        prop_assert!(!check(&export).is_good());
    }

    #[test]
    fn one_byte_of_an_event_is_named_although_the_file_was_sealed_again(
        index in 0..40_usize, at in any::<prop::sample::Index>(), change in 1..128_u8,
    ) {
        use std::sync::LazyLock;
        static EXPORT: LazyLock<File> =
            LazyLock::new(|| File::of(&History::generate(5, 40).whole()));
        let mut file = EXPORT.clone();
        let line = file.line_of(index);
        let mut bytes = file.0[line].clone().into_bytes();
        let at = at.index(bytes.len() - 1);
        bytes[at] ^= change;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        prop_assume!(!text.contains('\n') || text.ends_with('\n') && text.matches('\n').count() == 1);
        file.0[line] = text;
        let found = findings(&file.sealed());
        let (place, number) = (long(index), long(line) + 1);
        let named = found.iter().any(|finding| {
            matches!(
                finding,
                Finding::AlteredEvent { index, .. } | Finding::AlteredLeaf { index }
                    if *index == place
            ) || matches!(finding, Finding::UnreadableLine { line } if *line == number)
                || matches!(
                    finding,
                    Finding::MissingEvents { from, to } if (*from..=*to).contains(&place)
                )
        });
        prop_assert!(named, "{:?}", found);
    }
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
