//! In front of the service: each call is its caller's, comes at a bounded rate, and goes no further without the role that it needs.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};

use super::body::Paced;
use super::table::STREAMED;
use super::{Audit, Caller};

/// The service, for one connection.
#[derive(Clone)]
pub struct Guard<S> {
    pub service: S,
    pub caller: Arc<Caller>,
    pub audit: Audit,
    /// How long a message may take.
    pub patience: Duration,
}

type Answer = Result<http::Response<Body>, Infallible>;

impl<S, B> Service<http::Request<B>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<StdError>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, call: http::Request<B>) -> Self::Future {
        let rpc = call.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        if let Err(refused) = self.judge(&rpc) {
            return Box::pin(std::future::ready(Ok(refused.into_http())));
        }
        let (account, patience) = (self.caller.account.clone(), self.patience);
        let single = !STREAMED.contains(&&*rpc) && !call.body().is_end_stream();
        let mut call = call.map(|body| Body::new(Paced::new(body, account, patience, single)));
        call.extensions_mut().insert(self.caller.clone());
        Box::pin(self.service.call(call))
    }
}

impl<S> Guard<S> {
    fn judge(&self, rpc: &str) -> Result<(), Status> {
        if !self.caller.account.call_at(Instant::now()) {
            let text = format!("{rpc}: more than {} calls a second by {}", self.caller.account.rate(), self.caller);
            return Err(Status::resource_exhausted(text));
        }
        self.caller.may_call(rpc).map_err(|denied| self.audit.denied(&self.caller, rpc, "", denied))
    }
}
