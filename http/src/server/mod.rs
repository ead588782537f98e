//! Accepts connections, limits what each can cost, and closes them in order when the service stops.

mod activity;
mod connection;
mod room;
mod watched;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use keyledger_domain::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use activity::Activity;
use room::Room;
use watched::Watched;

/// The most headers of a request, and their most bytes in total.
pub(crate) const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How long a caller may take to send the headers of a request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// The most requests that a caller may have on one connection at the same time (HTTP/2).
const MAX_STREAMS: u32 = 100;
/// The most bytes of an answer that wait in a connection because the caller does not take them (HTTP/2).
const MAX_UNSENT: usize = 16 * 1024;
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who can connect to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Anyone. Callers that send too slowly, do not read their answers, or ask nothing are disconnected.
    Public,
    /// Our own gateways, with very many requests. There is no limit of their times, because it costs a
    /// timer for each request.
    Internal,
}

/// A listener, and what its connections may cost.
#[derive(Debug)]
pub struct Door {
    /// The listener.
    pub listener: TcpListener,
    /// Who can connect to it.
    pub exposure: Exposure,
    /// The most connections that are open at the same time; at least 1. Others wait until one is closed.
    pub most_connections: usize,
    /// While it is out of range, connections are closed without an answer.
    pub clock: Arc<dyn Clock>,
}

/// A service that answers the requests of a connection.
pub trait Answers:
    Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static>
    + Send
    + 'static
{
}

impl<S> Answers for S where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static>
        + Send
        + 'static
{
}

/// The service of a router.
#[must_use]
pub fn routed(router: Router) -> TowerToHyperService<Router> {
    TowerToHyperService::new(router)
}

/// Serves connections until `stop` completes; `service` is called for each new one. Then no more
/// connections are accepted, and open ones may finish their requests, for `grace` at most.
pub async fn serve<S: Answers>(
    door: Door,
    service: impl Fn() -> S,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let Door { listener, exposure, most_connections, clock } = door;
    let builder = builder(exposure);
    let room = Arc::new(Room::new(most_connections));
    let (close, closing) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    let mut is_accepting = true;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if std::mem::replace(&mut is_accepting, false) {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        is_accepting = true;
        let place = tokio::select! {
            place = room.place() => place,
            () = &mut stop => break,
        };
        while connections.try_join_next().is_some() {}
        // An answer is one small write, which Nagle's algorithm would only delay.
        let _ = stream.set_nodelay(true);
        let (stream, clock, closing) = (TokioIo::new(stream), clock.clone(), closing.clone());
        match exposure {
            Exposure::Public => {
                let activity = Arc::new(Activity::new());
                let service = Watched::new(service(), activity.clone());
                let served = builder.serve_connection(stream, service).into_owned();
                let room = room.clone();
                connections.spawn(async move {
                    connection::watch(served, &activity, &room, &*clock, closing).await;
                    drop(place);
                });
            }
            Exposure::Internal => {
                let served = builder.serve_connection(stream, service()).into_owned();
                connections.spawn(async move {
                    connection::keep(served, &*clock, closing).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    drop(close);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!("connections cut off: they took longer than the grace period");
    }
}

fn builder(exposure: Exposure) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
    if exposure == Exposure::Public {
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_UNSENT)
        .keep_alive_interval(Duration::from_secs(20));
    builder
}
