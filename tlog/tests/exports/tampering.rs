//! Every kind of alteration of an export's events is found and named.

use keyledger_tlog::TreeHash;
use keyledger_tlog::export::{ExportVerifier, Finding, Report, Subset};
use proptest::prelude::*;

use crate::history::{History, public_key};

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

pub(crate) fn long(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}

pub(crate) fn findings(file: &File) -> Vec<Finding> {
    check(&file.bytes()).findings
}

pub(crate) fn codes(file: &File) -> Vec<&'static str> {
    findings(file).iter().map(Finding::code).collect()
}

fn altered(history: &History, index: usize) -> Finding {
    let entry = &history.entries[index];
    let (stream, revision) = (entry.stream.clone(), entry.revision);
    Finding::AlteredEvent { index: long(index), stream, revision }
}

pub(crate) fn history() -> History {
    History::generate(7, 700)
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
