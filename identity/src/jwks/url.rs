//! Where a key set may be fetched from.

use std::net::IpAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

/// Where a key set may be fetched from over plain HTTP. Whoever can change what is sent there can sign in as
/// anyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// From this machine.
    #[default]
    Loopback,
    /// Also from private networks: hosts whose addresses are private (RFC 1918, RFC 4193) or shared
    /// (RFC 6598).
    Private,
}

impl PlainHttp {
    fn reaches(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_private = match address {
            IpAddr::V4(address) => {
                address.is_private() || matches!(address.octets(), [100, 64..=127, _, _])
            }
            IpAddr::V6(address) => address.is_unique_local(),
        };
        address.is_loopback() || self == Self::Private && is_private
    }

    /// Whether a host may be within reach. The addresses of a name are not known yet.
    fn may_reach(self, host: &str) -> bool {
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.reaches(address),
            Err(_) => self == Self::Private || host == "localhost",
        }
    }
}

/// The URL of a key set: `https`, or `http` where [`PlainHttp`] allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    url: Url,
    /// How far away the host may be, if the scheme is `http`.
    http: PlainHttp,
}

/// The text is not a URL that a key set may be fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key set is fetched from an https:// URL, or from http:// on the loopback interface; with \
     KEYLEDGER_JWT_JWKS_HTTP=private, also from http:// in a private network"
)]
pub struct JwksUrlError;

/// The host of an `http` URL has no address that plain HTTP may be used with.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "the host has no address on the loopback interface or, if that is allowed, in a private network"
)]
struct TooFar;

/// The address without user, password and query, any of which may hold a secret.
impl std::fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&keyledger_domain::without_password(self.url.as_str()))
    }
}

impl JwksUrl {
    /// Parses a URL. The addresses of a host name are checked when the set is fetched.
    ///
    /// # Errors
    /// [`JwksUrlError`].
    pub fn parse(text: &str, http: PlainHttp) -> Result<Self, JwksUrlError> {
        let url = Url::parse(text).map_err(|_| JwksUrlError)?;
        let host = url.host_str().unwrap_or_default();
        let nearest = [PlainHttp::Loopback, http].into_iter().find(|http| http.may_reach(host));
        match (url.scheme(), nearest) {
            ("https", _) => Ok(Self { url, http }),
            ("http", Some(http)) => Ok(Self { url, http }),
            _ => Err(JwksUrlError),
        }
    }

    pub(super) fn get(&self) -> &Url {
        &self.url
    }

    /// Whether the set may come over a network without protection.
    #[must_use]
    pub fn is_unprotected(&self) -> bool {
        self.url.scheme() == "http" && self.http == PlainHttp::Private
    }

    /// A client that fetches the set.
    pub(super) fn client(&self) -> Client {
        // A redirect could lead to another host, and to plain HTTP.
        let client = Client::builder().redirect(Policy::none());
        let client = match self.url.scheme() {
            // A proxy would be elsewhere, and it would look up the host.
            "http" => client.no_proxy().dns_resolver(Near(self.http)),
            _ => client,
        };
        // Fails only where the system has no TLS, of which `Client::new` panics.
        client.build().unwrap_or_default()
    }
}

/// Finds the addresses of hosts that plain HTTP may be used with.
struct Near(PlainHttp);

impl Resolve for Near {
    fn resolve(&self, host: Name) -> Resolving {
        let http = self.0;
        Box::pin(async move {
            let all = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let near: Vec<_> = all.filter(|address| http.reaches(address.ip())).collect();
            if near.is_empty() {
                return Err(TooFar.into());
            }
            let near: Addrs = Box::new(near.into_iter());
            Ok(near)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS_OR_HERE: [&str; 5] = [
        "https://id.example.com/keys",
        "http://localhost:1/",
        "http://127.0.0.1/k",
        "http://127.8.9.10/k",
        "http://[::1]:8000/k",
    ];

    #[keyledger_bounded::test]
    fn a_set_is_fetched_over_tls_or_on_this_machine() {
        for url in TLS_OR_HERE {
            let parsed = JwksUrl::parse(url, PlainHttp::Loopback).unwrap();
            assert!(!parsed.is_unprotected(), "{url}");
        }
        for url in [
            "",
            "keys",
            "http://id.example.com/keys",
            "http://localhost.example.com/",
            "http://10.0.0.1/keys",
            "http://[fd00::1]/keys",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
        ] {
            assert_eq!(JwksUrl::parse(url, PlainHttp::Loopback), Err(JwksUrlError), "{url}");
        }
    }

    #[keyledger_bounded::test]
    fn a_set_is_fetched_from_a_private_network_if_that_is_allowed() {
        for url in TLS_OR_HERE {
            assert!(!JwksUrl::parse(url, PlainHttp::Private).unwrap().is_unprotected(), "{url}");
        }
        for url in [
            "http://id.internal/keys",
            "http://10.0.0.1/keys",
            "http://172.31.255.255/keys",
            "http://192.168.1.1:8000/keys",
            "http://100.64.0.1/keys",
            "http://[fd00::1]/keys",
            "http://[::ffff:10.0.0.1]/keys",
        ] {
            assert!(JwksUrl::parse(url, PlainHttp::Private).unwrap().is_unprotected(), "{url}");
        }
        for url in [
            "",
            "http://203.0.113.7/keys",
            "http://172.32.0.1/keys",
            "http://100.128.0.1/keys",
            "http://169.254.169.254/keys",
            "http://0.0.0.0/keys",
            "http://[2001:db8::1]/keys",
            "http://[::ffff:203.0.113.7]/keys",
            "file:///etc/passwd",
            "ftp://10.0.0.1/",
        ] {
            assert_eq!(JwksUrl::parse(url, PlainHttp::Private), Err(JwksUrlError), "{url}");
        }
    }
}
