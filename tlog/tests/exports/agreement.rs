//! The independent checker in `examples/audit`, written from `docs/audit.md` alone, reports the
//! same findings as the verifier.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::history::{History, public_key};
use crate::tampering::{File, check};
use crate::wholes::mangled;

/// A change of a file.
fn tamper(file: &mut File, random: &mut StdRng) {
    let lines = file.0.len();
    let (one, other) = (random.random_range(0..lines), random.random_range(0..lines));
    match random.random_range(0..9) {
        0 => file.0.swap(one, other),
        1 => drop(file.0.remove(one)),
        2 => {
            let line = file.0[one].clone();
            file.0.insert(other, line);
        }
        3 => {
            let moved = file.0.remove(one);
            file.0.insert(other.min(file.0.len()), moved);
        }
        4 => {
            let until = (one + random.random_range(1..400)).min(lines);
            drop(file.0.drain(one..until));
        }
        5 => drop(file.0[one].pop()),
        // Any other number: one byte is replaced.
        _ => {
            let line = &mut file.0[one];
            let places: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
            let at = *places.choose(random).unwrap_or(&0);
            let to = *b"0123456789abcdefABCZ{}\"\\:, /+=\n".choose(random).unwrap();
            if let Some(before) = line[at..].chars().next() {
                line.replace_range(at..at + before.len_utf8(), &char::from(to).to_string());
            }
        }
    }
    if file.0.is_empty() {
        file.0.push(String::new());
    }
}

/// Files that are generated from a seed, valid and altered ones.
fn files(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut said = BTreeMap::new();
    for seed in 0..FILES {
        let mut random = StdRng::seed_from_u64(seed);
        let length = *[0, 1, 30, 256, 257, 600].choose(&mut random).unwrap();
        let history = History::generate(seed, length);
        let whole = random.random_bool(0.7);
        let export = if whole { history.whole() } else { history.of_user("user-3") };
        let mut file = File::of(&export);
        for _ in 0..[0, 1, 1, 1, 2, 3].choose(&mut random).copied().unwrap() {
            tamper(&mut file, &mut random);
        }
        if random.random_bool(0.7) {
            file = file.sealed();
        }
        let path = folder.join(format!("{seed:04}.ndjson"));
        std::fs::write(&path, file.bytes()).unwrap();
        let report = check(&file.bytes());
        let mut lines: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        if report.more > 0 {
            lines.push(format!("and {} more", report.more));
        }
        if lines.is_empty() {
            let checkpoint = report.checkpoint.unwrap();
            let (events, size) = (report.events, checkpoint.size);
            lines.push(format!(
                "good: {events} events of {}, checkpoint of {size}",
                checkpoint.origin
            ));
        }
        said.insert(path.to_str().unwrap().to_owned(), lines);
    }
    said
}

const FILES: u64 = 600;

fn checker() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new("timeout");
    command
        .arg("300")
        .arg(root.join("target/tools/audit/bin/python"))
        .arg(root.join("examples/audit/verify.py"));
    command.arg("--key").arg(public_key().to_string());
    command
}

#[test]
fn an_independent_checker_says_the_same_of_good_and_of_tampered_files() {
    let folder = tempfile::tempdir().unwrap();
    let expected = files(folder.path());
    let output = checker().args(expected.keys()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "", "`make tools` installs what it needs");
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (path, finding) = line.split_once(": ").unwrap();
        said.entry(path.to_owned()).or_default().push(finding.to_owned());
    }
    let mut good = 0;
    for (path, mut expected) in expected {
        let mut said = said.remove(&path).unwrap_or_default();
        good += usize::from(expected[0].starts_with("good: "));
        expected.sort();
        said.sort();
        assert_eq!(said, expected, "{path}: {}", std::fs::read_to_string(&path).unwrap());
    }
    assert!((60..400).contains(&good), "{good} of {FILES} files are good");
}

#[test]
fn the_exit_code_tells_good_from_tampered_and_from_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let export = History::generate(1, 10).whole();
    let mut tampered = File::of(&export);
    tampered.0.remove(3);
    for (name, bytes, code) in [
        ("good", export, 0),
        ("tampered", tampered.bytes(), 1),
        ("other", b"something else\n".to_vec(), 2),
        ("page", b"<html></html>\n".to_vec(), 3),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(checker().arg(path).status().unwrap().code(), Some(code), "{name}");
    }
    let missing = checker().arg(folder.path().join("missing")).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn both_name_how_a_file_was_changed_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export");
    for (bytes, how) in mangled(&History::generate(1, 300).whole()) {
        std::fs::write(&path, bytes).unwrap();
        let output = checker().arg(&path).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("{}: mangled-file: {how}\n", path.display()));
        assert_eq!(output.status.code(), Some(3), "{how:?}");
    }
}
