//! The pages.

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use lasthop_dataplane_api::EndpointReport;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::{
    metrics::Metrics,
    state::{Phase, State},
};

const INDEX: &str = "\
/metrics   metrics in Prometheus' text format
/healthz   200 while the process lives
/readyz    200 once a configuration is in force and until the process drains
/endpoints what the endpoints of TLS backends presented last, as JSON
/snapshot  the snapshot in force, as JSON, without private keys
/status    the conditions of all objects and the problems of the source, as JSON
";

const ONLY_HERE: &str = "\
this page is shown on the machine itself, or in the pod; from elsewhere by `kubectl port-forward` or `ssh -L`
";

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

type Answer = Response<Full<Bytes>>;

/// What the pages show.
pub(super) struct Pages {
    state: Arc<State>,
    metrics: Metrics,
    /// Tells of endpoints; `None`: nobody does.
    pub(super) endpoints: Option<Arc<dyn Fn() -> Vec<EndpointReport> + Send + Sync>>,
    /// A large snapshot takes a while to write down: one at a time.
    large: Semaphore,
}

impl Pages {
    pub(super) fn new(state: Arc<State>, metrics: Metrics) -> Self {
        Self { state, metrics, endpoints: None, large: Semaphore::new(1) }
    }

    /// `is_here`: who asks is on this machine, or in this pod.
    pub(super) async fn answer<B>(&self, request: &Request<B>, is_here: bool) -> Answer {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered here\n");
            answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let path = request.uri().path();
        // They name hosts, backends and policies of everybody.
        if !is_here && ["/snapshot", "/endpoints", "/status"].contains(&path) {
            return page(StatusCode::FORBIDDEN, TEXT, ONLY_HERE);
        }
        match path {
            "/" => page(StatusCode::OK, TEXT, INDEX),
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => self.ready(),
            "/metrics" => match self.metrics.encode() {
                Ok(text) => page(StatusCode::OK, METRICS, text),
                Err(error) => failed(&error),
            },
            "/snapshot" => {
                let snapshot = self.state.snapshot();
                self.large(move || to_json(snapshot.as_ref())).await
            }
            "/endpoints" => {
                let reports = self.endpoints.clone();
                self.large(move || to_json(&reports.map(|reports| reports()).unwrap_or_default())).await
            }
            "/status" => {
                let state = self.state.clone();
                self.large(move || to_json(&state.change_board(|board| board.to_json()))).await
            }
            _ => page(StatusCode::NOT_FOUND, TEXT, format!("there is no such page; there are\n{INDEX}")),
        }
    }

    fn ready(&self) -> Answer {
        match self.state.phase() {
            Phase::Starting => {
                page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "no configuration is in force yet\n")
            }
            Phase::Ready => page(StatusCode::OK, TEXT, "ok\n"),
            Phase::Draining => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n"),
        }
    }

    async fn large(&self, make: impl FnOnce() -> Answer + Send + 'static) -> Answer {
        let Ok(_slot) = self.large.acquire().await else { return failed(&"closed") };
        match tokio::task::spawn_blocking(make).await {
            Ok(answer) => answer,
            Err(error) => failed(&error),
        }
    }
}

fn to_json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(json) => page(StatusCode::OK, JSON, json),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn Display) -> Answer {
    page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n"))
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}
