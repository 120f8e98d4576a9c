//! One connection, from the rule that serves it to its end.

use std::{rc::Rc, time::Duration};

use lasthop_dataplane_api::FailureReason;
use lasthop_tls_backends::classify_io;
use socket2::SockRef;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    connect::connect,
    relay::{End, Party, relay},
    rules::RuleView,
    session::Session,
};
use crate::wire::Wire;

/// How long the last bytes before a reset may take to leave, and then to arrive: a reset overtakes what was not
/// acknowledged.
const LAST_FLUSH: Duration = Duration::from_secs(1);
const LAST_ARRIVAL: Duration = Duration::from_millis(50);

/// Hands a connection on and serves it to its end.
pub(super) async fn serve(mut session: Session, rule: Option<Rc<RuleView>>, mut client: Wire) {
    session.rule = rule;
    let connected = match choose(&mut session) {
        Ok(()) => connect(&mut session).await,
        Err(reason) => Err(reason),
    };
    let (mut upstream, backend) = match connected {
        Ok(connected) => connected,
        Err(reason) => {
            reset(client.tcp());
            return session.end(reason);
        }
    };
    let end = relay(&session, &backend, &mut client, &mut upstream.wire).await;
    let (reason, broken) = match end {
        // Both said that there is no more.
        End::Whole => return,
        End::Idle => (FailureReason::IdleTimeout, None),
        End::Revoked => (FailureReason::TrustRevoked, None),
        End::Outdated => (FailureReason::Misdirected, None),
        End::Broken(Party::Client, error) => {
            let reason = match error.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    FailureReason::DownstreamTls(lasthop_tls_verify::TlsError::Truncated)
                }
                _ => FailureReason::ClientClosed,
            };
            (reason, Some((&mut upstream.wire, error)))
        }
        End::Broken(Party::Backend, error) => {
            let said = classify_io(&error).map(FailureReason::UpstreamTls);
            let reason = said.unwrap_or_else(|| upstream.wire.activity().broken_off());
            (reason, Some((&mut client, error)))
        }
    };
    backend.count_failure(&reason);
    session.note(reason);
    match broken {
        // Whoever is left is told in kind: a reset, or an end without close_notify.
        Some((left, error)) => {
            let _ = tokio::time::timeout(LAST_FLUSH, left.flush()).await;
            if error.kind() != std::io::ErrorKind::UnexpectedEof || !left.is_tls() {
                tokio::time::sleep(LAST_ARRIVAL).await;
                reset(left.tcp());
            }
        }
        None => {
            reset(client.tcp());
            reset(upstream.wire.tcp());
        }
    }
}

/// The rule's choice.
fn choose(session: &mut Session) -> Result<(), FailureReason> {
    let rule = session.rule.as_ref().ok_or(FailureReason::NoRoute)?;
    let target = rule.choose().ok_or(FailureReason::InvalidBackend)?;
    let backend = session.worker.view.borrow().backend(target)?;
    let backend = session.form_of(backend);
    session.set_backend(backend.clone());
    if backend.hop.refuses_streams() {
        backend.count_failure(&FailureReason::PolicyRefused);
        return Err(FailureReason::PolicyRefused);
    }
    Ok(())
}

/// The connection will end with a reset instead of a proper end.
pub(super) fn reset(stream: &TcpStream) {
    // A connection that is gone needs none.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
