//! The HTTP listeners: the public API, and the internal one with verification and metrics.
//!
//! A handler extracts, makes one call and maps the outcome. `extract` has what handlers take from
//! requests, `problem` what they answer when something fails. Each endpoint has a file of its own:
//! its parameters, its handler, its answer.

mod api;
mod audit;
mod budget;
mod docs;
mod document;
mod event;
mod extract;
mod headers;
mod health;
mod internal;
mod keys;
mod layers;
mod log;
mod metrics;
mod observe;
mod position;
mod problem;
mod server;
mod trace;
mod well_formed;

pub use api::{openapi_document, router};
pub use audit::{AuditState, KeyState};
pub use axum::Router;
pub use budget::AnswerBudget;
pub use extract::{Authenticator, SignIn, SignIns};
pub use health::{health_router, starting_router};
pub use internal::{InternalCallers, VerificationState, internal_document, internal_service};
pub use keys::{CommandState, Followers, HistoryState, Owners, QueryState};
pub use log::LogRoutesState;
pub use metrics::{Counters, Metrics};
pub use server::{Answers, Door, Exposure, routed, serve};
