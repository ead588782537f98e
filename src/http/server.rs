//! The listener: takes connections, bounds what they may cost, and ends them in good order.

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

/// The most headers of a request, and the most bytes that they may have together.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// How long a caller may take to send a request's headers.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long to wait when the system has no file descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may come to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Anyone: whoever is slow to ask is cut off.
    Public,
    /// Machines of one's own, very often: what guards against others would cost each request a timer.
    Internal,
}

/// What answers the requests of a connection.
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

/// What answers as this router does.
#[must_use]
pub fn routed(router: Router) -> TowerToHyperService<Router> {
    TowerToHyperService::new(router)
}

/// Serves each connection with what `service` gives then, until `stop` completes, then takes no more
/// connections and lets those that are there finish what they are doing, for `grace` at most.
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
        // An answer is one small write: waiting to fill a packet would only delay it.
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
