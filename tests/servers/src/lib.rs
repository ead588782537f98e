//! The servers that tests run against, each started by the test that needs it, on a port of its own.

pub mod certificate;
pub mod gateway;
pub mod kurrentdb;
pub mod nats;
pub mod postgres;
mod process;
pub mod proxy;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody listens on just now, and that no other server of this process has. Systems take
/// ports for connections from above these, so nobody takes it while its server is down for a while.
fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Other processes begin elsewhere.
    let begin = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    let mut ports = (0..COUNT).map(|_| {
        let number = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        FIRST + number % COUNT
    });
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("a port is free")
}
