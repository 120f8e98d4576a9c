//! Rules of GRPCRoutes.

use lasthop_api_model::GrpcRouteRule;
use lasthop_dataplane_api::{Timeouts, WeightedBackend};

use super::{http::RuleBody, matches, scope::Scope};

impl Scope<'_, '_> {
    /// What a rule means; `None` when it cannot even be matched.
    pub(super) fn grpc_rule(&mut self, rule: &GrpcRouteRule) -> Option<RuleBody> {
        let matches = match matches::grpc(&rule.matches) {
            Ok(matches) => Some(matches),
            Err(message) => {
                self.invalid("UnsupportedValue", self.field(&message));
                None
            }
        };
        let mut filters = self.grpc_filters(&rule.filters, "filters");
        let persistence = self.persistence(rule.session_persistence.as_ref()).unwrap_or_else(|message| {
            filters.push(self.refuse(message));
            None
        });
        let mut backends = Vec::with_capacity(rule.backend_refs.len());
        for (index, backend) in rule.backend_refs.iter().enumerate() {
            let field = self.field(&format!("backendRefs[{index}]"));
            backends.push(WeightedBackend {
                weight: backend.backend_ref.weight,
                target: self.target(&backend.backend_ref.object(), &field),
                filters: self.grpc_filters(&backend.filters, &format!("backendRefs[{index}].filters")),
            });
        }
        let name = rule.name.as_deref().map(Into::into);
        Some(RuleBody {
            name,
            matches: matches?,
            filters,
            backends,
            timeouts: Timeouts::default(),
            retry: None,
            persistence,
        })
    }
}
