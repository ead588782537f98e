//! What the load test of verification puts beside keyledger, and the keys for all of them. `run.py`
//! calls it: `bare`, `sqlx <postgres url>`, `sqlx-tuned <postgres url>`, `keys <journal url> <count> <keys file> [<csv file>]`.
//!
//! It is linked with keyledger, so that it has the same allocator.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench fails by panicking"
)]

mod bare;
#[path = "../histories.rs"]
mod histories;
mod keys;
mod select;

use axum::Router;
use axum::serve::ListenerExt;
use select::Pool;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["bare"] => serve(bare::router()).await,
        ["sqlx", url] => serve(select::router(url, Pool::Default).await).await,
        ["sqlx-tuned", url] => serve(select::router(url, Pool::Tuned).await).await,
        ["keys", journal, count, file] => {
            keys::write(journal, count.parse().unwrap(), file, None).await;
        }
        ["keys", journal, count, file, csv] => {
            keys::write(journal, count.parse().unwrap(), file, Some(csv)).await;
        }
        // `cargo bench` without more calls it so; `make bench-verify` is the way to run it.
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
