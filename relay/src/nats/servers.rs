//! The servers of a NATS URL, and the user, password or token in it.

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// The addresses of NATS servers, and how to log in to them.
#[derive(Clone)]
pub struct NatsServers {
    /// Without credentials, so that neither the client nor an error can show them.
    addresses: Vec<ServerAddr>,
    login: Option<Login>,
}

/// How to log in to the servers.
#[derive(Clone, PartialEq, Eq)]
enum Login {
    Password { user: String, password: String },
    Token(String),
}

/// Why a text is not a list of NATS URLs. The messages never show the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsServersError {
    /// There is no URL, or one has another scheme.
    #[error("a NATS URL begins with nats:// or tls://")]
    Scheme,
    /// What follows the scheme is not an address.
    #[error("a NATS URL has the form nats://user:password@host:port or nats://token@host:port")]
    Form,
    /// User, password or token are not percent-encoded UTF-8.
    #[error("user, password and token in a NATS URL must be percent-encoded UTF-8")]
    Encoding,
    /// Two URLs have different credentials. The client knows one for all servers.
    #[error("all NATS URLs must have the same user and password, or the same token")]
    SeveralLogins,
}

impl NatsServers {
    /// Parses URLs that are separated by commas. Credentials in one of them are used for all servers,
    /// since a cluster tells its clients the addresses of other servers, without credentials.
    ///
    /// # Errors
    /// Every variant of [`NatsServersError`].
    pub fn parse(urls: &str) -> Result<Self, NatsServersError> {
        let (mut addresses, mut login) = (Vec::new(), None);
        for url in urls.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            if !url.starts_with("nats://") && !url.starts_with("tls://") {
                return Err(NatsServersError::Scheme);
            }
            let address: ServerAddr = url.parse().map_err(|_| NatsServersError::Form)?;
            if address.host().is_empty() {
                return Err(NatsServersError::Form);
            }
            if let Some(found) = Login::of(&address)? {
                if login.as_ref().is_some_and(|known| *known != found) {
                    return Err(NatsServersError::SeveralLogins);
                }
                login = Some(found);
            }
            addresses.push(without_login(address)?);
        }
        if addresses.is_empty() {
            return Err(NatsServersError::Scheme);
        }
        Ok(Self { addresses, login })
    }

    /// The addresses, without credentials.
    pub(super) fn addresses(&self) -> &[ServerAddr] {
        &self.addresses
    }

    /// Options that log in as the URL says.
    pub(super) fn log_in(&self, options: ConnectOptions) -> ConnectOptions {
        match self.login.clone() {
            None => options,
            Some(Login::Password { user, password }) => options.user_and_password(user, password),
            Some(Login::Token(token)) => options.token(token),
        }
    }
}

/// Only the addresses, separated by commas.
impl std::fmt::Display for NatsServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(ServerAddr::as_url_str).collect();
        f.write_str(&addresses.join(","))
    }
}

/// Only the addresses.
impl std::fmt::Debug for NatsServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.addresses.iter().map(ServerAddr::as_url_str)).finish()
    }
}

impl Login {
    /// A user without a password is a token, as for other clients of NATS.
    fn of(address: &ServerAddr) -> Result<Option<Self>, NatsServersError> {
        let decoded = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(|text| text.into_owned()).map_err(|_| NatsServersError::Encoding)
        };
        Ok(match (address.username(), address.password()) {
            (None, None) => None,
            (None, Some(_)) => return Err(NatsServersError::Form),
            (Some(token), None) => Some(Self::Token(decoded(token)?)),
            (Some(user), Some(password)) => {
                Some(Self::Password { user: decoded(user)?, password: decoded(password)? })
            }
        })
    }
}

fn without_login(address: ServerAddr) -> Result<ServerAddr, NatsServersError> {
    let mut url = address.into_inner();
    let removed = url.set_password(None).and_then(|()| url.set_username(""));
    removed.map_err(|()| NatsServersError::Form)?;
    ServerAddr::from_url(url).map_err(|_| NatsServersError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(urls: &str) -> Option<Login> {
        NatsServers::parse(urls).unwrap().login
    }

    #[test]
    fn credentials_of_a_url_are_used_and_never_shown() {
        let password = || Login::Password { user: "a@b".to_owned(), password: "p:/w".to_owned() };
        assert!(login("nats://a%40b:p%3A%2Fw@one:4222") == Some(password()));
        assert!(login("nats://one, tls://a%40b:p%3A%2Fw@two:4222") == Some(password()));
        assert!(login("nats://t0ken@one") == Some(Login::Token("t0ken".to_owned())));
        assert!(login("nats://one:4222").is_none());
        let servers = NatsServers::parse("nats://ann:secret@one:4222,tls://two").unwrap();
        assert_eq!(format!("{servers:?}"), r#"["nats://one:4222", "tls://two"]"#);
    }

    #[test]
    fn what_is_no_list_of_urls_is_refused() {
        for (urls, error) in [
            ("", NatsServersError::Scheme),
            ("http://one", NatsServersError::Scheme),
            ("nats://", NatsServersError::Form),
            ("nats://one:port", NatsServersError::Form),
            ("nats://:secret@one", NatsServersError::Form),
            ("nats://%ff:secret@one", NatsServersError::Encoding),
            ("nats://a:secret@one,nats://b:secret@two", NatsServersError::SeveralLogins),
        ] {
            assert_eq!(NatsServers::parse(urls).unwrap_err(), error, "{urls}");
        }
    }
}
