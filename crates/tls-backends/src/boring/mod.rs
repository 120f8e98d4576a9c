//! BoringSSL. It shakes hands and encrypts; who is trusted it asks the verifier that rustls asks too.
//!
//! `tokio-boring` is not used: it gives a connection that ends without close_notify as a proper end.

mod bridge;
mod certificates;
mod context;
mod downstream;
mod errors;
mod handshake;
mod session_unsafe;
mod stream;
mod upstream;

use std::sync::Arc;

use lasthop_dataplane_api::{TlsCapabilities, TlsStack, TlsVersion, UpstreamTlsPolicy};

use crate::{DownstreamSettings, DownstreamTls, PolicyError, TlsBackend, UpstreamTls, iana};

pub(crate) use stream::BoringStream;

/// The stack.
pub(crate) struct Boring;

impl TlsBackend for Boring {
    fn capabilities(&self) -> TlsCapabilities {
        TlsCapabilities {
            stack: TlsStack::Boringssl,
            versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
            cipher_suites: iana::CIPHER_SUITES
                .into_iter()
                .filter(|suite| !iana::is_tls13_suite(*suite))
                .collect(),
            tls13_suite_choice: false,
            groups: iana::GROUPS.to_vec(),
        }
    }

    fn upstream(&self, policy: &Arc<UpstreamTlsPolicy>) -> Result<Arc<dyn UpstreamTls>, PolicyError> {
        Ok(Arc::new(upstream::Upstream::new(policy.clone())?))
    }

    fn downstream(&self, settings: &DownstreamSettings) -> Result<Arc<dyn DownstreamTls>, PolicyError> {
        Ok(Arc::new(downstream::Downstream::new(settings.clone())?))
    }
}
