//! Pages of events, in the order of the journal.

use serde_json::{Value, json};

use super::{each, events, lines, whole_life};
use crate::support::{Service, assert_problem};

#[keyledger_bounded::test]
async fn pages_follow_one_another_to_the_end() {
    let service = Service::start();
    let ann = service.user("ann");
    for number in 0..4 {
        whole_life(&ann, &format!("key {number}")).await;
    }
    let written = service.events().await;
    let eve = service.auditor("eve");
    for limit in [1, 5, 12, 13] {
        let (mut shown, mut after) = (Vec::new(), json!(0));
        while !after.is_null() {
            let page = eve.get(&format!("/audit/events?limit={limit}&after={after}")).await;
            let found = events(&page);
            assert!((1..=limit).contains(&found.len()), "no page is empty: {page:?}");
            shown.extend(found);
            after = page.json()["next_after"].clone();
        }
        let positions: Vec<_> = written.iter().map(|event| event.position.as_u64()).collect();
        assert_eq!(each(&shown, "position"), positions, "{limit}");
    }
}

#[keyledger_bounded::test]
async fn a_page_has_a_hundred_events_unless_told_otherwise() {
    let service = Service::start();
    let ann = service.user("ann");
    for number in 0..101 {
        ann.create(&format!("key {number}")).await;
    }
    let eve = service.auditor("eve");
    let page = eve.get("/audit/events").await;
    let shown = events(&page);
    assert_eq!(shown.len(), 100);
    assert_eq!(page.json()["next_after"], shown[99]["position"]);
    let last = eve.get(&format!("/audit/events?after={}", shown[99]["position"])).await;
    assert_eq!((events(&last).len(), &last.json()["next_after"]), (1, &Value::Null));
    assert_eq!(events(&eve.get("/audit/events?limit=1000").await).len(), 101);
}

#[keyledger_bounded::test]
async fn an_empty_journal_has_an_empty_page() {
    let service = Service::start();
    let page = service.auditor("eve").get("/audit/events").await;
    assert_eq!(page.json(), json!({"success": true, "events": [], "next_after": null}));
}

#[keyledger_bounded::test]
async fn the_last_event_id_is_as_good_as_after() {
    let service = Service::start();
    whole_life(&service.user("ann"), "ci").await;
    let eve = service.auditor("eve");
    let all = events(&eve.get("/audit/events").await);
    let position = all[0]["position"].to_string();
    let resumed = eve.with("last-event-id", &position);
    assert_eq!(events(&resumed.get("/audit/events").await), all[1..]);
    assert_eq!(lines(&resumed, "/audit/events").await.rest().await, all[1..]);
    assert_problem!(resumed.get("/audit/events?after=0").await, 400, "invalid_parameter");
}

#[keyledger_bounded::test]
async fn a_question_that_is_none_is_told() {
    let service = Service::start();
    let eve = service.auditor("eve");
    for (query, code) in [
        ("after=-1", "invalid_parameter"),
        ("after=x", "invalid_parameter"),
        ("after=9223372036854775808", "invalid_parameter"),
        ("after=1&after=1", "invalid_parameter"),
        ("limit=0", "invalid_parameter"),
        ("limit=1001", "invalid_parameter"),
        ("limit=1&limit=1", "invalid_parameter"),
        ("key_id=x", "invalid_parameter"),
        ("user_id=", "invalid_parameter"),
        ("user_id=a%00", "invalid_parameter"),
        ("user_id=a&user_id=a", "invalid_parameter"),
        ("type=KeyLost", "invalid_parameter"),
        ("type=", "invalid_parameter"),
        ("from=soon", "invalid_parameter"),
        ("to=2026-03-01", "invalid_parameter"),
        ("follow=1", "invalid_parameter"),
        // Only a stream can follow.
        ("follow=true", "invalid_parameter"),
        ("cursor=x", "unknown_parameter"),
    ] {
        assert_problem!(eve.get(&format!("/audit/events?{query}")).await, 400, code, "{query}");
    }
    for position in ["", "x", "-1", "9223372036854775808"] {
        let answer = eve.with("last-event-id", position).get("/audit/events").await;
        assert_problem!(answer, 400, "invalid_header", "{position}");
    }
    let mut twice = eve.with("last-event-id", "1");
    twice.append("last-event-id", "1");
    assert_problem!(twice.get("/audit/events").await, 400, "invalid_header");
}
