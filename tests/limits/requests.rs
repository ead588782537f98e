//! Requests that proxies and servers could take for different ones.

use crate::support::{Service, raw_answer};

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
            let (told, text) = raw_answer(address, &request).await;
            assert_eq!(told, *status, "{headers:?}: {text}");
            assert!(text.contains(code), "{headers:?}: {text}");
        }
        let old = raw_answer(address, "GET /healthz HTTP/1.0\r\n\r\n").await;
        assert_eq!(old.0, 200, "HTTP/1.0 has no Host: {}", old.1);
    }
    for path in ["/auth", "/verify"] {
        let method = if path == "/auth" { "GET" } else { "POST" };
        let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
        let (status, text) = raw_answer(&service.internal, &request).await;
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.contains("bad_host"), "{path}: {text}");
    }
}
