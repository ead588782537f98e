//! The trace that a request belongs to, as its caller says (W3C Trace Context, level 1).

use std::str::FromStr;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use reqwest::header::{HeaderMap, HeaderName};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of `00-<trace>-<span>-<flags>`.
const LENGTH: usize = 55;
/// The most bytes of a `tracestate` that are passed on; a longer one is left out (§ 3.3.1.5).
const MOST_STATE: usize = 512;

/// A well-formed `traceparent` (§ 3.2).
#[derive(Clone, Copy, Debug)]
pub struct Traceparent<'a> {
    text: &'a str,
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

impl<'a> Traceparent<'a> {
    /// The `traceparent` of a request; `None` if there is none, if it is malformed, or if there are several.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.to_str().ok()?),
            _ => None,
        }
    }

    /// The same, if the caller records the trace. Where most requests do not, this costs less: of those, no more
    /// than the last character is looked at.
    #[must_use]
    pub fn sampled(headers: &'a HeaderMap) -> Option<Self> {
        let flags = headers.get(TRACEPARENT)?.as_bytes().get(LENGTH - 1)?;
        // The flag is the lowest bit of the last digit.
        if !matches!(flags, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f') {
            return None;
        }
        Self::of(headers)
    }

    fn parse(text: &'a str) -> Option<Self> {
        // A later version may have more after a further dash, which version 00 has not.
        let (text, rest) = text.split_at_checked(LENGTH)?;
        let mut parts = text.split('-');
        let [version, trace, span, flags] =
            [(); 4].map(|()| parts.next().filter(|part| part.bytes().all(is_lower_hex)));
        let version = version.filter(|it| it.len() == 2 && *it != "ff")?;
        let trace = TraceId::from_hex(trace.filter(|it| it.len() == 32)?).ok()?;
        let span = SpanId::from_hex(span.filter(|it| it.len() == 16)?).ok()?;
        let flags = u8::from_str_radix(flags.filter(|it| it.len() == 2)?, 16).ok()?;
        let ends = if version == "00" {
            rest.is_empty()
        } else {
            rest.is_empty() || rest.starts_with('-')
        };
        let is_valid = ends && trace != TraceId::INVALID && span != SpanId::INVALID;
        // Flags that are not known are not passed on (§ 3.2.2.5.2).
        let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
        is_valid.then_some(Self { text, trace, span, flags })
    }

    /// Its text up to the flags: 55 characters.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Whether the caller may have recorded the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// Makes a span a child of the caller's span, with the `tracestate` of the same request. Must be called
    /// before the span is entered.
    pub fn continue_in(&self, span: &Span, headers: &HeaderMap) {
        let context = SpanContext::new(self.trace, self.span, self.flags, true, state(headers));
        // Fails only if the span is not for traces, or was entered.
        let _ = span.set_parent(Context::new().with_remote_span_context(context));
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The `tracestate` of a request. It may come in several headers (§ 3.3.1); a malformed one counts as none.
fn state(headers: &HeaderMap) -> TraceState {
    let values: Option<Vec<&str>> =
        headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
    let text = values.unwrap_or_default().join(",");
    if text.len() > MOST_STATE {
        return TraceState::default();
    }
    TraceState::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn with(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_str(value).unwrap());
        values.map(|value| (TRACEPARENT, value)).collect()
    }

    #[test]
    fn a_well_formed_traceparent_is_taken() {
        for (text, is_sampled) in [
            (format!("00-{TRACE}-b7ad6b7169203331-01"), true),
            (format!("00-{TRACE}-b7ad6b7169203331-00"), false),
            (format!("00-{TRACE}-b7ad6b7169203331-03"), true),
            (format!("00-{TRACE}-b7ad6b7169203331-fe"), false),
            (format!("cc-{TRACE}-b7ad6b7169203331-01"), true),
            (format!("cc-{TRACE}-b7ad6b7169203331-01-what-the-future-adds"), true),
        ] {
            let headers = with(&[&text]);
            let parent = Traceparent::of(&headers).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(parent.trace.to_string(), TRACE);
            assert_eq!(parent.span.to_string(), "b7ad6b7169203331");
            assert_eq!(parent.is_sampled(), is_sampled, "{text}");
            assert_eq!(parent.text(), &text[..LENGTH]);
            assert_eq!(Traceparent::sampled(&headers).is_some(), is_sampled, "{text}");
        }
    }

    #[test]
    fn any_other_is_none() {
        for text in [
            String::new(),
            "00".to_owned(),
            "é".repeat(60),
            format!("00-{TRACE}-b7ad6b7169203331-1"),
            format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            format!("cc-{TRACE}-b7ad6b7169203331-01.more"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b7169203331-0x"),
            format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-b7ad6b716920333100-01", &TRACE[2..]),
            format!("00-{TRACE}-+7ad6b7169203331-01"),
            format!("0-0{TRACE}-b7ad6b7169203331-01"),
        ] {
            assert!(Traceparent::parse(&text).is_none(), "{text}");
        }
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert!(Traceparent::of(&with(&[&good, &good])).is_none(), "there are two");
        assert!(Traceparent::of(&HeaderMap::new()).is_none());
        assert!(Traceparent::sampled(&with(&[&good, &good])).is_none(), "there are two");
        assert!(Traceparent::sampled(&with(&["00-1"])).is_none());
    }

    #[test]
    fn the_tracestate_is_passed_on_if_it_is_well_formed_and_short() {
        let of = |values: &[&str]| {
            let values = values.iter().map(|value| HeaderValue::from_str(value).unwrap());
            state(&values.map(|value| (TRACESTATE, value)).collect()).header()
        };
        assert_eq!(of(&["rojo=00f067aa0ba902b7", "congo=t61"]), "rojo=00f067aa0ba902b7,congo=t61");
        assert_eq!(of(&["no list"]), "");
        assert_eq!(of(&[&format!("a={}", "x".repeat(MOST_STATE))]), "");
        assert_eq!(of(&[]), "");
    }
}
