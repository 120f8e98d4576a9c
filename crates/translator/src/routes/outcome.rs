//! What came of a route.

use std::sync::Arc;

use lasthop_dataplane_api::{HttpRule, L4Rule};

use crate::{index::RouteUses, status::Said};

/// What came of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteOutcome {
    /// What the dataplane gets of an HTTPRoute or GRPCRoute.
    pub rules: Vec<Arc<HttpRule>>,
    /// What it gets of another.
    pub l4_rules: Vec<Arc<L4Rule>>,
    /// What it uses.
    pub uses: RouteUses,
    /// What is said about it at each parent.
    pub said: Vec<Said>,
}
