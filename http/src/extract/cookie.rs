//! The values of a cookie.

use axum::http::{HeaderMap, header};

/// The values of all cookies with this name, as they are: nothing is decoded (RFC 6265 § 5.4), but quotes
/// around a value are no part of it (§ 4.1.1). Other cookies may have any bytes. `None` stands for a value
/// that is not visible ASCII.
pub(super) fn values<'h>(
    headers: &'h HeaderMap,
    name: &'h str,
) -> impl Iterator<Item = Option<&'h str>> {
    let lists = headers.get_all(header::COOKIE).iter();
    let cookies = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b';'));
    cookies.filter_map(move |cookie| {
        let value = cookie.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        let bare = bare.unwrap_or(value);
        Some(str::from_utf8(bare).ok().filter(|text| text.bytes().all(|b| b.is_ascii_graphic())))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn found(cookies: &[&[u8]]) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        }
        values(&headers, "auth_token").map(|value| value.map(ToOwned::to_owned)).collect()
    }

    #[keyledger_bounded::test]
    fn a_cookie_is_found_among_others_whatever_they_are() {
        let ours = vec![Some("x.y.z".to_owned())];
        for cookies in [
            &b"auth_token=x.y.z"[..],
            b"a=b; auth_token=x.y.z; c=d",
            b"a=\xff\xfe; auth_token=x.y.z",
            b"a; ;=; auth_token=\"x.y.z\" ;",
            b"auth%5Ftoken=other; Auth_token=other; xauth_token=other;auth_token=x.y.z",
        ] {
            assert_eq!(found(&[cookies]), ours, "{cookies:?}");
        }
        assert_eq!(found(&[b"a=b", b"auth_token=x.y.z"]), ours);
    }

    #[keyledger_bounded::test]
    fn a_value_is_not_decoded() {
        assert_eq!(found(&[b"auth_token=%41"]), [Some("%41".to_owned())]);
        assert_eq!(found(&[b"auth_token=a=b"]), [Some("a=b".to_owned())]);
        assert_eq!(found(&[b"auth_token=\xff; auth_token="]), [None, Some(String::new())]);
        assert_eq!(found(&[b"auth_token", b"a=b"]), Vec::<Option<String>>::new());
    }
}
