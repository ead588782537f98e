//! The path parameter `key_id`.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use keyledger_domain::KeyId;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use uuid::Uuid;

use super::schema;
use crate::problem::ApiError;

/// The id of the key in the path. A text that is no UUID is answered like a key that does not exist.
pub(crate) struct KeyPath(pub(crate) KeyId);

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<Uuid>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(KeyId::from_uuid(id))).map_err(|_| ApiError::KeyNotFound)
    }
}

impl IntoParams for KeyPath {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = ParameterBuilder::new()
            .name("key_id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(schema::uuid()));
        vec![parameter.build()]
    }
}
