//! Reports to the [`Activity`] of a connection what its requests and answers do.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use futures::future::{BoxFuture, FutureExt};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;

use super::Answers;
use super::activity::{Activity, Answer};

/// A service whose requests are reported.
#[derive(Debug)]
pub(super) struct Watched<S> {
    service: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S: Answers> Service<Request<Incoming>> for Watched<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = self.activity.begin();
        let response = self.service.call(request);
        async move {
            let response = response.await?;
            answer.begins(response.body().size_hint().exact().is_some());
            Ok(response.map(|body| Body::new(WatchedBody { body, answer })))
        }
        .boxed()
    }
}

/// A body whose progress is reported.
struct WatchedBody {
    body: Body,
    answer: Answer,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(_)) => self.answer.is_handed(),
            Poll::Pending => self.answer.is_awaited(),
            Poll::Ready(None) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
