//! What a request must be, whatever it asks for. Where proxies and servers disagree about a request, one can
//! be hidden in another.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Request, Version, header};

use crate::problem::ApiError;
use crate::server::MAX_HEADERS;

/// Fails if the request is ambiguous or too large.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    let headers = request.headers();
    if headers.len() > MAX_HEADERS {
        return Err(ApiError::TooManyHeaders);
    }
    if !names_one_host(headers, request.version()) {
        return Err(ApiError::BadHost);
    }
    if has_other_coding(headers) {
        return Err(ApiError::TransferCoding);
    }
    Ok(())
}

/// RFC 9112 § 3.2: a request of HTTP/1.1 has one `Host`. In HTTP/2, `:authority` may take its place.
fn names_one_host(headers: &HeaderMap, version: Version) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(host), None) => is_plain(host.as_bytes()) || is_authority(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// Whether this is a name or an IPv4 address, with or without a port. Nearly every host is, and parsing it would
/// cost each verification.
fn is_plain(host: &[u8]) -> bool {
    let length = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
    let (name, port) = host.split_at_checked(length).unwrap_or((host, b""));
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !name.is_empty()
        && name.iter().all(is_name)
        && port.strip_prefix(b":").unwrap_or(port).iter().all(u8::is_ascii_digit)
}

fn is_authority(host: &[u8]) -> bool {
    let authority = Authority::try_from(host).ok();
    authority.is_some_and(|authority| !authority.as_str().contains('@'))
}

/// RFC 9112 § 6.1: `chunked` is the only transfer coding that is understood.
fn has_other_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) => !coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn outcome(version: Version, headers: &[(&str, &str)]) -> Option<u16> {
        let request = Request::builder().version(version);
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        let refusal = check(&request.body(()).unwrap()).err();
        refusal.map(|refusal| refusal.into_response().status().as_u16())
    }

    #[keyledger_bounded::test]
    fn a_request_names_one_host() {
        for host in ["a", "a:80", "127.0.0.1:8080", "[::1]", "[::1]:8080", "keys.example.com"] {
            assert_eq!(outcome(Version::HTTP_11, &[("host", host)]), None, "{host}");
        }
        for host in ["", " ", "a b", "a/b", "u@a", "a:b:c", "[::1", "a\u{e9}"] {
            assert_eq!(outcome(Version::HTTP_11, &[("host", host)]), Some(400), "{host}");
        }
        assert_eq!(outcome(Version::HTTP_11, &[]), Some(400));
        assert_eq!(outcome(Version::HTTP_11, &[("host", "a"), ("host", "a")]), Some(400));
        assert_eq!(outcome(Version::HTTP_10, &[]), None);
        assert_eq!(outcome(Version::HTTP_2, &[]), None);
        assert_eq!(outcome(Version::HTTP_2, &[("host", "a b")]), Some(400));
    }

    #[keyledger_bounded::test]
    fn a_body_is_chunked_or_has_no_transfer_coding() {
        let of = |codings: &[&str]| {
            let mut headers = vec![("host", "a")];
            headers.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            outcome(Version::HTTP_11, &headers)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["chunked"]), None);
        assert_eq!(of(&["Chunked"]), None);
        for odd in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked", "chunked"], &["x"]] {
            assert_eq!(of(odd), Some(501), "{odd:?}");
        }
    }

    #[keyledger_bounded::test]
    fn a_request_has_64_headers_at_most() {
        let names: Vec<_> = (0..64).map(|number| format!("x-{number}")).collect();
        let mut headers: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        headers[0] = ("host", "a");
        assert_eq!(outcome(Version::HTTP_2, &headers), None);
        headers.push(("x-one-more", "1"));
        assert_eq!(outcome(Version::HTTP_2, &headers), Some(431));
    }
}
