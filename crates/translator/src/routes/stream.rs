//! Rules of TLSRoutes, TCPRoutes and UDPRoutes.

use std::sync::Arc;

use lasthop_dataplane_api::L4Backend;

use super::{scope::Scope, view::StreamRule};

/// A rule without its place.
#[derive(Debug)]
pub(super) struct StreamBody {
    pub name: Option<Arc<str>>,
    pub backends: Vec<L4Backend>,
}

impl Scope<'_, '_> {
    /// What a rule means. A reference that leads nowhere keeps its share: those connections are closed.
    pub(super) fn stream_rule(&mut self, rule: &StreamRule<'_>) -> StreamBody {
        let mut backends = Vec::with_capacity(rule.backend_refs.len());
        for (index, reference) in rule.backend_refs.iter().enumerate() {
            let field = self.field(&format!("backendRefs[{index}]"));
            let target = self.target(&reference.object(), &field);
            backends.push(L4Backend { weight: reference.weight, target });
        }
        StreamBody { name: rule.name.map(Into::into), backends }
    }
}
