//! The URL of the server, in the form that the client understands.

use eventstore::{ClientSettings, Credentials};
use keyledger_domain::without_password;

use crate::{Cause, OpenError};

/// Parameters that the URL need not have, in milliseconds. The client waits for the interval, by default
/// 500 ms, before its first call; and it asks one server of a cluster after the other which one leads, by
/// default for 3 s each.
const DEFAULTS: [(&str, u32); 2] = [("discoveryInterval", 50), ("gossipTimeout", 500)];

/// How to connect to the server.
#[derive(Clone)]
pub(super) struct Settings {
    /// Without credentials.
    pub(super) client: ClientSettings,
    /// Sent with each call, because the client does not percent-decode credentials in its URL.
    pub(super) credentials: Option<Credentials>,
    location: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Settings {
    /// Parses a URL such as `kurrentdb://user:password@host:2113?tls=false`, or one that begins with
    /// `esdb`. User and password are percent-encoded, as in any URL (RFC 3986, section 2.1).
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let location = without_password(url);
        let bad = |source: Cause| OpenError::BadUrl { url: location.clone(), source };
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let scheme = scheme.replace("kurrentdb", "esdb");
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, parameters) = rest.split_at(end);
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let credentials = credentials.map(|text| {
            let (login, password) = text.split_once(':').unwrap_or((text, ""));
            let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
            Credentials::new(decode(login), decode(password))
        });
        let mut text = format!("{scheme}://{hosts}{parameters}");
        let is_cluster = hosts.contains(',') || scheme.ends_with("+discover");
        for (name, millis) in DEFAULTS.into_iter().take(if is_cluster { 2 } else { 1 }) {
            if !parameters.to_ascii_lowercase().contains(&format!("{name}=").to_ascii_lowercase()) {
                let separator = if text.contains('?') { '&' } else { '?' };
                text.push_str(&format!("{separator}{name}={millis}"));
            }
        }
        let client = text.parse::<ClientSettings>().map_err(|error| bad(error.into()))?;
        Ok(Self { client, credentials, location })
    }

    /// The URL without credentials and parameters, for logs and error texts.
    pub(super) fn location(&self) -> &str {
        &self.location
    }
}
