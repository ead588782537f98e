//! The URL of the server, as the client understands it.

use eventstore::{ClientSettings, Credentials};
use keyledger_postgres::without_password;

use crate::OpenError;

/// How to connect to the server.
#[derive(Clone)]
pub(super) struct Settings {
    /// Without credentials.
    pub(super) client: ClientSettings,
    /// The client does not decode the ones in its URL, so they go with each call.
    pub(super) credentials: Option<Credentials>,
    place: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads a URL such as `kurrentdb://user:password@host:2113?tls=false`, or one that begins with
    /// `esdb`; user and password are percent-encoded, as in any URL (RFC 3986, section 2.1).
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let place = without_password(url);
        let bad = |source: super::super::Cause| OpenError::BadUrl { url: place.clone(), source };
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
        // The client waits this long, half a second unless told otherwise, before its first call.
        let separator = if parameters.contains('?') { '&' } else { '?' };
        let patience = match parameters.to_ascii_lowercase().contains("discoveryinterval=") {
            true => String::new(),
            false => format!("{separator}discoveryInterval=50"),
        };
        let text = format!("{scheme}://{hosts}{parameters}{patience}");
        let client = text.parse::<ClientSettings>().map_err(|error| bad(error.into()))?;
        Ok(Self { client, credentials, place })
    }

    /// Where the server is, for people.
    pub(super) fn place(&self) -> &str {
        &self.place
    }
}
