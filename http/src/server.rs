//! Accepts connections, limits what each can cost, and closes them in order when the service stops.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

/// The most headers of a request, and their most bytes in total.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How long a caller may take to send the headers of a request.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be accepted, for example because the process has no
/// file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who can connect to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Anyone. Callers that send their headers too slowly are disconnected.
    Public,
    /// Our own gateways, with very many requests. There is no limit of the time for headers, because
    /// it costs a timer for each request.
    Internal,
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
    listener: TcpListener,
    service: impl Fn() -> S,
    exposure: Exposure,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
    if exposure == Exposure::Public {
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(100)
        .keep_alive_interval(Duration::from_secs(20));
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // An answer is one small write, which Nagle's algorithm would only delay.
        let _ = stream.set_nodelay(true);
        let connection = builder.serve_connection(TokioIo::new(stream), service()).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, open.shutdown()).await.is_err() {
        tracing::warn!("connections cut off: they took longer than the grace period");
    }
}
