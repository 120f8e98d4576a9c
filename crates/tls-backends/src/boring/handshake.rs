//! A handshake, awaited.

use std::{future::poll_fn, task::Poll};

use boring::ssl::{HandshakeError, MidHandshakeSslStream, SslRef};
use lasthop_tls_verify::TlsError;

use super::{bridge::Bridge, errors, stream::BoringStream};
use crate::classify::Side;

/// Shakes hands. `verdict` finds what our own callbacks decided, if they ended it.
pub(super) async fn complete(
    started: MidHandshakeSslStream<Bridge>,
    side: Side,
    verdict: impl Fn(&mut SslRef) -> Option<TlsError>,
) -> Result<BoringStream, TlsError> {
    let mut waiting = Some(started);
    let outcome = poll_fn(|cx| {
        let Some(mut handshake) = waiting.take() else {
            return Poll::Ready(Err(None));
        };
        handshake.get_mut().wake(cx);
        match handshake.handshake() {
            Ok(stream) => Poll::Ready(Ok(stream)),
            Err(HandshakeError::WouldBlock(handshake)) => {
                waiting = Some(handshake);
                Poll::Pending
            }
            Err(HandshakeError::Failure(failed)) => Poll::Ready(Err(Some(failed))),
            Err(HandshakeError::SetupFailure(_)) => Poll::Ready(Err(None)),
        }
    })
    .await;
    match outcome {
        Ok(mut stream) => {
            // The last flight may wait for room in the socket.
            poll_fn(|cx| stream.get_mut().poll_send(cx)).await.map_err(|error| TlsError::Io(error.kind()))?;
            Ok(BoringStream::new(stream))
        }
        Err(None) => Err(TlsError::Local("BoringSSL could not begin the handshake".to_owned())),
        Err(Some(mut failed)) => {
            // The alert that says why; nobody waits for it long.
            poll_fn(|cx| Poll::Ready(failed.get_mut().poll_send(cx).is_ready())).await;
            Err(match verdict(failed.ssl_mut()) {
                Some(verdict) => verdict,
                None if failed.get_ref().io.began_without_tls() => TlsError::NotTls,
                None => errors::tls_error(failed.error(), side),
            })
        }
    }
}
