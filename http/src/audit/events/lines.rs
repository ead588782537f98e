//! Events as a stream, each a JSON object on a line of its own.
//!
//! The journal is read only as fast as the caller reads the body, so a slow caller costs no memory. If
//! the journal fails in the middle of a body, the body ends without its last chunk, which every HTTP
//! client reports as an error.

use std::pin::{Pin, pin};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Peekable, ReadyChunks};
use futures::{Stream, StreamExt};
use keyledger_domain::{Delivery, EventFilter, chain};
use keyledger_journal::{Cause, ReadError, Subscription};
use tracing::Span;

use crate::event::AuditEvent;
use crate::problem::ApiError;
use keyledger_audit::broken_off;

pub(super) const NDJSON: &str = "application/x-ndjson";
/// After this long without an event, an empty line is sent. It shows the caller that the connection
/// works, and makes this process notice that the caller has gone.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The most events that are sent in one piece.
const TOGETHER: usize = 64;

/// Sends the events that are in the journal.
pub(super) async fn all(
    deliveries: Subscription,
    filter: EventFilter,
    limit: Option<usize>,
) -> Result<Response, ApiError> {
    let lines = Lines::begin(deliveries, filter, limit, false).await?;
    Ok(answer(stream::unfold(lines, Lines::next)))
}

/// Sends the events that are in the journal, and those that are appended later, until `end` completes.
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
    // Keeps nginx from collecting lines in a buffer.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    ([(header::CONTENT_TYPE, NDJSON), unbuffered], Body::from_stream(body)).into_response()
}

struct Lines {
    deliveries: ReadyChunks<Peekable<Subscription>>,
    filter: EventFilter,
    /// How many lines may still be written; at least 1.
    left: usize,
    /// Whether the stream goes on when it has caught up with the journal.
    follows: bool,
    /// How the stream ends, once what was written before is sent.
    end: Option<End>,
    /// The span of the request, so that log lines name it.
    span: Span,
}

enum End {
    /// All lines are written.
    Complete,
    /// The journal failed.
    BrokenOff(Cause),
}

impl Lines {
    /// Waits for the first delivery, so that a journal that does not answer is a 503 and not a body
    /// that is broken off.
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

    /// Returns the next lines and the rest of the stream.
    async fn next(mut self) -> Option<(Result<Vec<u8>, Cause>, Self)> {
        let mut heartbeat = pin!(tokio::time::sleep(HEARTBEAT));
        loop {
            match self.end.take() {
                None => {}
                Some(End::Complete) => return None,
                Some(End::BrokenOff(cause)) => {
                    let cause_chain = chain(&*cause);
                    tracing::error!(parent: &self.span, cause = %cause_chain, "stream broken off");
                    self.end = Some(End::Complete);
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
                .unwrap_or_else(|error| Some(End::BrokenOff(error)));
            if !lines.is_empty() {
                return Some((Ok(lines), self));
            }
        }
    }

    /// Writes the deliveries that fit the filter. Returns the end of the stream if it is reached.
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
                        return Ok(Some(End::Complete));
                    }
                }
                Delivery::CaughtUp(_) if !self.follows => return Ok(Some(End::Complete)),
                Delivery::Event(_) | Delivery::CaughtUp(_) => {}
            }
        }
        Ok(None)
    }
}
