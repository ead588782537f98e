//! Requests that proxies and servers could take for different ones.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Service;
use crate::support::wait::within;

/// The status and the body of the answer to these bytes, after which the connection is closed.
async fn answer(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{request:?}: {answer}")), answer)
}

#[keyledger_bounded::test]
async fn an_ambiguous_request_is_refused_on_both_listeners() {
    let service = Service::start();
    let many = "x: y\r\n".repeat(70);
    let cases = [
        ("Host: a\r\n", 200, ""),
        ("", 400, "bad_host"),
        ("Host: a\r\nHost: a\r\n", 400, "bad_host"),
        ("Host: a\r\nHost: b\r\n", 400, "bad_host"),
        ("Host: a b\r\n", 400, "bad_host"),
        ("Host: a/b\r\n", 400, "bad_host"),
        ("Host: u@a\r\n", 400, "bad_host"),
        ("Host:\r\n", 400, "bad_host"),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501, "transfer_coding"),
        (&format!("Host: a\r\n{many}"), 431, ""),
    ];
    for address in [&service.address, &service.internal] {
        for (headers, status, code) in &cases {
            let body = if headers.contains("chunked") { "0\r\n\r\n" } else { "" };
            let request =
                format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{headers}\r\n{body}");
            let (told, text) = answer(address, &request).await;
            assert_eq!(told, *status, "{headers:?}: {text}");
            assert!(text.contains(code), "{headers:?}: {text}");
        }
        let old = answer(address, "GET /healthz HTTP/1.0\r\n\r\n").await;
        assert_eq!(old.0, 200, "HTTP/1.0 has no Host: {}", old.1);
    }
    for path in ["/auth", "/verify"] {
        let method = if path == "/auth" { "GET" } else { "POST" };
        let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
        let (status, text) = answer(&service.internal, &request).await;
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.contains("bad_host"), "{path}: {text}");
    }
}
