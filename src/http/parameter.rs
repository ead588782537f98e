//! The parameters of a query.

use super::problem::ApiError;

/// Keeps what a parameter says; it says it once.
pub(super) fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), ApiError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ApiError::InvalidParameter { name, expected: "given once" }),
    }
}
