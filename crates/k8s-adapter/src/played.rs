//! For tests: an API server that the test plays.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use kube::{Client, client::Body};
use tower_service::Service;

/// A client of an API server that answers like this.
pub(crate) fn client<F>(answer: impl FnMut(Request<Body>) -> F + Send + 'static) -> Client
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    Client::new(Played(answer), "default")
}

/// An answer with this object.
pub(crate) fn answer(status: u16, object: &serde_json::Value) -> Response<Body> {
    let body = Body::from(object.to_string().into_bytes());
    Response::builder().status(status).body(body).unwrap()
}

struct Played<A>(A);

impl<A, F> Service<Request<Body>> for Played<A>
where
    A: FnMut(Request<Body>) -> F,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async move { Ok(answer.await) })
    }
}
