//! Events by key, owner, type and time.

use super::{each, events, lines, whole_life};
use crate::support::Service;

#[keyledger_bounded::test]
async fn events_are_shown_by_key_owner_type_and_time() {
    let service = Service::start();
    let (ann, bob) = (service.user("ann"), service.user("bob"));
    let first = whole_life(&ann, "first").await;
    let second = bob.create("second").await;
    let third = ann.create("third").await;
    let eve = service.auditor("eve");
    let all = events(&eve.get("/audit/events").await);
    assert_eq!(all.len(), 5);
    let time = |number: usize| all[number]["occurred_at"].as_str().unwrap();
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let position = &all[0]["position"];
    let cases = [
        (format!("key_id={first}"), vec![0, 1, 2]),
        (format!("key_id={first}&after={position}"), vec![1, 2]),
        (format!("key_id={first}&limit=3"), vec![0, 1, 2]),
        (format!("key_id={second}"), vec![3]),
        (format!("key_id={unknown}"), vec![]),
        ("user_id=ann".to_owned(), vec![0, 1, 2, 4]),
        (format!("user_id=ann&key_id={third}"), vec![4]),
        (format!("user_id=ann&key_id={second}"), vec![]),
        ("user_id=nobody".to_owned(), vec![]),
        ("type=KeyCreated".to_owned(), vec![0, 3, 4]),
        ("type=KeyRevoked&type=KeyDeleted".to_owned(), vec![1, 2]),
        ("type=KeyRevoked&type=KeyRevoked".to_owned(), vec![1]),
        ("type=KeyCreated&user_id=ann&limit=2".to_owned(), vec![0, 4]),
        (format!("from={}", time(3)), vec![3, 4]),
        (format!("to={}", time(3)), vec![0, 1, 2]),
        (format!("from={}&to={}", time(1), time(4)), vec![1, 2, 3]),
        (format!("from={}&to={}", time(4), time(1)), vec![]),
    ];
    for (query, numbers) in cases {
        let expected: Vec<_> = numbers.iter().map(|number: &usize| all[*number].clone()).collect();
        let path = format!("/audit/events?{query}");
        let page = eve.get(&path).await;
        assert_eq!(events(&page), expected, "{query}");
        assert!(page.json()["next_after"].is_null(), "{query}");
        assert_eq!(lines(&eve, &path).await.rest().await, expected, "{query}");
    }
}

#[keyledger_bounded::test]
async fn a_page_of_what_fits_is_followed_by_another_only_if_more_fits() {
    let service = Service::start();
    let ann = service.user("ann");
    let ids = [whole_life(&ann, "first").await, whole_life(&ann, "second").await];
    let eve = service.auditor("eve");
    let first = eve.get("/audit/events?type=KeyRevoked&limit=1").await;
    assert_eq!(each(&events(&first), "key_id"), [ids[0].clone()]);
    let after = &first.json()["next_after"];
    let second = eve.get(&format!("/audit/events?type=KeyRevoked&limit=1&after={after}")).await;
    assert_eq!(each(&events(&second), "key_id"), [ids[1].clone()]);
    assert!(second.json()["next_after"].is_null(), "a deletion follows, and no revocation");
}
