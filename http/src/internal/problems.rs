//! The problems that several internal endpoints can answer, for the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use crate::problem::ApiError;
use crate::problem::documented::problems_of;

/// The problem of callers without a token, where the listener requires one.
pub(super) struct TokenProblem;

impl IntoResponses for TokenProblem {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems_of([ApiError::InternalTokenRequired])
    }
}

/// The problems of every verification, and these.
pub(super) fn verification_problems(
    others: impl IntoIterator<Item = ApiError>,
) -> BTreeMap<String, RefOr<Response>> {
    let every = [
        ApiError::InvalidHeader { name: "", expected: "" },
        ApiError::InternalTokenRequired,
        ApiError::CannotVerify,
        ApiError::VerificationBehind,
    ];
    problems_of(others.into_iter().chain(every))
}
