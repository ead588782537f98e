//! `/docs/`, a page to read and try the API, and `/openapi.json`, the document that it shows.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

/// The routes of the page and the document.
pub(crate) fn pages(document: OpenApi) -> Router {
    SwaggerUi::new("/docs").url("/openapi.json", document).into()
}
