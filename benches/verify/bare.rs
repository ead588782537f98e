//! The upper bound: handlers that take the same requests as keyledger and answer with as many bytes,
//! without any work in between.

use std::hint::black_box;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

const VERDICT: &str = concat!(
    r#"{"valid":true,"code":"VALID","key_id":"01890a5d-ac96-774b-bcce-b302099a8057","#,
    r#""user_id":"5f4dcc3b-5aa7-5d61-9327-deb882cf99a1","#,
    r#""user_email":"ann.lovelace12345@example.com","name":"production no. 7","#,
    r#""created_at":"2026-03-01T12:00:00.000000Z","expires_at":null}"#
);

#[derive(Deserialize)]
struct Presented {
    key: String,
}

pub(crate) fn router() -> Router {
    Router::new()
        .route("/hello", get(async || "Hello, World!"))
        .route("/verify", post(verify))
        .route("/auth", get(auth))
}

async fn verify(Json(presented): Json<Presented>) -> impl IntoResponse {
    black_box(presented.key);
    ([(CONTENT_TYPE, "application/json")], VERDICT)
}

async fn auth(headers: HeaderMap) -> Response {
    let Some(key) = headers.get("x-api-key") else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    black_box(key);
    [
        ("x-key-id", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ("x-user-id", "5f4dcc3b-5aa7-5d61-9327-deb882cf99a1"),
        ("x-user-email", "ann.lovelace12345%40example.com"),
        ("x-key-name", "production%20no.%207"),
    ]
    .into_response()
}
