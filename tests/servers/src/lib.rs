//! What tests need: servers, each on its own port, processes, ways to wait, and time limits.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test uses fails by panicking"
)]
#![expect(clippy::result_large_err, reason = "the status of gRPC is large")]

pub mod certificate;
pub mod gateway;
pub mod https;
pub mod kurrentdb;
pub mod limit;
pub mod nats;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;
mod tools;
pub mod wait;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody listens on, and that this process gets once. Systems choose the ports of
/// outgoing connections from above these, so it stays free while its server is down.
pub fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Other test processes begin elsewhere.
    let begin = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    let mut ports = (0..COUNT).map(|_| {
        let number = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        FIRST + number % COUNT
    });
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("a port is free")
}
