//! Parses the values of settings, and collects the mistakes in them.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use keyledger_domain::{HmacSecret, KeyHash, KeyPrefix};
use keyledger_http::InternalCallers;
use keyledger_relay::nats::{NatsServers, NatsSettings};
use keyledger_tlog::{LogKeys, NoteSigningKey};
use reqwest::Url;

use super::files::{self, read_private};
use super::given::{Given, given};
use super::{LogFormat, Mistakes, Roles};
use keyledger_identity::{
    ClaimPath, JwksUrl, PlainHttp, RsaAlgorithm, SharedSecret, TokenKeys, VerifyingKey,
};
use keyledger_projections::StatusFilter;

/// Reads settings and collects mistakes.
pub(super) struct Reader<'a> {
    matches: &'a ArgMatches,
    mistakes: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(matches: &'a ArgMatches) -> Self {
        Self { matches, mistakes: Vec::new() }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.matches.get_flag(name)
    }

    /// The value of a setting; `None` if it is left out and has no default, and after a mistake.
    pub(super) fn value<T>(
        &mut self,
        flag: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Given { env, value } = given(self.matches, flag)?;
        let parsed = value.and_then(|value| parse(&value));
        parsed.map_err(|why| self.mistakes.push(format!("  {env}: {why}"))).ok()
    }

    /// Notes a mistake, once.
    pub(super) fn mistake(&mut self, text: &str) {
        let line = format!("  {text}");
        if !self.mistakes.contains(&line) {
            self.mistakes.push(line);
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    pub(super) fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes)) }
    }
}

pub(super) fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

/// The parts of a list, at least one: a list of nothing would silently turn off what it was to set.
pub(super) fn list(value: &str) -> Result<Vec<String>, String> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(ToOwned::to_owned).collect();
    if parts.is_empty() { Err("names nothing between its commas".to_owned()) } else { Ok(parts) }
}

pub(super) fn address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| "no address and port, such as 127.0.0.1:8080".to_owned())
}

pub(super) fn duration(value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value)
        .map_err(|_| "no duration with a unit, such as 10s or 500ms".to_owned())
}

/// Parses a duration of at least this many milliseconds and at most ten minutes.
pub(super) fn duration_from(least: u64) -> impl Fn(&str) -> Result<Duration, String> {
    move |value| {
        let duration = duration(value)?;
        let bounds = Duration::from_millis(least)..=Duration::from_secs(600);
        let in_bounds = bounds.contains(&duration);
        if in_bounds { Ok(duration) } else { Err(format!("must be from {least}ms to 10m")) }
    }
}

pub(super) fn journal_url(value: &str) -> Result<String, String> {
    keyledger_journal::check_scheme(value).map_err(|_| {
        "a URL of a journal begins with sqlite://, postgres:// or kurrentdb://".to_owned()
    })?;
    Ok(value.to_owned())
}

pub(super) fn read_url(value: &str) -> Result<String, String> {
    match value.split_once("://") {
        Some(("sqlite" | "postgres" | "postgresql", place)) if !place.is_empty() => {
            Ok(value.to_owned())
        }
        _ => Err("a URL of the read tables begins with sqlite:// or postgres://".to_owned()),
    }
}

pub(super) fn nats_servers(value: &str) -> Result<NatsServers, String> {
    NatsServers::parse(value).map_err(|error| error.to_string())
}

/// A stream's name. JetStream uses it in subjects, which restricts the characters (ADR-6 of NATS).
pub(super) fn stream_name(value: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    // Servers allow 255 bytes, and the name of the stream of checkpoints is longer by a suffix.
    let most = 255 - NatsSettings::CHECKPOINTS.len();
    if value.len() <= most && value.chars().all(fits) {
        return Ok(value.to_owned());
    }
    Err(format!("a stream's name has up to {most} of A-Z, a-z, 0-9, _ and -"))
}

pub(super) fn replicas(value: &str) -> Result<usize, String> {
    let replicas = value.parse().ok().filter(|replicas| (1..=5).contains(replicas));
    replicas.ok_or_else(|| "no number from 1 to 5".to_owned())
}

pub(super) fn max_keys(value: &str) -> Result<u32, String> {
    let most = value.parse().ok().filter(|most| (1..=100_000).contains(most));
    most.ok_or_else(|| "no number from 1 to 100000".to_owned())
}

/// The hashes in a file: the first word of each line, but of empty ones and of comments, which begin with
/// `#`. So a file that `sha256sum` has written will do.
pub(super) fn internal_tokens(value: &str) -> Result<InternalCallers, String> {
    let text = read_private(Path::new(value))?;
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let hash = |(line, number): (&str, u32)| {
        let word = line.split_ascii_whitespace().next().unwrap_or_default();
        KeyHash::from_hex(word).map_err(|_| {
            format!("line {number} of the file does not begin with a SHA-256 in lower-case hex")
        })
    };
    let hashes = lines.map(hash).collect::<Result<HashSet<_>, _>>()?;
    if hashes.is_empty() {
        return Err("the file has no hash of a token".to_owned());
    }
    Ok(InternalCallers::with_tokens(hashes))
}

pub(super) fn list_default(value: &str) -> Result<StatusFilter, String> {
    match value {
        "all" => Ok(StatusFilter::All),
        "active" => Ok(StatusFilter::Active),
        _ => Err("neither all nor active".to_owned()),
    }
}

/// What is in each of these files with secrets. A mistake names the file by its number.
fn private_files<T>(
    paths: Vec<String>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let read = |(path, number): (String, u32)| {
        let parsed = read_private(Path::new(&path)).and_then(|text| parse(&text));
        parsed.map_err(|why| format!("file {number}: {why}"))
    };
    paths.into_iter().zip(1..).map(read).collect()
}

/// The secrets in these files, each without the white space at its end, which editors add.
pub(super) fn hmac_secrets(value: &str) -> Result<Vec<HmacSecret>, String> {
    const MOST: usize = 8;
    let paths = list(value)?;
    if paths.len() > MOST {
        return Err(format!("names more than {MOST} files"));
    }
    private_files(paths, |text| {
        HmacSecret::new(text.trim_end().as_bytes()).map_err(|error| error.to_string())
    })
}

pub(super) fn rsa_algorithm(value: &str) -> Result<RsaAlgorithm, String> {
    match value {
        "RS256" => Ok(RsaAlgorithm::Rs256),
        "PS256" => Ok(RsaAlgorithm::Ps256),
        _ => Err("neither RS256 nor PS256".to_owned()),
    }
}

pub(super) fn claim_paths(value: &str) -> Result<Vec<ClaimPath>, String> {
    let paths = list(value)?.into_iter().map(|path| path.parse::<ClaimPath>());
    paths.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

pub(super) fn private_file(value: &str) -> Result<PathBuf, String> {
    files::private(value)
}

/// A URI reference (RFC 3986), as CloudEvents require for `source`. Only the characters are checked.
pub(super) fn event_source(value: &str) -> Result<String, String> {
    if value.chars().all(|c| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c)) {
        return Ok(value.to_owned());
    }
    Err("no URI".to_owned())
}

pub(super) fn roles(value: &str) -> Result<Roles, String> {
    let mut roles = Roles::default();
    for role in list(value)? {
        match role.as_str() {
            "api" => roles.api = true,
            "verify" => roles.verify = true,
            "projector" => roles.projector = true,
            "relay" => roles.relay = true,
            _ => return Err("there are the roles api, verify, projector and relay".to_owned()),
        }
    }
    Ok(roles)
}

pub(super) fn key_prefix(value: &str) -> Result<KeyPrefix, String> {
    KeyPrefix::parse(value).map_err(|error| error.to_string())
}

pub(super) fn public_key(value: &str, rsa: RsaAlgorithm) -> Result<TokenKeys, String> {
    let pem = if value.starts_with("-----BEGIN") {
        value.to_owned()
    } else {
        std::fs::read_to_string(value)
            .map_err(|error| format!("the file cannot be read: {error}"))?
    };
    VerifyingKey::from_pem(&pem, rsa).map(TokenKeys::PublicKey).map_err(|error| error.to_string())
}

pub(super) fn audit_keys(value: &str) -> Result<LogKeys, String> {
    let keys = private_files(list(value)?, |text| {
        NoteSigningKey::parse(text.trim()).map_err(|error| error.to_string())
    })?;
    LogKeys::new(keys).map_err(|error| error.to_string())
}

pub(super) fn plain_http(value: &str) -> Result<PlainHttp, String> {
    match value {
        "loopback" => Ok(PlainHttp::Loopback),
        "private" => Ok(PlainHttp::Private),
        _ => Err("neither loopback nor private".to_owned()),
    }
}

pub(super) fn jwks_url(value: &str, http: PlainHttp) -> Result<TokenKeys, String> {
    JwksUrl::parse(value, http).map(TokenKeys::Jwks).map_err(|error| error.to_string())
}

pub(super) fn shared_secret(value: &str) -> Result<SharedSecret, String> {
    SharedSecret::new(value.to_owned()).map_err(|error| error.to_string())
}

/// Origins as browsers send them (WHATWG HTML, ASCII serialisation): scheme, host, and the port unless
/// it is the scheme's default.
pub(super) fn origins(value: &str) -> Result<Vec<String>, String> {
    list(value)?
        .into_iter()
        .map(|origin| {
            let url = Url::parse(&origin).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
            // Each origin is compared as a whole.
            let url = url.filter(|url| !url.host_str().unwrap_or_default().contains('*'));
            let serialised = url.map(|url| url.origin().ascii_serialization());
            serialised.filter(|serialised| *serialised == origin).ok_or_else(|| {
                "lists no origins, such as https://app.example.com; there are no patterns"
                    .to_owned()
            })
        })
        .collect()
}

pub(super) fn log_filter(value: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(value)
        .map(|_| value.to_owned())
        .map_err(|_| "not a log filter, such as info or keyledger=debug".to_owned())
}

pub(super) fn log_format(value: &str) -> Result<LogFormat, String> {
    match value {
        "auto" => Ok(LogFormat::Auto),
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("none of auto, human and json".to_owned()),
    }
}
