//! Streams of all events, at the pace of the reader.

use std::time::{Duration, Instant};

use futures::StreamExt;
use keyledger_journal::testing::{created, first, new_key};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

use super::{each, lines};
use crate::support::wait::within;
use crate::support::{Client, Service, Setup, assert_problem};

/// A service whose journal has this many events.
async fn full(events: usize) -> Service {
    let setup = Setup::new();
    let journal = keyledger_journal::open(&setup.stores().journal).await.unwrap();
    let appends = futures::stream::iter(0..events).map(|_| {
        let key_id = new_key();
        journal.append(first(key_id, vec![created(key_id)]))
    });
    let appended: Vec<_> = appends.buffer_unordered(512).collect().await;
    assert!(appended.iter().all(Result::is_ok));
    drop(journal);
    setup.start().ready().await
}

const MIB: u64 = 1024 * 1024;

#[keyledger_bounded::test]
async fn a_slow_reader_costs_no_memory_and_misses_nothing() {
    const EVENTS: usize = 60_000;
    let service = full(EVENTS).await;
    let eve = service.auditor("eve");
    // Once before, so that the memory that the process keeps for reuse is there.
    let (read, bytes) = read_all(&eve).await;
    assert_eq!(read, EVENTS);
    let before = service.memory();
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = lines(&eve, "/audit/events").await;
        assert_eq!(stream.event().await.unwrap()["position"], 1);
        slow.push(stream);
    }
    // While the slow ones wait, another reads all of it, as fast as it can.
    for _ in 0..2 {
        assert_eq!(read_all(&eve).await.0, EVENTS);
    }
    let grown = service.memory().saturating_sub(before);
    println!("{} MiB waited for each of 4 readers: {} MiB more", bytes / MIB, grown / MIB);
    assert!(bytes > 20 * MIB, "{bytes} bytes are more than what the kernel takes for itself");
    assert!(grown < bytes / 2, "{grown} bytes more for 4 readers of {bytes} bytes each");
    let rest = each(&slow.remove(0).rest().await, "position");
    assert_eq!(rest.len(), EVENTS - 1);
    assert!(rest.iter().zip(2_u64..).all(|(position, number)| *position == number));
}

/// Reads all events without a pause: how many there are, and of how many bytes.
async fn read_all(client: &Client) -> (usize, u64) {
    let mut response = client.with("accept", "application/x-ndjson").open("/audit/events").await;
    let (mut lines, mut bytes) = (0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        lines += chunk.iter().filter(|byte| **byte == b'\n').count();
        bytes += u64::try_from(chunk.len()).unwrap();
    }
    (lines, bytes)
}

#[keyledger_bounded::test]
async fn lines_are_asked_for_by_their_media_type() {
    let service = Service::start();
    service.user("ann").create("ci").await;
    let eve = service.auditor("eve");
    for accept in ["application/x-ndjson", "text/html, application/x-ndjson;q=0.9"] {
        let answer = eve.with("accept", accept).get("/audit/events").await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"), "{accept}");
        assert_eq!(answer.text.lines().count(), 1);
    }
    for accept in ["*/*", "application/json", "application/x-ndjson2"] {
        let answer = eve.with("accept", accept).get("/audit/events").await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
    }
}

#[keyledger_bounded::test]
async fn a_stream_may_have_a_limit_or_be_empty() {
    let service = Service::start();
    let ann = service.user("ann");
    let eve = service.auditor("eve");
    assert!(lines(&eve, "/audit/events").await.rest().await.is_empty());
    for number in 0..5 {
        ann.create(&format!("key {number}")).await;
    }
    assert_eq!(lines(&eve, "/audit/events?limit=3").await.rest().await.len(), 3);
    let head = eve.with("accept", "application/x-ndjson").send("HEAD", "/audit/events", None).await;
    head.expect_status(200);
    assert_eq!(&*head.text, "");
}

#[keyledger_bounded::test]
async fn a_stream_that_fails_in_its_midst_is_broken_off() {
    let service = full(1_500).await;
    let stores = service.stores();
    for change in [
        "DROP TRIGGER events_are_never_changed",
        "UPDATE events SET type = 'KeyRenamed' WHERE position = 1200",
    ] {
        let mut connection = SqliteConnection::connect(&stores.journal).await.unwrap();
        sqlx::query(change).execute(&mut connection).await.unwrap();
    }
    let eve = service.auditor("eve");
    for query in ["", "?follow=true"] {
        let mut stream = lines(&eve, &format!("/audit/events{query}")).await;
        let mut last = 0;
        let reading = async {
            // What was sent but not yet read may be lost with the connection.
            while let Ok(line) = stream.line().await {
                let line = line.expect("the stream does not end in good order");
                if !line.is_empty() {
                    last += 1;
                    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["position"], last);
                }
            }
        };
        within("the stream to be broken off", reading).await;
        assert!(last < 1_200);
    }
    let log = service.printed("stream broken off").await;
    assert!(log.contains("the event at position 1200 cannot be read"), "{log}");
    // A stream that fails before its first event is answered with a problem.
    assert_problem!(eve.get("/audit/events?after=1199").await, 500, "internal_error");
    let from_there = eve.with("accept", "application/x-ndjson");
    from_there.get("/audit/events?after=1199").await.expect_status(500).problem();
}

#[keyledger_bounded::test]
async fn a_stream_shows_that_it_is_alive_and_outlives_the_time_limit_of_requests() {
    let service = Service::start();
    let ann = service.user("ann");
    let begun = Instant::now();
    let mut stream = lines(&service.auditor("eve"), "/audit/events?follow=true").await;
    while begun.elapsed() < Duration::from_secs(31) {
        assert_eq!(stream.line().await.unwrap().unwrap(), "");
    }
    ann.create("ci").await;
    assert_eq!(stream.event().await.unwrap()["data"]["name"], "ci");
}
