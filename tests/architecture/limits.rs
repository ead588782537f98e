//! Every test has a time limit, and waits only through `keyledger_test_servers::wait`.

use super::workspace::{CRATES, sources};

/// What to do.
const TEST: &str = "use #[keyledger_bounded::test]";

/// Where tests are, and what they use, but for the crate that waits for them.
fn tests() -> impl Iterator<Item = (String, String)> {
    let all = ["tests", "journal/tests", "benches"].map(sources).into_iter().flatten();
    let all = all.map(|(path, text)| (path.to_string_lossy().into_owned(), text));
    all.filter(|(path, _)| !path.starts_with("tests/servers/") && !path.ends_with(file!()))
}

/// The tests of rules and of data structures, which wait for nothing, may be plain `#[test]`.
#[keyledger_bounded::test]
fn every_test_that_may_wait_has_a_limit() {
    for (_, folder) in CRATES {
        for (path, text) in sources(folder) {
            assert!(!text.contains("#[tokio::test"), "{}: {TEST}", path.display());
        }
    }

    for (path, text) in tests() {
        for attribute in ["#[test]", "#[tokio::test"] {
            let has_it = text.lines().any(|line| line.trim_start().starts_with(attribute));
            assert!(!has_it, "{path} has {attribute}: {TEST}");
        }
    }
}

#[keyledger_bounded::test]
fn tests_wait_in_one_way() {
    let others = ["::sleep(", "::timeout(", "recv_timeout(", "yield_now(", ".output().unwrap()"];
    for (path, text) in tests().filter(|(path, _)| !path.starts_with("benches/")) {
        for other in others {
            assert!(!text.contains(other), "{path} has {other}: use support::wait or support::run");
        }
    }
}

#[keyledger_bounded::test]
fn each_module_is_in_its_own_folder() {
    for (path, text) in tests() {
        assert!(!text.contains("#[path"), "{path} has #[path]");
    }
}
