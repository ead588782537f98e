//! The names of this API's own headers.

use axum::http::HeaderName;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const LAGGING: HeaderName = HeaderName::from_static("keyledger-lagging");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(crate) const MIN_POSITION: HeaderName = HeaderName::from_static("keyledger-min-position");
pub(crate) const POSITION: HeaderName = HeaderName::from_static("keyledger-position");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
