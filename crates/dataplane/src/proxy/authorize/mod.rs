//! Asking a service whether a request may go on (GEP-1494), before anything else happens to it.
//!
//! The service is a backend like any other: what its TLS policy says holds for this hop too. Whatever keeps it from
//! answering keeps the request from going on, with the reason that a request to that backend would have had.

mod ext_authz;
mod http_request;
mod verdict;

use std::{rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Response, request, response};
use http_body_util::BodyExt as _;
use lasthop_dataplane_api::FailureReason;
use tokio::time::Instant;

pub(super) use self::verdict::ResponseFields;
use self::verdict::{Changes, Verdict};
use super::{
    RequestBody,
    attempt::{Route, attempt},
    exchange::{Exchange, Trace},
    grpc,
    outgoing::Outgoing,
    request_body::{ClientSource, Received},
};
use crate::{
    Limits,
    filters::{CompiledAuth, CompiledFilters, CompiledProtocol, FilterContext, FilterOutcome},
    hygiene::{self, HeaderLimits},
    upstream::{Hop, UpstreamBackend, Want},
};

/// How long a service may take, connecting included.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const LONGEST: usize = 64 * 1024;

/// What a service said.
struct Answer {
    head: response::Parts,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Exchange {
    /// Asks the service at this place of the filters, and goes on with those that come after it. `Some` is the response.
    /// The request's time limit holds meanwhile.
    pub(super) async fn authorize(
        &mut self,
        filters: &CompiledFilters,
        mut place: usize,
        until: Option<Instant>,
        parts: &mut request::Parts,
        context: &FilterContext<'_>,
    ) -> Result<Option<Response<Bytes>>, FailureReason> {
        loop {
            if let Some(auth) = filters.authorization(place)
                && let Some(denied) = self.ask_service(auth, until, parts, context).await?
            {
                self.reason = Some(FailureReason::AuthorizationDenied);
                return Ok(Some(denied));
            }
            match filters.apply_from(place + 1, parts, context) {
                FilterOutcome::Continue => return Ok(None),
                FilterOutcome::Respond(response) => return Ok(Some(response)),
                FilterOutcome::Invalid => return Err(FailureReason::InvalidFilter),
                FilterOutcome::Authorize(next) => place = next,
            }
        }
    }

    /// Asks one service. `Some` is its refusal; otherwise the request has what it asked for.
    async fn ask_service(
        &mut self,
        auth: &CompiledAuth,
        until: Option<Instant>,
        parts: &mut request::Parts,
        context: &FilterContext<'_>,
    ) -> Result<Option<Response<Bytes>>, FailureReason> {
        let backend = self.connection.worker.view.borrow().backend(&auth.target)?;
        // It is this hop that the log is to name if nothing comes of it.
        let before = self.backend.replace(backend.clone());
        let verdict = self.verdict_of(auth, &backend, until, parts, context).await?;
        self.backend = before;
        Ok(match verdict {
            Verdict::Allow(changes) => {
                self.change(parts, *changes);
                None
            }
            Verdict::Deny(denied) => Some(self.refusal(denied)),
        })
    }

    async fn verdict_of(
        &mut self,
        auth: &CompiledAuth,
        backend: &Rc<UpstreamBackend>,
        until: Option<Instant>,
        parts: &request::Parts,
        context: &FilterContext<'_>,
    ) -> Result<Verdict, FailureReason> {
        let shown = self.shown(auth, until).await.inspect_err(|reason| backend.count_failure(reason))?;
        let (request, want) = match &auth.protocol {
            CompiledProtocol::Http { path, headers, .. } => {
                (http_request::of(parts, path, headers, shown), backend.want(false, false))
            }
            CompiledProtocol::Grpc { headers } => {
                let between = [self.connection.client, self.connection.local];
                (ext_authz::request(parts, headers, shown, context, between, backend), Want::Http2)
            }
        };
        let request = request.ok_or(FailureReason::BadRequest)?;
        let answer = self.answer_of(backend, want, context.host, until, request).await?;
        let verdict = match &auth.protocol {
            CompiledProtocol::Http { answer_headers, .. } => http_request::verdict(answer, answer_headers),
            CompiledProtocol::Grpc { .. } => ext_authz::verdict(answer),
        };
        verdict.ok_or_else(|| {
            backend.count_failure(&FailureReason::UpstreamProtocol);
            FailureReason::UpstreamProtocol
        })
    }

    /// What the service is shown of the body: all of it, which has to come first. The API also has a text that wants a
    /// longer one truncated; but what comes after that could be anything, and the service decides by what it sees.
    async fn shown(&mut self, auth: &CompiledAuth, until: Option<Instant>) -> Result<Bytes, FailureReason> {
        let source = match &mut self.body {
            Some(source) if auth.body_bytes > 0 && !source.is_end() => source,
            _ => return Ok(Bytes::new()),
        };
        let limits = &self.connection.worker.limits;
        // What no backend may have is shown to nobody.
        let most = limits.body_bytes.unwrap_or(u64::MAX).min(auth.body_bytes.into());
        let read = read(source, most, until, limits).await;
        self.received = Some(Rc::new(Received::of(source.kept())));
        read?;
        Ok(source.shown())
    }

    /// Sends a request of our own and waits for all of the answer.
    async fn answer_of(
        &mut self,
        backend: &Rc<UpstreamBackend>,
        want: Want,
        host: &str,
        until: Option<Instant>,
        request: http::Request<Bytes>,
    ) -> Result<Answer, FailureReason> {
        if matches!(backend.hop, Hop::Refused) {
            backend.count_failure(&FailureReason::PolicyRefused);
            return Err(FailureReason::PolicyRefused);
        }
        let connection = self.connection.clone();
        let (parts, body) = request.into_parts();
        let body = if body.is_empty() { RequestBody::Empty } else { RequestBody::Own(body) };
        let mut outgoing = Outgoing { parts, body, received: None };
        let route = Route {
            worker: &connection.worker,
            backend,
            want,
            upgrade: false,
            host,
            between: [&connection.client, &connection.local],
            prefer: None,
            once: false,
        };
        let mut trace = Trace::default();
        let exchanged = async {
            let (response, lease) = attempt(route, &mut trace, &mut outgoing).await?;
            let asked = trace.successor.as_ref().unwrap_or(backend);
            let answer = asked.until(UpstreamBackend::is_cut, std::pin::pin!(collect(response))).await;
            let answer = answer.unwrap_or(Err(FailureReason::TrustRevoked));
            match &answer {
                Ok(_) => lease.release(),
                Err(reason) => asked.count_failure(reason),
            }
            answer
        };
        let (limit, over) = sooner(until, Instant::now() + LIMIT, FailureReason::BackendTimeout);
        let answer =
            super::retry::within(Some(limit), std::pin::pin!(exchanged)).await.unwrap_or_else(|| {
                backend.count_failure(&over);
                Err(over)
            });
        if answer.is_err() {
            self.trace.endpoint = trace.endpoint;
        }
        let answer = answer?;
        hygiene::check_response(&answer.head, false, HeaderLimits::from(&connection.worker.limits)).map_err(
            |violation| {
                tracing::debug!(
                    detail = violation.detail,
                    "the authorization service's answer breaks the protocol"
                );
                backend.count_failure(&violation.reason);
                violation.reason
            },
        )?;
        Ok(answer)
    }

    /// Gives the request what the service wants it to have.
    fn change(&mut self, parts: &mut request::Parts, changes: Changes) {
        let Changes { request, response, query } = changes;
        request.apply(&mut parts.headers);
        query.apply(parts);
        if !response.is_empty() {
            self.response_fields.get_or_insert_default().extend(response);
        }
    }

    /// The service's refusal in the client's form.
    fn refusal(&self, denied: Response<Bytes>) -> Response<Bytes> {
        let (mut parts, body) = denied.into_parts();
        if let Some(dialect) = self.grpc {
            return grpc::of_http(parts.status.as_u16(), dialect);
        }
        hygiene::to_downstream(&mut parts, self.is_http2());
        parts.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
        Response::from_parts(parts, body)
    }
}

/// Reads a body of at most so many bytes. It may stand still for as long as a header may take, and take as long in all as
/// a stream may stand still.
async fn read(
    source: &mut ClientSource,
    most: u64,
    until: Option<Instant>,
    limits: &Limits,
) -> Result<(), FailureReason> {
    let last = Instant::now() + limits.stream_idle_timeout;
    loop {
        // Its length, or at least what has come.
        if source.size().lower() > most {
            return Err(FailureReason::BodyTooLarge);
        }
        if source.was_read() {
            return Ok(());
        }
        let moving = (Instant::now() + limits.header_timeout).min(last);
        let (limit, over) = sooner(until, moving, FailureReason::ClientTimeout);
        match tokio::time::timeout_at(limit, source.read()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(FailureReason::ClientClosed),
            Err(_) => return Err(over),
        }
    }
}

/// The sooner of the request's time limit and another one, and what passing it means.
fn sooner(until: Option<Instant>, limit: Instant, reason: FailureReason) -> (Instant, FailureReason) {
    match until {
        Some(until) if until <= limit => (until, FailureReason::RequestTimeout),
        _ => (limit, reason),
    }
}

async fn collect(response: Response<hyper::body::Incoming>) -> Result<Answer, FailureReason> {
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    let mut trailers = None;
    while let Some(frame) = incoming.frame().await {
        match frame.map_err(|_| FailureReason::UpstreamReset)?.into_data() {
            Ok(data) if body.len() + data.len() > LONGEST => return Err(FailureReason::UpstreamProtocol),
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(Answer { head, body: body.freeze(), trailers })
}

/// Whether a service may give a request, or a response, a field of this name: not those that say whose it is, how long it
/// is, or what becomes of the connection.
fn may_change(name: &HeaderName) -> bool {
    !hygiene::ends_here(name) && *name != http::header::HOST && *name != http::header::CONTENT_LENGTH
}
