//! A client's request and its answer.

use std::{convert::Infallible, pin::pin, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use lasthop_dataplane_api::{AccessRecord, FailureReason, RouteKind};
use tokio::time::Instant;

use super::{
    RequestBody,
    attempt::Route,
    exchange::Exchange,
    failure,
    grpc::{self, Dialect},
    mirror,
    outgoing::Outgoing,
    replay::Replay,
    request_body::{ClientBody, ClientSource, Received},
    response_body::{Limit, ResponseBody, Source},
    retry::{self, Answered, Idle},
    tunnel,
    watch::Watch,
};
use crate::{
    downstream::ClientConnection,
    filters::{FilterContext, FilterOutcome},
    hygiene::{self, Downstream, HeaderLimits},
    routing::{CompiledBackendRef, CompiledRule, RouteMatch, WorkerRule},
    upstream::{Hop, Want},
    worker::clock::{Deadline, millis},
};

/// What a request comes to.
enum Outcome {
    /// A filter's answer.
    Own(Response<Bytes>),
    /// A backend's response.
    Backend(Response<Incoming>, Option<Limit>),
    /// The backend's 101, and both sides of the tunnel.
    Tunnel(Response<()>, OnUpgrade, OnUpgrade),
}

/// Answers a request. It always has an answer; what goes wrong later breaks off the response's body.
pub(crate) async fn answer(
    connection: Rc<ClientConnection>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let mut exchange = Box::new(Exchange::new(connection, &request));
    let (parts, body) = request.into_parts();
    let mut outgoing = Outgoing { parts, body: RequestBody::Empty, received: None };
    exchange.body = Some(ClientSource::new(body));
    let outcome = exchange.serve(&mut outgoing).await;
    // Who did not get it by now does not get it.
    if let Some(source) = exchange.body.take()
        && source.is_left()
        && let Some(connection) = exchange.alone()
    {
        connection.leave_unread();
    }
    let (response, source) = match outcome {
        Ok(Outcome::Backend(response, limit)) => {
            let (parts, body) = response.into_parts();
            (parts, Source::Backend(body, limit))
        }
        Ok(Outcome::Own(response)) => {
            let (parts, body) = response.into_parts();
            (parts, Source::Own(body))
        }
        Ok(Outcome::Tunnel(response, client, backend)) => {
            exchange.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
            tunnel::open(exchange, client, backend);
            return Ok(response.map(|()| ResponseBody::none()));
        }
        Err(reason) => {
            let response = failure::response(&reason, exchange.grpc, exchange.is_http2());
            exchange.reason = Some(reason);
            let (parts, body) = response.into_parts();
            (parts, Source::Own(body))
        }
    };
    exchange.status = response.status.as_u16();
    Ok(Response::from_parts(response, ResponseBody::new(source, exchange)))
}

/// Notes a request that never became one: hyper refused it, or its header did not come in time.
pub(crate) fn unanswered(connection: &ClientConnection, reason: &FailureReason, protocol: &'static str) {
    let listener = connection.some_listener();
    if let Some(listener) = &listener {
        listener.counters.failures.count(reason.name());
    }
    connection.worker.access_log.record(&AccessRecord {
        client: connection.client,
        listener: listener.as_ref().map(|listener| &listener.key),
        method: "",
        host: "",
        path: "",
        protocol,
        status: reason.status(),
        rule: None,
        backend: None,
        endpoint: None,
        attempts: 0,
        upstream_tls: None,
        upstream_resumed: false,
        upstream_reused: false,
        reason: Some(reason),
        bytes_in: 0,
        bytes_out: 0,
        duration: Duration::ZERO,
        upstream_duration: None,
    });
}

impl Exchange {
    async fn serve(&mut self, outgoing: &mut Outgoing) -> Result<Outcome, FailureReason> {
        let limits = HeaderLimits::from(&self.connection.worker.limits);
        let target = hygiene::check_request(&mut outgoing.parts, limits).map_err(|violation| {
            tracing::debug!(detail = violation.detail, "the client's request breaks the protocol");
            violation.reason
        })?;
        let client_upgrade = match target.upgrade {
            true => outgoing.parts.extensions.remove::<OnUpgrade>(),
            false => None,
        };
        self.host = Some(target.host.clone());
        let connection = self.connection.clone();
        let downstream = Downstream {
            client: connection.client.ip(),
            scheme: connection.scheme(),
            port: connection.local.port(),
        };
        hygiene::add_forwarded(&mut outgoing.parts, downstream);
        let RouteMatch { rule, matched } = self.route(&target.host, &outgoing.parts)?;
        self.rule = Some(rule.clone());
        let length = self.body.as_ref().map_or(0, |body| body.size().lower());
        if connection.worker.limits.body_bytes.is_some_and(|most| length > most) {
            return Err(FailureReason::BodyTooLarge);
        }

        let origin = match rule.filters.wants_origin()
            || rule.backends.iter().any(|backend| backend.filters.wants_origin())
        {
            true => outgoing.parts.headers.get(http::header::ORIGIN).cloned(),
            false => None,
        };
        let context = FilterContext {
            scheme: connection.scheme(),
            port: connection.local.port(),
            host: &target.host,
            matched_path: rule.source.matches.get(matched).and_then(|matched| matched.path.as_ref()),
            origin: origin.as_ref(),
        };
        let mut chosen = None;
        let served = match rule.filters.apply_request(&mut outgoing.parts, &context) {
            FilterOutcome::Continue => {
                self.ask_backend(&rule, &context, &mut chosen, outgoing, client_upgrade).await
            }
            FilterOutcome::Respond(response) => return Ok(Outcome::Own(response)),
            FilterOutcome::Invalid => return Err(FailureReason::InvalidFilter),
            // Boxed, as few rules have one: a future that holds it would be as large for all.
            FilterOutcome::Authorize(place) => {
                let asked = async {
                    let until = self.until(&rule, &outgoing.parts);
                    let parts = &mut outgoing.parts;
                    match self.authorize(&rule.filters, place, until, parts, &context).await? {
                        Some(response) => Ok(Outcome::Own(response)),
                        None => {
                            self.ask_backend(&rule, &context, &mut chosen, outgoing, client_upgrade).await
                        }
                    }
                };
                Box::pin(asked).await
            }
        };
        let outcome = served.unwrap_or_else(|reason| {
            let response = failure::response(&reason, self.grpc, self.is_http2());
            self.reason = Some(reason);
            Outcome::Own(response)
        });
        let more = self.response_fields.take();
        let filters = |parts: &mut http::response::Parts| {
            more.into_iter().for_each(|more| more.apply(&mut parts.headers));
            if let Some(backend) = chosen {
                backend.filters.apply_response(parts, &context);
            }
            rule.filters.apply_response(parts, &context);
        };
        Ok(match outcome {
            Outcome::Own(response) => Outcome::Own(filtered(response, filters)),
            Outcome::Backend(response, limit) => Outcome::Backend(filtered(response, filters), limit),
            Outcome::Tunnel(response, client, backend) => {
                Outcome::Tunnel(filtered(response, filters), client, backend)
            }
        })
    }

    /// The listener and rule for a request.
    fn route(&mut self, host: &str, parts: &request::Parts) -> Result<RouteMatch, FailureReason> {
        let connection = &self.connection;
        let view = connection.worker.view.borrow();
        let key = view.routes.choose_listener(connection.local, connection.is_tls(), host);
        let key = key.ok_or(FailureReason::NoRoute)?;
        match &connection.listener {
            // The certificate that the client checked is another listener's.
            Some(listener) if listener.key != *key => return Err(FailureReason::Misdirected),
            Some(_) if connection.is_outdated() => return Err(FailureReason::Misdirected),
            Some(_) => {}
            None => self.listener = view.listeners.get(key).cloned(),
        }
        view.routes.find(key, host, parts).ok_or(FailureReason::NoRoute)
    }

    /// Whether the request can only be carried by HTTP/2.
    fn needs_http2(&self, rule: &CompiledRule) -> bool {
        rule.source.key.route.kind == RouteKind::GRPCRoute
            || (self.is_http2() && self.grpc == Some(Dialect::Native))
    }

    /// When the exchange must be over: as the rule says, or as the client of a gRPC call says.
    fn until(&self, rule: &CompiledRule, parts: &request::Parts) -> Option<Instant> {
        let deadline = self.grpc.and_then(|_| grpc::timeout(&parts.headers));
        let limit = rule.source.timeouts.request.into_iter().chain(deadline).min()?;
        Instant::from_std(self.started).checked_add(limit)
    }

    async fn ask_backend<'a>(
        &mut self,
        rule: &'a WorkerRule,
        context: &FilterContext<'_>,
        chosen: &mut Option<&'a CompiledBackendRef>,
        outgoing: &mut Outgoing,
        client_upgrade: Option<OnUpgrade>,
    ) -> Result<Outcome, FailureReason> {
        let connection = self.connection.clone();
        let worker = &connection.worker;
        let reference = rule.choose().ok_or(FailureReason::InvalidBackend)?;
        let headers = &outgoing.parts.headers;
        let session = worker.sessions.borrow().find(rule, reference, headers, &worker.view.borrow());
        let backend = worker.view.borrow().backend(&reference.target)?;
        *chosen = Some(reference);
        self.backend = Some(backend.clone());
        match reference.filters.apply_request(&mut outgoing.parts, context) {
            FilterOutcome::Continue => {}
            FilterOutcome::Respond(response) => return Ok(Outcome::Own(response)),
            FilterOutcome::Invalid => return Err(FailureReason::InvalidFilter),
            FilterOutcome::Authorize(place) => {
                let until = self.until(rule, &outgoing.parts);
                let asked = self.authorize(&reference.filters, place, until, &mut outgoing.parts, context);
                if let Some(response) = Box::pin(asked).await? {
                    return Ok(Outcome::Own(response));
                }
                self.backend = Some(backend.clone());
            }
        }
        if matches!(backend.hop, Hop::Refused) {
            backend.count_failure(&FailureReason::PolicyRefused);
            return Err(FailureReason::PolicyRefused);
        }
        let until = self.until(rule, &outgoing.parts);
        if until.is_some_and(|until| until <= Instant::now()) {
            // Nobody waits for it any more: neither the backend nor a mirror is sent it.
            backend.count_failure(&FailureReason::RequestTimeout);
            return Err(FailureReason::RequestTimeout);
        }
        let want = backend.want(self.needs_http2(rule), client_upgrade.is_some());
        (outgoing.body, outgoing.received) = self.body(rule, reference, context, &outgoing.parts, want);
        let route = Route {
            worker,
            backend: &backend,
            want,
            upgrade: client_upgrade.is_some(),
            host: context.host,
            between: [&connection.client, &connection.local],
            prefer: session.as_ref().and_then(|session| session.address.as_ref()),
            once: rule.source.retry.as_ref().is_some_and(|retry| retry.attempts == 0),
        };
        let idle = worker.deadlines.add();
        let mut answered = {
            let limit = millis(worker.limits.stream_idle_timeout);
            let idle = Idle { deadline: &idle, limit, received: self.received.as_deref() };
            let mut forward = pin!(retry::forward(route, &rule.source, &mut self.trace, &idle, outgoing));
            retry::within(until, forward.as_mut()).await.unwrap_or_else(|| {
                backend.count_failure(&FailureReason::RequestTimeout);
                Err(FailureReason::RequestTimeout)
            })?
        };
        if let Some(successor) = self.trace.successor.take() {
            self.backend = Some(successor);
        }
        if let (Some(persistence), Some(identity), Some(endpoint)) =
            (&rule.source.persistence, reference.identity, self.trace.endpoint)
            && let Some((name, value)) = worker.sessions.borrow().answer(
                persistence,
                session.as_deref(),
                (identity, endpoint),
                connection.is_tls(),
            )
        {
            answered.session = Some(Box::new((name, value)));
        }
        self.respond(answered, until, idle, client_upgrade)
    }

    /// The request's body, in the form that the rule needs, what of it has come, and the mirrors on their way.
    fn body(
        &mut self,
        rule: &CompiledRule,
        reference: &CompiledBackendRef,
        context: &FilterContext<'_>,
        parts: &request::Parts,
        want: Want,
    ) -> (RequestBody, Option<Rc<Received>>) {
        let worker = &self.connection.worker;
        let mirrors = [rule.filters.mirrors(), reference.filters.mirrors()];
        let mirrors: Vec<_> = match parts.headers.contains_key(http::header::UPGRADE)
            || mirrors.iter().all(|mirrors| mirrors.is_empty())
        {
            true => Vec::new(),
            false => mirrors.iter().flat_map(|mirrors| mirror::chosen(worker, mirrors)).collect(),
        };
        let source = self.body.take().filter(|source| !source.is_end());
        let mut queues = Vec::new();
        for backend in mirrors {
            let queue = source
                .as_ref()
                .map(|source| mirror::MirrorQueue::new(source.size(), worker.limits.replay_bytes));
            queues.extend(queue.clone());
            let want = backend.want(self.needs_http2(rule), false);
            let between = (self.connection.client, self.connection.local);
            mirror::send(worker, between, backend, want, context.host.to_owned(), parts.clone(), queue);
        }
        let Some(source) = source else { return (RequestBody::Empty, None) };
        let received = Rc::new(Received::new(self.alone().cloned()));
        self.received = Some(received.clone());
        let body = ClientBody::new(source, received.clone(), &worker.limits);
        // A backend may refuse a stream of HTTP/2 that it has not looked at, with whatever body.
        let repeated = retry::repeats(&rule.source) || want != Want::Http1;
        let room = repeated.then_some(worker.limits.replay_bytes);
        if room.is_none() && queues.is_empty() {
            return (RequestBody::Stream(body), Some(received));
        }
        (RequestBody::Replay(Replay::new(body, room, queues)), Some(received))
    }

    /// The backend's response in the client's form.
    fn respond(
        &mut self,
        answered: Answered,
        until: Option<Instant>,
        idle: Deadline,
        client_upgrade: Option<OnUpgrade>,
    ) -> Result<Outcome, FailureReason> {
        let Answered { response, lease, until: attempt_until, session } = answered;
        let (mut parts, body) = response.into_parts();
        let limits = HeaderLimits::from(&self.connection.worker.limits);
        if let Err(violation) = hygiene::check_response(&parts, client_upgrade.is_some(), limits) {
            tracing::debug!(detail = violation.detail, "the backend's response breaks the protocol");
            if let Some(backend) = &self.backend {
                backend.count_failure(&violation.reason);
            }
            return Err(violation.reason);
        }
        let backend_upgrade = parts.extensions.remove::<OnUpgrade>();
        hygiene::to_downstream(&mut parts, self.is_http2());
        if let Some(session) = session {
            let (name, value) = *session;
            if name != http::header::SET_COOKIE {
                parts.headers.remove(&name);
            }
            parts.headers.append(name, value);
        }
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return match (client_upgrade, backend_upgrade) {
                (Some(client), Some(backend)) => {
                    // Counts as a request under way until the tunnel ends; never goes back to the pool.
                    self.lease = Some(lease);
                    Ok(Outcome::Tunnel(Response::from_parts(parts, ()), client, backend))
                }
                _ => Err(FailureReason::UpstreamProtocol),
            };
        }
        self.lease = Some(lease);
        let until = match (until, attempt_until) {
            (Some(request), Some(attempt)) if attempt < request => {
                Some((attempt, FailureReason::BackendTimeout))
            }
            (Some(request), _) => Some((request, FailureReason::RequestTimeout)),
            (None, Some(attempt)) => Some((attempt, FailureReason::BackendTimeout)),
            (None, None) => None,
        };
        let watch = Watch::new(&self.connection.worker, idle, self.received.clone(), until.clone());
        if self.is_http2() {
            watch.begin();
        }
        self.watch = Some(watch);
        let limit =
            until.map(|(until, reason)| Limit { sleep: Box::pin(tokio::time::sleep_until(until)), reason });
        Ok(Outcome::Backend(Response::from_parts(parts, body), limit))
    }
}

fn filtered<B>(response: Response<B>, filters: impl FnOnce(&mut http::response::Parts)) -> Response<B> {
    let (mut parts, body) = response.into_parts();
    filters(&mut parts);
    Response::from_parts(parts, body)
}
