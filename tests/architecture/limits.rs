//! Every test has a time limit, and waits only through `keyledger_test_servers::wait`.

use super::workspace::{CRATES, sources};

/// The folders of tests that may wait. Those of the verifier and of the log wait for nothing but one
/// program, which `timeout` bounds.
const TESTS: [&str; 4] = ["tests", "journal/tests", "projections/tests", "vault/tests"];
/// What to use.
const USE: &str = "use #[keyledger_bounded::test]";

/// The files in folders of tests, but for the crate that waits for them, and this file.
fn tests(folders: &[&str]) -> Vec<(String, String)> {
    let all = folders.iter().flat_map(|folder| sources(folder));
    let all = all.map(|(path, text)| (path.to_string_lossy().into_owned(), text));
    all.filter(|(path, _)| !path.starts_with("tests/servers/") && !path.ends_with(file!()))
        .collect()
}

/// Tests of rules and of data structures, which wait for nothing, may be plain `#[test]`.
#[keyledger_bounded::test]
fn every_test_that_may_wait_has_a_limit() {
    let everywhere = CRATES.map(|(_, folder)| folder);
    let has = |text: &str, attribute: &str| {
        text.lines().any(|line| line.trim_start().starts_with(attribute))
    };
    for (path, text) in tests(&[&everywhere[..], &TESTS].concat()) {
        assert!(!has(&text, "#[tokio::test"), "{path}: {USE}");
    }
    for (path, text) in tests(&["tests", "journal/tests"]) {
        assert!(!has(&text, "#[test]"), "{path}: {USE}");
    }
}

#[keyledger_bounded::test]
fn tests_wait_in_one_way() {
    let others = ["::sleep(", "::timeout(", "recv_timeout(", "yield_now(", ".output().unwrap()"];
    for (path, text) in tests(&TESTS) {
        for other in others {
            assert!(!text.contains(other), "{path} has {other}: use support::wait or support::run");
        }
    }
}

#[keyledger_bounded::test]
fn each_module_is_in_its_own_folder() {
    for (path, text) in tests(&TESTS) {
        assert!(!text.contains("#[path"), "{path} has #[path]");
    }
}
