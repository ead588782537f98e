//! The servers that tests run against, each started by the test that needs it, on a port of its own.

pub mod gateway;
pub mod kurrentdb;
pub mod nats;
pub mod postgres;
mod process;
pub mod proxy;

/// A port that nobody listens on just now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
