//! A port whose listeners do not all speak HTTP over TLS: who serves a connection is known from its ClientHello.

use std::{rc::Rc, sync::Arc};

use lasthop_dataplane_api::{FailureReason, HostPattern, ListenerKey};
use lasthop_tls_backends::DownstreamTls;
use lasthop_tls_verify::TlsError;
use tokio::io::AsyncWriteExt as _;

use super::{front::Arrival, hello, rules::RuleView, serve as whole, session::Session};
use crate::{
    downstream::in_time,
    metrics::Side,
    routing::HostMap,
    wire::{Activity, Wire},
    worker::Worker,
};

/// The listeners of a port by server name.
#[derive(Default)]
pub(crate) struct ByName(HostMap<Option<(ListenerKey, Mode)>>);

/// What a listener does with a connection.
#[derive(Clone)]
pub(crate) enum Mode {
    /// TLS ends here, then HTTP is spoken.
    Https,
    /// TLS ends here, what is in it goes to a backend.
    Terminate(Arc<dyn DownstreamTls>),
    /// The client's TLS goes to a backend.
    Passthrough,
    /// It cannot be set up.
    Refused,
}

impl ByName {
    /// Adds a listener. Of several for one host the first serves.
    pub(crate) fn add(&mut self, hostname: Option<&HostPattern>, listener: ListenerKey, mode: Mode) {
        self.0.at(hostname).get_or_insert((listener, mode));
    }

    fn choose(&self, server_name: Option<&str>) -> Option<&(ListenerKey, Mode)> {
        self.0.covering(server_name.unwrap_or_default()).next()?.as_ref()
    }
}

/// Serves a connection to its end, or gives it back if it is for HTTP.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    names: &ByName,
    first: &ListenerKey,
    mut arrival: Arrival,
) -> Option<Arrival> {
    let prefix = std::mem::take(&mut arrival.prefix);
    let reading = hello::read(&mut arrival.stream, prefix);
    let read = match in_time(worker, worker.limits.handshake_timeout, reading).await {
        Some(Ok(None)) => return None,
        None if worker.draining.get() => return None,
        None => Err(FailureReason::DownstreamTls(TlsError::Timeout)),
        Some(Ok(Some(read))) => Ok(read),
        Some(Err(reason)) => Err(reason),
    };
    let (hello, input) = match read {
        Ok(read) => read,
        Err(reason) => {
            let end = match reason {
                FailureReason::ClientHelloTooLarge
                | FailureReason::DownstreamTls(TlsError::ProtocolViolation(_)) => End::DecodeError,
                _ => End::Reset,
            };
            refuse(worker, arrival, first, None, reason, end).await;
            return None;
        }
    };
    arrival.prefix = input;
    let name = hello.server_name;
    let Some((listener, mode)) = names.choose(name.as_deref()) else {
        let reason = FailureReason::DownstreamTls(TlsError::UnrecognizedName(name.clone()));
        refuse(worker, arrival, first, name, reason, End::Close).await;
        return None;
    };
    let find = || worker.view.borrow().l4.find(listener, name.as_deref());
    match mode {
        Mode::Https => return Some(arrival),
        Mode::Refused => {
            let reason = FailureReason::DownstreamTls(TlsError::Local("the listener's TLS".to_owned()));
            refuse(worker, arrival, listener, name, reason, End::Reset).await;
        }
        Mode::Passthrough | Mode::Terminate(_) => match (find(), mode) {
            // Said before a certificate is shown: nobody would speak behind it.
            (None, _) => {
                refuse(worker, arrival, listener, name, FailureReason::NoRoute, End::Close).await;
            }
            (Some(rule), Mode::Terminate(tls)) => terminate(worker, arrival, listener, name, rule, tls).await,
            (Some(rule), _) => {
                let (connection, stream, prefix) = arrival.connection(worker, Some(listener));
                let mut session = Session::new(connection, "TLS");
                session.host = name.unwrap_or_default();
                session.passes_tls = true;
                whole::serve(session, Some(rule), Wire::plain(stream, prefix, Activity::new())).await;
            }
        },
    }
    None
}

async fn terminate(
    worker: &Rc<Worker>,
    arrival: Arrival,
    listener: &ListenerKey,
    name: Option<String>,
    rule: Rc<RuleView>,
    tls: &Arc<dyn DownstreamTls>,
) {
    let (connection, stream, prefix) = arrival.connection(worker, Some(listener));
    let mut session = Session::new(connection, "TLS");
    session.host = name.unwrap_or_default();
    let accepted = tokio::time::timeout(worker.limits.handshake_timeout, tls.accept(stream, prefix)).await;
    match accepted.unwrap_or(Err(TlsError::Timeout)) {
        Ok((stream, info)) => {
            worker.counters.handshakes.count((Side::Downstream, "ok", info.resumed));
            whole::serve(session, Some(rule), Wire::tls(stream, Activity::new())).await;
        }
        Err(error) => {
            worker.counters.handshakes.count((Side::Downstream, error.reason(), false));
            session.end(FailureReason::DownstreamTls(error));
        }
    }
}

/// How a connection ends that nobody serves.
enum End {
    /// By a FIN: nobody speaks TLS for a name that nobody takes, so that there is no alert either; the official suite
    /// takes an alert for an answer.
    Close,
    /// By the alert `decode_error`.
    DecodeError,
    /// By an RST.
    Reset,
}

/// Ends a connection that nobody serves; it is counted with this listener.
async fn refuse(
    worker: &Rc<Worker>,
    arrival: Arrival,
    listener: &ListenerKey,
    name: Option<String>,
    reason: FailureReason,
    end: End,
) {
    worker.counters.handshakes.count((Side::Downstream, reason.name(), false));
    let (connection, mut stream, _) = arrival.connection(worker, Some(listener));
    let mut session = Session::new(connection, "TLS");
    session.host = name.unwrap_or_default();
    session.end(reason);
    // The verdict stands whether the client hears it or not.
    match end {
        End::Close => drop(stream.shutdown().await),
        End::DecodeError => drop(hello::refuse(&mut stream).await),
        End::Reset => whole::reset(&stream),
    }
}
