//! The sign-in tokens in cookies.

use axum::http::{HeaderMap, header};

use super::header::bearer;

/// The tokens in all cookies with this name, as they are: nothing is decoded (RFC 6265 § 5.4), but quotes
/// around a value are no part of it (§ 4.1.1), nor is a `Bearer ` that some applications put before the
/// token. Other cookies may have any bytes. `None` stands for a value that is not visible ASCII.
pub(super) fn tokens<'h>(
    headers: &'h HeaderMap,
    name: &'h str,
) -> impl Iterator<Item = Option<&'h str>> {
    let lists = headers.get_all(header::COOKIE).iter();
    let cookies = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b';'));
    cookies.filter_map(move |cookie| {
        let value = cookie.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        let bare = str::from_utf8(bare.unwrap_or(value)).ok();
        let token = bare.map(|bare| bearer(bare).unwrap_or(bare));
        Some(token.filter(|token| token.bytes().all(|b| b.is_ascii_graphic())))
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
        tokens(&headers, "auth_token").map(|value| value.map(ToOwned::to_owned)).collect()
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
    fn a_token_may_have_its_scheme_before_it() {
        let ours = vec![Some("x.y.z".to_owned())];
        for cookie in [
            "auth_token=Bearer x.y.z",
            "auth_token=\"Bearer x.y.z\"",
            "a=b; auth_token=bearer   x.y.z ; c=d",
            "auth_token=\"BEARER x.y.z \"; c=d",
        ] {
            assert_eq!(found(&[cookie.as_bytes()]), ours, "{cookie}");
        }
        for (cookie, token) in [
            ("auth_token=Bearerx.y.z", Some("Bearerx.y.z")),
            ("auth_token=Bearer", Some("Bearer")),
            ("auth_token=\"Bearer \"", Some("")),
            ("auth_token=Basic x.y.z", None),
            ("auth_token=Bearer x y", None),
            ("auth_token=Bearer Bearer x.y.z", None),
            ("auth_token=Bearer%20x.y.z", Some("Bearer%20x.y.z")),
        ] {
            assert_eq!(found(&[cookie.as_bytes()]), [token.map(ToOwned::to_owned)], "{cookie}");
        }
    }

    #[keyledger_bounded::test]
    fn a_value_is_not_decoded() {
        assert_eq!(found(&[b"auth_token=%41"]), [Some("%41".to_owned())]);
        assert_eq!(found(&[b"auth_token=a=b"]), [Some("a=b".to_owned())]);
        assert_eq!(found(&[b"auth_token=\xff; auth_token="]), [None, Some(String::new())]);
        assert_eq!(found(&[b"auth_token", b"a=b"]), Vec::<Option<String>>::new());
    }
}
