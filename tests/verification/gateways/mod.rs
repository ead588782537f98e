//! The example gateways: which requests pass them, and what clients and the application see.

mod identity;
mod logs;
mod outages;
mod passing;
mod preflights;

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use keyledger_test_servers::gateway::{Gateway, Kind};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{create, key};
use crate::support::wait::until;
use crate::support::{Client, Service};

const KINDS: [Kind; 4] = [Kind::Nginx, Kind::Traefik, Kind::Envoy, Kind::Caddy];

/// The headers in which keyledger says whose a key is.
const IDENTITY: [&str; 4] = ["x-key-id", "x-key-name", "x-user-id", "x-user-email"];

/// A running gateway, and a client of it without a key.
struct Door {
    kind: Kind,
    stranger: Client,
    gateway: Gateway,
}

impl Door {
    /// Starts a gateway; waits until it answers with this status to a client without a key.
    async fn open(kind: Kind, keyledger: u16, application: u16, answer: u16) -> Self {
        let gateway = Gateway::start(kind, keyledger, application);
        let stranger = Client::new(&gateway.address(), None);
        until(format!("{kind:?} to answer {answer}"), async || {
            match stranger.try_send("GET", "/", None).await {
                Ok(answered) if answered.status == answer => Ok(()),
                Ok(answered) => Err(answered.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        Self { kind, stranger, gateway }
    }

    fn with(&self, key: &str) -> Client {
        self.stranger.with("x-api-key", key)
    }
}

async fn serve(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// What an application was sent since the last look: an object for each request.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Value>>>);

impl Seen {
    fn take(&self) -> Vec<Value> {
        take(&mut self.0.lock().unwrap())
    }
}

/// An application, and what it was sent.
struct Application {
    port: u16,
    seen: Seen,
}

impl Application {
    /// Starts an application that answers with what it was sent, to preflights with what CORS allows, and
    /// below `/status/` with the status that the path names.
    async fn start() -> Self {
        let seen = Seen::default();
        let refuse = async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap();
        let router = Router::new().route("/status/{status}", any(refuse)).fallback(tell);
        let router = router.layer(DefaultBodyLimit::disable()).with_state(seen.clone());
        Self { port: serve(router).await, seen }
    }
}

async fn tell(
    State(seen): State<Seen>,
    (method, uri): (Method, Uri),
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &headers {
        told.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    let target = uri.path_and_query().map(ToString::to_string);
    let request =
        json!({ "method": method.as_str(), "target": target, "headers": told, "body": body });
    seen.0.lock().unwrap().push(request.clone());
    match headers.get(header::ORIGIN) {
        Some(origin) if method == Method::OPTIONS => {
            let allowed = [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "x-api-key".parse().unwrap()),
            ];
            (StatusCode::NO_CONTENT, allowed).into_response()
        }
        _ => axum::Json(request).into_response(),
    }
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// All gateways in front of an application.
async fn doors(service: &Service, application: &Application) -> Vec<Door> {
    let mut doors = Vec::new();
    for kind in KINDS {
        doors.push(Door::open(kind, port(&service.internal), application.port, 401).await);
    }
    doors
}
