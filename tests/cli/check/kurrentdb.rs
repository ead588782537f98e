//! The journal in KurrentDB: the stand-in.

use keyledger_test_servers::kurrentdb::{CallFault, Denied, Server};
use tempfile::TempDir;

use super::{Checked, check};

#[track_caller]
fn journal(url: &str) -> Checked {
    let folder = TempDir::new().unwrap();
    check(folder.path(), &[("KEYLEDGER_JOURNAL_URL", url)])
}

#[keyledger_bounded::test]
fn a_server_that_works_is_told_with_what_was_written() {
    let server = Server::start();
    let url = server.url().replace("kurrentdb://", "kurrentdb://ann:hidden@");
    let checked = journal(&url);
    let part = checked.works().part("journal");
    assert_eq!(part["kind"], "KurrentDB");
    assert_eq!(part["place"], format!("kurrentdb://{}", server.address()));
    assert_eq!(part["encrypted"], false);
    assert_eq!(part["notes"][0], "a pulse was appended");
    assert!(!checked.stdout.contains("hidden") && !checked.stderr.contains("hidden"));
    let data = server.at_rest();
    // A pulse has no data; its stream keeps only the last one.
    assert_eq!(String::from_utf8_lossy(&data).trim(), r#"{"$maxCount":1}"#);
}

#[keyledger_bounded::test]
fn a_server_that_refuses_does_not_answer_or_is_away_is_told() {
    let server = Server::start();
    for denied in [Denied::ReadAll, Denied::Append] {
        server.deny(&[denied]);
        let told = journal(&server.url()).problem("journal");
        assert!(told.contains("user or password are wrong, or the user may not"), "{told}");
    }
    server.deny(&[]);
    server.appends(CallFault::Hang);
    let told = journal(&server.url()).problem("journal");
    assert!(told.contains("10 s") || told.contains("Deadline exceeded"), "{told}");
    let url = server.url();
    drop(server);
    let told = journal(&url).problem("journal");
    assert!(told.contains("onnect"), "{told}");
}
