//! Sends messages to a collector (OTLP 1, binary Protobuf over HTTP).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyledger_domain::chain;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

use crate::settings::Collector;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// The first pause between two attempts, unless the collector names one; each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a collector may ask for, in seconds.
const LONGEST_PAUSE: u64 = 600;
/// The most bytes of an answer that are read, so that its connection can be used again.
const MOST_ANSWER: usize = 64 * 1024;

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the collector cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the collector answered with status {}", .status.as_u16())]
    Refused { status: StatusCode, retry_after: Option<Duration> },
    #[error("the collector did not answer in time")]
    TooLate,
}

impl SendError {
    /// The pause before another attempt; `None` if another would fail too.
    fn pause(&self, default: Duration) -> Option<Duration> {
        match self {
            Self::Unreachable(_) => Some(default),
            Self::Refused { status, retry_after } => {
                let passes = matches!(status.as_u16(), 429 | 502 | 503 | 504);
                passes.then(|| retry_after.unwrap_or(default))
            }
            Self::TooLate => None,
        }
    }
}

/// Sends the messages of one signal, and logs when they begin to fail and when they succeed again.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    to: Collector,
    /// What is sent: `traces` or `metrics`.
    signal: &'static str,
    fails: AtomicBool,
}

impl Sender {
    pub(crate) fn new(to: Collector, signal: &'static str) -> reqwest::Result<Self> {
        // What is sent goes to this address only.
        let client = Client::builder().redirect(Policy::none()).tls_certs_merge(to.roots.clone());
        let client = client.build()?;
        Ok(Self { client, to, signal, fails: AtomicBool::new(false) })
    }

    /// Sends a message. Failures that may pass are tried again until the time limit of the message.
    pub(crate) async fn send(&self, message: Vec<u8>) -> Result<(), SendError> {
        let sent = self.try_until(message.into(), Instant::now() + self.to.timeout).await;
        let signal = self.signal;
        match &sent {
            Ok(()) if self.fails.swap(false, Ordering::Relaxed) => {
                tracing::info!(signal, "the collector takes what is sent again");
            }
            Err(error) if !self.fails.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    signal,
                    cause = %chain(error),
                    "the collector does not take what is sent: it is dropped until the collector does"
                );
            }
            Ok(()) | Err(_) => {}
        }
        sent
    }

    async fn try_until(&self, message: bytes::Bytes, end: Instant) -> Result<(), SendError> {
        let mut pause = PAUSE;
        loop {
            let attempt = timeout_at(end, self.attempt(message.clone())).await;
            let Err(error) = attempt.unwrap_or(Err(SendError::TooLate)) else { return Ok(()) };
            match error.pause(pause) {
                Some(wait) if wait < end.saturating_duration_since(Instant::now()) => {
                    sleep(wait).await
                }
                _ => return Err(error),
            }
            pause = pause.saturating_mul(2);
        }
    }

    async fn attempt(&self, message: bytes::Bytes) -> Result<(), SendError> {
        let request = self.client.post(self.to.url.clone()).headers(self.to.headers.clone());
        let request = request.header(CONTENT_TYPE, PROTOBUF).body(message);
        // The log does not show the address.
        let unreachable = |error: reqwest::Error| SendError::Unreachable(error.without_url());
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(SendError::Refused { status, retry_after: retry_after(&answer) });
        }
        // It was taken. To read the rest only saves a connection.
        let _ = drain(answer).await;
        Ok(())
    }
}

/// The pause that a collector asks for, if it does so in seconds: 1 to [`LONGEST_PAUSE`].
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(|seconds: u64| Duration::from_secs(seconds.clamp(1, LONGEST_PAUSE)))
}

async fn drain(mut answer: Response) -> reqwest::Result<()> {
    let mut read = 0;
    while let Some(chunk) = answer.chunk().await? {
        read += chunk.len();
        if read > MOST_ANSWER {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_is_asked_for_is_bounded() {
        for (asked, pause) in [
            (Some("0"), Some(1)),
            (Some("7"), Some(7)),
            (Some("601"), Some(LONGEST_PAUSE)),
            (Some("18446744073709551615"), Some(LONGEST_PAUSE)),
            (Some("18446744073709551616"), None),
            (Some("-1"), None),
            (Some("Fri, 27 Nov 2026 12:00:00 GMT"), None),
            (None, None),
        ] {
            let mut answer = Response::from(http::Response::new(""));
            answer.headers_mut().extend(asked.map(|asked| (RETRY_AFTER, asked.parse().unwrap())));
            assert_eq!(retry_after(&answer), pause.map(Duration::from_secs), "{asked:?}");
        }
    }
}
