//! What came of an XBackend by itself.

use std::sync::Arc;

use lasthop_dataplane_api::AppProtocol;

use crate::{problem::Problem, tls_policies::Compiled};

/// What came of an XBackend, before routes and Gateways use it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct XBackendOutcome {
    /// The host it stands for, or why it leads nowhere.
    pub hostname: Result<Arc<str>, Problem>,
    /// What it speaks, or why nobody knows.
    pub protocol: Result<AppProtocol, Problem>,
    /// Whether and how the hop is encrypted, or why that cannot be done.
    pub tls: Result<XBackendTls, Problem>,
    /// What is wrong with some of the references.
    pub unresolved: Option<Problem>,
}

/// Whether and how the hop to an XBackend is encrypted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum XBackendTls {
    /// It is not, as its mode says.
    None,
    /// As its validation says.
    Compiled(Compiled),
}

impl XBackendOutcome {
    /// Why it cannot be used, or not as it says.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        let (hostname, protocol) = (self.hostname.as_ref().err(), self.protocol.as_ref().err());
        hostname.or(protocol).or(self.tls.as_ref().err()).or(self.unresolved.as_ref())
    }
}
