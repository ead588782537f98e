//! The body of requests that end a key.

use axum::extract::{FromRequest, Request};
use keyledger_domain::Reason;
use utoipa::ToSchema;

use crate::extract::{Fields, parse, read_optional_json};
use crate::problem::ApiError;

/// Why a key is to be revoked or deleted. The body may be left out.
#[derive(Debug, ToSchema)]
pub(crate) struct ReasonBody {
    /// Why, for the history; trimmed of white space at both ends.
    #[schema(
        value_type = Option<String>,
        max_length = 500,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]*$"
    )]
    pub(super) reason: Option<Reason>,
}

impl<S: Send + Sync> FromRequest<S> for ReasonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let Some(bytes) = read_optional_json(request).await? else {
            return Ok(Self { reason: None });
        };
        let mut fields: Fields = parse(&bytes)?;
        let reason = fields.string("reason")?;
        fields.finish()?;
        let reason = reason.as_deref().map(Reason::parse).transpose()?.flatten();
        Ok(Self { reason })
    }
}
