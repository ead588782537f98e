//! One signing key replaces another: both sign for a while.

use crate::support::log::{Log, NAME, new_key};

/// Runs a service of this log with these keys until it has signed one more event; tells the note.
async fn sign_with(log: &Log, keys: &str) -> String {
    let service = log.setup().set("KEYLEDGER_AUDIT_KEY", keys).start().ready().await;
    service.user("ann").create("k").await;
    service.stop_well();
    log.checkpoints().pop().unwrap()
}

#[keyledger_bounded::test]
async fn whoever_trusts_the_old_key_or_the_new_one_goes_on_while_both_sign() {
    let old = Log::on_sqlite();
    let new = old.trusting(&new_key(old.folder.path(), NAME, "new.key"));
    let first = sign_with(&old, "audit.key").await;
    std::fs::write(old.path("kept"), first).unwrap();
    let only_old = "kept";

    let both_signed = sign_with(&old, "audit.key, new.key").await;
    let signatures = both_signed.matches("\n\u{2014} keys.example.com/tests ");
    assert_eq!(signatures.count(), 2, "{both_signed}");
    for exporting in [&old, &new] {
        let exported = exporting.export("all", &[]);
        assert!(exported.status.success(), "{exported:?}");
        for checking in [&old, &new] {
            let (code, told) = checking.verify("all", &[]);
            assert_eq!(code, 0, "{told}");
        }
        let (code, told) = old.verify("all", &["--key", &new.key, "--checkpoint", "kept"]);
        assert_eq!(code, 0, "{told}");
    }

    let note = sign_with(&old, "new.key").await;
    assert_eq!(note.matches("\n\u{2014} ").count(), 1, "{note}");
    let refused = old.export("all", &[]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("signed by none of the keys that are trusted"), "{told}");
    assert!(new.export("all", &[]).status.success());
    assert_eq!(new.verify("all", &[]).0, 0);
    let (code, told) = old.verify("all", &[]);
    assert!(code == 1 && told.contains("unknown-key"), "{told}");
    // With both keys, everything that was ever signed can be checked.
    let both = ["--key", &new.key, "--checkpoint", "data/checkpoints"];
    let (code, told) = old.verify("all", &both);
    assert_eq!(code, 0, "{told}");
    std::fs::write(old.path("both"), both_signed).unwrap();
    std::fs::write(old.path("new"), note).unwrap();
    let (code, told) = new.diff("both", "new");
    assert!(code == 0 && told.contains("3 events continue 2"), "{told}");
    // Two checkpoints that no key has signed both of are compared with both keys.
    for keys in [[old.key.as_str(), new.key.as_str()], [new.key.as_str(), old.key.as_str()]] {
        let (code, told) = old.diff_trusting(only_old, "new", &keys);
        assert!(code == 0 && told.contains("3 events continue 1: 2 were added"), "{told}");
        let exported = old.export("all", &["--public-key", &new.key]);
        assert!(exported.status.success(), "{exported:?}");
    }
    for one in [&old, &new] {
        let (code, told) = one.diff(only_old, "new");
        assert!(code == 1 && told.contains("unbelieved-checkpoint"), "{told}");
    }
}

#[keyledger_bounded::test]
fn keys_that_do_not_sign_together_are_refused_at_the_start() {
    let log = Log::on_sqlite();
    new_key(log.folder.path(), "keys.example.com/other", "other.key");
    for (keys, why) in [
        ("audit.key,other.key", "all keys of a log have its name"),
        ("audit.key,audit.key", "is given twice"),
        ("audit.key,no.key", "file 2: the file cannot be read"),
    ] {
        let output = log.setup().set("KEYLEDGER_AUDIT_KEY", keys).run();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("  KEYLEDGER_AUDIT_KEY: ") && told.contains(why), "{told}");
    }
}
