//! The heads of answers, as clients that only measure read them.

/// The status of the answer that begins so, and how many bytes it has, all told; `None` while its head
/// is not whole.
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
