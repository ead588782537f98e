//! Clients that do nothing but ask: each keeps one connection and sends one request after another.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection, and the request that is sent on it again and again.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn new(address: &str, head: &str, token: &str, body: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { stream, request: request.into_bytes(), buffer: Vec::new() }
    }

    /// Sends the request and reads the answer, which must be a good one.
    pub(crate) async fn ask(&mut self) {
        self.exchange().await;
        assert!(self.buffer.starts_with(b"HTTP/1.1 200"), "{}", self.text());
    }

    async fn exchange(&mut self) {
        self.stream.write_all(&self.request).await.unwrap();
        self.buffer.clear();
        while !self.is_whole() {
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "cut off");
        }
    }

    /// Whether the answer is a good one.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.exchange().await;
        self.buffer.starts_with(b"HTTP/1.1 200")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    fn is_whole(&self) -> bool {
        let Some(head) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let lines = self.buffer[..head].split(|byte| *byte == b'\n');
        let length = lines.filter_map(|line| line.strip_prefix(b"content-length: ")).next();
        let length = length.and_then(|length| std::str::from_utf8(length).ok()).unwrap().trim();
        self.buffer.len() == head + 4 + length.parse::<usize>().unwrap()
    }
}

/// Requests a second that these clients are answered.
pub(crate) async fn rate(clients: &mut [Client], span: Duration) -> f64 {
    let begun = Instant::now();
    let counts = join_all(clients.iter_mut().map(async |client| {
        let mut count = 0_u32;
        while begun.elapsed() < span {
            client.ask().await;
            count += 1;
        }
        count
    }));
    let total: u32 = counts.await.into_iter().sum();
    f64::from(total) / begun.elapsed().as_secs_f64()
}

/// The middle latency of this many requests, in microseconds.
pub(crate) async fn latency(client: &mut Client, requests: usize) -> f64 {
    let mut micros = Vec::with_capacity(requests);
    for _ in 0..requests {
        let begun = Instant::now();
        client.ask().await;
        micros.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    crate::median(micros)
}
