//! The program that `verify/run.py` calls to measure verification:
//! `bare`, `sqlx <postgres url>`, `sqlx-tuned <postgres url>`,
//! `keys <journal url> <count> <keys file> [<csv file>]`,
//! `load <port> <route> <connections> <seconds> <milliseconds of pause> <keys file>`.
//!
//! It is linked with keyledger, so it has the same allocator.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench fails by panicking"
)]

mod answer;
mod histories;
mod verify;

use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::runtime;
use verify::select::Pool;
use verify::{bare, keys, load, select};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["load", port, route, connections, seconds, pause, keys] => {
            let load = load::Load {
                port: port.parse().unwrap(),
                route: route.to_owned(),
                connections: connections.parse().unwrap(),
                time: Duration::from_secs(seconds.parse().unwrap()),
                pause: pause.parse().unwrap(),
            };
            let keys = std::fs::read_to_string(keys).unwrap();
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(load::run(load, &keys));
        }
        _ => runtime::Runtime::new().unwrap().block_on(serve_or_write(&words)),
    }
}

async fn serve_or_write(words: &[&str]) {
    match *words {
        ["bare"] => serve(bare::router()).await,
        ["sqlx", url] => serve(select::router(url, Pool::Default).await).await,
        ["sqlx-tuned", url] => serve(select::router(url, Pool::Tuned).await).await,
        ["keys", journal, count, file] => {
            keys::write(journal, count.parse().unwrap(), file, None).await;
        }
        ["keys", journal, count, file, csv] => {
            keys::write(journal, count.parse().unwrap(), file, Some(csv)).await;
        }
        // So `cargo bench` calls it.
        [] | ["--bench"] => println!("run by make bench-verify"),
        _ => panic!("unknown: {words:?}"),
    }
}

/// Serves on a free port, whose address it prints, until it is killed.
async fn serve(router: Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}
