//! The load: connections that each send a request, wait for the whole answer, and go on.
//!
//! It shares two processors with the server, so it makes few system calls: one write and one read a
//! request. (wrk, which also asks before each request whether it may write, takes half as much again.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, make_rng};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::head;

/// More bytes than any answer has.
const BUFFER: usize = 16 * 1024;

/// What to request, and how often.
pub(crate) struct Load {
    pub(crate) port: u16,
    pub(crate) route: String,
    pub(crate) connections: usize,
    pub(crate) time: Duration,
    /// A connection pauses for a random number of milliseconds up to this before each request.
    pub(crate) pause: u64,
}

/// The outcome of a connection's requests.
struct Told {
    micros: Vec<u32>,
    failed: usize,
}

/// Loads a server with requests that each present the next of these keys; prints how it did, as one
/// line of JSON.
pub(crate) async fn run(load: Load, keys: &str) {
    let load = Arc::new(load);
    let requests: Arc<[Vec<u8>]> = keys.lines().map(|key| request(&load.route, key)).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let connections: Vec<_> = (0..load.connections)
        .map(|_| tokio::spawn(connection(load.clone(), requests.clone(), next.clone(), begun)))
        .collect();
    let (mut micros, mut failed) = (Vec::new(), 0);
    for connection in connections {
        let told = connection.await.unwrap();
        micros.extend(told.micros);
        failed += told.failed;
    }
    let seconds = begun.elapsed().as_secs_f64();
    micros.sort_unstable();
    let percentile = |of: usize| {
        let at = micros.len().saturating_sub(1) * of / 1_000;
        micros.get(at).map_or(0.0, |micros| f64::from(*micros) / 1e3)
    };
    let told = json!({
        "requests": micros.len(), "seconds": seconds, "errors": failed,
        "p50_ms": percentile(500), "p99_ms": percentile(990), "p999_ms": percentile(999),
    });
    println!("{told}");
}

fn request(route: &str, key: &str) -> Vec<u8> {
    match route {
        "hello" => "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "auth" => format!("GET /auth HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n\r\n"),
        "verify" => {
            let body = json!({ "key": key }).to_string();
            format!(
                "POST /verify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }
        unknown => panic!("no such route: {unknown}"),
    }
    .into_bytes()
}

async fn connection(
    load: Arc<Load>,
    requests: Arc<[Vec<u8>]>,
    next: Arc<AtomicUsize>,
    begun: Instant,
) -> Told {
    let mut stream = TcpStream::connect(("127.0.0.1", load.port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; BUFFER];
    let mut told = Told { micros: Vec::new(), failed: 0 };
    let mut random: StdRng = make_rng();
    loop {
        if load.pause > 0 {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..=load.pause))).await;
        }
        let asked = Instant::now();
        if asked.duration_since(begun) >= load.time {
            return told;
        }
        let at = next.fetch_add(1, Ordering::Relaxed) % requests.len();
        stream.write_all(&requests[at]).await.unwrap();
        let status = answer(&mut stream, &mut buffer).await;
        told.micros.push(u32::try_from(asked.elapsed().as_micros()).unwrap());
        told.failed += usize::from(status != 200);
    }
}

/// Reads a whole answer; tells its status.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> u16 {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(count > 0, "the server closed the connection");
        filled += count;
        if let Some((status, length)) = head(&buffer[..filled])
            && filled >= length
        {
            return status;
        }
    }
}
