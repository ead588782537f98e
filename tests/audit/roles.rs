//! Only auditors may ask, and they see no hash.

use super::{events, whole_life};
use crate::support::{Client, Service, token_with};

#[keyledger_bounded::test]
async fn audits_are_for_auditors() {
    let service = Service::start();
    let ann = service.user("ann");
    let id = ann.create("ci").await;
    for path in ["/audit/events".to_owned(), format!("/audit/keys/{id}")] {
        // Others are told the same where the rest of the request is wrong.
        for path in [path.clone(), format!("{path}?bogus=1")] {
            for accept in ["application/json", "application/x-ndjson"] {
                let told = ann.with("accept", accept).get(&path).await.problem();
                let sentence = "Only auditors may see this".to_owned();
                assert_eq!(told, (403, "auditors_only".to_owned(), sentence), "{path}");
                let told = service.stranger().with("accept", accept).get(&path).await.problem();
                assert_eq!((told.0, &*told.1), (401, "authentication_required"), "{path}");
            }
        }
        let expired =
            Client::new(&service.address, Some(token_with("eve", &["keyledger:audit"], -3600)));
        expired.get(&path).await.expect_status(401).problem();
        service.auditor("eve").get(&path).await.expect_status(200);
    }
}

#[keyledger_bounded::test]
async fn auditors_see_deleted_keys_and_never_a_hash() {
    let service = Service::start();
    let id = whole_life(&service.user("ann"), "ci").await;
    let eve = service.auditor("eve");
    let page = eve.get("/audit/events").await;
    let shown = events(&page);
    let history = eve.get(&format!("/keys/{id}/history")).await;
    for (event, mut known) in shown.iter().zip(events(&history)) {
        known["key_id"] = id.clone().into();
        assert_eq!(*event, known, "the form of a history, and the key's id");
    }
    assert_eq!(shown.len(), 3);
    let lines = eve.with("accept", "application/x-ndjson").get("/audit/events").await;
    let state = eve.get(&format!("/audit/keys/{id}")).await;
    for answer in [page, lines, state] {
        assert!(!answer.text.contains("hash"), "{answer:?}");
    }
}
