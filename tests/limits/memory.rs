//! Memory over a long time.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use serde_json::json;

use crate::support::{Client, Service};

/// Creates keys and deletes them again, this many, some at the same time.
async fn come_and_go(client: &Client, cycles: u32) {
    let begun = AtomicU32::new(0);
    let worker = async || {
        while begun.fetch_add(1, Ordering::Relaxed) < cycles {
            let answer = client.post("/keys", &json!({"name": "ci"})).await;
            let id = answer.expect_status(200).json()["key_id"].as_str().unwrap().to_owned();
            client.delete(&format!("/keys/{id}/permanent")).await.expect_status(200);
        }
    };
    join_all((0..64).map(|_| worker())).await;
}

#[keyledger_bounded::test(minutes = 60)]
#[ignore = "takes many minutes: `make soak`"]
async fn keys_that_come_and_go_a_million_times_take_no_memory() {
    let service = Service::start().ready().await;
    let ann = service.user("ann");
    come_and_go(&ann, 100_000).await;
    let before = service.memory();
    for hundred_thousands in 2..=10 {
        come_and_go(&ann, 100_000).await;
        println!("{hundred_thousands}00,000 cycles: {} MiB", service.memory() >> 20);
    }
    let after = service.memory();
    println!("after 100,000 cycles {} MiB, after 1,000,000 {} MiB", before >> 20, after >> 20);
    assert!(after <= before + before / 10, "{before} bytes before, {after} after");
    assert!(ann.keys().await.is_empty());
}
