//! rustls over AWS-LC.

mod certificates;
mod downstream;
mod errors;
mod observer;
mod provider;
mod sessions;
mod tickets;
mod upstream;
mod verifier;

use std::sync::Arc;

use lasthop_dataplane_api::{TlsCapabilities, TlsStack, TlsVersion, UpstreamTlsPolicy};

use crate::{DownstreamSettings, DownstreamTls, PolicyError, TlsBackend, UpstreamTls, iana};

pub(crate) use errors::tls_error;

/// The stack.
pub(crate) struct Rustls;

impl TlsBackend for Rustls {
    fn capabilities(&self) -> TlsCapabilities {
        TlsCapabilities {
            stack: TlsStack::Rustls,
            versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
            cipher_suites: iana::CIPHER_SUITES.to_vec(),
            tls13_suite_choice: true,
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
