//! The heads of HTTP answers, for clients that only measure.

/// The status of an answer and the number of bytes of its head and body, from its first bytes; `None`
/// while the head is not complete.
pub(crate) fn head(bytes: &[u8]) -> Option<(u16, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).unwrap() else {
        return None;
    };
    let is_length = |header: &&httparse::Header| header.name.eq_ignore_ascii_case("content-length");
    let length = answer.headers.iter().find(is_length).unwrap().value;
    let length: usize = str::from_utf8(length).unwrap().parse().unwrap();
    Some((answer.code.unwrap(), head + length))
}
