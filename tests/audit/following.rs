//! Streams that go on with events as they come.

use super::{each, events, lines, whole_life};
use crate::support::{Client, Service, Setup, token_with};

#[keyledger_bounded::test]
async fn what_comes_is_shown_as_it_comes() {
    let service = Service::start();
    let ann = service.user("ann");
    whole_life(&ann, "before").await;
    let eve = service.auditor("eve");
    let mut stream = lines(&eve, "/audit/events?follow=true").await;
    for kind in ["KeyCreated", "KeyRevoked", "KeyDeleted"] {
        assert_eq!(stream.event().await.unwrap()["type"], kind);
    }
    for number in 0..20 {
        let name = format!("live {number}");
        let id = ann.create(&name).await;
        let event = stream.event().await.unwrap();
        assert_eq!((&event["key_id"], &event["data"]["name"]), (&id.into(), &name.into()));
    }
}

#[keyledger_bounded::test]
async fn only_what_is_asked_for_comes() {
    let service = Service::start();
    let (ann, bob) = (service.user("ann"), service.user("bob"));
    let id = ann.create("of interest").await;
    let eve = service.auditor("eve");
    let mut of_key = lines(&eve, &format!("/audit/events?follow=true&key_id={id}")).await;
    let of_bob = lines(&eve, "/audit/events?follow=true&user_id=bob&limit=2").await;
    assert_eq!(of_key.event().await.unwrap()["type"], "KeyCreated");
    whole_life(&bob, "of no interest").await;
    ann.delete(&format!("/keys/{id}")).await;
    assert_eq!(of_key.event().await.unwrap()["type"], "KeyRevoked");
    let bobs = of_bob.rest().await;
    assert_eq!(each(&bobs, "type"), ["KeyCreated", "KeyRevoked"], "it ends at the limit");
}

#[keyledger_bounded::test]
async fn who_was_cut_off_goes_on_where_they_were() {
    let service = Service::start();
    let ann = service.user("ann");
    whole_life(&ann, "first").await;
    let mut eve = service.auditor("eve");
    let mut seen = Vec::new();
    for round in 0..5 {
        let mut stream = lines(&eve, "/audit/events?follow=true").await;
        ann.create(&format!("round {round}")).await;
        for _ in 0..2 {
            seen.push(stream.event().await.unwrap());
        }
        drop(stream);
        let position = seen.last().unwrap()["position"].to_string();
        eve = service.auditor("eve").with("last-event-id", &position);
        ann.create(&format!("meanwhile {round}")).await;
    }
    let all = events(&service.auditor("eve").get("/audit/events").await);
    assert_eq!(seen, all[..10], "nothing is missing, and nothing comes twice");
}

#[keyledger_bounded::test]
async fn a_stop_ends_it_in_good_order() {
    // A stop waits this long for requests that run: it would wait for the stream if that were one.
    let service = Setup::new().set("KEYLEDGER_SHUTDOWN_GRACE", "1h").start();
    service.user("ann").create("ci").await;
    let mut stream = lines(&service.auditor("eve"), "/audit/events?follow=true").await;
    assert!(stream.event().await.is_some());
    service.signal("TERM");
    assert_eq!(stream.event().await, None);
    let (status, output) = service.ended();
    assert!(status.success(), "{output}");
    assert!(!output.contains("connections cut off"), "{output}");
}

#[keyledger_bounded::test]
async fn it_ends_with_the_token() {
    let service = Service::start();
    // Tokens are accepted for half a minute past their end: this one for 20 seconds.
    let token = token_with("eve", &["keyledger:audit"], -10);
    let eve = Client::new(&service.address, Some(token));
    let stream = lines(&eve, "/audit/events?follow=true").await;
    assert!(stream.rest().await.is_empty(), "it ends, and in good order");
    eve.get("/audit/events").await.expect_status(401);
}
