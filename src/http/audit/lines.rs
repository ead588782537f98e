//! Events as they come, each a JSON object on a line of its own.
//!
//! The body is pulled: nothing is read from the journal before the caller has taken what was there,
//! so a slow reader costs no memory. One that fails in its midst is broken off, which every client
//! notices.

use std::pin::{Pin, pin};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Peekable, ReadyChunks};
use futures::{Stream, StreamExt};
use keyledger_domain::Delivery;
use keyledger_domain::EventFilter;
use tracing::Span;

use crate::audit::broken_off;
use crate::http::event::AuditEvent;
use crate::http::problem::ApiError;
use keyledger_domain::chain;
use keyledger_journal::{Cause, ReadError, Subscription};

pub(super) const NDJSON: &str = "application/x-ndjson";
/// How long nothing may be said: an empty line shows both ends that the other is still there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How many events are handed on together at most.
const TOGETHER: usize = 64;

/// The events that are there.
pub(super) async fn all(
    deliveries: Subscription,
    filter: EventFilter,
    limit: Option<usize>,
) -> Result<Response, ApiError> {
    let lines = Lines::begin(deliveries, filter, limit, false).await?;
    Ok(answer(stream::unfold(lines, Lines::next)))
}

/// The events that are there, and those that come, to the end.
pub(super) async fn follow(
    deliveries: Subscription,
    filter: EventFilter,
    limit: Option<usize>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<Response, ApiError> {
    let lines = Lines::begin(deliveries, filter, limit, true).await?;
    Ok(answer(stream::unfold(lines, Lines::next).take_until(end)))
}

fn answer(body: impl Stream<Item = Result<Vec<u8>, Cause>> + Send + 'static) -> Response {
    // A proxy of this name's kind would otherwise gather lines before it hands them on.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    ([(header::CONTENT_TYPE, NDJSON), unbuffered], Body::from_stream(body)).into_response()
}

struct Lines {
    deliveries: ReadyChunks<Peekable<Subscription>>,
    filter: EventFilter,
    /// How many lines may still be written.
    left: usize,
    /// Whether it goes on when it has caught up with the journal.
    follows: bool,
    end: Option<End>,
    /// The request's, for the log.
    span: Span,
}

enum End {
    InOrder,
    Failure(Cause),
}

impl Lines {
    /// Begins once the journal delivers: what fails before is answered as any failure is.
    async fn begin(
        deliveries: Subscription,
        filter: EventFilter,
        limit: Option<usize>,
        follows: bool,
    ) -> Result<Self, ReadError> {
        let mut deliveries = deliveries.peekable();
        if !matches!(Pin::new(&mut deliveries).peek().await, Some(Ok(_))) {
            return Err(match deliveries.next().await {
                Some(Err(error)) => error,
                Some(Ok(_)) | None => broken_off(),
            });
        }
        let deliveries = deliveries.ready_chunks(TOGETHER);
        let left = limit.unwrap_or(usize::MAX);
        Ok(Self { deliveries, filter, left, follows, end: None, span: Span::current() })
    }

    /// The next lines, and what comes after them.
    async fn next(mut self) -> Option<(Result<Vec<u8>, Cause>, Self)> {
        let mut heartbeat = pin!(tokio::time::sleep(HEARTBEAT));
        loop {
            match self.end.take() {
                None => {}
                Some(End::InOrder) => return None,
                Some(End::Failure(cause)) => {
                    let told = chain(&*cause);
                    tracing::error!(parent: &self.span, cause = %told, "stream broken off");
                    self.end = Some(End::InOrder);
                    return Some((Err(cause), self));
                }
            }
            let deliveries = tokio::select! {
                deliveries = self.deliveries.next() => deliveries,
                () = &mut heartbeat => return Some((Ok(b"\n".to_vec()), self)),
            };
            let mut lines = Vec::new();
            self.end = self
                .write(deliveries, &mut lines)
                .unwrap_or_else(|error| Some(End::Failure(error)));
            if !lines.is_empty() {
                return Some((Ok(lines), self));
            }
        }
    }

    /// Writes what is wanted of these; tells whether it was the last.
    fn write(
        &mut self,
        deliveries: Option<Vec<Result<Delivery, ReadError>>>,
        lines: &mut Vec<u8>,
    ) -> Result<Option<End>, Cause> {
        for delivery in deliveries.ok_or_else(broken_off)? {
            match delivery? {
                Delivery::Event(event) if self.filter.fits(&event) => {
                    serde_json::to_writer(&mut *lines, &AuditEvent::from(event))?;
                    lines.push(b'\n');
                    self.left -= 1;
                    if self.left == 0 {
                        return Ok(Some(End::InOrder));
                    }
                }
                Delivery::CaughtUp(_) if !self.follows => return Ok(Some(End::InOrder)),
                Delivery::Event(_) | Delivery::CaughtUp(_) => {}
            }
        }
        Ok(None)
    }
}
