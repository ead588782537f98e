//! Parses the values of variables of OpenTelemetry. No mistake repeats one.

use std::time::Duration;

use keyledger_telemetry::Sampler;
use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Url};

/// The most bytes of a file of certificates.
const MOST_CERTIFICATES: u64 = 1024 * 1024;

/// Whether a signal is sent, as the name of its exporter says.
pub(super) fn is_sent(value: &str) -> Result<bool, String> {
    match value {
        "otlp" => Ok(true),
        "none" => Ok(false),
        _ => Err("only otlp and none are known".to_owned()),
    }
}

/// The endpoint of one signal.
pub(super) fn url(value: &str) -> Result<Url, String> {
    let url = Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or("no URL of a collector, such as http://localhost:4318")?;
    if url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err("must have no user and no password; give them in OTEL_EXPORTER_OTLP_HEADERS".to_owned())
    }
}

/// The endpoint of one signal below that of all.
pub(super) fn url_with(value: &str, path: &str) -> Result<Url, String> {
    let mut url = url(value)?;
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/{path}"));
    Ok(url)
}

pub(super) fn protocol(value: &str) -> Result<(), String> {
    match value {
        "http/protobuf" => Ok(()),
        _ => Err("only http/protobuf is spoken, which collectors take on port 4318; leave it out, or set \
             OTEL_SDK_DISABLED=true to send nothing"
            .to_owned()),
    }
}

pub(super) fn compression(value: &str) -> Result<(), String> {
    match value {
        "none" => Ok(()),
        _ => Err("messages are not compressed; leave it out".to_owned()),
    }
}

pub(super) fn unsupported(_: &str) -> Result<(), String> {
    Err("client certificates are not supported; leave it out".to_owned())
}

pub(super) fn millis(least: u64, most: u64) -> impl Fn(&str) -> Result<Duration, String> {
    move |value| {
        let millis = value.parse().ok().filter(|millis| (least..=most).contains(millis));
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| format!("must be a number of milliseconds from {least} to {most}"))
    }
}

/// A list as of W3C Baggage, without properties: `name=value,name=value`, values percent-encoded.
pub(super) fn pairs(value: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pairs: Option<Vec<_>> = parts.map(pair).collect();
    pairs.ok_or_else(|| "no list of name=value, separated by commas, percent-encoded".to_owned())
}

pub(super) fn headers(value: &str) -> Result<HeaderMap, String> {
    let header = |(name, value): (String, String)| {
        let name = HeaderName::try_from(name).ok()?;
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let headers: Option<HeaderMap> = pairs(value)?.into_iter().map(header).collect();
    headers.ok_or_else(|| "has a name or a value that no header can have".to_owned())
}

pub(super) fn certificates(path: &str) -> Result<Vec<Certificate>, String> {
    // The path is not told: it may be a secret in the wrong place.
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MOST_CERTIFICATES {
        return Err("no file of at most 1 MiB".to_owned());
    }
    let pem = std::fs::read(path).map_err(unreadable)?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err("the file has no certificate in PEM form".to_owned());
    }
    Ok(certificates)
}

pub(super) fn ratio(value: &str) -> Result<f64, String> {
    let ratio = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

pub(super) fn sampler(name: &str, ratio: f64) -> Result<Sampler, String> {
    let root = match name.strip_prefix("parentbased_").unwrap_or(name) {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        _ => {
            return Err("none of always_on, always_off and traceidratio, nor one of these after \
                 parentbased_"
                .to_owned());
        }
    };
    let is_by_parent = name.starts_with("parentbased_");
    Ok(if is_by_parent { Sampler::ParentBased(Box::new(root)) } else { root })
}

pub(super) fn default_sampler() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::AlwaysOn))
}
