//! Checkpoints: when they are signed, and what is proven of them.

use std::os::unix::fs::PermissionsExt;

use keyledger_tlog::merkle::{verify_consistency, verify_inclusion};
use keyledger_tlog::{Checkpoint, TreeHash};

use crate::support::log::{Log, NAME, signed, work};
use crate::support::{assert_problem, events_of, keyledger, run};

#[keyledger_bounded::test]
fn a_private_key_is_for_its_owner_alone_and_is_never_overwritten() {
    let log = Log::on_sqlite();
    assert!(log.key.starts_with(&format!("{NAME}+")));
    let mode = std::fs::metadata(log.path("audit.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut keygen = keyledger(log.folder.path());
    let again = run(keygen.args(["audit", "keygen", "--name", NAME, "--out", "audit.key"]));
    assert_eq!(again.status.code(), Some(1));
}

async fn checkpoints_are_signed_at_the_interval_and_at_the_end(log: Log) {
    let service = log.setup().start().ready().await;
    work(&service, 5).await;
    service.printed("checkpoint signed").await;
    service.part_is("tree", "ready").await;
    service.user("ann").create("last").await;
    service.stop_well();
    let checkpoints = log.checkpoints();
    let last = checkpoints.last().unwrap();
    assert!(checkpoints.len() >= 2, "{checkpoints:?}");
    assert!(last.starts_with(&format!("{NAME}\n7\n")), "{last}");
    std::fs::write(log.path("first"), &checkpoints[0]).unwrap();
    let (code, told) = log.diff("first", "data/checkpoints");
    assert!(code == 0 && told.contains("7 events continue "), "{told}");
    // After a restart, nothing is signed again.
    let service = log.setup().start().ready().await;
    service.part_is("tree", "ready").await;
    service.stop_well();
    assert_eq!(log.checkpoints(), checkpoints);
}

#[keyledger_bounded::test]
async fn checkpoints_are_signed_on_sqlite() {
    checkpoints_are_signed_at_the_interval_and_at_the_end(Log::on_sqlite()).await;
}

#[keyledger_bounded::test]
async fn checkpoints_are_signed_on_postgres() {
    checkpoints_are_signed_at_the_interval_and_at_the_end(Log::on_postgres()).await;
}

#[keyledger_bounded::test]
async fn the_checkpoint_is_public_and_proofs_are_for_auditors() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    let stranger = service.stranger();
    assert_problem!(stranger.get("/audit/checkpoint").await, 404, "no_checkpoint");
    work(&service, 20).await;
    let answer = signed(&service, 21).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let checkpoint = Checkpoint::open(&answer.text, &[log.key.parse().unwrap()]).unwrap();
    assert_eq!(checkpoint.size, 21);
    let eve = service.auditor("eve");
    let hash = |text: &serde_json::Value| text.as_str().unwrap().parse::<TreeHash>().unwrap();
    let proof = |body: &serde_json::Value| -> Vec<TreeHash> {
        body["proof"].as_array().unwrap().iter().map(hash).collect()
    };
    for (index, event) in (0..).zip(events_of(&log.journal).await) {
        let answer = eve.get(&format!("/audit/proofs/inclusion?event_id={}", event.id)).await;
        let body = answer.json();
        assert_eq!(body["index"], index);
        let proven = (hash(&body["leaf"]), proof(&body));
        verify_inclusion(proven.0, index, 21, &proven.1, checkpoint.root).unwrap();
    }
    let body = eve.get("/audit/proofs/consistency?from=7&to=21").await.json();
    let earlier = (7, hash(&body["from_root"]));
    verify_consistency(earlier, (21, checkpoint.root), &proof(&body)).unwrap();
    for path in ["inclusion?index=21", "inclusion?index=0&size=22", "consistency?from=2&to=1"] {
        let answer = eve.get(&format!("/audit/proofs/{path}")).await;
        assert_problem!(answer, 404, "not_in_tree", "{path}");
    }
}

#[keyledger_bounded::test]
async fn a_checkpoint_that_was_written_in_part_makes_no_other_one_bad() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 3).await;
    service.stop_well();
    let before = log.checkpoints();
    let file = log.path("data/checkpoints");
    let whole = std::fs::read(&file).unwrap();
    let last = before.last().unwrap().as_bytes();
    // What is left when the machine stops while it writes the next note.
    for length in [1, last.len() / 2] {
        let torn = [&whole, &b"\n"[..], &last[..length]].concat();
        std::fs::write(&file, torn).unwrap();
        let service = log.setup().start().ready().await;
        service.user("ann").create("one more").await;
        let (status, output) = service.stop();
        assert!(status.success(), "{output}");
        assert!(output.contains("an incomplete checkpoint was removed"), "{output}");
        let now = log.checkpoints();
        assert_eq!(now[..before.len()], before);
        assert!(now.len() > before.len());
        assert!(log.export("all", &[]).status.success());
        let (code, told) = log.verify("all", &["--checkpoint", "data/checkpoints"]);
        assert_eq!(code, 0, "{told}");
    }
}
