//! The names of this API's own headers.

use axum::http::HeaderName;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const LAGGING: HeaderName = HeaderName::from_static("keyledger-lagging");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const MIN_POSITION: HeaderName = HeaderName::from_static("keyledger-min-position");
pub(super) const POSITION: HeaderName = HeaderName::from_static("keyledger-position");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
