//! Clients that only measure: each is a thread with one connection, and sends one request after
//! another.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::answer::head;

/// One connection, and the request that is sent on it again and again.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: &str, head: &str, token: &str, body: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { stream, request: request.into_bytes(), answer: Vec::new() }
    }

    /// Sends the request and reads the answer, whose status must be 200.
    pub(crate) fn ask(&mut self) {
        self.exchange();
        assert!(self.is_good(), "{}", String::from_utf8_lossy(&self.answer));
    }

    /// Sends the request; tells whether the status of the answer is 200.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.exchange();
        self.is_good()
    }

    fn is_good(&self) -> bool {
        self.answer.starts_with(b"HTTP/1.1 200")
    }

    fn exchange(&mut self) {
        self.stream.write_all(&self.request).unwrap();
        self.answer.clear();
        let mut buffer = [0; 16 * 1024];
        while !self.is_whole() {
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "cut off");
            self.answer.extend_from_slice(&buffer[..read]);
        }
    }

    fn is_whole(&self) -> bool {
        head(&self.answer).is_some_and(|(_, length)| self.answer.len() == length)
    }
}

/// How many requests a second these clients get answers to.
pub(crate) fn rate(clients: &mut [Client], span: Duration) -> f64 {
    let begun = Instant::now();
    let ask = |client: &mut Client| {
        let mut count = 0_u32;
        while begun.elapsed() < span {
            client.ask();
            count += 1;
        }
        count
    };
    let total: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| ask(client))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    f64::from(total) / begun.elapsed().as_secs_f64()
}

/// The median latency of this many requests, in microseconds.
pub(crate) fn latency(client: &mut Client, requests: usize) -> f64 {
    let mut micros = Vec::with_capacity(requests);
    for _ in 0..requests {
        let begun = Instant::now();
        client.ask();
        micros.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    crate::median(micros)
}
