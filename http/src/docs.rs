//! `/openapi.json`, the document of a listener, and `/docs/`, a page to read and try the public API. All
//! addresses are relative, so that both work behind a proxy that adds a prefix to the paths.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, serve};

use crate::problem::ApiError;

/// The route of a document.
pub(crate) fn document(document: &OpenApi) -> Result<Router, serde_json::Error> {
    let json = Bytes::from(document.to_json()?);
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], json);
    Ok(Router::new().route("/openapi.json", get(answer)))
}

/// The routes of the page.
pub(crate) fn page() -> Router {
    let config = Arc::new(Config::from("../openapi.json"));
    let page = move |file: String| {
        let config = config.clone();
        async move { answer(&file, config) }
    };
    let index = page.clone();
    // Relative to `/docs`, that is `/docs/`: from there, the page finds its files.
    let to_folder = async || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/")]);
    Router::new()
        .route("/docs", get(to_folder))
        .route("/docs/", get(move || index(String::new())))
        .route("/docs/{*file}", get(move |Path(file): Path<String>| page(file)))
}

/// A file of the page.
fn answer(file: &str, config: Arc<Config<'static>>) -> Result<Response, ApiError> {
    let found =
        serve(file, config).map_err(|error| ApiError::Internal(error.to_string().into()))?;
    let file = found.ok_or(ApiError::PathNotFound)?;
    Ok(([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response())
}
