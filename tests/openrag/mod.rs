//! The example that puts keyledger in OpenRAG's place: its nginx, as it is, before a page that makes the
//! requests of OpenRAG's page, and before an application that stands for the rest of OpenRAG.

mod page;
mod paths;

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Uri};
use axum::response::Html;
use axum::routing::{any, get};
use futures::{StreamExt, stream};
use keyledger_test_servers::gateway::Gateway;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::Service;

/// What stands for OpenRAG: it has the page, and below `/api/v1/` it tells what it was sent. `/api/v1/stream` and
/// `/api/langflow`, which the page asks, send the first piece of an answer and never another one.
async fn openrag() -> u16 {
    let tell = async |uri: Uri, headers: HeaderMap, body: String| {
        let key = headers.get("x-api-key").or(headers.get("authorization"));
        let key = key.map(|key| key.to_str().unwrap().to_owned());
        axum::Json(json!({ "target": uri.to_string(), "key": key, "body": body }))
    };
    let page = async || Html(include_str!("page.html"));
    let piece = stream::iter([Ok::<_, Infallible>("data: 1\n\n")]);
    let pieces = async move || Body::from_stream(piece.clone().chain(stream::pending()));
    let router = Router::new()
        .route("/api/v1/stream", get(pieces.clone()))
        .route("/api/langflow", get(pieces))
        .route("/api/v1/{*path}", any(tell))
        .route("/mcp", any(tell))
        .fallback(get(page))
        .layer(DefaultBodyLimit::disable());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// The example's nginx on this port, with another value for `Authorization` if there is one.
async fn front(service: &Service, listen: u16, authorization: Option<&str>) -> Gateway {
    let port = |address: &str| address.rsplit_once(':').unwrap().1.parse().unwrap();
    let keyledger = (port(&service.address), port(&service.internal));
    Gateway::openrag(listen, keyledger, openrag().await, authorization)
}
