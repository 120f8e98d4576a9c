//! An endpoint that takes the connection.
//!
//! Nothing of the client's was sent yet, so another endpoint may be tried as often as there are some.

use std::{net::SocketAddr, pin::pin, rc::Rc};

use lasthop_dataplane_api::FailureReason;
use smallvec::SmallVec;

use super::{proxy_protocol, session::Session};
use crate::upstream::{Attempt, Dial, Dialled, Endpoint, InFlight, UpstreamBackend, dial, is_in_vain, race};

/// A connection to a backend, counted with its endpoint.
pub(super) struct Upstream {
    pub wire: crate::wire::Wire,
    _open: crate::upstream::OpenConnection,
    _in_flight: InFlight,
}

/// Connects to an endpoint of the session's backend, or of what replaced it.
pub(super) async fn connect(session: &mut Session) -> Result<(Upstream, Rc<UpstreamBackend>), FailureReason> {
    let worker = session.worker.clone();
    let Some(mut backend) = session.backend().cloned() else { return Err(FailureReason::InvalidBackend) };
    let mut tried: SmallVec<[SocketAddr; 4]> = SmallVec::new();
    if let Some(name) = backend.awaited() {
        name.answered(worker.limits.connect_timeout).await;
    }
    let mut last = None;
    loop {
        if backend.is_revoked() || backend.is_forsaken() {
            backend = successor(session, &backend).inspect_err(|reason| backend.count_failure(reason))?;
            tried.clear();
        }
        let Some(mut endpoint) = backend.pick(&tried) else {
            return Err(last.unwrap_or_else(|| {
                let reason = backend.without_endpoint();
                backend.count_failure(&reason);
                reason
            }));
        };
        session.attempts += 1;
        session.endpoint = Some(endpoint.address);
        let header = match backend.proxy_protocol {
            true => proxy_protocol::header(session.client, session.local),
            false => Vec::new(),
        };
        let host = Some(session.host.as_str()).filter(|host| !host.is_empty());
        let how = Dial { host, alpn: &[], header: &header };
        let mut in_flight = InFlight::new(endpoint.clone());
        let dialled = if backend.races() {
            let connect = |endpoint: Rc<Endpoint>| -> Attempt<'_, Dialled> {
                let worker = &worker;
                Box::pin(async move { dial(worker, &endpoint, how).await })
            };
            let most = worker.limits.connect_attempts as usize;
            let raced = pin!(race(&backend, &mut endpoint, &mut tried, most, connect));
            backend.until(UpstreamBackend::is_revoked, raced).await
        } else {
            backend.until(UpstreamBackend::is_revoked, pin!(dial(&worker, &endpoint, how))).await
        };
        if session.endpoint != Some(endpoint.address) {
            session.endpoint = Some(endpoint.address);
            in_flight = InFlight::new(endpoint.clone());
        }
        match dialled {
            None => {}
            Some(Ok(Dialled { wire, tls, open })) => {
                session.connected(tls.as_ref());
                return Ok((Upstream { wire, _open: open, _in_flight: in_flight }, backend));
            }
            Some(Err(reason)) => {
                backend.count_failure(&reason);
                tried.push(endpoint.address);
                if is_in_vain(&reason) || tried.len() >= worker.limits.connect_attempts as usize {
                    return Err(reason);
                }
                last = Some(reason);
            }
        }
    }
}

/// What replaced a backend whose policy is trusted no longer.
fn successor(session: &mut Session, old: &UpstreamBackend) -> Result<Rc<UpstreamBackend>, FailureReason> {
    let successor = session.worker.view.borrow().backends.get(&old.key).cloned();
    let successor = session.form_of(successor.ok_or(FailureReason::TrustRevoked)?);
    if successor.hop.refuses_streams() {
        return Err(FailureReason::PolicyRefused);
    }
    session.set_backend(successor.clone());
    Ok(successor)
}
