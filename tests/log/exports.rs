//! Exports, and their check without a service.

use crate::support::log::{Log, work};

#[keyledger_bounded::test]
async fn an_export_needs_a_checkpoint_and_is_checked_offline() {
    let log = Log::on_sqlite();
    let service = log.setup().set("KEYLEDGER_AUDIT_INTERVAL", "10m").start().ready().await;
    service.part_is("tree", "ready").await;
    let refused = log.export("all", &[]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("no checkpoint was signed yet"), "{told}");
    work(&service, 270).await;
    service.stop_well();
    let service = log.setup().start().ready().await;
    std::fs::write(log.path("kept"), log.checkpoints().last().unwrap()).unwrap();
    // An older checkpoint cannot be compared with a subset; this one is the same.
    for (file, more, kept) in
        [("all", &[][..], "data/checkpoints"), ("ann", &["--user", "ann"], "kept")]
    {
        let exported = log.export(file, more);
        assert!(exported.status.success(), "{exported:?}");
        let (code, told) = log.verify(file, &["--checkpoint", kept]);
        assert_eq!(code, 0, "{told}");
    }
    assert!(log.verify("all", &[]).1.starts_with("271 events are as"));
    assert!(log.verify("ann", &[]).1.starts_with("2 events are as"));
    assert!(!std::fs::read_to_string(log.path("ann")).unwrap().contains("bob"));
    assert_eq!(log.verify("no-such-file", &[]).0, 2);
    drop(service);
}
