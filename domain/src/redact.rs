//! URLs without the secrets in them.

/// A URL as it may appear in logs and error texts: without user, password, query and fragment, any
/// of which may hold a password.
#[must_use]
pub fn without_password(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, location)) => format!("{scheme}://{location}"),
            None => format!("{scheme}://{rest}"),
        },
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("postgres://ann:secret@db:5432/keys", "postgres://db:5432/keys"),
            ("postgres://ann:se@cret@db/keys?password=secret", "postgres://db/keys"),
            ("postgres://db/keys#secret", "postgres://db/keys"),
            ("sqlite://data/journal.db", "sqlite://data/journal.db"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
